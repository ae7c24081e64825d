"""The Wasserstein autoencoder: the autoencoder, and a price on how far all codes together are from the prior."""

from dataclasses import dataclass
from math import inf
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from vaelib.console import progress_bar
from vaelib.data.image_set import Batch, ImageSet
from vaelib.models.autoencoder import Autoencoder, AutoencoderConfig
from vaelib.models.base import Loss, Player, Progress
from vaelib.models.vae import VAE
from vaelib.probability import DiagonalGaussian, Distribution, FixedGaussianLikelihood, Likelihood
from vaelib.probability.adversary import Adversary, adversary_accuracy, adversary_loss, jensen_shannon_bound
from vaelib.probability.mmd import InverseMultiquadratic, Kernel, maximum_mean_discrepancy_squared

# The published cost is 0.05 Σ (x − G(z))² for images on [−1, 1]. On [0, 1] a squared error is four times smaller, so it
# is 0.2 Σ (x − G(z))² there, and that is the distortion Σ (x − G(z))² / 2σ² of σ² = 2.5, up to a constant.
PUBLISHED_COST = FixedGaussianLikelihood(variance=2.5)


@dataclass(frozen=True)
class WAEConfig(AutoencoderConfig):
    """Settings of a `WAE`: those of the autoencoder, the divergence, and its price.

    Attributes:
        likelihood: whose distortion is the cost c(x, G(z)), in nats. The default is the published cost. A smaller σ²
            makes the cost larger, and λ has to grow with it: see `penalty_weight_in_nats`.
        penalty: the divergence between q(z) and p(z): "mmd", a kernel's, or "gan", an adversary's.
        penalty_weight: λ, in nats per unit of the divergence. 0 leaves the codes free: the autoencoder.
        encoder: "deterministic", one code for each image, or "gaussian", a distribution over codes as in the VAE.
        prior_variance: σ² of the prior N(0, σ² I).
        kernel: of "mmd": "imq", inverse multiquadratics, or "rbf", a Gaussian by the median heuristic.
        adversary_widths: of "gan": the hidden layers of the adversary.
        adversary_log_prior: of "gan": the adversary is given log p(z), and has only q(z) to learn.
        adversary_learning_rate: of "gan": the adversary's learning rate over the autoencoder's.
    """

    likelihood: Likelihood = PUBLISHED_COST
    penalty: Literal["mmd", "gan"] = "mmd"
    penalty_weight: float = 100.0
    encoder: Literal["deterministic", "gaussian"] = "deterministic"
    prior_variance: float = 1.0
    kernel: Literal["imq", "rbf"] = "imq"
    adversary_widths: tuple[int, ...] = (1024, 1024, 1024, 1024)
    adversary_log_prior: bool = True
    adversary_learning_rate: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.penalty_weight < inf:
            raise ValueError(f"penalty_weight should be 0 or more, and finite, not {self.penalty_weight}")
        for name in ("prior_variance", "adversary_learning_rate"):
            if not 0 < getattr(self, name) < inf:
                raise ValueError(f"{name} should be positive and finite, not {getattr(self, name)}")
        if not self.adversary_widths or min(self.adversary_widths) < 1:
            raise ValueError(
                f"adversary_widths should be one or more numbers of units, each at least 1, not {self.adversary_widths}"
            )


