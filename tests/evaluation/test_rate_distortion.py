"""Rate, distortion and the parts of the rate: closed forms of Gaussians, integration on grids, and invariances."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from vaelib.data import Batch, ImageSet
from vaelib.evaluation import elbo_decomposition, evaluate, log_aggregate_posterior, rate_distortion, rate_terms
from vaelib.models import VAE, Autoencoder, AutoencoderConfig, Progress, VAEConfig
from vaelib.networks import Linear
from vaelib.probability import BernoulliLikelihood, DiagonalGaussian, FixedGaussianLikelihood

SHAPE, LATENTS = (1, 2, 2), 2


def gaussian(means, variances) -> DiagonalGaussian:
    means = torch.as_tensor(np.asarray(means), dtype=torch.float64)
    return DiagonalGaussian(
        means, torch.as_tensor(np.asarray(variances), dtype=torch.float64).log().expand(means.shape)
    )


def decompose(posterior: DiagonalGaussian, seed: int = 0, **settings) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard errors of mutual information, total correlation and dimension-wise KL."""
    codes = posterior.sample(torch.Generator().manual_seed(seed))
    information, correlation, wise = rate_terms(posterior, codes, **settings)
    terms = torch.stack([information, correlation, wise.sum(dim=1)])
    return terms.mean(dim=1).numpy(), (terms.std(dim=1) / len(codes) ** 0.5).numpy()


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_gaussian_codes_agree_with_their_closed_forms(correlation):
    # Means ~ N(m, C), posteriors N(μ, S): the aggregate posterior of many images is N(m, C + S).
    count, noise, centre = 3_000, np.array([0.3, 0.5]), np.array([0.4, -0.2])
    covariance = np.array([[1.0, correlation], [correlation, 1.0]])
    means = np.random.default_rng(1).multivariate_normal(centre, covariance, size=count)
    values, errors = decompose(gaussian(means, noise))
    total = covariance + np.diag(noise)
    diagonal = np.diag(total)
    information = 0.5 * (np.linalg.slogdet(total)[1] - np.log(noise).sum())
    dependence = 0.5 * (np.log(diagonal).sum() - np.linalg.slogdet(total)[1])
    wise = 0.5 * (diagonal + centre**2 - 1 - np.log(diagonal)).sum()
    assert dependence == pytest.approx(0 if correlation == 0 else 0.199, abs=1e-3)
    # With N images the information is a little short, and the correlation long, by some posteriors' volume over N.
    np.testing.assert_allclose(values, [information, dependence, wise], atol=4 * errors.max() + 0.01)
    assert errors.max() < 0.03


def integrate_on_a_grid(means: np.ndarray, variances: np.ndarray) -> tuple[float, float, float]:
    """The three terms of a few posteriors in the plane, by the midpoint rule over every square of a fine grid."""
    axis, step = np.linspace(-7, 7, 1401, retstep=True)
    each = stats.norm.pdf(axis, means[..., None], np.sqrt(variances)[..., None])  # (N, D, grid)
    marginals = each.mean(0)
    conditional = each[:, 0, :, None] * each[:, 1, None, :]
    joint, product = conditional.mean(0), marginals[0][:, None] * marginals[1][None, :]

    def divergence(p, q):
        return np.where(p > 1e-300, p * (np.log(np.maximum(p, 1e-300)) - np.log(np.maximum(q, 1e-300))), 0).sum()

    area = step**2
    information = np.mean([divergence(p, joint) for p in conditional]) * area
    wise = sum(divergence(marginal, stats.norm.pdf(axis)) for marginal in marginals) * step
    return information, divergence(joint, product) * area, wise


@pytest.mark.parametrize("count", [2, 5])
def test_a_few_posteriors_agree_with_integration_on_a_grid(count):
    random = np.random.default_rng(count)
    means, variances = random.normal(size=(count, 2)), random.uniform(0.1, 0.8, size=(count, 2))
    exact = integrate_on_a_grid(means, variances)
    # 3,000 codes of each posterior: the aggregate of copies is the aggregate of the few.
    posterior = gaussian(means, variances)
    generator = torch.Generator().manual_seed(2)
    terms = []
    for _ in range(3_000):
        parts = rate_terms(posterior, posterior.sample(generator))
        terms.append(
            [parts.mutual_information.mean(), parts.total_correlation.mean(), parts.dimension_wise_kl.sum(1).mean()]
        )
    draws = np.array(terms)
    errors = draws.std(0) / math.sqrt(len(draws))
    assert (np.abs(draws.mean(0) - exact) < 4 * errors + 1e-4).all()
    assert errors.max() < 0.02


