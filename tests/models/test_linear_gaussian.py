"""The linear-Gaussian VAE against probabilistic PCA, whose likelihood is known exactly (Tipping & Bishop 1999).

x = W z + b + σ ε has the likelihood N(x; b, WWᵀ + σ²I) and the posterior N(M⁻¹Wᵀ(x − b), σ²M⁻¹), M = WᵀW + σ²I.
What the model is compared with below is numpy and scipy in double precision.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from vaelib.data.image_set import Batch
from vaelib.models import VAE, Progress, VAEConfig
from vaelib.networks import Linear
from vaelib.probability import FixedGaussianLikelihood, LearnedGaussianLikelihood

SHAPE, LATENTS = (1, 3, 4), 3
DIMENSIONS = 12


@pytest.fixture(scope="module")
def data() -> np.ndarray:
    """300 points of a three-dimensional plane in twelve dimensions, with noise; real-valued, far outside [0, 1]."""
    random = np.random.default_rng(7)
    loadings = random.normal(size=(DIMENSIONS, LATENTS)) * [2.0, 1.0, 0.6]
    return random.normal(size=(300, LATENTS)) @ loadings.T + 0.4 * random.normal(size=(300, DIMENSIONS)) + 3.0


class Optimum:
    """The maximum-likelihood solution of probabilistic PCA, with its loadings turned by a rotation R."""

    def __init__(self, data: np.ndarray, rotation: np.ndarray | None = None) -> None:
        rotation = np.eye(LATENTS) if rotation is None else rotation
        self.offset = data.mean(0)
        values, vectors = np.linalg.eigh(np.cov(data.T, bias=True))
        values, vectors = values[::-1], vectors[:, ::-1]
        self.variance = values[LATENTS:].mean()
        self.loadings = vectors[:, :LATENTS] * np.sqrt(values[:LATENTS] - self.variance) @ rotation
        self.precision = self.loadings.T @ self.loadings + self.variance * np.eye(LATENTS)  # M
        self.recognition = np.linalg.solve(self.precision, self.loadings.T)  # M⁻¹Wᵀ
        # The best independent Gaussian has the exact mean, and the variances of the exact posterior's *conditionals*.
        self.posterior_variance = self.variance / np.diag(self.precision)

    def log_likelihood(self, data: np.ndarray) -> np.ndarray:
        covariance = self.loadings @ self.loadings.T + self.variance * np.eye(DIMENSIONS)
        return stats.multivariate_normal(self.offset, covariance).logpdf(data)

    def model(self, likelihood: FixedGaussianLikelihood | LearnedGaussianLikelihood) -> VAE:
        """A `VAE` whose weights are this solution, set by hand."""
        model = VAE(VAEConfig(SHAPE, LATENTS, network=Linear(), likelihood=likelihood))
        encoder, decoder = model.encoder[1], model.decoder[0]
        zeros = np.zeros_like(self.recognition)
        weights = {
            encoder.weight: np.concatenate([self.recognition, zeros]),
            encoder.bias: np.concatenate([-self.recognition @ self.offset, np.log(self.posterior_variance)]),
            decoder.weight: self.loadings,
            decoder.bias: self.offset,
        }
        with torch.no_grad():
            for parameter, value in weights.items():
                parameter.copy_(torch.from_numpy(value))
        return model


def fixed(optimum: Optimum) -> FixedGaussianLikelihood:
    return FixedGaussianLikelihood(variance=float(optimum.variance), unit_range=False)


def as_images(data: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(data).float().reshape(-1, *SHAPE)


def expected_terms(model: VAE, images: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The model's own distortion and rate of each image, with the expectation over z taken exactly.

    The log-density is quadratic in z, so its mean over N(μ, diag σ²) is the mean over the 2D points μ ± √D σᵢ eᵢ.
    """
    with torch.no_grad():
        posterior = model.encode(images)
        steps = math.sqrt(LATENTS) * torch.diag_embed(posterior.standard_deviation)
        points = [posterior.mean + sign * steps[:, i] for i in range(LATENTS) for sign in (1, -1)]
        distortion = -torch.stack([model.decode(z).log_prob(images) for z in points]).double().mean(0)
        return distortion.numpy(), posterior.kl(model.prior(len(images))).double().numpy()


