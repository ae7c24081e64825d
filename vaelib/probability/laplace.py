"""The Laplace likelihood: absolute error with its units, whose optimum is a median where the Gaussian's is a mean."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vaelib.probability.distributions import sum_per_item, uniform_like
from vaelib.probability.likelihood import Likelihood, check_unit_range


@dataclass(frozen=True)
class Laplace:
    """p(x) = exp(−|x − mean| / scale) / (2 scale), independent in every coordinate.

    Attributes:
        mean: (B, …), also the median.
        scale: positive, of the same shape, or one that broadcasts to it. The variance is 2 scale².
    """

    mean: Tensor
    scale: Tensor

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """The inverse distribution function of uniform noise, so that gradients reach mean and scale."""
        centred = 2 * uniform_like(self.mean, generator) - 1
        # |centred| may round to 1 in float32, where the logarithm would be infinite.
        centred = centred.clamp(min=torch.finfo(centred.dtype).eps - 1)
        return self.mean - self.scale * centred.sign() * torch.log1p(-centred.abs())

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density of each item, (B,), in nats."""
        return -sum_per_item((x - self.mean).abs() / self.scale + (2 * self.scale).log())


class ImageLaplace(Laplace):
    """A Laplace distribution over images: its density is on the [0, 1] scale, so it refuses images from another one."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density of each image, (B,), in nats.

        Raises:
            ValueError: a value of `x` is outside [0, 1].
        """
        check_unit_range(x)
        return super().log_prob(x)


@dataclass(frozen=True)
class LaplaceLikelihood(Likelihood):
    """Laplace(μ(z), b) with one scale b that you choose: absolute error divided by b, plus a constant.

    Attributes:
        scale: b on the [0, 1] scale. The default has the variance of the default Gaussian, 2b² = 0.0125.
        unit_range: reject data outside [0, 1]. False for real-valued data.
    """

    kind: ClassVar[str] = "laplace"
    scale: float = math.sqrt(0.0125 / 2)
    unit_range: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.scale < math.inf:
            raise ValueError(f"scale should be positive and finite, not {self.scale}")

    def output_channels(self, image_channels: int) -> int:
        return image_channels

    def distribution(self, output: Tensor, free: Tensor) -> Laplace:
        family = ImageLaplace if self.unit_range else Laplace
        return family(output, output.new_full((), self.scale))
