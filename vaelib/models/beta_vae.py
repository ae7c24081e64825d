"""The β-VAE: another price for a nat, or a budget of nats. Both are the VAE with another `weigh`."""

from dataclasses import dataclass

from torch import Tensor

from vaelib.models.base import Progress
from vaelib.models.vae import VAE, VAEConfig


@dataclass(frozen=True)
class BetaVAEConfig(VAEConfig):
    """Settings of a `BetaVAE`: those of the VAE, and the price.

    Attributes:
        beta: weight of the rate. 1 is the VAE, more saves nats and gives less exact pictures, 0 leaves the rate free.
    """

    beta: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.beta < float("inf"):
            raise ValueError(f"beta should be 0 or more, and finite, not {self.beta}")


class BetaVAE(VAE):
    """The VAE on distortion + β · rate: equation 5 of He 2023.

    Except at β = 1 this is not a bound on the likelihood of this decoder. With a Gaussian likelihood of fixed variance
    σ² it is one for the variance βσ², up to a factor and a constant: see `vaelib.probability.equivalence`.

    Source: Higgins et al. 2017, equation 4.
    """

    kind = "beta_vae"
    Config = BetaVAEConfig

    def weigh(self, distortion: Tensor, rate: Tensor, progress: Progress) -> Tensor:
        """distortion + β · rate, (B,)."""
        return super().weigh(distortion, self.config.beta * rate, progress)


@dataclass(frozen=True)
class CapacityVAEConfig(VAEConfig):
    """Settings of a `CapacityVAE`: those of the VAE, and the budget.

    Attributes:
        capacity: C at the end, in nats per image.
        gamma: γ, the price of a nat above or below C. It should be far above any β that would do.
        annealing: fraction of the run over which C grows from 0 to `capacity`.
    """

    capacity: float = 25.0
    gamma: float = 100.0
    annealing: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (0 <= self.capacity < float("inf") and 0 < self.gamma < float("inf")):
            raise ValueError(
                f"capacity should be 0 or more and gamma above 0, both finite, not {self.capacity} and {self.gamma}"
            )
        if not 0 <= self.annealing <= 1:
            raise ValueError(f"annealing should be a fraction of the run, from 0 to 1, not {self.annealing}")
        if self.kl_warmup:
            raise ValueError("a CapacityVAE anneals its capacity, so kl_warmup should be 0")


class CapacityVAE(VAE):
    """The VAE on distortion + γ |mean rate − C|, with C annealed: a budget of C nats, which may all be spent.

    The ε of equation 4 of He 2023 was meant as such a budget. In β (KL − ε) it has no gradient; here C has one.

    Source: Burgess et al. 2018, equation 8.
    """

    kind = "capacity_vae"
    Config = CapacityVAEConfig

    def weigh(self, distortion: Tensor, rate: Tensor, progress: Progress) -> Tensor:
        """distortion + γ |mean rate − C|, (B,). The budget is for the average image: a hard one may take more."""
        return distortion + self.config.gamma * (rate.mean() - self.capacity_at(progress)).abs()

    def capacity_at(self, progress: Progress) -> float:
        """C at this point of the run, in nats per image."""
        annealing = self.config.annealing
        return self.config.capacity * (min(progress.fraction / annealing, 1.0) if annealing else 1.0)