def closed_terms(optimum: Optimum, data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E_q[−log p(x | z)] and KL(q || p) in closed form."""
    centred = data - optimum.offset
    codes = centred @ optimum.recognition.T
    squared = ((centred - codes @ optimum.loadings.T) ** 2).sum(1)
    spread = (optimum.posterior_variance * (optimum.loadings**2).sum(0)).sum()
    distortion = (squared + spread) / (2 * optimum.variance) + DIMENSIONS / 2 * np.log(2 * np.pi * optimum.variance)
    v = optimum.posterior_variance
    return distortion, 0.5 * ((codes**2).sum(1) + (v - 1 - np.log(v)).sum())


def test_the_elbo_equals_the_exact_log_likelihood_where_the_loadings_are_orthogonal(data):
    optimum = Optimum(data)
    distortion, rate = expected_terms(optimum.model(fixed(optimum)), as_images(data))
    exact = optimum.log_likelihood(data)
    assert abs((-distortion - rate).mean() - exact.mean()) < 1e-4
    np.testing.assert_allclose(-distortion - rate, exact, atol=1e-3)


def test_distortion_and_rate_match_their_closed_forms(data):
    optimum = Optimum(data)
    distortion, rate = expected_terms(optimum.model(fixed(optimum)), as_images(data))
    exact_distortion, exact_rate = closed_terms(optimum, data)
    assert abs(distortion.mean() - exact_distortion.mean()) < 1e-4
    assert abs(rate.mean() - exact_rate.mean()) < 1e-4
    np.testing.assert_allclose(distortion, exact_distortion, atol=1e-3)
    np.testing.assert_allclose(rate, exact_rate, atol=1e-3)


def test_rotated_loadings_keep_the_likelihood_and_open_the_gap_of_an_independent_posterior(data):
    rotation = stats.special_ortho_group(LATENTS, seed=3).rvs()
    straight, turned = Optimum(data), Optimum(data, rotation)
    np.testing.assert_allclose(turned.log_likelihood(data), straight.log_likelihood(data), atol=1e-9)
    distortion, rate = expected_terms(turned.model(fixed(turned)), as_images(data))
    # KL(q || posterior) = ½ (Σ log Mᵢᵢ − log det M), the same for every x (Hadamard: never negative).
    gap = 0.5 * (np.log(np.diag(turned.precision)).sum() - np.linalg.slogdet(turned.precision)[1])
    assert gap > 0.1
    assert abs((turned.log_likelihood(data) + distortion + rate).mean() - gap) < 1e-4


def test_no_other_encoder_lifts_the_elbo_above_the_exact_log_likelihood(data):
    optimum = Optimum(data)
    exact, model = optimum.log_likelihood(data), optimum.model(fixed(optimum))
    generator = torch.Generator().manual_seed(4)
    for _ in range(20):
        with torch.no_grad():
            for parameter in model.encoder.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        distortion, rate = expected_terms(model, as_images(data))
        assert (-distortion - rate <= exact + 1e-3).all()


def test_the_training_loss_is_an_unbiased_estimate_of_the_closed_form(data):
    optimum = Optimum(data)
    model, draws = optimum.model(fixed(optimum)), 20_000
    one = data[:1]
    torch.manual_seed(11)
    with torch.no_grad():
        loss = model.loss(Batch(as_images(one).expand(draws, -1, -1, -1)), Progress.finished())
    exact_distortion, exact_rate = closed_terms(optimum, one)
    distortion = loss.per_image["distortion"].double()
    standard_error = distortion.std().item() / math.sqrt(draws)
    assert 0 < standard_error < 0.05
    assert abs(distortion.mean().item() - exact_distortion[0]) < 4 * standard_error
    assert abs(loss.per_image["rate"].double().mean().item() - exact_rate[0]) < 1e-3


def test_the_solution_is_stationary_for_weights_and_for_a_learned_variance(data):
    # The optimum of the exact likelihood is one of the ELBO when the bound is tight, so all exact gradients vanish.
    optimum = Optimum(data)
    model = optimum.model(LearnedGaussianLikelihood(initial_variance=float(optimum.variance), unit_range=False))
    images = as_images(data)
    posterior = model.encode(images)
    steps = math.sqrt(LATENTS) * torch.diag_embed(posterior.standard_deviation)
    points = [posterior.mean + sign * steps[:, i] for i in range(LATENTS) for sign in (1, -1)]
    distortion = -torch.stack([model.decode(z).log_prob(images) for z in points]).mean()
    (distortion + posterior.kl(model.prior(len(images))).mean()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().max() < 1e-3, name
