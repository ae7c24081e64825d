"""Distances between two sets of images: how far apart their features are, as clouds.

The Fréchet distance compares the mean and covariance of the features. It is the formula of the FID of Heusel et al.
2017, and with the default features its numbers are not FIDs, and no FID from a paper may stand beside them. Only with
`features="inception"` is it called FID; even so, papers differ in crop, resize and counts, which its protocol states.
The kernel distance is the squared maximum mean discrepancy with the cubic kernel of the KID (Bińkowski et al. 2018),
and is called KID with those features alone. It is unbiased at any number of images and comes with a standard error; the
Fréchet distance has neither virtue.
"""

import warnings
from dataclasses import replace

import torch
from torch import Tensor, nn

from vaelib.data.image_set import ImageSet
from vaelib.evaluation.compared import ComparedFeatures
from vaelib.evaluation.protocol import Measurement

FID_IMAGES = 10_000
"""Of fewer, on either side, an FID carries a warning: Heusel et al. 2017 advise at least as many."""


def frechet_distance(
    real: Tensor | ImageSet,
    generated: Tensor | ImageSet,
    *,
    features: str = "efficientnet-lite0",
    chunk: int | None = None,
    subject: str = "",
    seed: int | None = None,
) -> Measurement:
    """The Fréchet distance between the Gaussians fitted to the features of two sets of images.

    It falls as the number of images grows (Chong & Forsyth 2020), so two distances compare only at equal counts, which
    the protocol enforces. Below as many images as features (1,280), the covariances are singular and the bias is large:
    the measurement says so wherever it is printed. One run gives no standard error: repeat with other seeds and
    `average`.

    Args:
        real, generated: (N, C, H, W) in [0, 1], or data sets, of one image shape.
        features: a name in `FEATURES`.
        chunk: images at a time; see `image_features`.
        subject, seed: for the record: what `generated` is, and how it was drawn.
    Raises:
        ValueError: shapes that differ, values out of range, fewer than 32 images.
    """
    return frechet_of(ComparedFeatures.of(real, generated, features, chunk), subject, seed)


def kernel_distance(
    real: Tensor | ImageSet,
    generated: Tensor | ImageSet,
    *,
    features: str = "efficientnet-lite0",
    subsets: int = 10,
    chunk: int | None = None,
    subject: str = "",
    seed: int = 0,
) -> Measurement:
    """The squared maximum mean discrepancy between the features of two sets of images, kernel (x·y / d + 1)³.

    Zero in expectation when both sets come from one distribution, whatever their size; single values may be negative.

    Args:
        real, generated: (N, C, H, W) in [0, 1], or data sets, of one image shape.
        features: a name in `FEATURES`.
        subsets: into how many disjoint subsets the images are dealt; their spread gives the standard error.
        chunk: images at a time; see `image_features`.
        subject: for the record: what `generated` is.
        seed: of the dealing.
    Raises:
        ValueError: shapes that differ, values out of range, fewer than 32 images or than two to a subset.
    """
    return kernel_of(ComparedFeatures.of(real, generated, features, chunk), subject, seed, subsets)


def distances(
    real: Tensor | ImageSet,
    generated: Tensor | ImageSet,
    *,
    features: str = "efficientnet-lite0",
    subsets: int = 10,
    chunk: int | None = None,
    subject: str = "",
    seed: int = 0,
) -> tuple[Measurement, Measurement]:
    """The Fréchet and the kernel distance, with the features computed once. Arguments and errors as above."""
    compared = ComparedFeatures.of(real, generated, features, chunk)
    return frechet_of(compared, subject, seed), kernel_of(compared, subject, seed, subsets)


