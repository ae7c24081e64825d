"""Are samples good, and are they varied? A Fréchet distance gives one number for both; these four keep them apart.

Each image becomes a point of feature space, and each point a ball that reaches to its k-th nearest neighbour. The balls
of the real images together stand for where real images are; those of the samples, for where samples are.

| | asks | counts |
|---|---|---|
| precision | are samples realistic? | samples in a ball of some real image |
| recall | can the model make every kind of image? | real images in a ball of some sample |
| density | how well among real images do samples lie? | balls of real images around each sample, over k |
| coverage | is each real image's neighbourhood visited? | real images whose ball holds a sample |

The second pair mends the first: one outlier among the real images has a huge ball that makes bad samples precise, and a
few scattered samples have huge balls that make a poor model's recall high. Density and coverage only use balls of real
images and count how many of them, so an outlier weighs little.
"""

from dataclasses import dataclass, replace
from math import sqrt

import torch
from torch import Tensor

from vaelib.data.image_set import ImageSet
from vaelib.evaluation.compared import ComparedFeatures
from vaelib.evaluation.neighbours import ball_radii, check_features, inside_balls
from vaelib.evaluation.protocol import Measurement

NEIGHBOURS = 5
"""To which neighbour the balls reach by default: the k of Naeem et al. 2020. Kynkäänniemi et al. 2019 took 3."""


@dataclass(frozen=True)
class ManifoldScores:
    """All four numbers of one comparison.

    The ceiling is not 1 everywhere. Fresh real images have a density of 1 and a coverage of `expected_coverage`; their
    precision and recall agree, and lie well below 1 in many dimensions: measure them, and put them into the table.
    """

    precision: Measurement
    recall: Measurement
    density: Measurement
    coverage: Measurement


@dataclass(frozen=True)
class Estimate:
    """A number between two sets of features, with its standard error."""

    value: float
    standard_error: float


@dataclass(frozen=True)
class ManifoldEstimates:
    """The same four, as bare numbers between two sets of features."""

    precision: Estimate
    recall: Estimate
    density: Estimate
    coverage: Estimate


def manifold_scores(
    real: Tensor | ImageSet,
    generated: Tensor | ImageSet,
    *,
    features: str = "efficientnet-lite0",
    neighbours: int = NEIGHBOURS,
    chunk: int | None = None,
    subject: str = "",
    seed: int | None = None,
) -> ManifoldScores:
    """Precision and recall, density and coverage, with the features computed once.

    All four shift with the number of images, so the protocol lets them compare at equal counts only.

    Args:
        real, generated: (N, C, H, W) in [0, 1], or data sets, of one image shape.
        features: a name in `FEATURES`.
        neighbours: k, to which neighbour the balls reach.
        chunk: images at a time; see `image_features`.
        subject, seed: for the record: what `generated` is, and how it was drawn.
    Raises:
        ValueError: shapes that differ, values out of range, fewer than 32 images or than k + 1.
    """
    return scores_of(ComparedFeatures.of(real, generated, features, chunk), subject, seed, neighbours)


