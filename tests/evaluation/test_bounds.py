"""The importance-weighted bound against likelihoods that are known: by closed form, and by numerical integration."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import nn

from vaelib.data import ImageSet
from vaelib.evaluation import importance_weighted_bound, rate_distortion
from vaelib.models import VAE, Autoencoder, AutoencoderConfig, Model, VAEConfig
from vaelib.networks import Linear
from vaelib.probability import BernoulliLikelihood, DiagonalGaussian, FixedGaussianLikelihood, LogisticMixtureLikelihood

SHAPE, DIMENSIONS, LATENTS, VARIANCE = (1, 2, 3), 6, 2, 0.3


class LinearGaussian:
    """x = W z + b + σ ε, its exact likelihood and posterior (Tipping & Bishop 1999), in numpy."""

    def __init__(self, orthogonal: bool) -> None:
        random = np.random.default_rng(5)
        loadings = np.linalg.qr(random.normal(size=(DIMENSIONS, LATENTS)))[0] * [1.5, 0.8]
        self.loadings = loadings if orthogonal else loadings @ stats.special_ortho_group(LATENTS, seed=1).rvs()
        self.offset = random.normal(size=DIMENSIONS)
        self.precision = self.loadings.T @ self.loadings + VARIANCE * np.eye(LATENTS)
        self.recognition = np.linalg.solve(self.precision, self.loadings.T)
        self.posterior_variance = VARIANCE / np.diag(self.precision)
        codes = random.normal(size=(40, LATENTS))
        noise = math.sqrt(VARIANCE) * random.normal(size=(40, DIMENSIONS))
        self.data = codes @ self.loadings.T + self.offset + noise
        covariance = self.loadings @ self.loadings.T + VARIANCE * np.eye(DIMENSIONS)
        self.exact = stats.multivariate_normal(self.offset, covariance).logpdf(self.data)
        self.images = torch.from_numpy(self.data).float().reshape(-1, *SHAPE)

    def model(self, shift: float = 0.0) -> VAE:
        """A `VAE` with these weights; `shift` moves the posterior's means off."""
        likelihood = FixedGaussianLikelihood(VARIANCE, unit_range=False)
        model = VAE(VAEConfig(SHAPE, LATENTS, network=Linear(), likelihood=likelihood))
        mean_offset = -self.recognition @ self.offset + shift
        weights = {
            model.encoder[1].weight: np.concatenate([self.recognition, np.zeros_like(self.recognition)]),
            model.encoder[1].bias: np.concatenate([mean_offset, np.log(self.posterior_variance)]),
            model.decoder[0].weight: self.loadings,
            model.decoder[0].bias: self.offset,
        }
        with torch.no_grad():
            for parameter, value in weights.items():
                parameter.copy_(torch.from_numpy(value))
        return model


@pytest.mark.parametrize("k", [1, 2, 50])
def test_with_the_exact_posterior_every_sample_gives_the_exact_likelihood(k):
    # All weights are p(x), so K and the seed do not matter, and all samples are effective.
    exact = LinearGaussian(orthogonal=True)
    bound = importance_weighted_bound(exact.model(), exact.images, k, seed=k)
    np.testing.assert_allclose(bound.per_image.numpy(), exact.exact, atol=1e-4)
    np.testing.assert_allclose(bound.effective_samples.numpy(), k, rtol=1e-4)
    assert bound.value == pytest.approx(exact.exact.mean(), abs=1e-4)
    assert bound.standard_error == pytest.approx(exact.exact.std(ddof=1) / math.sqrt(40), rel=1e-3)
    assert bound.monte_carlo_error is None if k == 1 else bound.monte_carlo_error < 1e-3


