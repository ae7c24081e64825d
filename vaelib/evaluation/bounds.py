"""How likely is an image under a model? The evidence itself cannot be had, but many samples of z close in on it.

Example:
    bound = importance_weighted_bound(model, test_faces.take(100), k=5_000)
    print(bound.measurement, bound.effective_samples.median())
"""

from dataclasses import dataclass
from math import log, prod

import torch
from torch import Tensor
from tqdm import tqdm

from vaelib.console import progress_bar
from vaelib.data.image_set import Batch, ImageSet
from vaelib.evaluation.inputs import (
    Counted,
    check_counts,
    check_data,
    conditions,
    drawn,
    is_hierarchical,
    model_protocol,
    posterior_of,
    prepared_batches,
    seeded,
)
from vaelib.evaluation.protocol import Measurement
from vaelib.evaluation.sharpness import mean_over_images
from vaelib.models.base import Model, inference
from vaelib.probability import bits_per_dimension

# Images that are encoded together. A constant, so that the draws do not depend on how much is decoded at a time.
BLOCK = 32


@dataclass(frozen=True)
class ImportanceWeightedBound:
    """A lower bound on log p(x): a log-likelihood, not a loss, so more is better.

    Attributes:
        measurement: the mean over images, in nats per image, with its standard error over images. That error has the
            noise of z in it.
        per_image: (N,) float64, the bound of each image in nats.
        effective_samples: (N,) float64 from 1 to k, how many of the k samples count: (Σ w)² / Σ w². Where it is below
            ten or so, a few lucky draws make the number: the bound is loose, and the errors given here are too small.
        k: samples of z per image.
        bits_per_dimension: −log p(x) in bits per pixel and channel, an upper bound. None for a density whose images
            were not dequantised, where it would bound nothing.
    """

    measurement: Measurement
    per_image: Tensor
    effective_samples: Tensor
    k: int
    bits_per_dimension: Measurement | None

    @property
    def value(self) -> float:
        """The mean over images, in nats per image."""
        return self.measurement.value

    @property
    def standard_error(self) -> float | None:
        """Of the mean, over images; None for a single one."""
        return self.measurement.standard_error

    @property
    def monte_carlo_error(self) -> float | None:
        """The part of the standard error that comes from z: how far the mean would move with another seed.

        To first order (the delta method) the variance of log Σ w of one image is 1/ESS − 1/k. Half of that is also how
        far, on average, the bound lies below log p(x) (Burda et al. 2016; Nowozin 2018). Trust both where ESS is in the
        tens. None for k = 1, where one draw says nothing about its own spread.
        """
        if self.k == 1:
            return None
        variances = (1 / self.effective_samples - 1 / self.k).clamp(min=0)
        return variances.sum().sqrt().item() / len(variances)


