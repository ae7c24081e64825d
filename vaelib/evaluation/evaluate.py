"""Everything we measure of a model, in one call: what the training objective says, and what the pictures say.

Example:
    for name, measurement in evaluate(model, test_faces).items():
        print(f"{name:36} {measurement}")
"""

from collections.abc import Iterator
from dataclasses import fields
from math import prod

import torch
from torch import Tensor

from vaelib.console import progress_bar
from vaelib.data.image_set import Batch, ImageSet, slices
from vaelib.data.pixels import dequantise
from vaelib.evaluation.compared import MINIMUM_IMAGES, ComparedFeatures
from vaelib.evaluation.distances import frechet_of, kernel_of
from vaelib.evaluation.features import image_features
from vaelib.evaluation.inputs import Counted, conditions, seeded
from vaelib.evaluation.manifold import scores_of
from vaelib.evaluation.protocol import Measurement, Protocol
from vaelib.evaluation.reconstruction import SSIM_WINDOW, psnr, squared_error, ssim
from vaelib.evaluation.sharpness import mean_over_images, sharpness, sharpness_closeness
from vaelib.models.base import Model, Progress, inference
from vaelib.probability import bits_per_dimension

RECONSTRUCTIONS = 2_000
"""How many reconstructions are compared by features, at most. They only bound what samples can reach, and features are
what takes the time."""


@inference
def evaluate(
    model: Model,
    data: ImageSet,
    *,
    samples: int = 2_000,
    seed: int = 0,
    features: str | None = "efficientnet-lite0",
    temperature: float = 1.0,
    chunk: int = 128,
) -> dict[str, Measurement]:
    """Measure a model on images that it was not trained on.

    The answer has, in this order and where the model has them:

    - `negative_elbo`, `distortion`, `rate` in nats per image, and `bits_per_dimension`, from one sample of z per image
      (of a model without a rate only the distortion);
    - `reconstruction_mse`: squared error per pixel and channel, on the [0, 1] scale; `reconstruction_psnr` in decibels;
      `reconstruction_ssim`, of images of at least 11 × 11;
    - `frechet_samples`, `kernel_samples`: distances to the data;
    - `precision`, `recall`, `density`, `coverage` of the samples: how well they lie among real images (first and third)
      and how many kinds of real images they reach; see `manifold_scores`, also for what a perfect model would have;
    - `frechet_reconstructions`, `kernel_reconstructions`, of the first 2,000 images at most. A reconstruction is
      compared with a set that holds its own original, so these flatter; they bound what samples of this decoder can
      reach, and are no rival to a sample's distance;
    - `sharpness_data`, `sharpness_samples`, `sharpness_reconstructions`, and how close the last two come to the first:
      `sharpness_closeness_samples`, `sharpness_closeness_reconstructions`, 1 when equal, less when blurred or noisy.

    Every mean has its standard error over images. What each likelihood counts is what is measured: bits per dimension
    of a density come from dequantised images, those of a discrete likelihood from images of its levels (drawn by coin
    flips for two levels). Negative ELBOs of a density and of a probability mass carry protocols that refuse comparison.

    Args:
        model: any model; its mode and the global random state are left as they were.
        data: the real images; of these, the first `samples` are used.
        samples: how many images to draw, and how many real ones to use at most. A Fréchet distance wants more than the
            1,280 features; 10,000 are better than 2,000.
        seed: of all draws.
        features: the feature network (see `FEATURES`), or None to leave out what compares by features.
        temperature: of the samples.
        chunk: images at a time.
    Returns:
        Measurements by name.
    Raises:
        ValueError: images of another shape than the model's, too few to compare, unknown features.
        DataUnavailable: the weights of the feature network cannot be had.
    """
    if data.image_shape != tuple(model.image_shape):
        raise ValueError(f"{data.name} has images {data.image_shape}, but the model was built for {model.image_shape}")
    fewest = MINIMUM_IMAGES if features else 1
    if min(samples, len(data)) < fewest:
        raise ValueError(f"this takes at least {fewest} images and samples, not {len(data)} and {samples}")
    real = data if len(data) <= samples else data.take(samples)
    if features:
        # Computed now and kept, so that what is missing here is missed before the model has worked for an hour.
        image_features(real, features)
    results = _objective(model, real, seed, chunk)
    reconstructions = _reconstruct(model, real, chunk)
    results["reconstruction_mse"] = squared_error(reconstructions, real)
    results["reconstruction_psnr"] = psnr(reconstructions, real)
    if min(real.image_shape[1:]) >= SSIM_WINDOW:
        results["reconstruction_ssim"] = ssim(reconstructions, real)

    drawn = _samples(model, samples, seed, temperature, chunk)
    pictures = {} if drawn is None else {"samples": drawn}
    pictures["reconstructions"] = reconstructions
    at = "" if temperature == 1 else f" at temperature {temperature:g}"
    named = {"samples": f"samples{at}", "reconstructions": "reconstructions"}
    if features:
        for subject, images in pictures.items():
            some = len(images) if subject == "samples" else RECONSTRUCTIONS
            compared = ComparedFeatures.of(real.take(min(some, len(real))), images[:some], features)
            results[f"frechet_{subject}"] = frechet_of(compared, named[subject], seed)
            results[f"kernel_{subject}"] = kernel_of(compared, named[subject], seed)
            if subject == "samples":
                scores = scores_of(compared, named[subject], seed)
                results |= {field.name: getattr(scores, field.name) for field in fields(scores)}
    results["sharpness_data"] = sharpness(real)
    for subject, images in pictures.items():
        results[f"sharpness_{subject}"] = sharpness(images, subject=named[subject])
    for subject in pictures:
        results[f"sharpness_closeness_{subject}"] = sharpness_closeness(results[f"sharpness_{subject}"], real)
    return results


