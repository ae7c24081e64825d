"""Gaussian likelihoods: squared error with its units, and three ways to set the variance.

All are densities on the [0, 1] scale with the decoder's output as their mean: no sigmoid, because the optimum of a
squared error lies in [0, 1] by itself, and a squashed output learns black and white slowly.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from vaelib.probability.distributions import DiagonalGaussian
from vaelib.probability.likelihood import Likelihood, check_unit_range


class ImageGaussian(DiagonalGaussian):
    """A Gaussian over images: its density is on the [0, 1] scale, so it refuses images from another one."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density of each image, (B,), in nats.

        Raises:
            ValueError: a value of `x` is outside [0, 1].
        """
        check_unit_range(x)
        return super().log_prob(x)


@dataclass(frozen=True)
class FixedGaussianLikelihood(Likelihood):
    """N(μ(z), σ²) with one σ² that you choose: squared error divided by 2σ², plus a constant.

    Choosing σ² is choosing β, and choosing the weight of the KL beside a mean-squared error:
    `vaelib.probability.equivalence` has the mapping.

    Attributes:
        variance: σ² on the [0, 1] scale. 0.0125 is 0.05 for images in [-1, 1].
        unit_range: reject data outside [0, 1]. False for real-valued data, as in probabilistic PCA.
    """

    kind: ClassVar[str] = "fixed-gaussian"
    variance: float = 0.0125
    unit_range: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.variance < math.inf:
            raise ValueError(f"variance should be positive and finite, not {self.variance}")

    def output_channels(self, image_channels: int) -> int:
        return image_channels

    def distribution(self, output: Tensor, free: Tensor) -> DiagonalGaussian:
        family = ImageGaussian if self.unit_range else DiagonalGaussian
        return family(output, output.new_full((), math.log(self.variance)))


@dataclass(frozen=True)
class LearnedGaussianLikelihood(Likelihood):
    """N(μ(z), σ²) with one σ² for all pixels of all images, learned beside the weights.

    At the optimum σ² is the mean squared error, so the price of a nat settles itself; it is the maximum-likelihood
    choice of β. Sources: probabilistic PCA (Tipping & Bishop 1999); Rybkin, Daniilidis & Levine 2021.

    Attributes:
        initial_variance: σ² at the start of training.
        unit_range: as in `FixedGaussianLikelihood`.
    """

    kind: ClassVar[str] = "learned-gaussian"
    initial_variance: float = 0.0125
    unit_range: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.initial_variance < math.inf:
            raise ValueError(f"initial_variance should be positive and finite, not {self.initial_variance}")

    def output_channels(self, image_channels: int) -> int:
        return image_channels

    def initial_free(self) -> Tensor:
        """log σ², (1,)."""
        return torch.tensor([math.log(self.initial_variance)])

    def distribution(self, output: Tensor, free: Tensor) -> DiagonalGaussian:
        family = ImageGaussian if self.unit_range else DiagonalGaussian
        return family(output, free.float())


# Between two grey levels there is nothing to know: rounding to 1/255 is noise of variance (1/255)²/12. Without this
# floor a pixel that is always the same (a black border) has a density that grows without bound, and the loss with it.
LOWEST_LOG_VARIANCE = math.log(1 / (12 * 255**2))
# No variable on [0, 1] has a variance above 1/4, so no maximum of the likelihood lies higher.
HIGHEST_LOG_VARIANCE = math.log(1 / 4)


@dataclass(frozen=True)
class PerPixelGaussianLikelihood(Likelihood):
    """N(μ(z), σ²(z)): the decoder gives a mean and a log-variance for every pixel and channel, in that order.

    The log-variance is bounded softly, so that no gradient is cut off: below by the variance of rounding to 8 bits,
    (1/255)²/12, above by 1/4, the largest that a variable on [0, 1] can have. In between it is the decoder's output as
    it is. The bound is that of Chua et al. 2018; why one is needed: Mattei & Frellsen 2018.
    """

    kind: ClassVar[str] = "per-pixel-gaussian"

    def output_channels(self, image_channels: int) -> int:
        return 2 * image_channels

    def distribution(self, output: Tensor, free: Tensor) -> DiagonalGaussian:
        mean, raw = output.chunk(2, dim=1)
        log_variance = HIGHEST_LOG_VARIANCE - F.softplus(HIGHEST_LOG_VARIANCE - raw)
        log_variance = LOWEST_LOG_VARIANCE + F.softplus(log_variance - LOWEST_LOG_VARIANCE)
        return ImageGaussian(mean, log_variance)
