"""The objective of the autoencoder and the VAE, computed a second time by hand."""

import math

import pytest
import torch
from torch import distributions as oracle

from vaelib.data.image_set import Batch
from vaelib.models import VAE, Autoencoder, AutoencoderConfig, Progress, VAEConfig
from vaelib.networks import Convolutional
from vaelib.probability import DiagonalGaussian, FixedGaussianLikelihood, LearnedGaussianLikelihood, PointMass

SHAPE, LATENTS = (3, 16, 16), 4
SMALL = Convolutional(widths=(8, 16))


def make(**options):
    torch.manual_seed(0)
    return VAE(VAEConfig(SHAPE, LATENTS, network=SMALL, **options))


@pytest.fixture
def images(generator):
    return torch.rand(6, *SHAPE, generator=generator)


def test_the_terms_of_the_vae_are_those_computed_by_hand(images):
    model = make(likelihood=FixedGaussianLikelihood(0.02)).eval()
    torch.manual_seed(5)
    loss = model.loss(Batch(images), Progress.finished())

    mean, log_variance = model.encoder(images).split(LATENTS, dim=1)
    deviation = (log_variance / 2).exp()
    torch.manual_seed(5)
    z = mean + deviation * torch.randn(6, LATENTS)
    pixels = oracle.Normal(model.decoder(z), math.sqrt(0.02))
    distortion = -pixels.log_prob(images).sum((1, 2, 3))
    rate = oracle.kl_divergence(oracle.Normal(mean, deviation), oracle.Normal(0.0, 1.0)).sum(1)

    assert set(loss.per_image) == {"distortion", "rate"}
    torch.testing.assert_close(loss.per_image["distortion"], distortion)
    torch.testing.assert_close(loss.per_image["rate"], rate)
    torch.testing.assert_close(loss.total, (distortion + rate).mean())


def test_the_distortion_of_an_autoencoder_is_squared_error_in_nats(images):
    torch.manual_seed(0)
    model = Autoencoder(
        AutoencoderConfig(SHAPE, LATENTS, network=SMALL, likelihood=FixedGaussianLikelihood(0.5))
    ).eval()
    loss = model.loss(Batch(images), Progress.finished())
    squared_error = ((model.decoder(model.encoder(images)) - images) ** 2).sum((1, 2, 3))
    # At σ² = ½ the squared error stands without a factor.
    expected = squared_error + 768 / 2 * math.log(math.pi)
    assert set(loss.per_image) == {"distortion"}
    torch.testing.assert_close(loss.per_image["distortion"], expected)
    torch.testing.assert_close(loss.total, expected.mean())


def test_posterior_and_code_are_what_they_should_be(images):
    posterior = make().encode(images)
    assert isinstance(posterior, DiagonalGaussian)
    assert posterior.mean.shape == posterior.log_variance.shape == (6, LATENTS)
    code = Autoencoder(AutoencoderConfig(SHAPE, LATENTS, network=SMALL)).encode(images)
    assert isinstance(code, PointMass)
    assert code.mean.shape == (6, LATENTS)


def test_the_prior_is_the_standard_normal():
    prior, z = make().prior(3), torch.randn(3, LATENTS)
    torch.testing.assert_close(prior.log_prob(z), oracle.Normal(0.0, 1.0).log_prob(z).sum(1))


def test_a_log_variance_gone_astray_is_bounded(images):
    model = make().eval()
    with torch.no_grad():
        model.encoder[-1].weight.zero_()
        model.encoder[-1].bias.copy_(torch.tensor([0.0] * LATENTS + [1e3, -1e3, 0.0, 1.0]))
    posterior = model.encode(images)
    torch.testing.assert_close(posterior.log_variance[0], torch.tensor([10.0, -20.0, 0.0, 1.0]))
    assert model.loss(Batch(images), Progress.finished()).total.isfinite()


@pytest.mark.parametrize(
    ("warmup", "step", "weight"),
    [(0.0, 0, 1.0), (0.5, 0, 0.0), (0.5, 25, 0.5), (0.5, 50, 1.0), (0.5, 99, 1.0), (1.0, 25, 0.25)],
)
def test_the_weight_of_the_rate_grows_over_the_warm_up(warmup, step, weight):
    distortion, rate = torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0])
    weighed = make(kl_warmup=warmup).weigh(distortion, rate, Progress(step, 100, 1000))
    torch.testing.assert_close(weighed, distortion + weight * rate)


def test_the_warm_up_reaches_the_total_and_is_over_for_validation(images):
    model = make(kl_warmup=0.5).eval()
    start, end = (model.loss(Batch(images), progress) for progress in (Progress(0, 100, 6), Progress.finished(6)))
    torch.testing.assert_close(start.total, start.per_image["distortion"].mean())
    torch.testing.assert_close(end.total, (end.per_image["distortion"] + end.per_image["rate"]).mean())


def test_a_learned_variance_is_a_parameter_of_the_model_and_gets_a_gradient(images):
    model = make(likelihood=LearnedGaussianLikelihood(initial_variance=0.3))
    assert model.likelihood_free.exp().item() == pytest.approx(0.3)
    model.loss(Batch(images), Progress.finished()).total.backward()
    assert model.likelihood_free.grad.abs().item() > 0


def test_terms_stay_in_float32_when_the_networks_run_in_bfloat16(images):
    model = make().eval()
    torch.manual_seed(5)
    full = model.loss(Batch(images), Progress.finished())
    torch.manual_seed(5)
    with torch.autocast("cpu", torch.bfloat16):
        half = model.loss(Batch(images), Progress.finished())
    for name, term in half.per_image.items():
        assert term.dtype == torch.float32
        torch.testing.assert_close(term, full.per_image[name], rtol=0.03, atol=0.05)
