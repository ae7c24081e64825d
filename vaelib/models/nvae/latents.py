"""The latents of NVAE: groups of normal variables, whose posterior is said relative to their prior.

Each group is drawn given the groups before it: p(z) = Π p(z_i | z_<i) and q(z | x) = Π q(z_i | z_<i, x), from the
coarsest scale to the finest. Source: Vahdat & Kautz 2020, sections 3 and 3.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor

from vaelib.models.nvae.flows import Flow
from vaelib.probability.distributions import DiagonalGaussian, Distribution

# σ never falls below it, so no posterior can become a spike and no KL can explode.
SMALLEST_DEVIATION = 0.01


def soft_clamp(x: Tensor) -> Tensor:
    """5 tanh(x / 5): x near 0, and never beyond ±5."""
    return 5 * (x / 5).tanh()


def soft_clamped_normal(raw: Tensor, temperature: float = 1.0) -> DiagonalGaussian:
    """Raw numbers of a network → a normal distribution: μ = clamp(raw), σ = (exp(clamp(raw)) + 0.01) · temperature.

    Args:
        raw: (B, 2 C, H, W), raw means and raw log standard deviations.
        temperature: above 0.
    """
    mean, log_deviation = soft_clamp(raw.float()).chunk(2, dim=1)
    deviation = (log_deviation.exp() + SMALLEST_DEVIATION) * temperature
    return DiagonalGaussian(mean, 2 * deviation.log())


@dataclass(frozen=True)
class FlowNormal:
    """A normal variable that has passed a flow without change of volume.

    Attributes:
        base: before the flow.
        flow: what it passes.
    """

    base: DiagonalGaussian
    flow: Flow

    @property
    def mean(self) -> Tensor:
        """The flow of the base's mean: where all noise is zero. The mean itself has no closed form."""
        return self.flow(self.base.mean)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        return self.flow(self.base.sample(generator))

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density of each item, (B,), in nats: the base's, since the flow keeps volumes."""
        return self.base.log_prob(self.flow.inverse(x))


@dataclass(frozen=True)
class Group:
    """One group of latents of a batch of images.

    Attributes:
        prior: p(z_i | z_<i).
        posterior: q(z_i | z_<i, x).
        z: (B, C, H, W), the value with which the model went on.
        log_q: log q(z_i | z_<i, x) at z, (B,), in nats.
    """

    prior: DiagonalGaussian
    posterior: DiagonalGaussian | FlowNormal
    z: Tensor
    log_q: Tensor

    @classmethod
    def draw(
        cls,
        prior: DiagonalGaussian,
        base: DiagonalGaussian,
        flow: Flow,
        *,
        mean_path: bool = False,
        generator: torch.Generator | None = None,
    ) -> "Group":
        """Draw z from the posterior, with its log-probability, which costs nothing before the flow.

        Args:
            base: of the posterior, before the flow.
            flow: empty for none.
            mean_path: without noise.
            generator: of the noise.
        """
        before = base.mean if mean_path else base.sample(generator)
        posterior = FlowNormal(base, flow) if len(flow) else base
        return cls(prior, posterior, flow(before), base.log_prob(before))

    @property
    def log_p(self) -> Tensor:
        """log p(z_i | z_<i) at z, (B,), in nats."""
        return self.prior.log_prob(self.z)

    @property
    def kl(self) -> Tensor:
        """KL(q || p) of each image, (B,), in nats: in closed form, or log q − log p at z where there is a flow.

        The latter is right on average and may be negative.
        """
        if isinstance(self.posterior, FlowNormal):
            return self.log_q - self.log_p
        return self.posterior.kl(self.prior)


@dataclass(frozen=True)
class Encoding(Sequence[Distribution]):
    """What an image says about every group: the sequence of their posteriors, coarsest first.

    Each holds given the values of the groups before it, which are in `latents`.

    Attributes:
        groups: with prior, posterior, value and KL.
    """

    groups: tuple[Group, ...]

    @overload
    def __getitem__(self, index: int) -> Distribution: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Distribution]: ...
    def __getitem__(self, index: int | slice) -> Distribution | Sequence[Distribution]:
        if isinstance(index, slice):
            return tuple(group.posterior for group in self.groups[index])
        return self.groups[index].posterior

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def latents(self) -> tuple[Tensor, ...]:
        """The values, each (B, C, H, W): what `decode` takes."""
        return tuple(group.z for group in self.groups)

    @property
    def kl_per_group(self) -> Tensor:
        """(B, groups), in nats."""
        return torch.stack([group.kl for group in self.groups], dim=1)

    @property
    def rate(self) -> Tensor:
        """The KL of all groups together, (B,), in nats; right on average."""
        return self.kl_per_group.sum(dim=1)

    @property
    def log_q(self) -> Tensor:
        """log q(z | x) of all latents, (B,), in nats."""
        return torch.stack([group.log_q for group in self.groups]).sum(dim=0)

    @property
    def log_p(self) -> Tensor:
        """log p(z) of all latents, (B,), in nats."""
        return torch.stack([group.log_p for group in self.groups]).sum(dim=0)
