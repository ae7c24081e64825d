"""What a model of the zoo is worth, and what the least of all models is: `python -m vaelib.zoo.measure NAME`.

The least is a Gaussian on the first 100 principal components of the training images: a plane through their mean, with
their covariance on it. Who does not beat it has not learned much. Beside it stand fresh faces, which nobody can beat,
and for pictures of its size the zoo's VAE. All are compared with the same test images, by the same features.
"""

import argparse
import copy
import json
import sys
from collections.abc import Sequence
from typing import Any

import torch

from vaelib import evaluation, zoo
from vaelib.config import near_miss
from vaelib.data import ImageSet, load
from vaelib.evaluation.floors import gaussian_of_components
from vaelib.models import NVAE, Model

IMAGES, VAE = 2_000, "vae-faces64"
COOL, PASSES = 0.5, 20


def measure(model: Model, *, images: int = IMAGES) -> dict[str, Any]:
    """Distances of samples, sharpness, and the bound, on the first test faces.

    Returns:
        `images`: how many are compared with as many. `frechet`: distance to the test faces of `samples`,
        `reconstructions`, `gaussian` (see above), `fresh` (other test faces) and, at 64×64, `vae`. An NVAE also has
        `recalibrated`, samples whose batch-norm averages were taken from samples, and `recalibrated_cool`, the same at
        temperature `COOL`. `sharpness`: of the same and of the `data`. `nats`: distortion and rate per image, and with
        a discrete likelihood `bits_per_dimension`, with the levels they count; `squared_error` of reconstructions per
        pixel and channel.
    """
    side = model.image_shape[-1]
    test = load("faces", "test", count=2 * images, size=side)
    real = test.take(images)
    fresh = test.batch(slice(images, 2 * images)).images
    originals = real.batch(slice(None)).images
    training = load("faces", "train", count=10_000, size=side).batch(slice(None)).images
    pictures = {
        "samples": model.sample(images, generator=torch.Generator().manual_seed(0)),
        "reconstructions": model.reconstruct(originals),
        "gaussian": gaussian_of_components(training, images, torch.Generator().manual_seed(0)),
        "fresh": fresh,
    }
    if side == zoo.load(VAE).image_shape[-1]:
        vae = zoo.load(VAE)
        pictures["vae"] = vae.sample(images, generator=torch.Generator().manual_seed(0))
        pictures["vae_reconstructions"] = vae.reconstruct(originals)
    if isinstance(model, NVAE):
        for name, temperature in (("recalibrated", 1.0), ("recalibrated_cool", COOL)):
            other = copy.deepcopy(model)
            other.recalibrate_on_samples(temperature, passes=PASSES, generator=torch.Generator().manual_seed(1))
            pictures[name] = other.sample(images, temperature=temperature, generator=torch.Generator().manual_seed(0))
    numbers: dict[str, Any] = {
        "images": images,
        "features": "EfficientNet-Lite0, not FID",
        "frechet": {
            name: evaluation.frechet_distance(real, some, subject=name).value for name, some in pictures.items()
        },
        "sharpness": {"data": evaluation.sharpness(real).value}
        | {name: evaluation.sharpness(some).value for name, some in pictures.items()},
        "squared_error": (pictures["reconstructions"] - originals).square().mean().item(),
    }
    if "vae" in pictures:
        numbers["vae_squared_error"] = (pictures["vae_reconstructions"] - originals).square().mean().item()
    return numbers | {"nats": _nats(model, real)}


def _nats(model: Model, real: ImageSet) -> dict[str, float]:
    """Means of every term of the objective, without training's warm-ups."""
    from vaelib.models import Progress
    from vaelib.training.randomness import seeded

    sums: dict[str, float] = {}
    with seeded(0, "measure"), torch.inference_mode():
        for start in range(0, len(real), 100):
            batch = real.batch(slice(start, min(start + 100, len(real))))
            for name, term in model.loss(batch, Progress.finished()).per_image.items():
                sums[name] = sums.get(name, 0.0) + term.double().sum().item()
    means = {name: total / len(real) for name, total in sums.items()}
    levels = getattr(model.config.likelihood, "levels", None)
    if levels is not None:
        dimensions = real.images[0].numel()
        bits = (means["distortion"] + means["rate"]) / (dimensions * torch.log(torch.tensor(2.0)).item())
        means |= {"bits_per_dimension": bits, "levels": levels}
    return means


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m vaelib.zoo.measure", description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("name", help=f"of the zoo: {', '.join(zoo.names())}")
    options = parser.parse_args(arguments)
    if options.name not in zoo.names():
        print(f"{parser.prog}: the zoo has no {options.name!r}.{near_miss(options.name, zoo.names())}", file=sys.stderr)
        return 1
    numbers = measure(zoo.load(options.name))
    file = zoo.model_folder(options.name) / zoo.RESULTS
    file.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(numbers, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
