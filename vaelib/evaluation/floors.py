"""What stands beside the models in every table: images that took no model to make.

`fresh` images are as good as samples can be: the distance that is left is that of one set of photographs from another.
The other three say what a number is worth. Who does not beat the Gaussian, a plane through the mean of the training
images with their covariance on it, has learned little that a line of linear algebra would not have found.
"""

from dataclasses import fields

import torch
from torch import Tensor

from vaelib.config import near_miss
from vaelib.data.image_set import ImageSet
from vaelib.evaluation.compared import MINIMUM_IMAGES, ComparedFeatures
from vaelib.evaluation.distances import frechet_of, kernel_of
from vaelib.evaluation.inputs import check_counts, seeded
from vaelib.evaluation.manifold import scores_of
from vaelib.evaluation.protocol import Measurement
from vaelib.evaluation.sharpness import sharpness, sharpness_closeness

COMPONENTS = 100
"""Principal components of the Gaussian."""

FLOORS = {
    "fresh": "other real images",
    "gaussian": f"drawn from a Gaussian on {COMPONENTS} principal components of the training images",
    "mean face": "the mean of the training images, repeated",
    "noise": "every pixel uniform between black and white",
}
"""Every floor and what its images are."""


def floor_images(name: str, data: ImageSet, training: ImageSet, *, samples: int, seed: int = 0) -> Tensor:
    """The images of one floor.

    Args:
        name: of `FLOORS`.
        data: the real images, of which the first `samples` are those to compare with. `fresh` takes the ones that
            follow, and after them training images, the last ones first.
        training: images of the same shape; the Gaussian is fitted to all of them.
        samples: how many images.
        seed: of all draws.
    Returns:
        (samples, C, H, W) in [0, 1].
    Raises:
        ValueError: an unknown floor, sets of two shapes, too few images.
    """
    if name not in FLOORS:
        raise ValueError(f"there is no floor {name!r}; there are {', '.join(FLOORS)}.{near_miss(name, FLOORS)}")
    check_counts(samples=samples)
    if data.image_shape != training.image_shape:
        raise ValueError(
            f"{data.name} has images {data.image_shape}, but the training images are {training.image_shape}"
        )
    if name == "fresh":
        return _fresh(data, training, samples)
    generator = torch.Generator().manual_seed(seed)
    if name == "noise":
        return torch.rand(samples, *data.image_shape, generator=generator)
    images = training.batch(slice(None)).images
    if name == "mean face":
        return images.mean(dim=0).repeat(samples, 1, 1, 1)
    return gaussian_of_components(images, samples, generator)


def _fresh(data: ImageSet, training: ImageSet, samples: int) -> Tensor:
    following = data.images[samples : 2 * samples]
    missing = samples - len(following)
    if missing > len(training):
        raise ValueError(
            f"fresh images are others than the {min(samples, len(data))} that are compared with, and beside those "
            f"there are only {len(following) + len(training)}, not {samples}"
        )
    return torch.cat([following, training.images[len(training) - missing :]]).float() / 255


def gaussian_of_components(training: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Images drawn from a Gaussian fitted to 100 principal components of training images.

    Args:
        training: (N, C, H, W), at least two; of fewer than 100 images or dimensions, as many components as there are.
        count: images to draw.
        generator: of the draws; its seed is also that of the randomised decomposition.
    Returns:
        (count, C, H, W), cut to [0, 1].
    Source: the decomposition is that of Halko, Martinsson and Tropp 2009, in PyTorch.
    """
    flat = training.flatten(1)
    if len(flat) < 2:
        raise ValueError(f"a covariance takes at least two training images, not {len(flat)}")
    mean = flat.mean(dim=0)
    # PyTorch draws the test vectors of this decomposition from its global generator.
    with seeded(training.device, generator.initial_seed()):
        _, singular, components = torch.svd_lowrank(flat - mean, q=min(COMPONENTS + 20, *flat.shape), niter=4)
    deviations = singular[:COMPONENTS] / (len(flat) - 1) ** 0.5
    codes = deviations * torch.randn(count, len(deviations), generator=generator)
    return (mean + codes @ components[:, :COMPONENTS].T).unflatten(1, training.shape[1:]).clamp(0, 1)


def floor_measurements(
    name: str,
    data: ImageSet,
    training: ImageSet,
    *,
    samples: int = 2_000,
    seed: int = 0,
    features: str | None = "efficientnet-lite0",
) -> dict[str, Measurement]:
    """What can be measured of a floor: that of its pictures, under the names and protocols of `evaluate`.

    These are `frechet_samples`, `kernel_samples`, `precision`, `recall`, `density`, `coverage`, `sharpness_samples` and
    `sharpness_closeness_samples`. Arguments and errors as `floor_images`.

    Args:
        features: the feature network (see `FEATURES`), or None to leave out what compares by features.
    Raises:
        ValueError: fewer than 32 images where features compare them.
    """
    if features and min(samples, len(data)) < MINIMUM_IMAGES:
        raise ValueError(f"this takes at least {MINIMUM_IMAGES} images and samples, not {len(data)} and {samples}")
    images = floor_images(name, data, training, samples=samples, seed=seed)
    real = data if len(data) <= samples else data.take(samples)
    results: dict[str, Measurement] = {}
    if features:
        compared = ComparedFeatures.of(real, images, features)
        results["frechet_samples"] = frechet_of(compared, name, seed)
        results["kernel_samples"] = kernel_of(compared, name, seed)
        scores = scores_of(compared, name, seed)
        results |= {field.name: getattr(scores, field.name) for field in fields(scores)}
    results["sharpness_samples"] = sharpness(images, subject=name)
    results["sharpness_closeness_samples"] = sharpness_closeness(results["sharpness_samples"], real)
    return results