def test_with_a_wrong_posterior_the_bound_rises_with_k_to_the_exact_likelihood():
    exact = LinearGaussian(orthogonal=False)
    model = exact.model(shift=0.5)
    bounds = [importance_weighted_bound(model, exact.images, k, seed=3) for k in (1, 8, 64, 4_000)]
    values = [bound.value for bound in bounds]
    assert values == sorted(values)
    assert values[1] - values[0] > 0.3
    assert values[-1] == pytest.approx(exact.exact.mean(), abs=4 * bounds[-1].monte_carlo_error)
    assert bounds[-1].monte_carlo_error < 0.02


def test_the_bound_of_one_sample_is_the_elbo_on_average():
    exact = LinearGaussian(orthogonal=False)
    one = exact.images[:1].expand(4_000, -1, -1, -1)
    bound = importance_weighted_bound(exact.model(shift=0.5), one, 1)
    centred = exact.data[0] - exact.offset
    mean, v = exact.recognition @ centred + 0.5, exact.posterior_variance
    squared = ((centred - exact.loadings @ mean) ** 2).sum() + (v * (exact.loadings**2).sum(0)).sum()
    distortion = squared / (2 * VARIANCE) + DIMENSIONS / 2 * math.log(2 * math.pi * VARIANCE)
    elbo = -distortion - 0.5 * (mean**2 + v - 1 - np.log(v)).sum()
    assert elbo < exact.exact[0] - 0.3
    assert bound.value == pytest.approx(elbo, abs=4 * bound.standard_error)


def test_the_errors_describe_the_spread_over_seeds():
    exact = LinearGaussian(orthogonal=False)
    model = exact.model(shift=0.3)
    bounds = [importance_weighted_bound(model, exact.images[:5], 100, seed=seed) for seed in range(60)]
    spread = np.std([bound.value for bound in bounds], ddof=1)
    claimed = np.mean([bound.monte_carlo_error for bound in bounds])
    # A standard deviation of 60 values is good to 10 %.
    assert 0.6 < claimed / spread < 1.4


@dataclass(frozen=True)
class CurveConfig:
    image_shape: tuple[int, int, int] = (1, 1, 2)
    latent_dimension: int = 1
    likelihood: Any = FixedGaussianLikelihood(0.05, unit_range=False)


class Curve(Model):
    """One latent bent into the plane by (sin 2z, z²/2), and an encoder that knows little."""

    kind = "curve"
    Config = CurveConfig

    def __init__(self) -> None:
        super().__init__()
        self.config = CurveConfig()
        self.nothing = nn.Parameter(torch.zeros(()))

    def encode(self, images):
        self.check_images(images)
        return DiagonalGaussian(0.5 * images[:, 0, 0, :1], torch.zeros(len(images), 1))

    def decode(self, latents):
        images = torch.cat([(2 * latents).sin(), latents**2 / 2], dim=1).reshape(-1, 1, 1, 2)
        return DiagonalGaussian(images, torch.tensor(math.log(0.05)))

    def prior(self, count):
        return DiagonalGaussian.standard(count, 1)


def test_a_nonlinear_decoder_agrees_with_numerical_integration():
    points = np.array([[0.3, 0.1], [-0.9, 0.5], [0.0, 0.0], [0.8, 0.6]])

    def evidence(x):
        def integrand(z):
            mean = np.array([np.sin(2 * z), z**2 / 2])
            return stats.norm.pdf(z) * np.prod(stats.norm.pdf(x, mean, math.sqrt(0.05)))

        return integrate.quad(integrand, -6, 6, limit=400, points=[-1.5, -0.5, 0, 0.5, 1.5])[0]

    exact = np.log([evidence(x) for x in points])
    images = torch.from_numpy(points).float().reshape(-1, 1, 1, 2)
    bound = importance_weighted_bound(Curve(), images, 20_000, chunk=4_096)
    errors = np.sqrt(1 / bound.effective_samples.numpy())
    assert errors.max() < 0.05
    assert (np.abs(bound.per_image.numpy() - exact) < 4 * errors).all()


def pictures(count: int = 40) -> ImageSet:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(256, (count, *SHAPE), generator=generator, dtype=torch.uint8)
    return ImageSet(images, "toy", "test", "toy v1", torch.arange(count) % 2)


