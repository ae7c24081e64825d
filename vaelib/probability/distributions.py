"""Distributions over latents and images: small, frozen, and with samplers that take a generator.

Each holds a batch of independent items: `log_prob` and `kl` sum over everything but the first dimension, so they answer
one number per image, in nats. `torch.distributions` is the oracle in the tests.
"""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class Distribution(Protocol):
    """What every distribution here can do."""

    @property
    def mean(self) -> Tensor: ...

    def sample(self, generator: torch.Generator | None = None) -> Tensor: ...

    def log_prob(self, x: Tensor) -> Tensor: ...


def sum_per_item(x: Tensor) -> Tensor:
    """The sum over all dimensions but the first: (B, …) → (B,)."""
    return x.flatten(1).sum(dim=1)


def standard_normal_like(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Standard normal noise of the shape, type and device of `x`; drawn where the generator lives."""
    if generator is None:
        return torch.randn_like(x)
    return torch.randn(x.shape, generator=generator, device=generator.device, dtype=x.dtype).to(x.device)


def uniform_like(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Uniform noise on the open interval (0, 1), so that its logarithm and logit are finite; else as above."""
    device = x.device if generator is None else generator.device
    uniform = torch.rand(x.shape, generator=generator, device=device, dtype=x.dtype).to(x.device)
    # torch.rand may give 0 but never 1.
    return uniform.clamp_(min=torch.finfo(x.dtype).tiny)


def kl_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, I)) of each image, in nats.

    Args:
        mean, log_variance: (B, D).
    Returns:
        (B,), non-negative.
    Source: Kingma & Welling 2014, appendix B.
    """
    return 0.5 * sum_per_item(mean**2 + log_variance.exp() - 1.0 - log_variance)


@dataclass(frozen=True)
class DiagonalGaussian:
    """N(mean, exp(log_variance)), independent in every coordinate.

    Attributes:
        mean: (B, …).
        log_variance: of the same shape, or one that broadcasts to it.
    """

    mean: Tensor
    log_variance: Tensor

    @classmethod
    def standard(cls, *shape: int, device: torch.device | str | None = None) -> "DiagonalGaussian":
        """N(0, I) over tensors of this shape, the prior of a VAE."""
        zeros = torch.zeros(shape, device=device)
        return cls(zeros, zeros)

    @property
    def standard_deviation(self) -> Tensor:
        return (0.5 * self.log_variance).exp()

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """z = mean + σ ε with ε ~ N(0, I), so that gradients reach mean and σ (Kingma & Welling 2014, section 2.4)."""
        return self.mean + self.standard_deviation * standard_normal_like(self.mean, generator)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density of each item, (B,), in nats."""
        squared = (x - self.mean) ** 2 * (-self.log_variance).exp()
        return -0.5 * sum_per_item(squared + self.log_variance + math.log(2 * math.pi))

    def kl(self, other: "DiagonalGaussian") -> Tensor:
        """KL(self || other) of each item, (B,), in nats, non-negative.

        Source: Kingma & Welling 2014, appendix B, for any second Gaussian.
        """
        log_ratio = self.log_variance - other.log_variance
        squared = (self.mean - other.mean) ** 2 * (-other.log_variance).exp()
        return 0.5 * sum_per_item(log_ratio.exp() + squared - 1.0 - log_ratio)


@dataclass(frozen=True)
class PointMass:
    """All mass on one point: the code of a deterministic encoder.

    Attributes:
        mean: (B, …), the point.
    """

    mean: Tensor

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        return self.mean

    def log_prob(self, x: Tensor) -> Tensor:
        """A point mass has no density.

        Raises:
            TypeError: always.
        """
        raise TypeError("a point mass has no density: a deterministic code has neither a log-probability nor a KL")


def kl_sampled(posterior: Distribution, prior: Distribution, sample: Tensor) -> Tensor:
    """log q(z) − log p(z) at z ~ q: the KL by one sample, unbiased, (B,), in nats; a single draw may be negative.

    Needed where no closed form exists (flows, mixtures). Source: Kingma & Welling 2014, equation 2.
    """
    return posterior.log_prob(sample) - prior.log_prob(sample)
