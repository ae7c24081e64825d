"""The variational autoencoder: the autoencoder with a noisy bottleneck, and a price on every nat that passes it."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from vaelib.data.image_set import Batch
from vaelib.models.autoencoder import Autoencoder, AutoencoderConfig
from vaelib.models.base import Loss, Progress
from vaelib.probability import DiagonalGaussian


@dataclass(frozen=True)
class VAEConfig(AutoencoderConfig):
    """Settings of a `VAE`: those of the autoencoder, and the warm-up.

    Attributes:
        kl_warmup: fraction of the run over which the weight of the rate grows from 0 to 1. None of it by default.
    """

    kl_warmup: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.kl_warmup <= 1:
            raise ValueError(f"kl_warmup should be a fraction of the run, from 0 to 1, not {self.kl_warmup}")


class Bound(NamedTuple):
    """One look at the evidence lower bound: ELBO = −(distortion + rate).

    Attributes:
        posterior: q(z | x) of each image.
        z: (B, D), the sample of it that was decoded.
        distortion: −log p(x | z), (B,), in nats.
        rate: KL(q(z | x) || p(z)), (B,), in nats.
    """

    posterior: DiagonalGaussian
    z: Tensor
    distortion: Tensor
    rate: Tensor


class VAE(Autoencoder):
    """q(z | x) = N(μ(x), σ²(x)), p(z) = N(0, I), p(x | z) by the decoder, trained on the ELBO.

    Source: Kingma & Welling 2014.
    """

    kind = "vae"
    Config = VAEConfig

    # The encoder gives a mean and a log-variance for each latent.
    numbers_per_latent = 2

    def encode(self, images: Tensor) -> DiagonalGaussian:
        """Images (B, C, H, W) → q(z | x) over latents (B, D)."""
        self.check_images(images)
        mean, log_variance = self.encoder(images).float().chunk(2, dim=1)
        # Beyond these bounds σ is below 5e-5 or above 150: no trained posterior goes there, a bad first step might.
        return DiagonalGaussian(mean, log_variance.clamp(-20.0, 10.0))

    def prior(self, count: int) -> DiagonalGaussian:
        """N(0, I) over `count` latents."""
        return DiagonalGaussian.standard(count, self.config.latent_dimension, device=self.device)

    def bound(self, images: Tensor, *labels: Tensor) -> Bound:
        """The two terms of the negative ELBO of each image, by one sample of z.

        Source: Kingma & Welling 2014, equation 10.
        """
        x = self.config.likelihood.prepare(images)
        posterior = self.encode(x, *labels)  # a conditional VAE is told the labels too
        z = posterior.sample()
        distortion = -self.decode(z, *labels).log_prob(x)
        rate = posterior.kl(self.prior(len(z)))
        return Bound(posterior, z, distortion, rate)

    def loss(self, batch: Batch, progress: Progress) -> Loss:
        """The negative ELBO, in nats: distortion + rate."""
        _, _, distortion, rate = self.bound(batch.images)
        return Loss(
            total=self.weigh(distortion, rate, progress).mean(), per_image={"distortion": distortion, "rate": rate}
        )

    def weigh(self, distortion: Tensor, rate: Tensor, progress: Progress) -> Tensor:
        """How the two terms add up, (B,): the one method that β-VAE overrides."""
        warmup = self.config.kl_warmup
        return distortion + (min(progress.fraction / warmup, 1.0) if warmup else 1.0) * rate
