"""The conditional VAE: a VAE whose encoder and decoder are told what is asked for."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from vaelib.data.image_set import Batch
from vaelib.models.base import Loss, Model, Progress, inference
from vaelib.models.vae import VAE, VAEConfig
from vaelib.probability import DiagonalGaussian, Distribution


@dataclass(frozen=True)
class ConditionalVAEConfig(VAEConfig):
    """Settings of a `ConditionalVAE`: those of the VAE, and what the labels are.

    Attributes:
        label_sizes: how many values each label takes: (10,) for digits, (3, 6, 40, 32, 32) for all factors of sprites.
    """

    label_sizes: tuple[int, ...] = (10,)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.label_sizes or min(self.label_sizes) < 2:
            raise ValueError(f"label_sizes should be one or more numbers, each at least 2, not {self.label_sizes}")


class ConditionalVAE(VAE):
    """q(z | x, y), p(z) = N(0, I), p(x | z, y): the bound on log p(x | y), so z need not say what y says.

    The decoder gets the labels, one-hot, beside z; the encoder gets them as one more channel of the picture, a learned
    map of each label.

    Source: Sohn, Lee & Yan 2015, section 4.1, with a prior that does not depend on y (their equation 4 lets it);
    Kingma, Mohamed, Rezende & Welling 2014, model M2, for class labels.
    """

    kind = "conditional_vae"
    Config = ConditionalVAEConfig

    def __init__(self, config: ConditionalVAEConfig | None = None) -> None:
        super().__init__(config)
        channels, height, width = self.config.image_shape
        network, dimension, labels = self.config.network, self.config.latent_dimension, sum(self.config.label_sizes)
        self.label_map = nn.Linear(labels, height * width)
        self.encoder = network.encoder((channels + 1, height, width), self.numbers_per_latent * dimension)
        outputs = self.config.likelihood.output_channels(channels)
        self.decoder = network.decoder(dimension + labels, (channels, height, width), outputs)

    def encode(self, images: Tensor, labels: Tensor | None = None) -> DiagonalGaussian:
        """Images (B, C, H, W) and labels (B,) or (B, K) → q(z | x, y) over latents (B, D)."""
        self.check_images(images)
        label_map = self.label_map(self.one_hot(labels, len(images))).view(-1, 1, *images.shape[2:])
        mean, log_variance = self.encoder(torch.cat([images, label_map.to(images)], dim=1)).float().chunk(2, dim=1)
        return DiagonalGaussian(mean, log_variance.clamp(-20.0, 10.0))

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Distribution:
        """Latents (B, D) and labels (B,) or (B, K) → p(x | z, y) over images (B, C, H, W)."""
        self.check_latents(latents)
        output = self.decoder(torch.cat([latents, self.one_hot(labels, len(latents))], dim=1))
        return self.config.likelihood.distribution(output.float(), self.likelihood_free)

    def loss(self, batch: Batch, progress: Progress) -> Loss:
        """The negative bound on log p(x | y), in nats: distortion + rate."""
        if batch.labels is None:
            raise ValueError("a ConditionalVAE is trained on images with labels, and this data set has none")
        _, _, distortion, rate = self.bound(batch.images, batch.labels)
        return Loss(
            total=self.weigh(distortion, rate, progress).mean(), per_image={"distortion": distortion, "rate": rate}
        )

    def one_hot(self, labels: Tensor | None, count: int) -> Tensor:
        """Labels (B,) or (B, K) → one one-hot block for each, side by side, (B, Σ label_sizes).

        Raises:
            ValueError: no labels, labels that are not whole numbers, that do not exist, or not `count` of them.
        """
        if labels is None:
            raise ValueError(
                "a ConditionalVAE takes labels beside its images or latents; model.given(label) has all verbs of a VAE "
                "with that label"
            )
        sizes = self.config.label_sizes
        columns = labels[:, None] if labels.dim() == 1 else labels
        if columns.shape != (count, len(sizes)) or labels.is_floating_point():
            raise ValueError(
                f"this ConditionalVAE takes whole numbers as labels, {len(sizes)} for each of {count} images or "
                f"latents, not {labels.dtype} {tuple(labels.shape)}"
            )
        for column, size in zip(columns.T, sizes, strict=True):
            if count and not (int(column.min()) >= 0 and int(column.max()) < size):
                raise ValueError(f"labels should be from 0 to {size - 1}; there are {column.min()} to {column.max()}")
        blocks = [one_hot(column.long(), size) for column, size in zip(columns.T, sizes, strict=True)]
        return torch.cat(blocks, dim=1).to(self.device, next(self.parameters()).dtype)

    def given(self, label: int | tuple[int, ...] | Tensor) -> "GivenLabel":
        """The VAE of one label, with all verbs of a model: `model.given(7).sample(16)`, `.traverse(…)`."""
        labels = torch.as_tensor(label).reshape(1, -1)
        self.one_hot(labels, 1)  # which checks it
        return GivenLabel(self, labels)

    @inference
    def sample(
        self,
        count: int,
        *,
        labels: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        chunk: int = 256,
    ) -> Tensor:
        """Images of these labels, as `Model.sample`.

        Args:
            labels: (count,) or (count, K); None draws them evenly, which need not be how often they occur in the data.
        """
        latents = self._drawn(count, temperature, generator, chunk)
        if labels is None:
            sizes = self.config.label_sizes
            device = None if generator is None else generator.device  # where the generator lives, as for the latents
            drawn = [torch.randint(size, (count,), generator=generator, device=device) for size in sizes]
            labels = torch.stack(drawn, dim=1)
        self.one_hot(labels, count)  # which checks all of them, before the first is decoded
        parts = zip(latents, labels.split(chunk), strict=True)
        return torch.cat([self.decode(some, those).mean.clamp(0, 1) for some, those in parts])

    @inference
    def reconstruct(self, images: Tensor, labels: Tensor | None = None, *, chunk: int = 256) -> Tensor:
        """As `Model.reconstruct`, with the labels (B,) or (B, K) of the images."""
        if labels is None:
            raise ValueError("a ConditionalVAE reconstructs images with their labels: reconstruct(images, labels)")
        self.check_images(images)
        self.one_hot(labels, len(images))
        if chunk < 1:
            raise ValueError(f"chunk should be at least 1, not {chunk}")
        parts = zip(images.split(chunk), labels.split(chunk), strict=True)
        return torch.cat([GivenLabel(self, some).reconstruct(part, chunk=chunk) for part, some in parts])


class GivenLabel(Model):
    """A `ConditionalVAE` that has been told its labels: `encode` and `decode` as of any VAE, hence all the verbs.

    Attributes:
        labels: (1, K), the same for all images, or (B, K), one row for each.
    """

    def __init__(self, model: ConditionalVAE, labels: Tensor) -> None:
        super().__init__()
        self.model, self.config = model, model.config
        self.labels = labels.reshape(len(labels), -1)

    @property
    def training(self) -> bool:  # type: ignore[override]
        """The mode is the model's own, so that this is what the verbs put back."""
        return self.model.training

    @training.setter
    def training(self, mode: bool) -> None:
        """Nothing to keep: `train(mode)` goes on to the model, which keeps it."""

    def encode(self, images: Tensor) -> DiagonalGaussian:
        """Images (B, C, H, W) → q(z | x, y) over latents (B, D)."""
        return self.model.encode(images, self._labels(len(images)))

    def decode(self, latents: Tensor) -> Distribution:
        """Latents (B, D) → p(x | z, y) over images (B, C, H, W)."""
        return self.model.decode(latents, self._labels(len(latents)))

    def prior(self, count: int) -> DiagonalGaussian:
        """N(0, I), whatever the label."""
        return self.model.prior(count)

    def _labels(self, count: int) -> Tensor:
        return self.labels.expand(count, -1) if len(self.labels) == 1 else self.labels
