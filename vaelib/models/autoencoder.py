"""The autoencoder: squeeze an image through a narrow code and ask for it back."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from vaelib.config import check_types
from vaelib.data.image_set import Batch
from vaelib.models.base import Loss, Model, Progress
from vaelib.networks import ImageShape, Network, conv64
from vaelib.probability import Distribution, FixedGaussianLikelihood, Likelihood, PointMass


@dataclass(frozen=True)
class AutoencoderConfig:
    """Settings of an `Autoencoder`.

    Attributes:
        image_shape: (C, H, W).
        latent_dimension: width of the bottleneck.
        network: the encoder and decoder; `Linear()` gives the autoencoder of principal components.
        likelihood: what the error is measured with. A Gaussian of any fixed variance is squared error.
    """

    image_shape: ImageShape = (3, 64, 64)
    latent_dimension: int = 64
    network: Network = conv64
    likelihood: Likelihood = FixedGaussianLikelihood()

    def __post_init__(self) -> None:
        check_types(self)
        if min(self.image_shape) < 1:
            raise ValueError(
                f"image_shape should be (channels, height, width), each at least 1, not {self.image_shape}"
            )
        if self.latent_dimension < 1:
            raise ValueError(f"latent_dimension should be at least 1, not {self.latent_dimension}")


class Autoencoder(Model):
    """A deterministic encoder and a decoder, trained to give back what they were given.

    Source: Hinton & Salakhutdinov 2006.
    """

    kind = "autoencoder"
    Config: ClassVar[type] = AutoencoderConfig

    # How many numbers the encoder gives for each latent: one, the code itself.
    numbers_per_latent: ClassVar[int] = 1

    def __init__(self, config: AutoencoderConfig | None = None) -> None:
        super().__init__()
        if config is not None and not isinstance(config, self.Config):
            name = type(self).__name__
            raise TypeError(f"{name} takes a {self.Config.__name__}, not a {type(config).__name__}")
        self.config = config or self.Config()
        shape, dimension, likelihood = self.config.image_shape, self.config.latent_dimension, self.config.likelihood
        self.encoder = self.config.network.encoder(shape, self.numbers_per_latent * dimension)
        self.decoder = self.config.network.decoder(dimension, shape, likelihood.output_channels(shape[0]))
        self.likelihood_free = nn.Parameter(likelihood.initial_free())

    def encode(self, images: Tensor) -> Distribution:
        """Images (B, C, H, W) → their codes (B, D), each a point."""
        self.check_images(images)
        return PointMass(self.encoder(images).float())

    def decode(self, latents: Tensor) -> Distribution:
        """Codes (B, D) → p(x | z) over images (B, C, H, W)."""
        self.check_latents(latents)
        # Likelihoods sum thousands of logarithms, so they are computed in float32 whatever the network ran in.
        return self.config.likelihood.distribution(self.decoder(latents).float(), self.likelihood_free)

    def loss(self, batch: Batch, progress: Progress) -> Loss:
        """The distortion −log p(x | z) of each image, in nats."""
        x = self.config.likelihood.prepare(batch.images)
        code = self.encode(x).sample()
        distortion = -self.decode(code).log_prob(x)
        return Loss(total=distortion.mean(), per_image={"distortion": distortion})
