"""The codes of a data set, and which latents a model uses: many of a VAE's may have collapsed and carry nothing."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelib.data.image_set import Batch, ImageSet
from vaelib.evaluation.inputs import check_counts, check_data, code_of, prepared_batches, seeded
from vaelib.models.base import Model, inference
from vaelib.probability import DiagonalGaussian, Distribution


@inference
def posterior_means(model: Model, data: ImageSet | Tensor, *, seed: int = 0, chunk: int = 256) -> Tensor:
    """The code of every image, E[z | x]: what the disentanglement scores are computed from.

    Args:
        model: any whose `encode` gives one code (B, D), conditional or not.
        data: a data set or images (N, C, H, W) in [0, 1]; the likelihood's `prepare` is applied, as in the loss.
        seed: of what `prepare` draws (black or white, for a Bernoulli likelihood).
        chunk: images at a time.
    Returns:
        (N, D) float32, on the CPU.
    """
    return _codes(model, data, seed, chunk, lambda posterior: posterior.mean)


@inference
def aggregate_codes(model: Model, data: ImageSet | Tensor, *, seed: int = 0, chunk: int = 256) -> Tensor:
    """One draw from each image's posterior: a sample of the aggregate posterior q(z) = E_x[q(z | x)].

    This, and not the cloud of posterior means, is what has to match the prior: the means of a VAE lie closer together
    by what its noise adds. For a deterministic encoder the two are the same.

    Args:
        model, data, chunk: as in `posterior_means`.
        seed: of the draws.
    Returns:
        (N, D) float32, on the CPU.
    """
    return _codes(model, data, seed, chunk, lambda posterior: posterior.sample())


def _codes(
    model: Model, data: ImageSet | Tensor, seed: int, chunk: int, code: Callable[[Distribution], Tensor]
) -> Tensor:
    """What `code` makes of each image's posterior, in order."""
    check_counts(chunk=chunk)
    check_data(model, data)
    with seeded(model.device, seed):
        batches = prepared_batches(model, data, chunk)
        return torch.cat([code(code_of(model, batch)).cpu() for batch in batches])


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
        model: any whose `encode` gives one code (B, D), conditional or not.
        images: (N, C, H, W) in [0, 1], or a data set; a thousand are plenty.
        threshold: on the variance.
        chunk: images at a time.
    Raises:
        ValueError: fewer than two images, or of another shape than the model's.
        TypeError: the model has several layers of latents.
    """
    if len(images) < 2:
        raise ValueError(f"a variance over images takes at least two of them, not {len(images)}")
    means, rates = [], []
    for start in range(0, len(images), chunk):
        rows = slice(start, start + chunk)
        batch = images.batch(rows) if isinstance(images, ImageSet) else Batch(images[rows])
        posterior = code_of(model, batch._replace(images=batch.images.to(model.device)))
        means.append(posterior.mean.double().cpu())
        if isinstance(posterior, DiagonalGaussian):
            prior = model.prior(len(batch.images))
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