def _objective(model: Model, real: ImageSet, seed: int, chunk: int) -> dict[str, Measurement]:
    """Negative ELBO, distortion and rate; bits per dimension where the likelihood says what it counts."""
    counted = Counted.by(model)
    progress = Progress.finished(len(real))
    terms: dict[str, list[Tensor]] = {}
    bounds: list[Tensor] = []
    generator = torch.Generator().manual_seed(seed)
    with seeded(model.device, seed):
        for batch in _batches(real, chunk, "bounds"):
            per_image = model.loss(_on_device(model, batch), progress).per_image
            if "distortion" not in per_image:
                return {}
            for name in per_image.keys() & {"distortion", "rate"}:
                terms.setdefault(name, []).append(per_image[name].cpu())
            if "rate" not in per_image:
                continue
            if counted.known and counted.levels is None:
                noisy = dequantise(batch.images, generator)
                per_image = model.loss(_on_device(model, batch._replace(images=noisy)), progress).per_image
            bounds.append((per_image["distortion"] + per_image["rate"]).double().cpu())

    def measured(metric: str, values: Tensor, unit: str, definition: str) -> Measurement:
        return mean_over_images(values, _protocol(real, metric, unit, definition, "model", seed))

    distortion = torch.cat(terms["distortion"])
    if "rate" not in terms:
        return {"distortion": measured("distortion", distortion, "nats per image", counted.measure)}
    rate = torch.cat(terms["rate"])
    results = {
        "negative_elbo": measured("negative ELBO", distortion + rate, "nats per image", counted.measure),
        "distortion": measured("distortion", distortion, "nats per image", counted.measure),
        "rate": measured("rate", rate, "nats per image", ""),
    }
    if counted.known:
        bits = bits_per_dimension(torch.cat(bounds), prod(real.image_shape), levels=counted.levels)
        definition = "8-bit images, density with dequantisation noise" if counted.levels is None else counted.measure
        results["bits_per_dimension"] = measured("negative ELBO", bits, "bits per dimension", definition)
    return results


def _reconstruct(model: Model, real: ImageSet, chunk: int) -> Tensor:
    images = [
        model.reconstruct(batch.images, *conditions(model, batch), chunk=chunk).float().cpu()
        for batch in _batches(real, chunk, "reconstructions")
    ]
    return torch.cat(images)


def _samples(model: Model, count: int, seed: int, temperature: float, chunk: int) -> Tensor | None:
    try:
        model.check_sampling()
    except TypeError:
        return None  # a deterministic autoencoder has nothing to sample from
    generator = torch.Generator().manual_seed(seed)
    # Seeded on the outside too, for a model that draws more than the generator gives.
    with seeded(model.device, seed):
        return model.sample(count, temperature=temperature, generator=generator, chunk=chunk).float().cpu()


def _protocol(real: ImageSet, metric: str, unit: str, definition: str, subject: str, seed: int | None) -> Protocol:
    return Protocol(
        metric=metric,
        unit=unit,
        definition=definition,
        image_shape=real.image_shape,
        data=real.name,
        split=real.split,
        key=real.key,
        samples=len(real),
        subject=subject,
        seed=seed,
    )


def _batches(real: ImageSet, chunk: int, what: str) -> Iterator[Batch]:
    for rows in progress_bar(slices(len(real), chunk), desc=what, leave=False):
        yield real.batch(rows)


def _on_device(model: Model, batch: Batch) -> Batch:
    labels = None if batch.labels is None else batch.labels.to(model.device)
    return Batch(batch.images.to(model.device), labels)
