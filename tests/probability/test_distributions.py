"""Distributions against torch.distributions, integrals and the law of large numbers."""

import math

import pytest
import torch
from scipy import integrate, stats
from torch import distributions as oracle

from vaelib.probability import (
    Bernoulli,
    DiagonalGaussian,
    Distribution,
    Laplace,
    PointMass,
    kl_sampled,
    kl_standard_normal,
)


def gaussian(generator, *shape):
    return DiagonalGaussian(torch.randn(shape, generator=generator), torch.randn(shape, generator=generator))


def torch_normal(ours):
    return oracle.Independent(oracle.Normal(ours.mean, ours.standard_deviation), ours.mean.dim() - 1)


def test_every_distribution_has_the_three_verbs():
    zeros = torch.zeros(2, 3)
    for distribution in (DiagonalGaussian(zeros, zeros), Laplace(zeros, zeros + 1), Bernoulli(zeros), PointMass(zeros)):
        assert isinstance(distribution, Distribution)
        assert distribution.mean.shape == distribution.sample().shape == (2, 3)


def test_gaussian_log_density_is_that_of_torch(generator):
    ours, x = gaussian(generator, 5, 3, 4, 4), torch.randn(5, 3, 4, 4, generator=generator)
    torch.testing.assert_close(ours.log_prob(x), torch_normal(ours).log_prob(x))


def test_gaussian_with_one_shared_variance_is_that_of_torch(generator):
    mean, x = torch.randn(4, 7, generator=generator), torch.randn(4, 7, generator=generator)
    ours = DiagonalGaussian(mean, torch.tensor(-0.7))
    expected = oracle.Normal(mean, math.exp(-0.35)).log_prob(x).sum(1)
    torch.testing.assert_close(ours.log_prob(x), expected)


def test_laplace_log_density_is_that_of_torch(generator):
    mean, scale = torch.randn(4, 7, generator=generator), torch.rand(4, 7, generator=generator) + 0.1
    x = torch.randn(4, 7, generator=generator)
    torch.testing.assert_close(Laplace(mean, scale).log_prob(x), oracle.Laplace(mean, scale).log_prob(x).sum(1))


def test_bernoulli_log_probability_is_that_of_torch(generator):
    logits = 3 * torch.randn(4, 7, generator=generator)
    x = torch.randint(0, 2, (4, 7), generator=generator).float()
    torch.testing.assert_close(Bernoulli(logits).log_prob(x), oracle.Bernoulli(logits=logits).log_prob(x).sum(1))
    torch.testing.assert_close(Bernoulli(logits).mean, oracle.Bernoulli(logits=logits).mean)


def test_bernoulli_log_probability_stays_finite_for_certain_pixels():
    certain = Bernoulli(torch.tensor([[200.0, -200.0]]))
    assert certain.log_prob(torch.tensor([[1.0, 0.0]])).item() == 0.0
    assert certain.log_prob(torch.tensor([[0.0, 1.0]])).item() == -400.0


@pytest.mark.parametrize(
    ("make", "cumulative"),
    [
        (lambda n: DiagonalGaussian(torch.full((n,), 0.3), torch.full((n,), math.log(4.0))), stats.norm(0.3, 2).cdf),
        (lambda n: Laplace(torch.full((n,), 0.3), torch.full((n,), 2.0)), stats.laplace(0.3, 2).cdf),
    ],
    ids=["gaussian", "laplace"],
)
def test_samples_follow_the_distribution_function(generator, make, cumulative):
    samples = make(20_000).sample(generator).numpy()
    assert stats.kstest(samples, cumulative).pvalue > 1e-3


def test_bernoulli_samples_are_zeros_and_ones_with_the_right_frequency(generator):
    samples = Bernoulli(torch.full((20_000,), -1.0)).sample(generator)
    assert set(samples.unique().tolist()) == {0.0, 1.0}
    chance = 1 / (1 + math.e)
    assert abs(samples.mean().item() - chance) < 4 * math.sqrt(chance * (1 - chance) / 20_000)


def test_a_generator_makes_samples_repeatable_and_leaves_the_global_state_alone():
    zeros = torch.zeros(2, 50)
    before = torch.get_rng_state()
    for distribution in (DiagonalGaussian(zeros, zeros), Laplace(zeros, zeros + 1), Bernoulli(zeros)):
        first, second = (distribution.sample(torch.Generator().manual_seed(5)) for _ in range(2))
        assert torch.equal(first, second)
        assert not torch.equal(first, distribution.sample(torch.Generator().manual_seed(6)))
    assert torch.equal(before, torch.get_rng_state())