def small_vae(likelihood) -> VAE:
    torch.manual_seed(0)
    return VAE(VAEConfig(SHAPE, LATENTS, network=Linear(), likelihood=likelihood))


@pytest.mark.parametrize("likelihood", [BernoulliLikelihood(), FixedGaussianLikelihood(0.1)])
def test_how_much_is_decoded_at_a_time_changes_nothing(likelihood):
    # 40 images are two blocks, one of them full.
    model, data = small_vae(likelihood), pictures()
    bounds = [importance_weighted_bound(model, data, 7, seed=2, chunk=chunk) for chunk in (1, 10, 100, 10_000)]
    for bound in bounds[1:]:
        torch.testing.assert_close(bound.per_image, bounds[0].per_image, atol=1e-4, rtol=0)
    other = importance_weighted_bound(model, data, 7, seed=3)
    assert (other.per_image - bounds[0].per_image).abs().max() > 1e-3


def test_bits_per_dimension_of_probabilities_and_of_densities():
    data, dimensions = pictures(), DIMENSIONS
    mass = importance_weighted_bound(small_vae(LogisticMixtureLikelihood(2)), data, 3)
    assert mass.bits_per_dimension.value == pytest.approx(-mass.value / (dimensions * math.log(2)))
    density = small_vae(FixedGaussianLikelihood(0.1))
    assert importance_weighted_bound(density, data, 3).bits_per_dimension is None
    noisy = importance_weighted_bound(density, data, 3, dequantised=True)
    assert noisy.bits_per_dimension.value == pytest.approx(-noisy.value / (dimensions * math.log(2)) + 8)
    assert noisy.bits_per_dimension.standard_error == pytest.approx(noisy.standard_error / (dimensions * math.log(2)))


def test_a_decoder_that_ignores_z_has_the_likelihood_of_its_output():
    # Fair coins: every black-and-white image has the probability 2^-6, one bit per pixel.
    model = small_vae(BernoulliLikelihood())
    nn.init.zeros_(model.decoder[0].weight)
    nn.init.zeros_(model.decoder[0].bias)
    nn.init.zeros_(model.encoder[1].weight)
    nn.init.zeros_(model.encoder[1].bias)
    bound = importance_weighted_bound(model, pictures(), 5)
    np.testing.assert_allclose(bound.per_image.numpy(), -6 * math.log(2), atol=1e-5)
    assert bound.bits_per_dimension.value == pytest.approx(1, abs=1e-5)


def test_the_number_carries_its_protocol_and_other_numbers_of_samples_do_not_compare():
    model, data = small_vae(FixedGaussianLikelihood(0.1)), pictures()
    three, four = (importance_weighted_bound(model, data, k, seed=9).measurement for k in (3, 4))
    assert three.protocol.unit == "nats per image"
    assert (three.protocol.data, three.protocol.key, three.protocol.samples) == ("toy", "toy v1", 40)
    assert three.protocol.seed == 9
    with pytest.raises(ValueError, match=r"different protocols.*K = 3.*K = 4"):
        three < four  # noqa: B015
    noisy = importance_weighted_bound(model, data, 3, dequantised=True).measurement
    with pytest.raises(ValueError, match="dequantisation noise"):
        three < noisy  # noqa: B015


def test_the_mode_and_the_global_random_state_stay():
    model, data = small_vae(BernoulliLikelihood()), pictures()
    model.train()
    torch.manual_seed(4)
    before = torch.get_rng_state()
    bound = importance_weighted_bound(model, data, 2)
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(5)
    assert torch.equal(importance_weighted_bound(model, data, 2).per_image, bound.per_image)


class Conditional(Curve):
    """The mean is the label, whatever z is."""

    def encode(self, images, labels):
        return DiagonalGaussian(torch.zeros(len(images), 1), torch.zeros(len(images), 1))

    def decode(self, latents, labels):
        mean = labels.float()[:, None, None, None].expand(-1, 1, 1, 2)
        return DiagonalGaussian(mean, torch.tensor(math.log(0.05)))


