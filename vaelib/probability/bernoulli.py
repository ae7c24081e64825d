"""The Bernoulli likelihood: a coin for every pixel of a black-and-white image."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from vaelib.data.pixels import binarise
from vaelib.probability.distributions import sum_per_item, uniform_like
from vaelib.probability.likelihood import Likelihood


@dataclass(frozen=True)
class Bernoulli:
    """P(x = 1) = sigmoid(logits), independent in every coordinate.

    Attributes:
        logits: (B, …).
    """

    logits: Tensor

    @property
    def mean(self) -> Tensor:
        """P(x = 1)."""
        return torch.sigmoid(self.logits)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Zeros and ones. A coin that has fallen carries no gradient."""
        return (uniform_like(self.logits, generator) < self.mean).to(self.logits.dtype)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log probability of each item, (B,), in nats.

        Raises:
            ValueError: a value of `x` is neither 0 nor 1. Cross-entropy with grey values is no likelihood of anything
                (Loaiza-Ganem & Cunningham 2019).
        """
        if not ((x == 0) | (x == 1)).all():
            raise ValueError(
                "the Bernoulli likelihood counts images of zeros and ones, and these have other values: draw them with "
                "vaelib.data.binarise(images), or take another likelihood for grey levels"
            )
        return sum_per_item(x * self.logits - F.softplus(self.logits))


@dataclass(frozen=True)
class BernoulliLikelihood(Likelihood):
    """Bernoulli(sigmoid(output)): binary cross-entropy, for images of zeros and ones."""

    kind: ClassVar[str] = "bernoulli"

    @property
    def levels(self) -> int:
        """Two: black and white."""
        return 2

    def prepare(self, images: Tensor) -> Tensor:
        """Black and white by a coin flip for every pixel, drawn afresh each time (`vaelib.data.binarise`)."""
        return binarise(images)

    def output_channels(self, image_channels: int) -> int:
        return image_channels

    def distribution(self, output: Tensor, free: Tensor) -> Bernoulli:
        return Bernoulli(output)