@inference
def importance_weighted_bound(
    model: Model,
    data: ImageSet | Tensor,
    k: int,
    *,
    seed: int = 0,
    dequantised: bool = False,
    chunk: int = 256,
) -> ImportanceWeightedBound:
    """log p(x) ≥ E[log (1/K) Σ_k w_k], w_k = p(x | z_k) p(z_k) / q(z_k | x), z_k ~ q(z | x).

    K = 1 is the ELBO by one sample. In expectation the bound rises with K towards log p(x), however bad the encoder, as
    long as q covers the posterior; K = 5,000 is the custom. It stays an estimate: with an encoder that misses where the
    posterior is, even a large K ends below, and says so by few effective samples. The weight of the rate in training
    plays no part, so models of different β do compare. Numbers of different K do not: their protocols refuse.

    Source: Burda, Grosse & Salakhutdinov 2016, equation 8 and section 5.

    Args:
        model: any whose `encode`, `decode` and `prior` answer distributions with `log_prob`, conditional or not, or one
            with several layers of latents (ladder VAE, NVAE), whose weight is p(x | z) Π p(z_i | …) / q(z_i | …). Its
            mode and the global random state are left as they were.
        data: a data set or images (N, C, H, W) in [0, 1]; the likelihood's `prepare` is applied, as in the loss. A
            conditional model takes a data set with labels, and the bound is on log p(x | label).
        k: samples of z per image, 1 or more. The cost is N · k decodings.
        seed: of every draw: z, coin flips, noise.
        dequantised: for a density, add uniform noise between the 256 levels, so that bits per dimension are defined. A
            likelihood that counts levels needs no noise and gets none.
        chunk: latents decoded at a time, to bound memory. The draws do not depend on it. Several layers are drawn for
            32 images together, whatever it says.
    Returns:
        The bound on each image and on average.
    Raises:
        ValueError: k or chunk below 1, images of another shape or range, NaN.
        TypeError: the model's codes have no density (an autoencoder), or it has no prior.
    """
    check_counts(k=k, chunk=chunk)
    check_data(model, data)
    counted = Counted.by(model)
    noisy = dequantised and counted.is_density
    generator = torch.Generator().manual_seed(seed)
    bounds, effective = [], []
    with seeded(model.device, seed), progress_bar(total=len(data) * k, desc="bound", leave=False) as bar:
        for batch in prepared_batches(model, data, BLOCK, generator if noisy else None):
            log_weights = _log_weights(model, batch, k, chunk, generator, bar)
            bounds.append(log_weights.logsumexp(dim=0) - log(k))
            effective.append((2 * log_weights.logsumexp(dim=0) - (2 * log_weights).logsumexp(dim=0)).exp())
    per_image = torch.cat(bounds)
    measure = f"{counted.measure}{', dequantisation noise on 8-bit images' if noisy else ''}"
    protocol = model_protocol(
        model,
        data,
        "importance-weighted bound on log p(x)",
        unit="nats per image",
        definition=f"{measure}; K = {k}",
        seed=seed,
    )
    bits = None
    if counted.levels is not None or noisy:
        definition = f"8-bit images, density with dequantisation noise; K = {k}" if noisy else protocol.definition
        bits = mean_over_images(
            bits_per_dimension(-per_image, prod(model.image_shape), levels=counted.levels),
            model_protocol(
                model,
                data,
                "negative importance-weighted bound",
                unit="bits per dimension",
                definition=definition,
                seed=seed,
            ),
        )
    return ImportanceWeightedBound(
        measurement=mean_over_images(per_image, protocol),
        per_image=per_image,
        effective_samples=torch.cat(effective).clamp(1, k),
        k=k,
        bits_per_dimension=bits,
    )


def _log_weights(model: Model, batch: Batch, k: int, chunk: int, generator: torch.Generator, bar: tqdm) -> Tensor:
    """log w of k samples of z for each image, (k, B) float64 on the CPU."""
    if is_hierarchical(model):
        return _hierarchical_log_weights(model, batch, k, chunk, generator, bar)
    count = len(batch.images)
    posterior, prior = posterior_of(model, batch), model.prior(count)
    labels = conditions(model, batch)
    # As many draws for all images as one decoding takes; where it takes fewer than there are images, they share it.
    together = max(1, chunk // count)
    rows = []
    for start in range(0, k, together):
        draws = [posterior.sample(generator) for _ in range(min(together, k - start))]
        log_ratios = torch.stack([prior.log_prob(z) - posterior.log_prob(z) for z in draws]).cpu().double()
        latents, images = torch.cat(draws), batch.images.repeat(len(draws), 1, 1, 1)
        repeated = [each.repeat(len(draws), *[1] * (each.dim() - 1)) for each in labels]
        pieces = []
        for first in range(0, len(latents), chunk):
            some = slice(first, first + chunk)
            likelihood = model.decode(latents[some], *(each[some] for each in repeated))
            pieces.append(likelihood.log_prob(images[some]).cpu().double())
        rows.append(torch.cat(pieces).unflatten(0, (len(draws), count)) + log_ratios)
        bar.update(len(latents))
    return torch.cat(rows)


def _hierarchical_log_weights(
    model: Model, batch: Batch, k: int, chunk: int, generator: torch.Generator, bar: tqdm
) -> Tensor:
    """The same, where the latents are drawn layer by layer: log p(x | z) + log p(z) − log q(z | x)."""
    rows = []
    for _ in range(k):
        encoding = drawn(model, batch, generator)
        likelihoods = []
        for start in range(0, len(batch.images), chunk):
            some = slice(start, start + chunk)
            decoded = model.decode([z[some] for z in encoding.latents])  # type: ignore[arg-type]  # all layers
            likelihoods.append(decoded.log_prob(batch.images[some]).cpu().double())
        rows.append(torch.cat(likelihoods) + encoding.log_p.cpu().double() - encoding.log_q.cpu().double())
        bar.update(len(batch.images))
    return torch.stack(rows)