class WAE(Autoencoder):
    """The autoencoder on cost + λ · D(q(z), p(z)): equation 2 of He 2023.

    The VAE asks every single q(z | x) to look like the prior, and pays for it with codes that overlap. Here only all of
    them together, the aggregate q(z) = E_x[q(z | x)], have to: each image may keep a code of its own, even a point.
    Where q(z) = p(z), encoder and decoder are a plan that moves the data onto the model's pictures, and the smallest
    mean cost of such plans is the optimal transport cost, equation 1.

    Source: Tolstikhin, Bousquet, Gelly & Schölkopf 2018, equation 4 and algorithms 1 and 2.
    """

    kind = "wae"
    Config: ClassVar[type] = WAEConfig

    def __init__(self, config: WAEConfig | None = None) -> None:
        super().__init__(config)
        self.penalty: Penalty = (MMDPenalty if self.config.penalty == "mmd" else GANPenalty)(self.config)
        if self.config.penalty == "mmd":
            self.smallest_batch = 2  # one point has no pair, and MMD² no unbiased estimate

    @property
    def numbers_per_latent(self) -> int:  # type: ignore[override]
        """A code; for a Gaussian encoder a mean and a log-variance."""
        return VAE.numbers_per_latent if self.config.encoder == "gaussian" else Autoencoder.numbers_per_latent

    def encode(self, images: Tensor) -> Distribution:
        """Images (B, C, H, W) → their codes (B, D), each a point or a Gaussian."""
        if self.config.encoder == "gaussian":
            return VAE.encode(self, images)  # type: ignore[arg-type]  # it asks for no more than an encoder
        return super().encode(images)

    def prior(self, count: int) -> DiagonalGaussian:
        """N(0, σ² I) over `count` latents."""
        standard = DiagonalGaussian.standard(count, self.config.latent_dimension, device=self.device)
        return DiagonalGaussian(standard.mean, standard.log_variance + torch.tensor(self.config.prior_variance).log())

    def loss(self, batch: Batch, progress: Progress) -> Loss:
        """cost + λ · D(q(z), p(z)), in nats. The cost is of each image, the divergence of all codes of the batch."""
        x = self.config.likelihood.prepare(batch.images)
        z = self.encode(x).sample()
        distortion = -self.decode(z).log_prob(x)
        divergence = self.penalty(z, self.prior(len(z)).sample())
        return Loss(
            total=distortion.mean() + self.config.penalty_weight * divergence,
            per_image={"distortion": distortion},
            per_batch={self.penalty.name: divergence},
        )

    def adversary_loss(self, batch: Batch, progress: Progress) -> Loss:
        """What the adversary of a WAE-GAN minimises; no gradient reaches the encoder."""
        with torch.no_grad():
            z = self.encode(self.config.likelihood.prepare(batch.images)).sample()
        return self.penalty.adversary_loss(z, self.prior(len(z)).sample())

    def players(self) -> tuple[Player, ...]:
        """The autoencoder and, where the divergence is learned, its adversary, who take turns on every batch."""
        codec = [*self.encoder.parameters(), *self.decoder.parameters(), self.likelihood_free]
        model, adversary = Player("model", codec, self.loss), list(self.penalty.parameters())
        if not adversary:
            return (model,)
        factor = self.config.adversary_learning_rate
        return (model, Player("adversary", adversary, self.adversary_loss, learning_rate_factor=factor))

    def pretrain_encoder(
        self,
        data: ImageSet,
        *,
        steps: int = 200,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        enough: float = 0.1,
        seed: int = 0,
    ) -> list[float]:
        """Before training: give the codes the mean and the covariance of the prior, so that the penalty begins small.

        It stops as soon as the mismatch of a batch is below `enough`. Train afterwards as usual: `vaelib.train` starts
        from the weights that a model has.

        Args:
            data: the images to be trained on. A batch should have several times as many as there are latents.
            steps, batch_size, learning_rate: of Adam on the encoder alone.
            enough: of `moment_mismatch`.
            seed: of the batches and of the noise of a Gaussian encoder; the global generator stays as it was.
        Returns:
            The mismatch before each step.
        Source: Tolstikhin et al. 2018, public code: 200 steps at most, batches of 256, 0.1.
        """
        if min(steps, len(data) - 1, batch_size - 1) < 1:
            raise ValueError(
                f"this takes one step or more of two images or more, not {steps} of {batch_size} from {len(data)}"
            )
        optimiser = torch.optim.Adam(self.encoder.parameters(), lr=learning_rate)
        training, mismatches = self.training, []
        self.train()
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            with progress_bar(total=steps, desc="pretraining", leave=False) as bar:
                for _ in range(steps):
                    images = data.batch(torch.randperm(len(data))[:batch_size]).images.to(self.device)
                    z = self.encode(self.config.likelihood.prepare(images)).sample()
                    mismatch = moment_mismatch(z, self.config.prior_variance)
                    mismatches.append(mismatch.item())
                    if mismatches[-1] < enough:
                        break
                    optimiser.zero_grad()
                    mismatch.backward()
                    optimiser.step()
                    bar.update()
                    bar.set_postfix_str(f"mismatch {mismatches[-1]:.2f}", refresh=False)
        self.zero_grad(set_to_none=True)
        self.train(training)
        return mismatches


class Penalty(nn.Module):
    """A divergence between the codes of a batch and the prior. If it has parameters, an adversary owns them.

    Attributes:
        name: of what it answers, in logs.
    """

    name: ClassVar[str]

    def forward(self, codes: Tensor, prior_draws: Tensor) -> Tensor:
        """Codes and as many draws from the prior, (B, D) → a scalar, which the autoencoder makes small."""
        raise NotImplementedError

    def adversary_loss(self, codes: Tensor, prior_draws: Tensor) -> Loss:
        """What the adversary makes small.

        Raises:
            TypeError: there is none.
        """
        raise TypeError(f"{type(self).__name__} has no adversary, and nothing to learn")


