"""Which latents a model uses: many of a VAE's may have collapsed to the prior and carry nothing."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vaelib.data.image_set import ImageSet
from vaelib.models.base import Model, inference
from vaelib.probability import DiagonalGaussian


@dataclass(frozen=True)
class ActiveUnits:
    """How much each latent does.

    Attributes:
        variances: (D,), the variance over the data of the posterior mean.
        rates: (D,), the mean KL of each latent in nats; they sum to the rate. None where q or p is not a diagonal
            Gaussian.
        threshold: of the variance, above which a latent counts as active.
    """

    variances: Tensor
    rates: Tensor | None
    threshold: float

    @property
    def active(self) -> Tensor:
        """(D,) bool."""
        return self.variances > self.threshold

    @property
    def count(self) -> int:
        """How many latents are active."""
        return int(self.active.sum())

    @property
    def order(self) -> list[int]:
        """All latents, the most active first."""
        return self.variances.argsort(descending=True).tolist()


@inference
def active_units(model: Model, images: Tensor | ImageSet, threshold: float = 0.01, *, chunk: int = 256) -> ActiveUnits:
    """Which latents vary with the image: Var_x(E[z_d | x]) > threshold.

    Source: Burda, Grosse & Salakhutdinov 2016, section 5.2 and appendix C, which finds the count hardly depends on a
    threshold around 0.01, since the variances are either near 0 or near 1.

    Args:
        model: any whose `encode` gives one code (B, D).
        images: (N, C, H, W) in [0, 1], or a data set; a thousand are plenty.
        threshold: on the variance.
        chunk: images at a time.
    Raises:
        ValueError: fewer than two images, or of another shape than the model's.
    """
    if len(images) < 2:
        raise ValueError(f"a variance over images takes at least two of them, not {len(images)}")
    means, rates = [], []
    for start in range(0, len(images), chunk):
        rows = slice(start, start + chunk)
        some = images.batch(rows).images if isinstance(images, ImageSet) else images[rows]
        posterior = model.encode(some.to(model.device))
        means.append(posterior.mean.double().cpu())
        if isinstance(posterior, DiagonalGaussian):
            prior = model.prior(len(some))
            if isinstance(prior, DiagonalGaussian):
                rates.append(_rate_per_latent(posterior, prior).double().cpu())
    return ActiveUnits(
        variances=torch.cat(means).var(dim=0).float(),
        rates=torch.cat(rates).mean(dim=0).float() if rates else None,
        threshold=threshold,
    )


def _rate_per_latent(posterior: DiagonalGaussian, prior: DiagonalGaussian) -> Tensor:
    """KL(q || p) of each coordinate, (B, D): one at a time through `DiagonalGaussian.kl`, which sums over an item."""
    shape = posterior.mean.shape
    columns = [
        DiagonalGaussian(gaussian.mean.reshape(-1, 1), gaussian.log_variance.expand(shape).reshape(-1, 1))
        for gaussian in (posterior, prior)
    ]
    return columns[0].kl(columns[1]).reshape(shape)
