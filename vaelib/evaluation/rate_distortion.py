"""What the two terms of the ELBO cost, and what the rate is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from math import log, pi
from typing import NamedTuple

import torch
from torch import Tensor

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
    rate_of,
    seeded,
)
from vaelib.evaluation.protocol import Measurement, Protocol
from vaelib.evaluation.sharpness import mean_over_images
from vaelib.models.base import Model, inference
from vaelib.probability import DiagonalGaussian, Distribution


@dataclass(frozen=True)
class RateDistortion:
    """A model's point in the rate–distortion plane. Every number has its standard error over images.

    Attributes:
        rate: KL(q(z | x) || p(z)), in nats per image.
        distortion: E_q[−log p(x | z)], in nats per image; negative where a density is high.
        negative_elbo: their sum at weight 1, an upper bound on −log p(x).
        squared_error: per pixel and channel, of the decoder's mean at z ~ q(z | x), on the [0, 1] scale.
        per_image_rate, per_image_distortion: (N,) float64.
    """

    rate: Measurement
    distortion: Measurement
    negative_elbo: Measurement
    squared_error: Measurement
    per_image_rate: Tensor
    per_image_distortion: Tensor

    @property
    def elbo(self) -> float:
        """−(distortion + rate) in nats per image: a lower bound on log p(x)."""
        return -self.negative_elbo.value


@inference
def rate_distortion(
    model: Model, data: ImageSet | Tensor, *, repetitions: int = 1, seed: int = 0, chunk: int = 128
) -> RateDistortion:
    """Rate and distortion of a model on these images, both at weight 1, whatever weights it was trained with.

    So the ELBO here is that of the plain VAE, and models of different β lie in one plane. A code can be cheap or exact,
    and β picks the point: distortion at most D takes a rate of at least H − D on average, where H is the entropy of the
    data. Source: Alemi et al. 2018.

    Args:
        model: any whose `encode`, `decode` and `prior` answer distributions with `log_prob`, conditional or not, or one
            with several layers of latents (ladder VAE, NVAE); its mode and the global random state are left as they
            were.
        data: a data set or images (N, C, H, W) in [0, 1]; the likelihood's `prepare` is applied, as in the loss.
        repetitions: samples of z per image. The rate is a closed form between Gaussians, and else uses them too.
        seed: of every draw. The draws also depend on `chunk`.
        chunk: images at a time.
    Raises:
        ValueError: repetitions or chunk below 1, images of another shape or range, NaN.
        TypeError: the model's codes have no density (an autoencoder), or it has no prior.
    """
    check_counts(repetitions=repetitions, chunk=chunk)
    check_data(model, data)
    generator = torch.Generator().manual_seed(seed)
    rates: list[Tensor] = []
    distortions: list[Tensor] = []
    errors: list[Tensor] = []
    with seeded(model.device, seed):
        for batch in progress_bar(prepared_batches(model, data, chunk), desc="rate, distortion", leave=False):
            draw = _drawing(model, batch, generator)
            for terms in (rates, distortions, errors):
                terms.append(torch.zeros(len(batch.images), dtype=torch.float64))
            for _ in range(repetitions):
                decoded, rate = draw()
                squared = (decoded.mean - batch.images).square().flatten(1).mean(dim=1)
                rates[-1] += rate.cpu().double() / repetitions
                distortions[-1] -= decoded.log_prob(batch.images).cpu().double() / repetitions
                errors[-1] += squared.cpu().double() / repetitions
    rate, distortion = torch.cat(rates), torch.cat(distortions)
    measure = Counted.by(model).measure

    def measured(metric: str, values: Tensor, unit: str, definition: str) -> Measurement:
        protocol = model_protocol(model, data, metric, unit=unit, definition=definition, seed=seed)
        return mean_over_images(values, protocol)

    return RateDistortion(
        rate=measured("rate", rate, "nats per image", ""),
        distortion=measured("distortion", distortion, "nats per image", measure),
        negative_elbo=measured("negative ELBO", rate + distortion, "nats per image", measure),
        squared_error=measured(
            "mean squared error",
            torch.cat(errors),
            "",
            "mean over pixels and channels as the likelihood counts them, [0, 1] scale, z drawn from the posterior",
        ),
        per_image_rate=rate,
        per_image_distortion=distortion,
    )


def _drawing(model: Model, batch: Batch, generator: torch.Generator) -> Callable[[], tuple[Distribution, Tensor]]:
    """A function that draws z ~ q(z | x) and answers p(x | z) and the rate of each image."""
    if is_hierarchical(model):

        def draw_layers() -> tuple[Distribution, Tensor]:
            encoding = drawn(model, batch, generator)
            return model.decode(encoding.latents), encoding.rate  # type: ignore[arg-type]  # all layers

        return draw_layers
    posterior, prior = posterior_of(model, batch), model.prior(len(batch.images))
    labels = conditions(model, batch)

    def draw() -> tuple[Distribution, Tensor]:
        z = posterior.sample(generator)
        return model.decode(z, *labels), rate_of(posterior, prior, z)

    return draw


@dataclass(frozen=True)
class ElboDecomposition:
    """What the mean rate is made of, in nats per image, with standard errors over images.

    Attributes:
        mutual_information: I_q(n; z) = E[log q(z | x_n) − log q(z)], how much the code tells about which image it was.
            From 0 to log N.
        total_correlation: KL(q(z) || Π_j q(z_j)), how dependent the latents are; 0 for independent ones.
        dimension_wise_kl: Σ_j KL(q(z_j) || p(z_j)), how far each latent by itself is from the prior.
        rate: the mean of KL(q(z | x) || p(z)) in closed form, of which the three are parts. Their sum is the same KL by
            the samples drawn: it differs by their noise.
        per_latent: (D,) float64, the dimension-wise KL of each latent.
    """

    mutual_information: Measurement
    total_correlation: Measurement
    dimension_wise_kl: Measurement
    rate: Measurement
    per_latent: Tensor


@inference
def elbo_decomposition(
    model: Model, data: ImageSet | Tensor, *, repetitions: int = 1, seed: int = 0, chunk: int = 128
) -> ElboDecomposition:
    """Split the mean rate into index-code mutual information, total correlation and dimension-wise KL.

    The aggregate posterior is that of *these* images, q(z) = (1/N) Σ_n q(z | x_n), summed over all of them for every
    sample: no minibatch estimator, hence no bias for these N. As numbers about the distribution that the images were
    drawn from they are biased: the mutual information cannot exceed log N (10,000 images: 9.2 nats) and is at its cap
    where posteriors do not overlap; what it lacks then appears as total correlation and dimension-wise KL, since their
    sum is fixed. Compare models on the same images only; the protocols see to it.

    The time is N² · D · repetitions: with 10,000 images and 64 latents, about half a minute of one core. The memory is
    linear in N.

    Sources: Hoffman & Johnson 2016; Chen et al. 2018, equation 2 and appendix C.

    Args:
        model: with diagonal Gaussian posteriors and prior; its mode and the global random state stay as they were.
        data: a data set or images (N, C, H, W) in [0, 1], two or more; a thousand give a first idea.
        repetitions: samples of z per image.
        seed: of every draw. The draws of a likelihood that flips coins also depend on `chunk`.
        chunk: images, or samples of z, at a time.
    Raises:
        ValueError: fewer than two images, repetitions or chunk below 1, images of another shape or range, NaN.
        TypeError: posterior or prior are no diagonal Gaussians.
    """
    check_counts(repetitions=repetitions, chunk=chunk)
    check_data(model, data)
    if len(data) < 2:
        raise ValueError("an aggregate posterior takes at least two images, better a thousand, not 1")
    posteriors, priors = [], []
    with seeded(model.device, seed):
        for batch in prepared_batches(model, data, chunk):
            encoded = posterior_of(model, batch)
            posteriors.append(_gaussian(encoded, "posterior", encoded.mean.shape))
            priors.append(_gaussian(model.prior(len(batch.images)), "prior", encoded.mean.shape))
    posterior, prior = _joined(posteriors), _joined(priors)
    generator = torch.Generator().manual_seed(seed)
    drawn = [
        rate_terms(posterior, posterior.sample(generator), prior, chunk=chunk)
        for _ in progress_bar(range(repetitions), desc="aggregate posterior", leave=False)
    ]
    information, correlation, per_latent = (torch.stack(list(terms)).mean(dim=0) for terms in zip(*drawn, strict=True))

    def protocol(metric: str) -> Protocol:
        definition = "" if metric == "rate" else "aggregate posterior of exactly these images"
        return model_protocol(
            model,
            data,
            metric,
            unit="nats per image",
            definition=definition,
            depends_on_samples=metric != "rate",
            seed=seed,
        )

    return ElboDecomposition(
        mutual_information=mean_over_images(information, protocol("index-code mutual information")),
        total_correlation=mean_over_images(correlation, protocol("total correlation")),
        dimension_wise_kl=mean_over_images(per_latent.sum(dim=1), protocol("dimension-wise KL")),
        rate=mean_over_images(posterior.kl(prior), protocol("rate")),
        per_latent=per_latent.mean(dim=0),
    )


class RateTerms(NamedTuple):
    """The parts of log q(z | x) − log p(z) at one sample of each image; they sum to it exactly.

    Attributes:
        mutual_information: (N,), log q(z | x_n) − log q(z), at most log N.
        total_correlation: (N,), log q(z) − Σ_j log q(z_j).
        dimension_wise_kl: (N, D), log q(z_j) − log p(z_j).
    """

    mutual_information: Tensor
    total_correlation: Tensor
    dimension_wise_kl: Tensor


def rate_terms(
    posterior: DiagonalGaussian, codes: Tensor, prior: DiagonalGaussian | None = None, *, chunk: int = 128
) -> RateTerms:
    """The three parts of the rate at given samples, for posteriors that came from anywhere.

    Args:
        posterior: N Gaussians over D latents.
        codes: (N, D), row n a sample of the n-th.
        prior: N Gaussians or one that broadcasts; None for N(0, I).
        chunk: codes at a time.
    Returns:
        In nats; float64. Single terms may be negative, their means estimate what is not.
    """
    if codes.shape != posterior.mean.shape:
        raise ValueError(
            f"there should be one code of each posterior, {tuple(posterior.mean.shape)}, not {tuple(codes.shape)}"
        )
    joint, marginals = log_aggregate_posterior(posterior, codes, chunk=chunk)
    codes, posterior = codes.cpu().double(), _double(posterior, codes.shape)
    if prior is None:
        prior = DiagonalGaussian(torch.zeros_like(codes), torch.zeros_like(codes))
    priors = _log_densities(codes, _double(prior, codes.shape))
    return RateTerms(posterior.log_prob(codes) - joint, joint - marginals.sum(dim=1), marginals - priors)


def log_aggregate_posterior(posterior: DiagonalGaussian, codes: Tensor, *, chunk: int = 128) -> tuple[Tensor, Tensor]:
    """log q(z) and log q(z_j) of the aggregate posterior q(z) = (1/N) Σ_n q(z | x_n), exactly.

    Args:
        posterior: N Gaussians over D latents.
        codes: (M, D), where to evaluate it.
        chunk: codes at a time; the memory is chunk · N numbers.
    Returns:
        (M,) and (M, D), log densities in nats; float64.
    Raises:
        ValueError: shapes that do not agree, NaN.
    """
    if posterior.mean.dim() != 2 or codes.dim() != 2 or codes.shape[1] != posterior.mean.shape[1]:
        raise ValueError(
            f"posteriors should be (N, D) and codes (M, D), not {tuple(posterior.mean.shape)} and {tuple(codes.shape)}"
        )
    gaussian, codes = _double(posterior, posterior.mean.shape), codes.cpu().double()
    if not all(each.isfinite().all() for each in (gaussian.mean, gaussian.log_variance, codes)):
        raise ValueError("posteriors and codes should be finite, but hold NaN or infinity")
    # One latent at a time, each a contiguous row: an (M, N, D) tensor would take gigabytes.
    means, log_variances = gaussian.mean.T.contiguous(), gaussian.log_variance.T.contiguous()
    joints, marginals = [], []
    for some in codes.split(chunk):
        joint = codes.new_zeros(len(some), len(gaussian.mean))
        columns = []
        for z, mean, log_variance in zip(some.T, means, log_variances, strict=True):
            each = _log_densities(z[:, None], DiagonalGaussian(mean, log_variance))  # (chunk, N)
            joint += each
            columns.append(each.logsumexp(dim=1))
        joints.append(joint.logsumexp(dim=1))
        marginals.append(torch.stack(columns, dim=1))
    count = log(len(gaussian.mean))
    return torch.cat(joints) - count, torch.cat(marginals) - count


def _log_densities(x: Tensor, gaussian: DiagonalGaussian) -> Tensor:
    """log N(x) of every coordinate by itself: `DiagonalGaussian.log_prob` without its sum."""
    return -0.5 * ((x - gaussian.mean) ** 2 * (-gaussian.log_variance).exp() + gaussian.log_variance + log(2 * pi))


def _gaussian(distribution: Distribution, what: str, shape: torch.Size) -> DiagonalGaussian:
    if not isinstance(distribution, DiagonalGaussian):
        raise TypeError(
            f"the decomposition takes a diagonal Gaussian {what}, whose coordinates have densities of their own, not a "
            f"{type(distribution).__name__}"
        )
    return _double(distribution, shape)


def _joined(parts: list[DiagonalGaussian]) -> DiagonalGaussian:
    return DiagonalGaussian(torch.cat([each.mean for each in parts]), torch.cat([each.log_variance for each in parts]))


def _double(gaussian: DiagonalGaussian, shape: torch.Size) -> DiagonalGaussian:
    """In float64 on the CPU, and of one shape: the terms are small differences of large sums."""
    return DiagonalGaussian(
        gaussian.mean.cpu().double().expand(shape), gaussian.log_variance.cpu().double().expand(shape)
    )
