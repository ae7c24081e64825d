"""Does a model invent, or does it remember? Its samples beside the training images that are nearest to them.

A sample may be close to a training image for a good reason: all faces are alike. So the yardstick is a fresh image that
nobody trained on. Samples of a model that has learned the distribution lie as far from the training images as fresh
images do. Samples that lie nearer, many of them, are copies; samples that lie farther are poor.

Example:
    found = memorisation(samples, training_set, test_set)
    print(found.share_too_close, found.distance_ratio)
    worst = found.order[:8]                                # the samples nearest to a training image, to look at
    pairs = samples[worst], training_set.batch(found.indices[worst, 0]).images
"""

from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from vaelib.data.image_set import ImageSet
from vaelib.evaluation.compared import ComparedFeatures, check_and_shape
from vaelib.evaluation.features import image_features
from vaelib.evaluation.neighbours import nearest_neighbours
from vaelib.evaluation.protocol import Measurement

PERCENTILE = 0.01
"""The share of fresh images that is too close by definition. Of a model that does not memorise, as many samples are."""

COPY = 1e-3
"""A sample nearer to a training image than this part of the usual distance is a copy. Features of one picture differ
by less, through rounding; pictures that differ visibly are farther apart."""

FEWEST_FRESH = 100
"""Of fewer fresh images there is no nearest per cent."""

# For the standard errors.
_RESAMPLINGS = 1_000


@dataclass(frozen=True)
class Memorisation:
    """The training images nearest to each sample, and what that says.

    Attributes:
        indices: (N, k), for each generated image its nearest training images, the nearest first.
        distances: (N, k) float64, how far they are, in feature space.
        fresh_distances: (M,) float64, from each fresh image to its nearest training image.
        share_too_close: generated images nearer to a training image than all but 1 % of fresh images are. About 0.01
            for a model that does not memorise, whatever its quality; 1 for one that copies.
        distance_ratio: the median distance of generated images over that of fresh ones. About 1 for a perfect model;
            less for one that memorises; more for a poor one, which can hide copies: look at the share as well.
    """

    indices: Tensor
    distances: Tensor
    fresh_distances: Tensor
    share_too_close: Measurement
    distance_ratio: Measurement

    @property
    def order(self) -> Tensor:
        """(N,), the generated images, the one nearest to a training image first: what to look at."""
        return self.distances[:, 0].argsort(stable=True)

    @property
    def copies(self) -> Tensor:
        """The rows of generated images that are copies of training images, in order."""
        return (self.distances[:, 0] <= COPY * self.fresh_distances.median()).nonzero().flatten()


def memorisation(
    generated: Tensor | ImageSet,
    training: Tensor | ImageSet,
    fresh: Tensor | ImageSet,
    *,
    features: str = "efficientnet-lite0",
    k: int = 1,
    chunk: int | None = None,
    subject: str = "samples",
    seed: int | None = None,
) -> Memorisation:
    """Find the nearest training images of generated ones, and compare the distances with those of fresh images.

    Args:
        generated: what a model made, (N, C, H, W) in [0, 1], or a data set.
        training: the images that it was trained on, all of them: a copy of one that is left out is not found.
        fresh: images of the same source that it was not trained on, at least 100.
        features: a name in `FEATURES`.
        k: how many neighbours of each to give.
        chunk: images at a time; see `image_features`.
        subject, seed: for the record: what `generated` is, and how it was drawn.
    Raises:
        ValueError: shapes that differ, values out of range, too few images, k above the number of training images.
    """
    shape = check_and_shape(fresh, "fresh images")
    if shape != check_and_shape(training, "training images"):
        raise ValueError(f"fresh images are {shape}, and training images of another shape: compare images of one shape")
    if len(fresh) < FEWEST_FRESH:
        raise ValueError(
            f"the nearest {PERCENTILE:.0%} of fresh images are the yardstick, so this takes at least {FEWEST_FRESH} "
            f"fresh images, better thousands, not {len(fresh)}"
        )
    compared = ComparedFeatures.of(training, generated, features, chunk)
    distances, indices = nearest_neighbours(compared.generated, compared.real, k)
    fresh_distances = nearest_neighbours(image_features(fresh, features, chunk=chunk), compared.real).distances[:, 0]
    if fresh_distances.quantile(PERCENTILE) <= COPY * fresh_distances.median():
        raise ValueError(
            f"{int((fresh_distances <= COPY * fresh_distances.median()).sum())} of the {len(fresh)} fresh images are "
            "among the training images: take images that the model was not trained on"
        )

    def measured(metric: str, definition: str, estimate: tuple[float, float]) -> Measurement:
        which = f"{len(fresh):,} fresh images{f' ({fresh.key})' if isinstance(fresh, ImageSet) else ''}"
        protocol = replace(
            compared.protocol_of(metric, f"{definition} {which}", subject, seed),
            depends_on_samples=True,
            notes=("standard error: bootstrap over generated and fresh images, training images held fixed",),
        )
        return Measurement(estimate[0], protocol, estimate[1])

    share, ratio = _compare(distances[:, 0].numpy(), fresh_distances.numpy())
    return Memorisation(
        indices,
        distances,
        fresh_distances,
        measured("share too close", f"to a training image, nearer than the nearest {PERCENTILE:.0%} of", share),
        measured("distance ratio", "median distance to the nearest training image, over that of", ratio),
    )


def _compare(ours: np.ndarray, fresh: np.ndarray) -> tuple[tuple[float, float], tuple[float, float]]:
    """The share of ours below the percentile of the fresh ones, and the ratio of medians, each with its error."""
    random = np.random.default_rng(0)
    values = []
    for repetition in range(_RESAMPLINGS + 1):
        # The first is the measurement itself; the others are of as many images drawn with replacement.
        a = ours if repetition == 0 else random.choice(ours, len(ours))
        b = fresh if repetition == 0 else random.choice(fresh, len(fresh))
        values.append(((a < np.quantile(b, PERCENTILE)).mean(), np.median(a) / np.median(b)))
    shares, ratios = np.array(values).T
    return (float(shares[0]), float(shares[1:].std())), (float(ratios[0]), float(ratios[1:].std()))