def test_the_aggregate_posterior_is_the_mixture_that_scipy_sums():
    random = np.random.default_rng(3)
    means, variances, codes = (
        random.normal(size=(7, 3)),
        random.uniform(0.2, 2, size=(7, 3)),
        random.normal(size=(5, 3)),
    )
    densities = stats.norm.pdf(codes[:, None], means, np.sqrt(variances))  # (M, N, D)
    joint, marginals = log_aggregate_posterior(gaussian(means, variances), torch.from_numpy(codes), chunk=2)
    np.testing.assert_allclose(joint.numpy(), np.log(densities.prod(2).mean(1)), rtol=1e-10)
    np.testing.assert_allclose(marginals.numpy(), np.log(densities.mean(1)), rtol=1e-10)


def test_the_parts_sum_to_the_sampled_rate_exactly_and_information_stays_below_log_n():
    random = np.random.default_rng(4)
    means, variances = 2 * random.normal(size=(60, 4)), random.uniform(0.001, 1, size=(60, 4))
    posterior, prior = gaussian(means, variances), gaussian(random.normal(size=(1, 4)), np.full(4, 2.0))
    codes = posterior.sample(torch.Generator().manual_seed(0))
    terms = rate_terms(posterior, codes, prior, chunk=7)
    log_ratio = stats.norm.logpdf(codes, means, np.sqrt(variances)) - stats.norm.logpdf(codes, prior.mean, math.sqrt(2))
    total = terms.mutual_information + terms.total_correlation + terms.dimension_wise_kl.sum(dim=1)
    np.testing.assert_allclose(total.numpy(), log_ratio.sum(1), atol=1e-9)
    assert (terms.mutual_information <= math.log(60) + 1e-9).all()
    # The chunk is only about memory.
    torch.testing.assert_close(rate_terms(posterior, codes, prior).total_correlation, terms.total_correlation)


def test_posteriors_far_apart_tell_which_image_it_was():
    # 16 points on a line, 40 standard deviations from each other: the code says everything, log 16 nats.
    values, _ = decompose(gaussian(np.arange(16)[:, None] * 4.0, [0.01]))
    assert values[0] == pytest.approx(math.log(16), abs=1e-9)
    assert values[1] == pytest.approx(0, abs=1e-9)  # a single latent depends on nothing


def test_a_copied_latent_is_all_total_correlation():
    # Both latents say which of 4 far points it was: KL(q(z) || q(z1) q(z2)) = 2 log 4 − log 4.
    points = np.repeat(np.arange(4) * 10.0, 25)
    values, _ = decompose(gaussian(np.stack([points, points], axis=1), [0.01, 0.01]))
    np.testing.assert_allclose(values[:2], math.log(4), atol=1e-9)


def test_a_grid_of_codes_has_no_total_correlation():
    # Every value of one latent meets every value of the other, equally often: q(z) is a product exactly.
    a, b = np.meshgrid(np.linspace(-2, 2, 9), np.linspace(-1, 1, 5))
    posterior = gaussian(np.stack([a.ravel(), b.ravel()], axis=1), [0.3, 0.1])
    codes = posterior.sample(torch.Generator().manual_seed(0))
    assert rate_terms(posterior, codes).total_correlation.abs().max() < 1e-9


def test_collapsed_posteriors_give_zeros():
    values, _ = decompose(gaussian(np.zeros((50, 3)), np.ones(3)))
    np.testing.assert_allclose(values, 0, atol=1e-9)


def test_the_order_of_latents_and_of_images_does_not_matter():
    random = np.random.default_rng(6)
    posterior = gaussian(random.normal(size=(30, 4)), random.uniform(0.1, 1, size=(30, 4)))
    codes = posterior.sample(torch.Generator().manual_seed(0))
    latents, rows = torch.tensor([2, 0, 3, 1]), torch.randperm(30, generator=torch.Generator().manual_seed(1))
    turned = DiagonalGaussian(posterior.mean[rows][:, latents], posterior.log_variance[rows][:, latents])
    before, after = rate_terms(posterior, codes), rate_terms(turned, codes[rows][:, latents])
    torch.testing.assert_close(after.mutual_information, before.mutual_information[rows])
    torch.testing.assert_close(after.total_correlation, before.total_correlation[rows])
    torch.testing.assert_close(after.dimension_wise_kl, before.dimension_wise_kl[rows][:, latents])


