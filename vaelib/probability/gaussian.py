"""Gaussian likelihoods: squared error with its units, and three ways to set the variance."""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from vaelib.probability.distributions import DiagonalGaussian
from vaelib.probability.likelihood import Likelihood


@dataclass(frozen=True)
class FixedGaussianLikelihood(Likelihood):
    """N(μ(z), σ²) with one σ² that you choose: squared error divided by 2σ², plus a constant.

    Attributes:
        variance: σ² on the [0, 1] scale. 0.0125 is 0.05 for images in [-1, 1].
    """

    kind: ClassVar[str] = "fixed-gaussian"
    variance: float = 0.0125

    def __post_init__(self) -> None:
        if not self.variance > 0:
            raise ValueError(f"variance should be positive, not {self.variance}")

    def output_channels(self, image_channels: int) -> int:
        return image_channels

    def distribution(self, output: Tensor, free: Tensor) -> DiagonalGaussian:
        return DiagonalGaussian(output, output.new_full((), math.log(self.variance)).expand_as(output))
