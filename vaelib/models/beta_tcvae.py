"""The β-TCVAE: only that part of the rate is made dearer that pays for latents which depend on each other."""

from dataclasses import dataclass
from math import log, pi
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from vaelib.config import near_miss
from vaelib.data.image_set import Batch
from vaelib.models.base import Loss, Progress
from vaelib.models.vae import VAE, VAEConfig
from vaelib.probability import DiagonalGaussian

Estimator = Literal["weighted", "stratified"]
ESTIMATORS: tuple[Estimator, ...] = ("weighted", "stratified")


@dataclass(frozen=True)
class BetaTCVAEConfig(VAEConfig):
    """Settings of a `BetaTCVAE`: those of the VAE, and the price.

    Attributes:
        beta: weight of the total correlation; 1 is the VAE.
        estimator: of the aggregate posterior, from one minibatch: "weighted" or "stratified".
    """

    beta: float = 6.0
    estimator: Estimator = "weighted"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.beta < float("inf"):
            raise ValueError(f"beta should be 0 or more, and finite, not {self.beta}")
        _check_estimator(self.estimator)


class BetaTCVAE(VAE):
    """The VAE on distortion + I_q(n; z) + β · TC + dimension-wise KL: the β-VAE of one part of the rate.

    The three parts sum to the rate, so this is distortion + rate + (β − 1) · TC, and only the last term is estimated.

    Source: Chen et al. 2018, equation 4 with α = γ = 1, as in all its experiments.
    """

    kind = "beta_tcvae"
    Config = BetaTCVAEConfig

    def loss(self, batch: Batch, progress: Progress) -> Loss:
        """The negative ELBO plus (β − 1) times the total correlation, in nats.

        Raises:
            ValueError: a batch of one image, which says nothing about how its code depends on others.
        """
        posterior, z, distortion, rate = self.bound(batch.images)
        parts = minibatch_rate_terms(posterior, z, progress.dataset_size, self.config.estimator)
        elbo = self.weigh(distortion, rate, progress)
        return Loss(
            total=(elbo + (self.config.beta - 1) * parts.total_correlation).mean(),
            per_image={
                "distortion": distortion,
                "rate": rate,
                "mutual_information": parts.mutual_information,
                "total_correlation": parts.total_correlation,
                "dimension_wise_kl": parts.dimension_wise_kl,
            },
        )


class MinibatchRateTerms(NamedTuple):
    """The three parts of log q(z | x) − log p(z), each (B,), in nats. Single ones may be negative.

    Attributes:
        mutual_information: log q(z | x) − log q(z).
        total_correlation: log q(z) − Σ_j log q(z_j).
        dimension_wise_kl: Σ_j (log q(z_j) − log p(z_j)).
    """

    mutual_information: Tensor
    total_correlation: Tensor
    dimension_wise_kl: Tensor


def minibatch_rate_terms(
    posterior: DiagonalGaussian, z: Tensor, dataset_size: int, estimator: Estimator = "weighted"
) -> MinibatchRateTerms:
    """The three parts of the rate against p(z) = N(0, I), from one minibatch; differentiable.

    The aggregate posterior q(z) = (1/N) Σ_n q(z | x_n) sums over all N images. A batch holds M of them: the one that z
    came from, which is special since its q(z | x) is large, and M − 1 others, which must stand for the rest.

    With either estimator log q(z) is biased (a logarithm of an estimate): the numbers serve as a gradient. What to
    report is `vaelib.evaluation.elbo_decomposition`, which sums over all images.

    Args:
        posterior: of the M images of the batch.
        z: (M, D), row i drawn from the i-th.
        dataset_size: N.
        estimator: see `minibatch_weights`.
    Source: Chen et al. 2018, equation 3 and appendix C.
    """
    # (M, M, D): entry i, j, d is log q(z_d = z_i,d | x_j), the i-th sample under the j-th posterior.
    mean, log_variance = posterior.mean, posterior.log_variance
    log_densities = -0.5 * ((z[:, None] - mean) ** 2 * (-log_variance).exp() + log_variance + log(2 * pi))
    weights = minibatch_weights(len(z), dataset_size, estimator).log().to(z)
    # The density of a product is one sum over D, and the logarithm of a sum over j must not underflow.
    joint = (weights + log_densities.sum(dim=2)).logsumexp(dim=1)
    marginals = (weights[:, :, None] + log_densities).logsumexp(dim=1).sum(dim=1)
    prior = -0.5 * (z**2 + log(2 * pi)).sum(dim=1)
    return MinibatchRateTerms(posterior.log_prob(z) - joint, joint - marginals, marginals - prior)


def minibatch_weights(batch_size: int, dataset_size: int, estimator: Estimator = "weighted") -> Tensor:
    """(M, M): how much the posterior of image j counts in the estimate of q(z_i).

    `weighted`: 1/(NM) for every j, the image itself included. The rows sum to 1/N, not to 1, so the estimate of q(z)
    is too small by up to that factor, which is a constant in its logarithm and has no gradient. In the estimate of the
    total correlation D − 1 times log N remain: a log that shows a hundred nats of it need not worry anybody.

    `stratified`: 1/N for the image that z_i came from (the diagonal), since it is surely one of the N. The other N − 1
    images are represented by the other M − 1 of the batch, in equal shares: (N − 1)/(N (M − 1)). The estimate of q(z)
    is unbiased, and exact when the batch is the data set. (The paper gives M − 2 of them 1/(M − 1) and one the
    remainder, which has the same mean and more variance.)

    Raises:
        ValueError: a batch of one image, or larger than the data set.
    Source: Chen et al. 2018, appendix C.1 and C.2.
    """
    _check_estimator(estimator)
    if not 2 <= batch_size <= dataset_size:
        raise ValueError(
            f"an aggregate posterior is estimated from batches of 2 images or more, at most the data set's "
            f"{dataset_size}, not {batch_size}"
        )
    M, N = batch_size, dataset_size
    if estimator == "weighted":
        return torch.full((M, M), 1 / (N * M))
    weights = torch.full((M, M), (N - 1) / (N * (M - 1)))
    return weights.fill_diagonal_(1 / N)


def _check_estimator(estimator: str) -> None:
    if estimator not in ESTIMATORS:
        raise ValueError(
            f"estimator should be one of {', '.join(ESTIMATORS)}, not {estimator!r}.{near_miss(estimator, ESTIMATORS)}"
        )