def manifold_scores_between_features(
    real: Tensor, generated: Tensor, *, neighbours: int = NEIGHBOURS
) -> ManifoldEstimates:
    """Precision and recall, density and coverage of two sets of features.

    The errors of precision and recall are binomial, over the rows that are counted, with the balls held fixed: for
    precision over the generated images and for recall over the real ones. (Drawing other samples moves a recall about
    as much: a test shows it.) Those of density and coverage are over generated images, the real ones held fixed. That
    of the coverage is the jackknife's: leaving out one sample uncovers the real images that only this sample covers. It
    errs on the large side (Efron & Stein 1981).

    Args:
        real, generated: (N, D) and (M, D), at least k + 1 rows each.
        neighbours: k, to which neighbour the balls reach.
    Raises:
        ValueError: too few rows, two widths, NaN, k below 1.
    Source: Kynkäänniemi et al. 2019, equations 1 and 2; Naeem et al. 2020, equations 3 and 4.
    """
    _check(real, generated, neighbours)
    count = len(generated)
    around = torch.zeros(count, dtype=torch.float64)  # balls of real images around each generated one
    alone = torch.zeros(count, dtype=torch.float64)  # of these, balls that hold no other generated image
    covered = 0
    for inside in inside_balls(generated, real, ball_radii(real, neighbours)):
        around += inside.sum(dim=0)
        visitors = inside.sum(dim=1)
        covered += int((visitors > 0).sum())
        alone += inside[visitors == 1].sum(dim=0)
    recalled = torch.zeros(len(real), dtype=torch.bool)
    for inside in inside_balls(real, generated, ball_radii(generated, neighbours)):
        recalled |= inside.any(dim=0)
    density = around / neighbours
    without = (covered - alone) / len(real)
    jackknife = ((count - 1) / count * (without - without.mean()).square().sum()).sqrt().item()
    return ManifoldEstimates(
        precision=_binomial(around > 0),
        recall=_binomial(recalled),
        density=Estimate(density.mean().item(), (density.std() / count**0.5).item()),
        coverage=Estimate(covered / len(real), jackknife),
    )


def expected_coverage(real: int, generated: int, neighbours: int = NEIGHBOURS) -> float:
    """The mean coverage when both sets come from one distribution, whichever: what a perfect model can expect.

    Of a real image, its other real images and the samples, in the order of their distance, all orders are equally
    likely. It is not covered when its k nearest are all real.

    Args:
        real, generated: how many images there are of each.
        neighbours: k.
    Raises:
        ValueError: not k other real images.
    Source: Naeem et al. 2020, section 4.
    """
    if not 1 <= neighbours < real or generated < 1:
        raise ValueError(
            f"this takes {neighbours + 1} real images or more and a generated one, not {real} and {generated}"
        )
    missed = 1.0
    for i in range(1, neighbours + 1):
        missed *= (real - i) / (real + generated - i)
    return 1 - missed


def scores_of(
    compared: ComparedFeatures, subject: str = "", seed: int | None = None, neighbours: int = NEIGHBOURS
) -> ManifoldScores:
    """`manifold_scores` of images whose features are known."""
    found = manifold_scores_between_features(compared.real, compared.generated, neighbours=neighbours)

    def measured(metric: str, definition: str, estimate: Estimate, error: str) -> Measurement:
        definition = f"{definition}, balls to neighbour k = {neighbours}"
        protocol = replace(
            compared.protocol_of(metric, definition, subject, seed),
            depends_on_samples=True,
            notes=(f"standard error: {error} held fixed",),
        )
        return Measurement(estimate.value, protocol, estimate.standard_error)

    return ManifoldScores(
        precision=measured(
            "precision",
            "share of generated images in a ball of a real one",
            found.precision,
            "binomial over generated images, real ones",
        ),
        recall=measured(
            "recall",
            "share of real images in a ball of a generated one",
            found.recall,
            "binomial over real images, generated ones",
        ),
        density=measured(
            "density",
            "balls of real images around a generated one over k",
            found.density,
            "over generated images, real ones",
        ),
        coverage=measured(
            "coverage",
            "share of real images whose ball holds a generated one",
            found.coverage,
            "jackknife over generated images, real ones",
        ),
    )


def _binomial(yes: Tensor) -> Estimate:
    """A share and its error, by the rule of succession: one yes and one no more, so that 0 and 1 are not certain."""
    count, total = len(yes), int(yes.sum())
    cautious = (total + 1) / (count + 2)
    return Estimate(total / count, sqrt(cautious * (1 - cautious) / count))


def _check(real: Tensor, generated: Tensor, k: int) -> None:
    check_features(real=real, generated=generated)
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"neighbours should be a whole number of at least 1, not {k!r}")
    for what, rows in (("real", real), ("generated", generated)):
        if len(rows) < k + 1:
            raise ValueError(
                f"a ball to the {k}-th nearest neighbour takes at least {k + 1} {what} images, not {len(rows)}: "
                "measure more images, thousands if you can, or take fewer neighbours"
            )