def frechet_between_features(real: Tensor, generated: Tensor) -> float:
    """|μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½) of two sets of features, in float64.

    Args:
        real, generated: (N, D) and (M, D).
    Source: Dowson & Landau 1982; the computation is torchmetrics'.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    _check_features(real, generated)
    real, generated = real.double(), generated.double()
    if len(real) + len(generated) < real.shape[1]:
        # Few images span few directions. The distance is the same in these alone, and cheap: eigenvalues cost D³.
        basis = torch.linalg.qr(torch.cat([real, generated]).T).Q
        real, generated = real @ basis, generated @ basis
    metric = FrechetInceptionDistance(feature=_AlreadyFeatures(real.shape[1]))
    metric.update(real, real=True)
    metric.update(generated, real=False)
    # A squared distance; rounding may put that of equal sets a hair below zero.
    return max(metric.compute().item(), 0.0)


def kernel_between_features(
    real: Tensor, generated: Tensor, *, subsets: int = 10, seed: int = 0
) -> tuple[float, float]:
    """The squared maximum mean discrepancy of two sets of features and its standard error.

    Both sets are shuffled and dealt into disjoint subsets of one size. The estimate is unbiased in each, so their mean
    is too, and because they share no image, their spread is an honest standard error. (Subsets drawn over and over from
    the same images, as is usual for the KID, overlap, and their spread over √subsets is as small as you like.) Where
    one set is larger, the images left over are not used.

    Args:
        real, generated: (N, D) and (M, D).
        subsets: how many, at least two.
        seed: of the shuffling.
    Source: Bińkowski et al. 2018, section 3 and equation 4; the estimate of each subset is torchmetrics'.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    _check_features(real, generated)
    size = min(len(real), len(generated)) // max(subsets, 1)
    if subsets < 2 or size < 2:
        raise ValueError(
            f"{min(len(real), len(generated))} images cannot be dealt into {subsets} subsets: a standard error takes "
            "two subsets or more, and each subset two images or more"
        )
    generator = torch.Generator().manual_seed(seed)
    dealt = [
        rows.double()[torch.randperm(len(rows), generator=generator)][: subsets * size].split(size)
        for rows in (real, generated)
    ]
    values = []
    # torchmetrics permutes each subset with the global generator, which we put back.
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.filterwarnings("ignore", message="Metric `Kernel Inception Distance` will save all extracted features")
        for some_real, some_generated in zip(*dealt, strict=True):
            metric = KernelInceptionDistance(feature=_AlreadyFeatures(real.shape[1]), subsets=1, subset_size=size)
            metric.update(some_real, real=True)
            metric.update(some_generated, real=False)
            values.append(metric.compute()[0])
    estimates = torch.stack(values)
    return estimates.mean().item(), estimates.std().item() / subsets**0.5


class _AlreadyFeatures(nn.Module):
    """Stands where torchmetrics expects a feature network, when the features have been computed."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.num_features = dimension

    def forward(self, features: Tensor) -> Tensor:
        return features


def frechet_of(compared: ComparedFeatures, subject: str = "", seed: int | None = None) -> Measurement:
    """`frechet_distance` of images whose features are known."""
    dimension, fewest = compared.real.shape[1], min(len(compared.real), len(compared.generated))
    warning = ""
    if fewest <= dimension:
        warning = f"biased upwards: fewer images than the {dimension:,} features"
    elif compared.standard and fewest < FID_IMAGES:
        warning = f"biased upwards: an FID is of {FID_IMAGES:,} images or more"
    protocol = replace(
        compared.protocol_of("FID" if compared.standard else "Fréchet distance", "", subject, seed),
        depends_on_samples=True,
        warning=warning,
    )
    return Measurement(frechet_between_features(compared.real, compared.generated), protocol)


def kernel_of(compared: ComparedFeatures, subject: str = "", seed: int = 0, subsets: int = 10) -> Measurement:
    """`kernel_distance` of images whose features are known."""
    value, error = kernel_between_features(compared.real, compared.generated, subsets=subsets, seed=seed)
    metric = "KID" if compared.standard else "kernel distance"
    protocol = replace(
        compared.protocol_of(metric, "squared MMD, kernel (x·y / d + 1)³", subject, seed),
        notes=(f"standard error over {subsets} disjoint subsets",),
    )
    return Measurement(value, protocol, error)


def _check_features(real: Tensor, generated: Tensor) -> None:
    if real.dim() != 2 or generated.dim() != 2 or real.shape[1] != generated.shape[1]:
        raise ValueError(
            f"features should be (N, D) and (M, D) with one D, not {tuple(real.shape)} and {tuple(generated.shape)}"
        )
    if min(len(real), len(generated)) < 2:
        raise ValueError("a covariance takes at least two rows of features on each side")
