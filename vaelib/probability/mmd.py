"""The maximum mean discrepancy: how far apart two samples lie, seen through a kernel.

A kernel k turns a distribution into a function, its mean embedding μ_P(t) = E_{z ~ P}[k(t, z)]. Two distributions are
as far apart as their embeddings, in the norm of the kernel's own space (equation 3 of He 2023):

    MMD²(P, Q) = |μ_P − μ_Q|² = E[k(z, z')] + E[k(w, w')] − 2 E[k(z, w)],   z, z' ~ P and w, w' ~ Q, all independent.

With the kernels here it is zero only where P = Q. It needs samples and no densities, so a deterministic encoder will
do.

Source: Gretton, Borgwardt, Rasch, Schölkopf & Smola 2012.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelib.config import near_miss

Kernel = Callable[[Tensor], Tensor]
"""Squared distances → values of the kernel, of the same shape. All kernels here depend on the distance alone."""

KERNELS = ("imq", "rbf")

# Points that a median is taken over, at most: 499,500 distances, whatever the size of the samples.
MEDIAN_POINTS = 1_000


@dataclass(frozen=True)
class InverseMultiquadratic:
    """k = Σ_s C / (C + d²) with C = s · scale: seven widths at once, summed.

    A tail like 1/d² still pulls at a code that is far from all others, where a Gaussian kernel has no gradient left.
    Several widths see both the shape of the whole and the detail. Implementations with one width are another kernel.

    Attributes:
        scale: the squared distance that counts as typical.
        factors: s.
    Source: Tolstikhin et al. 2018, section 4; the widths are those of its public code.
    """

    scale: float
    factors: tuple[float, ...] = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

    def __post_init__(self) -> None:
        _check_width("scale", self.scale)
        if not self.factors or not all(0 < factor < math.inf for factor in self.factors):
            raise ValueError(f"factors should be one or more positive numbers, not {self.factors}")

    @classmethod
    def for_prior(cls, dimension: int, variance: float = 1.0) -> "InverseMultiquadratic":
        """The published scale, 2Dσ²: the mean squared distance of two draws from N(0, σ² I) in D dimensions."""
        return cls(2.0 * dimension * variance)

    def __call__(self, squared_distances: Tensor) -> Tensor:
        widths = [factor * self.scale for factor in self.factors]
        total = widths[0] / (widths[0] + squared_distances)
        for width in widths[1:]:
            total = total + width / (width + squared_distances)
        return total


@dataclass(frozen=True)
class RadialBasis:
    """k = exp(−d² / 2σ²), the Gaussian kernel.

    Attributes:
        variance: σ².
    """

    variance: float

    def __post_init__(self) -> None:
        _check_width("variance", self.variance)

    @classmethod
    def by_median(cls, x: Tensor, y: Tensor) -> "RadialBasis":
        """The median heuristic: σ² is twice the median squared distance of two points of both samples together.

        At most a thousand points are looked at, evenly spread. The width is a constant: no gradient goes through it.
        (The public code of the WAE adds the median of the codes among themselves and that between codes and prior. It
        is the same number where the two agree; this one does not depend on which sample is called x.)
        """
        both = torch.cat([x, y]).detach()
        both = both[:: math.ceil(len(both) / MEDIAN_POINTS)]
        pairs = torch.triu_indices(len(both), len(both), offset=1, device=both.device)
        distances = squared_distances(both, both)[pairs[0], pairs[1]]
        return cls(2.0 * distances.median().item())

    def __call__(self, squared_distances: Tensor) -> Tensor:
        return (-0.5 / self.variance * squared_distances).exp()


def maximum_mean_discrepancy_squared(
    x: Tensor, y: Tensor, kernel: str | Kernel = "imq", *, unbiased: bool = True, chunk: int = 256
) -> Tensor:
    """MMD² of two samples.

    The unbiased estimate leaves out the pairs of a point with itself. Its average over samples is the MMD² of the
    distributions, whatever the size of the samples, **so it may be negative**, and is about half of the time when both
    come from one distribution. The biased one is a true squared norm, never negative, and too large by about 1/n. Only
    the first may be compared between samples of different size.

    Args:
        x: (n, D); differentiable. `y`: (m, D).
        kernel: "imq", the inverse multiquadratics of scale 2D, for a prior N(0, I); "rbf", a Gaussian kernel by the
            median heuristic; or a kernel.
        unbiased: see above.
        chunk: rows of the kernel matrix that are in memory at a time. Memory is chunk · max(n, m) numbers where no
            gradient is wanted, so 50,000 codes fit; with a gradient all n · m stay for the way back.
    Returns:
        A scalar.
    Raises:
        ValueError: samples of different dimension, of fewer than two points (unbiased) or one, NaN, an unknown kernel.
    Source: Gretton et al. 2012, lemma 6 and what follows it.
    """
    _check(x, y, at_least=2 if unbiased else 1)
    k = _kernel(kernel, x, y)
    within_x = mean_embedding(x, x, k, without_self=unbiased, chunk=chunk).mean()
    within_y = mean_embedding(y, y, k, without_self=unbiased, chunk=chunk).mean()
    return within_x + within_y - 2 * mean_embedding(x, y, k, chunk=chunk).mean()


def witness(points: Tensor, x: Tensor, y: Tensor, kernel: str | Kernel = "imq", *, chunk: int = 256) -> Tensor:
    """The witness function μ_x(t) − μ_y(t) at these points: positive where x has more mass than y, negative where less.

    It is the function in which the two samples differ most, up to its length: no other of that length in the kernel's
    space has means over x and over y so far apart. The gradient of MMD² moves each point of x down this hill.

    Args:
        points: (k, D), where to look. `x`: (n, D). `y`: (m, D).
        kernel, chunk: as in `maximum_mean_discrepancy_squared`.
    Returns:
        (k,).
    Source: Gretton et al. 2012.
    """
    _check(x, y, at_least=1)
    _check(points, x, at_least=1)
    k = _kernel(kernel, x, y)
    return mean_embedding(points, x, k, chunk=chunk) - mean_embedding(points, y, k, chunk=chunk)


def mean_embedding(
    points: Tensor, sample: Tensor, kernel: Kernel, *, without_self: bool = False, chunk: int = 256
) -> Tensor:
    """The mean of k(t, z) over the z of a sample, at each point t: (k, D) and (n, D) → (k,).

    Args:
        without_self: the points are the sample, and none is compared with itself.
    """
    if chunk < 1:
        raise ValueError(f"chunk should be at least 1, not {chunk}")
    sums = []
    for start in range(0, len(points), chunk):
        values = kernel(squared_distances(points[start : start + chunk], sample))
        # Subtracting what was added, and not k(0), leaves no rounding of the distance to itself behind.
        own = values.diagonal(offset=start) if without_self else 0.0
        sums.append(values.sum(dim=1) - own)
    return torch.cat(sums) / (len(sample) - without_self)


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """|x_i − y_j|² of all pairs: (n, D) and (m, D) → (n, m), in float32 at least."""
    # Not in bfloat16, in which |x|² + |y|² − 2x·y would keep two digits, and the difference of near points none.
    with torch.autocast(x.device.type, enabled=False):
        x, y = (each if each.dtype == torch.float64 else each.float() for each in (x, y))
        centre = y.detach().mean(dim=0)  # distances do not change, and rounding errors shrink
        x, y = x - centre, y - centre
        products = x @ y.T
        return (x.square().sum(dim=1)[:, None] + y.square().sum(dim=1) - 2 * products).clamp(min=0)


@dataclass(frozen=True)
class TwoSampleTest:
    """Whether two samples may come from one distribution.

    Attributes:
        statistic: the unbiased MMD² of the samples.
        p_value: how often points dealt at random into two samples are as far apart. Uniform if the distributions are
            one; small if they differ.
        permuted: (permutations,), the statistic of the random deals: what "no difference" looks like.
    """

    statistic: float
    p_value: float
    permuted: Tensor


def two_sample_test(
    x: Tensor,
    y: Tensor,
    kernel: str | Kernel = "imq",
    *,
    permutations: int = 500,
    generator: torch.Generator | None = None,
    chunk: int = 256,
) -> TwoSampleTest:
    """Is their MMD² larger than chance? Under the hypothesis of one distribution, every way to deal the n + m points
    into n and m is equally likely, so the observed deal is compared with random ones. Exact at any size.

    Args:
        x: (n, D). `y`: (m, D). Two points or more each.
        kernel, chunk: as in `maximum_mean_discrepancy_squared`.
        permutations: random deals. The smallest p-value is 1 / (1 + permutations).
        generator: of the deals, on the CPU.
    Returns:
        The test, computed in float64 on the CPU, from one kernel matrix of (n + m)² entries.
    Raises:
        ValueError: as `maximum_mean_discrepancy_squared`; fewer than one permutation.
    Source: Gretton et al. 2012; the 1 + … counts the observed deal among the deals (Phipson & Smyth 2010).
    """
    _check(x, y, at_least=2)
    if permutations < 1 or chunk < 1:
        raise ValueError(f"permutations and chunk should be at least 1, not {permutations} and {chunk}")
    n, m = len(x), len(y)
    points = torch.cat([x.detach(), y.detach()]).cpu().double()
    k = _kernel(kernel, points[:n], points[n:])
    # One column for each deal, with a 1 for every point that is dealt to x. The first is the deal we saw.
    deals = torch.zeros(n + m, 1 + permutations, dtype=torch.float64)
    deals[:n, 0] = 1
    for column in range(1, 1 + permutations):
        deals[torch.randperm(n + m, generator=generator)[:n], column] = 1
    # Sums of k over pairs of two different points: both in x, at least one in x, any.
    both, one, all_pairs = deals.new_zeros(1 + permutations), deals.new_zeros(1 + permutations), deals.new_zeros(())
    for start in range(0, n + m, chunk):
        some = deals[start : start + chunk]
        values = k(squared_distances(points[start : start + chunk], points))
        values.diagonal(offset=start).zero_()
        sums = values.sum(dim=1)
        both += (some * (values @ deals)).sum(dim=0)
        one += (some * sums[:, None]).sum(dim=0)
        all_pairs += sums.sum()
    between = one - both
    within_x, within_y = both / (n * (n - 1)), (all_pairs - both - 2 * between) / (m * (m - 1))
    statistics = within_x + within_y - 2 * between / (n * m)
    observed, permuted = statistics[0].item(), statistics[1:]
    p_value = (1 + int((permuted >= observed).sum())) / (1 + permutations)
    return TwoSampleTest(observed, p_value, permuted)


def _kernel(kernel: str | Kernel, x: Tensor, y: Tensor) -> Kernel:
    if not isinstance(kernel, str):
        return kernel
    if kernel == "imq":
        return InverseMultiquadratic.for_prior(x.shape[1])
    if kernel == "rbf":
        return RadialBasis.by_median(x, y)
    raise ValueError(
        f"kernel should be one of {', '.join(KERNELS)}, or a function of squared distances, not {kernel!r}."
        f"{near_miss(kernel, KERNELS)}"
    )


def _check(x: Tensor, y: Tensor, at_least: int) -> None:
    """Raise a ValueError unless these are two samples of one dimension, of enough points, all finite."""
    if x.dim() != 2 or y.dim() != 2 or x.shape[1] != y.shape[1] or x.shape[1] == 0:
        raise ValueError(
            f"samples should be (n, D) and (m, D), of one dimension, not {tuple(x.shape)} and {tuple(y.shape)}"
        )
    if not (x.is_floating_point() and y.is_floating_point()):
        raise ValueError(f"samples should be floating-point numbers, not {x.dtype} and {y.dtype}")
    if min(len(x), len(y)) < at_least:
        why = "; a single point has no pair: unbiased=False takes it" if at_least == 2 else ""
        raise ValueError(f"samples should have at least {at_least} points each, not {len(x)} and {len(y)}{why}")
    # Where a gradient is wanted, NaN is left to the trainer's guard, which names the layer that it came from.
    if not (x.requires_grad or y.requires_grad) and not (x.isfinite().all() and y.isfinite().all()):
        raise ValueError("samples should be finite, but hold NaN or infinity: look at where they come from")


def _check_width(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name} of a kernel should be positive and finite, not {value}: are all points the same?")