class MMDPenalty(Penalty):
    """The squared maximum mean discrepancy, by its unbiased estimate: a batch may get a negative one.

    Source: Tolstikhin et al. 2018, algorithm 2.
    """

    name = "mmd_squared"

    def __init__(self, config: WAEConfig) -> None:
        super().__init__()
        published = InverseMultiquadratic.for_prior(config.latent_dimension, config.prior_variance)
        self.kernel: str | Kernel = published if config.kernel == "imq" else config.kernel

    def forward(self, codes: Tensor, prior_draws: Tensor) -> Tensor:
        """MMD²(q(z), p(z)), without a unit. Seven inverse multiquadratics add up to 7 at most, and this to 14."""
        return maximum_mean_discrepancy_squared(codes, prior_draws, self.kernel)


class GANPenalty(Penalty):
    """What an adversary says, who is learning to tell codes from draws of the prior.

    Source: Tolstikhin et al. 2018, algorithm 1.
    """

    name = "deception"

    def __init__(self, config: WAEConfig) -> None:
        super().__init__()
        self.adversary = Adversary(
            config.latent_dimension,
            config.adversary_widths,
            log_prior=config.adversary_log_prior,
            prior_variance=config.prior_variance,
        )

    def forward(self, codes: Tensor, prior_draws: Tensor) -> Tensor:
        """E_q[−log D(z)] in nats: small once the codes pass for draws; ln 2 = 0.693 where the adversary cannot tell.

        The game's own −E_q[−log(1 − D(z))] has the same aim, and no gradient while the adversary is sure of itself.
        """
        return nn.functional.softplus(-self.adversary(codes)).mean()

    def adversary_loss(self, codes: Tensor, prior_draws: Tensor) -> Loss:
        """The adversary's own loss in nats, how often it is right, and the divergence that it has proved."""
        logits = self.adversary(prior_draws), self.adversary(codes)
        return Loss(
            total=adversary_loss(*logits),
            per_batch={"accuracy": adversary_accuracy(*logits), "jensen_shannon": jensen_shannon_bound(*logits)},
        )


def moment_mismatch(codes: Tensor, variance: float = 1.0) -> Tensor:
    """How far mean and covariance of codes (B, D) are from those of the prior N(0, σ² I):

        (|mean|² / σ² + |covariance − σ² I|² / σ⁴) / D,   less what B draws from the prior have on average.

    So it is 0 on average for the prior; for codes that are all alike it is 1, less D/B or so. (The public code averages
    over the D² entries of the covariance, by which codes that are all alike have 1/D. In 64 dimensions that is "below
    0.1", and pretraining can be over before it has begun.)
    """
    count, dimension = codes.shape
    mean = codes.mean(dim=0)
    centred = codes - mean
    covariance = centred.T @ centred / (count - 1)
    difference = covariance / variance - torch.eye(dimension, device=codes.device)
    by_chance = 1 / count + (dimension + 1) / (count - 1)
    return (mean.square().sum() / variance + difference.square().sum()) / dimension - by_chance


def penalty_weight_in_nats(
    weight: float, variance: float, *, cost_weight: float = 0.05, range_width: float = 2.0
) -> float:
    """The λ beside a distortion in nats that amounts to a `weight` beside a published cost.

    With σ² fixed, the distortion of an image is Σ (x − G(z))² / 2σ², up to a constant. The published objective is

        w r² Σ (x − G(z))² + weight · D,   w = 0.05 on images whose range has the width r = 2,

    which is this model's, times 2σ² w r², where λ = weight / (2σ² w r²). The minimisers agree; Adam hardly notices the
    factor. `weight` 100 is λ = 100 for σ² = 2.5, and λ = 5,000 for σ² = 0.05.

    Args:
        weight: λ as published.
        variance: σ² of the Gaussian likelihood, on the [0, 1] scale.
        cost_weight: w. `range_width`: r.
    """
    if not (0 <= weight < inf and min(variance, cost_weight, range_width) > 0):
        raise ValueError(
            f"weight should be 0 or more, the others positive, not {weight}, {variance}, {cost_weight}, {range_width}"
        )
    return weight / cost_weight / range_width**2 / (2 * variance)