def test_gradients_reach_mean_and_deviation_through_a_gaussian_sample(generator):
    mean = torch.randn(3, 4, generator=generator, requires_grad=True)
    log_variance = torch.randn(3, 4, generator=generator, requires_grad=True)
    sample = DiagonalGaussian(mean, log_variance).sample(generator)
    sample.sum().backward()
    torch.testing.assert_close(mean.grad, torch.ones(3, 4))
    # z = μ + σ ε, so dz / d log σ² = σ ε / 2 = (z − μ) / 2.
    torch.testing.assert_close(log_variance.grad, (sample - mean).detach() / 2)


def test_gradients_reach_mean_and_scale_through_a_laplace_sample(generator):
    mean = torch.randn(3, 4, generator=generator, requires_grad=True)
    scale = (torch.rand(3, 4, generator=generator) + 0.5).requires_grad_()
    sample = Laplace(mean, scale).sample(generator)
    sample.sum().backward()
    torch.testing.assert_close(mean.grad, torch.ones(3, 4))
    torch.testing.assert_close(scale.grad, ((sample - mean) / scale).detach(), rtol=1e-4, atol=1e-5)


def test_pathwise_gradient_of_an_expectation_is_the_derivative_of_its_closed_form(generator):
    # E[(z − 2)²] = (μ − 2)² + σ², with derivatives 2 (μ − 2) and, in log σ², σ².
    mean, log_variance = torch.tensor(0.5, requires_grad=True), torch.tensor(-0.4, requires_grad=True)
    draws = 100_000
    z = DiagonalGaussian(mean.expand(draws), log_variance.expand(draws)).sample(generator)
    ((z - 2) ** 2).mean().backward()
    assert mean.grad.item() == pytest.approx(2 * (0.5 - 2), abs=0.02)
    assert log_variance.grad.item() == pytest.approx(math.exp(-0.4), abs=0.02)


@pytest.mark.parametrize(("m1", "v1", "m2", "v2"), [(0.0, 1.0, 0.0, 1.0), (1.2, 0.3, -0.5, 2.0), (-2.0, 3.0, 1.0, 0.5)])
def test_gaussian_kl_is_the_integral_of_its_definition(m1, v1, m2, v2):
    q, p = stats.norm(m1, math.sqrt(v1)), stats.norm(m2, math.sqrt(v2))
    reach = 12 * math.sqrt(v1)
    integral, _ = integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), m1 - reach, m1 + reach)
    as_ours = [DiagonalGaussian(torch.tensor([[m]]), torch.tensor([[v]]).log()) for m, v in ((m1, v1), (m2, v2))]
    assert as_ours[0].kl(as_ours[1]).item() == pytest.approx(integral, abs=1e-6)


def test_gaussian_kl_is_that_of_torch_and_zero_only_for_equals(generator):
    one, other = gaussian(generator, 6, 5), gaussian(generator, 6, 5)
    torch.testing.assert_close(one.kl(other), oracle.kl_divergence(torch_normal(one), torch_normal(other)))
    assert (one.kl(other) > 0).all()
    torch.testing.assert_close(one.kl(one), torch.zeros(6))


def test_kl_to_the_standard_normal_is_the_general_one(generator):
    posterior = gaussian(generator, 6, 5)
    prior = oracle.Independent(oracle.Normal(torch.zeros(6, 5), 1.0), 1)
    expected = oracle.kl_divergence(torch_normal(posterior), prior)
    torch.testing.assert_close(kl_standard_normal(posterior.mean, posterior.log_variance), expected)
    torch.testing.assert_close(posterior.kl(DiagonalGaussian.standard(6, 5)), expected)


def test_sampled_kl_agrees_with_the_integral_within_its_error_bar(generator):
    draws, mean, variance = 40_000, 0.8, 0.2
    posterior = DiagonalGaussian(torch.full((draws, 1), mean), torch.full((draws, 1), math.log(variance)))
    terms = kl_sampled(posterior, DiagonalGaussian.standard(draws, 1), posterior.sample(generator))
    q, p = stats.norm(mean, math.sqrt(variance)), stats.norm()
    exact, _ = integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), -5, 5)
    standard_error = terms.std().item() / math.sqrt(draws)
    assert 0 < standard_error < 0.01
    assert abs(terms.mean().item() - exact) < 4 * standard_error


def test_a_point_mass_is_its_mean_and_explains_that_it_has_no_density():
    point = PointMass(torch.ones(2, 3))
    assert torch.equal(point.sample(), point.mean)
    with pytest.raises(TypeError, match="no density"):
        point.log_prob(torch.ones(2, 3))