def pictures(count: int = 300) -> ImageSet:
    images = torch.randint(256, (count, *SHAPE), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return ImageSet(images, "toy", "test", "toy v1")


def small_vae(likelihood=FixedGaussianLikelihood(0.1), kl_warmup: float = 0.0) -> VAE:
    torch.manual_seed(0)
    return VAE(VAEConfig(SHAPE, LATENTS, network=Linear(), likelihood=likelihood, kl_warmup=kl_warmup))


def test_the_decomposition_of_a_model_is_that_of_its_posteriors():
    model, data = small_vae(), pictures()
    result = elbo_decomposition(model, data, repetitions=4, seed=5)
    mean, log_variance = (
        each.double().numpy() for each in model.encoder(data.batch(slice(None)).images).detach().chunk(2, 1)
    )
    rate = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(1)
    assert result.rate.value == pytest.approx(rate.mean(), rel=1e-5)
    assert result.rate.standard_error == pytest.approx(rate.std(ddof=1) / math.sqrt(300), rel=1e-4)
    parts = (result.mutual_information, result.total_correlation, result.dimension_wise_kl)
    error = sum(part.standard_error for part in parts)
    assert sum(part.value for part in parts) == pytest.approx(rate.mean(), abs=4 * error)
    assert result.per_latent.shape == (LATENTS,)
    assert result.per_latent.sum().item() == pytest.approx(result.dimension_wise_kl.value)
    # One latent by itself, by integration.
    axis, step = np.linspace(-8, 8, 4001, retstep=True)
    for latent in range(LATENTS):
        density = stats.norm.pdf(axis[:, None], mean[:, latent], np.exp(log_variance[:, latent] / 2)).mean(1)
        exact = (density * (np.log(density) - stats.norm.logpdf(axis))).sum() * step
        assert result.per_latent[latent].item() == pytest.approx(exact, abs=4 * result.dimension_wise_kl.standard_error)
    assert result.mutual_information.protocol.depends_on_samples
    with pytest.raises(ValueError, match="samples: 300 and 200"):
        result.mutual_information < elbo_decomposition(model, data.take(200)).mutual_information  # noqa: B015


def test_rate_and_distortion_of_the_linear_gaussian_model_are_their_closed_forms():
    variance = 0.05
    model, data = small_vae(FixedGaussianLikelihood(variance)), pictures()
    result = rate_distortion(model, data, repetitions=400)
    x = data.batch(slice(None)).images.flatten(1).double().numpy()
    weight, bias = (each.detach().double().numpy() for each in model.decoder[0].parameters())
    codes = model.encoder(data.batch(slice(None)).images).detach().double().numpy()
    mean, spread = codes[:, :LATENTS], np.exp(codes[:, LATENTS:])
    squared = ((x - mean @ weight.T - bias) ** 2).sum(1) + (spread * (weight**2).sum(0)).sum(1)
    distortion = squared / (2 * variance) + 2 * math.log(2 * math.pi * variance)
    rate = 0.5 * (mean**2 + spread - 1 - np.log(spread)).sum(1)
    # The noise of z that is left after 400 draws of each image, as it shows over the images.
    tolerance = 4 * (result.per_image_distortion.numpy() - distortion).std() / math.sqrt(300)
    assert tolerance < 0.25
    assert result.distortion.value == pytest.approx(distortion.mean(), abs=tolerance)
    assert result.squared_error.value == pytest.approx(squared.mean() / 4, abs=tolerance * variance / 2)
    np.testing.assert_allclose(result.per_image_rate.numpy(), rate, atol=1e-5)
    assert result.elbo == pytest.approx(-result.rate.value - result.distortion.value)
    assert result.negative_elbo.standard_error == pytest.approx((distortion + rate).std() / math.sqrt(300), rel=0.1)


def test_the_weight_of_training_plays_no_part():
    data = pictures()
    plain, warm = small_vae(), small_vae(kl_warmup=0.9)
    loss = warm.loss(data.batch(slice(None)), Progress(0, 10, 300))
    assert loss.total.item() == pytest.approx(loss.per_image["distortion"].mean().item(), rel=1e-5)  # weight 0
    assert rate_distortion(warm, data).rate.value == rate_distortion(plain, data).rate.value > 0


def test_the_terms_are_those_of_the_loss_with_the_images_as_the_likelihood_counts_them():
    # A constant decoder has one distortion whatever z, so the loss and ours agree without noise: 4 fair coins.
    model, data = small_vae(BernoulliLikelihood()), pictures()
    nn.init.zeros_(model.decoder[0].weight)
    nn.init.zeros_(model.decoder[0].bias)
    result = rate_distortion(model, data)
    assert result.distortion.value == pytest.approx(4 * math.log(2), rel=1e-6)
    assert result.squared_error.value == pytest.approx(0.25)
    drawn = torch.stack(
        [model.loss(Batch(data.batch(slice(None)).images), Progress.finished()).per_image["rate"] for _ in range(20)]
    )
    assert result.rate.value == pytest.approx(drawn.mean().item(), abs=4 * drawn.mean(dim=1).std().item())


def test_the_numbers_compare_with_those_of_evaluate():
    images = torch.randint(256, (300, 1, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    data = ImageSet(images, "toy", "test", "toy v1")
    torch.manual_seed(0)
    model = VAE(VAEConfig((1, 4, 4), LATENTS, network=Linear(), likelihood=FixedGaussianLikelihood(0.1)))
    ours, theirs = rate_distortion(model, data), evaluate(model, data, samples=300, features=None)
    for name in ("rate", "distortion", "negative_elbo"):
        difference = getattr(ours, name) - theirs[name]
        assert abs(difference.value) <= 4 * difference.standard_error


@pytest.mark.parametrize("measure", [rate_distortion, elbo_decomposition])
def test_the_mode_and_the_global_random_state_stay_and_the_seed_decides(measure):
    model, data = small_vae(BernoulliLikelihood()), pictures()
    model.train()
    torch.manual_seed(4)
    before = torch.get_rng_state()
    first = measure(model, data, seed=1)
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(5)
    assert measure(model, data, seed=1).rate == first.rate
    assert measure(model, data, seed=2).rate.value != first.rate.value


@pytest.mark.parametrize("measure", [rate_distortion, elbo_decomposition])
def test_bad_input_is_told_what_is_wrong(measure):
    model, data = small_vae(), pictures(4)
    with pytest.raises(ValueError, match="repetitions should be a whole number of at least 1, not 0"):
        measure(model, data, repetitions=0)
    with pytest.raises(ValueError, match="chunk should be a whole number of at least 1, not -1"):
        measure(model, data, chunk=-1)
    with pytest.raises(ValueError, match="hold NaN or infinity"):
        measure(model, torch.full((2, *SHAPE), math.nan))
    with pytest.raises(ValueError, match=r"takes images \(B, 1, 2, 2\), not \(2, 1, 3, 3\)"):
        measure(model, torch.zeros(2, 1, 3, 3))
    with pytest.raises(TypeError, match="a point, which has no density"):
        measure(Autoencoder(AutoencoderConfig(SHAPE, LATENTS, network=Linear())), data)


def test_bad_posteriors_are_told_what_is_wrong():
    model, data = small_vae(), pictures(4)
    with pytest.raises(ValueError, match="takes at least two images"):
        elbo_decomposition(model, data.take(1))
    posterior = gaussian(np.zeros((4, 2)), np.ones(2))
    with pytest.raises(ValueError, match=r"one code of each posterior, \(4, 2\), not \(3, 2\)"):
        rate_terms(posterior, torch.zeros(3, 2))
    with pytest.raises(
        ValueError, match=r"posteriors should be \(N, D\) and codes \(M, D\), not \(4, 2\) and \(4, 3\)"
    ):
        log_aggregate_posterior(posterior, torch.zeros(4, 3))
    with pytest.raises(ValueError, match="finite, but hold NaN"):
        log_aggregate_posterior(posterior, torch.full((1, 2), math.nan))


def test_a_prior_without_independent_latents_is_refused(monkeypatch):
    class Other:
        mean = torch.zeros(4, LATENTS)

        def sample(self, generator=None):
            return self.mean

        def log_prob(self, x):
            return torch.zeros(len(x))

    model = small_vae()
    monkeypatch.setattr(model, "prior", lambda count: Other())
    with pytest.raises(TypeError, match=r"takes a diagonal Gaussian prior, .* not a Other"):
        elbo_decomposition(model, pictures(4))
