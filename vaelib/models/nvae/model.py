"""NVAE: the objective, and its numbers for comparison. Its network is in `tower`, what can be asked of it in `verbs`.

Source: Vahdat & Kautz 2020.
"""

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelib.data.image_set import Batch
from vaelib.models.base import Loss, Progress, inference
from vaelib.models.nvae.config import NVAEConfig
from vaelib.models.nvae.likelihoods import published_distortion, published_mean_image
from vaelib.models.nvae.objective import balance, finest_tax, kl_weight, regularisation_weight
from vaelib.models.nvae.regularisation import (
    SpectralNorms,
    applied_filters,
    batch_norm_scales,
    convolutions,
    stacked_filters,
)
from vaelib.models.nvae.verbs import Verbs


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


class NVAE(Verbs):
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
        convs = convolutions(self)
        stacks = stacked_filters(convs) if self.spectral_norms is not None else []
        with applied_filters(convs, stacks) if stacks else nullcontext():
            encoding, s = self._encode(x)
            logits = self._logits(s)
        distortion, kl = -self._distribution(logits).log_prob(x), encoding.kl_per_group
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
        per_batch = {"beta": torch.tensor(beta, device=kl.device), "weighed_rate": weighed_rate}
        if self.spectral_norms is not None:
            spectral = self.spectral_norms(stacks).sum()
            scales = batch_norm_scales(self).sum()
            price = regularisation_weight(beta, config.regularisation, config.regularisation_start)
            total = total + price * (spectral + scales)
            per_batch |= {"spectral_norms": spectral, "batch_norm_scales": scales}
        names = [f"kl_{shape[1]}x{shape[2]}_{index}" for index, shape in enumerate(config.latent_shapes)]
        per_group = dict(zip(names, kl.unbind(dim=1), strict=True))
        return Loss(total, {"distortion": distortion, "rate": rate, **per_group}, per_batch)

    @inference
    def deterministic(self, x: Tensor) -> Deterministic:
        """All numbers of images (B, C, H, W) in [0, 1] with all sampling noise zero; padded images are taken too.

        Under a mixture of fewer bits, 8-bit images are reduced first. Black-and-white images are taken as they are.
        """
        if x.shape[-2:] == (self.config.side, self.config.side):
            x = self._cropped(x)
        x = self._prepared(x)
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
