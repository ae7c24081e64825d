"""NVAE: the objective, and what can be asked of a trained model. Its network is in `tower`.

Source: Vahdat & Kautz 2020.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelib.data.image_set import Batch
from vaelib.models.base import Loss, Progress, inference
from vaelib.models.nvae.config import NVAEConfig
from vaelib.models.nvae.latents import soft_clamped_normal
from vaelib.models.nvae.likelihoods import published_distortion, published_mean_image
from vaelib.models.nvae.objective import balance, finest_tax, kl_weight, regularisation_weight
from vaelib.models.nvae.regularisation import SpectralNorms, batch_norm_scales, convolutions
from vaelib.models.nvae.tower import Tower


@dataclass(frozen=True)
class Deterministic:
    """What NVAE answers to images when all sampling noise is zero; for comparison with published numbers.

    Attributes:
        logits: (B, maps, H, W), the raw output of the image conditional, padding included.
        log_q, log_p: (B,), of all latents, in nats.
        kl_per_group: (B, groups), in nats, coarsest first; with flows log q − log p at z, else in closed form.
        reconstruction_nats: −log p(x | z), (B,), as the public code counts it: densities on the [-1, 1] scale.
        mean_image: (B, C, H, W) in [0, 1], as the public code makes it.
    """

    logits: Tensor
    log_q: Tensor
    log_p: Tensor
    kl_per_group: Tensor
    reconstruction_nats: Tensor
    mean_image: Tensor


class NVAE(Tower):
    """The nouveau variational autoencoder.

    Source: Vahdat & Kautz 2020, "NVAE: A Deep Hierarchical Variational Autoencoder".
    """

    kind = "nvae"
    Config = NVAEConfig

    def __init__(self, config: NVAEConfig | None = None) -> None:
        super().__init__(config)
        self.spectral_norms = SpectralNorms(convolutions(self)) if self.config.regularisation else None

    def loss(self, batch: Batch, progress: Progress) -> Loss:
        """distortion + β Σ γ_i KL_i + λ · regulariser, in nats.

        `rate` and `kl_…` of each group are unweighted: distortion + rate is the negative ELBO. What the loss makes of
        the rate is `weighed_rate`.
        """
        config = self.config
        x = config.likelihood.prepare(batch.images)
        self.check_images(x)
        encoding, s = self._encode(x)
        distortion, kl = -self._distribution(self._logits(s)).log_prob(x), encoding.kl_per_group
        rate = kl.sum(dim=1)
        beta = kl_weight(
            progress.fraction,
            constant=config.kl_constant,
            constant_portion=config.kl_constant_portion,
            warmup=config.kl_warmup,
        )
        # γ of each group, held while the step is taken.
        gamma = finest_tax(
            progress.fraction, config.groups, tax=config.finest_tax, portion=config.finest_tax_portion
        ).to(kl)
        if config.balancing and beta < 1:
            gamma = gamma * balance(kl, config.groups)
        weighed_rate = beta * (gamma * kl).sum(dim=1).mean()
        total = distortion.mean() + weighed_rate
        per_batch = {"beta": torch.tensor(beta), "weighed_rate": weighed_rate}
        if self.spectral_norms is not None:
            spectral = self.spectral_norms(convolutions(self)).sum()
            scales = batch_norm_scales(self).sum()
            price = regularisation_weight(beta, config.regularisation, config.regularisation_start)
            total = total + price * (spectral + scales)
            per_batch |= {"spectral_norms": spectral, "batch_norm_scales": scales}
        names = [f"kl_{shape[1]}x{shape[2]}_{index}" for index, shape in enumerate(config.latent_shapes)]
        per_group = dict(zip(names, kl.unbind(dim=1), strict=True))
        return Loss(total, {"distortion": distortion, "rate": rate, **per_group}, per_batch)

    @inference
    def sample(
        self,
        count: int,
        *,
        temperature: float | Sequence[float] = 1.0,
        generator: torch.Generator | None = None,
        chunk: int = 32,
    ) -> Tensor:
        """Images drawn from the model: each group from its prior, then the mean of p(x | z).

        Args:
            count: how many.
            temperature: factor on the priors' standard deviations, 0 or more: one, or one per scale, coarsest first.
            generator: for reproducible draws, which do not depend on `chunk`.
            chunk: how many at a time, to bound memory.
        Returns:
            (count, C, H, W) in [0, 1].
        """
        scales = len(self.config.groups)
        temperatures = [temperature] * scales if isinstance(temperature, (int, float)) else list(temperature)
        if count < 1 or chunk < 1:
            raise ValueError(f"count and chunk should be at least 1, not {count} and {chunk}")
        if len(temperatures) != scales or not all(0 <= one < float("inf") for one in temperatures):
            raise ValueError(f"temperature should be one number or {scales}, 0 or more and finite, not {temperature}")
        of_group = [temperatures[scale] for scale in self.config.group_scales]
        parts = []
        for start in range(0, count, chunk):
            noise = self._noise(min(chunk, count - start), generator)
            logits = self._prior_logits(len(noise[0]), [z * t for z, t in zip(noise, of_group, strict=True)])
            parts.append(self._distribution(logits).mean.clamp(0, 1))
        return torch.cat(parts)

    def _noise(self, count: int, generator: torch.Generator | None) -> list[Tensor]:
        """Standard normal numbers for the latents of every group, drawn image by image."""
        where = self.device if generator is None else generator.device
        total = self.config.latent_dimension
        flat = torch.stack([torch.randn(total, generator=generator, device=where) for _ in range(count)])
        shapes = self.config.latent_shapes
        parts = flat.to(self.device).split([channels * height * width for channels, height, width in shapes], dim=1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=True)]

    def _prior_logits(self, count: int, noise: Sequence[Tensor] | None) -> Tensor:
        """The maps of images whose latents are the prior's: means, and deviations times the noise."""

        def choose(group: int, s: Tensor | None) -> Tensor:
            prior = soft_clamped_normal(self._raw_prior(group, s, count))
            return prior.mean if noise is None else prior.mean + prior.standard_deviation * noise[group]

        return self._logits(self._down(count, choose))

    @inference
    def reconstruct(self, images: Tensor, *, chunk: int = 32) -> Tensor:
        """Encode without noise and decode to the likelihood's mean: (B, C, H, W) → the same, in [0, 1]."""
        self.check_images(images)
        if chunk < 1:
            raise ValueError(f"chunk should be at least 1, not {chunk}")
        parts = images.to(self.device).split(chunk)
        ends = [self._encode(self.config.likelihood.prepare(part), mean_path=True)[1] for part in parts]
        return torch.cat([self._distribution(self._logits(s)).mean.clamp(0, 1) for s in ends])

    @inference
    def interpolate(self, start: Tensor, end: Tensor, steps: int = 8) -> Tensor:
        """The straight line between the latents of two sets of images, in all groups: (B, steps, C, H, W)."""
        if start.shape != end.shape or steps < 1:
            raise ValueError(f"start and end should have one shape, not {tuple(start.shape)} and {tuple(end.shape)}")
        first, last = (self.encode(images.to(self.device), mean_path=True).latents for images in (start, end))
        rows = []
        for weight in torch.linspace(0, 1, steps).tolist():
            between = [torch.lerp(one, other, weight) for one, other in zip(first, last, strict=True)]
            rows.append(self.decode(between).mean.clamp(0, 1))
        return torch.stack(rows, dim=1)

    @inference
    def deterministic(self, x: Tensor) -> Deterministic:
        """All numbers of images (B, C, H, W) in [0, 1] with all sampling noise zero; padded images are taken too.

        Under a mixture of fewer bits, 8-bit images are reduced first. Black-and-white images are taken as they are.
        """
        if x.shape[-2:] == (self.config.side, self.config.side):
            x = self._cropped(x)
        x = x.to(self.device) if self.config.black_and_white else self.config.likelihood.prepare(x.to(self.device))
        self.check_images(x)
        encoding, s = self._encode(x, mean_path=True)
        logits = self._logits(s)
        distribution = self._distribution(logits)
        return Deterministic(
            logits=logits,
            log_q=encoding.log_q,
            log_p=encoding.log_p,
            kl_per_group=encoding.kl_per_group,
            reconstruction_nats=published_distortion(distribution, x),
            mean_image=published_mean_image(distribution),
        )

    @inference
    def deterministic_prior(self, count: int) -> Tensor:
        """The maps, (count, maps, H, W), of the prior's mean path: every latent is its prior's mean."""
        return self._prior_logits(count, None)