def test_a_conditional_model_gets_the_labels():
    images = torch.tensor([[0, 0], [255, 255], [0, 0], [255, 255]], dtype=torch.uint8).reshape(4, 1, 1, 2)
    data = ImageSet(images, "toy", "test", "toy", torch.tensor([0, 1, 1, 0]))
    bound = importance_weighted_bound(Conditional(), data, 3, chunk=5)
    peak = -math.log(2 * math.pi * 0.05)
    np.testing.assert_allclose(bound.per_image.numpy(), peak - np.array([0, 0, 20, 20]), atol=1e-4)
    with pytest.raises(ValueError, match="conditional: give an ImageSet with labels"):
        importance_weighted_bound(Conditional(), data.batch([0]).images, 3)


def test_bad_input_is_told_what_is_wrong():
    model, data = small_vae(FixedGaussianLikelihood(0.1)), pictures()
    with pytest.raises(ValueError, match="k should be a whole number of at least 1, not 0"):
        importance_weighted_bound(model, data, 0)
    with pytest.raises(ValueError, match=r"k should be a whole number of at least 1, not 5000\.0"):
        importance_weighted_bound(model, data, 5e3)
    with pytest.raises(ValueError, match="chunk should be a whole number"):
        importance_weighted_bound(model, data, 1, chunk=0)
    with pytest.raises(ValueError, match="hold NaN or infinity"):
        importance_weighted_bound(model, torch.full((2, *SHAPE), math.nan), 1)
    with pytest.raises(ValueError, match=r"takes images \(B, 1, 2, 3\), not \(2, 1, 3, 3\)"):
        importance_weighted_bound(model, torch.zeros(2, 1, 3, 3), 1)
    wrong = ImageSet(torch.zeros(2, 1, 3, 3, dtype=torch.uint8), "wrong", "test", "w")
    with pytest.raises(ValueError, match=r"wrong has images \(1, 3, 3\), but the model was built for \(1, 2, 3\)"):
        importance_weighted_bound(model, wrong, 1)
    with pytest.raises(ValueError, match="there are no images to measure"):
        importance_weighted_bound(model, torch.zeros(0, *SHAPE), 1)
    with pytest.raises(ValueError, match="divide bytes by 255"):
        importance_weighted_bound(model, data.images, 1)
    with pytest.raises(TypeError, match="Autoencoder encodes an image as a point, which has no density"):
        importance_weighted_bound(Autoencoder(AutoencoderConfig(SHAPE, LATENTS, network=Linear())), data, 1)


def test_the_coins_of_a_picture_have_nothing_to_do_with_its_codes():
    # Grey pixels are tossed to black or white before a code is drawn. Here one latent decides one pixel, and the
    # encoder answers the prior. Were coins and codes made from the same random bits, z would know its pixel, and the
    # "bound" lie above the exact log p(x) = 64 log ½.
    size = 64
    model = VAE(VAEConfig((1, 8, 8), size, network=Linear(), likelihood=BernoulliLikelihood()))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.decoder[0].weight.copy_(2 * torch.eye(size))
    grey = torch.full((40, 1, 8, 8), 0.5)
    exact_elbo = -size * integrate.quad(lambda z: stats.norm.pdf(z) * np.logaddexp(0, 2 * z), -12, 12)[0]
    for seed in range(3):
        bound = importance_weighted_bound(model.eval(), grey, 1, seed=seed).per_image
        plane = rate_distortion(model, grey, seed=seed)
        error = float(bound.std()) / math.sqrt(len(bound))
        assert float(bound.mean()) == pytest.approx(exact_elbo, abs=5 * error)
        assert plane.elbo == pytest.approx(exact_elbo, abs=5 * error)
        assert plane.elbo < size * math.log(0.5) - 10
