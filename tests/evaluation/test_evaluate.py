"""One call measures a model; each number is checked against what it should be for models of known behaviour."""

import math
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from vaelib.data import Batch, ImageSet
from vaelib.evaluation import (
    FEATURES,
    FeatureNetwork,
    active_units,
    evaluate,
    image_psnr,
    image_ssim,
    manifold_scores,
)
from vaelib.models import VAE, Autoencoder, AutoencoderConfig, Loss, Model, VAEConfig
from vaelib.networks import Convolutional, Linear
from vaelib.probability import (
    BernoulliLikelihood,
    DiagonalGaussian,
    FixedGaussianLikelihood,
    LogisticMixtureLikelihood,
    PointMass,
)

SHAPE = (1, 8, 8)
DIMENSIONS = 64


@pytest.fixture(autouse=True)
def pixels(monkeypatch, tmp_path):
    monkeypatch.setitem(FEATURES, "pixels", FeatureNetwork("pixels", 64, "all", "none", "none", nn.Flatten))
    monkeypatch.setenv("VAELIB_CACHE", str(tmp_path))


@pytest.fixture
def data(generator) -> ImageSet:
    return ImageSet(torch.randint(256, (60, *SHAPE), generator=generator, dtype=torch.uint8), "toy", "test", "toy v1")


def small_vae(likelihood=FixedGaussianLikelihood(0.1)) -> VAE:
    torch.manual_seed(0)
    return VAE(VAEConfig(image_shape=SHAPE, latent_dimension=3, network=Linear(), likelihood=likelihood))


@dataclass(frozen=True)
class NoConfig:
    """Settings of a model of the tests."""

    image_shape: tuple[int, int, int] = SHAPE
    latent_dimension: int = DIMENSIONS
    likelihood: FixedGaussianLikelihood = FixedGaussianLikelihood(1 / 12)


class Copier(Model):
    """Its code is the image, and its samples are uniform noise. Its rate is 2 nats, by decree."""

    kind = "copier"
    Config = NoConfig

    def __init__(self) -> None:
        super().__init__()
        self.config = NoConfig()
        self.nothing = nn.Parameter(torch.zeros(()))

    def encode(self, images: torch.Tensor) -> PointMass:
        return PointMass(images.flatten(1))

    def decode(self, latents: torch.Tensor) -> DiagonalGaussian:
        images = latents.unflatten(1, SHAPE)
        return DiagonalGaussian(images, torch.full_like(images, math.log(1 / 12)))

    def prior(self, count: int) -> DiagonalGaussian:
        return DiagonalGaussian.standard(count, DIMENSIONS)

    def loss(self, batch: Batch, progress) -> Loss:
        # A standard Gaussian around ½, of the variance of uniform pixels.
        centre = DiagonalGaussian(torch.full_like(batch.images, 0.5), torch.full_like(batch.images, math.log(1 / 12)))
        distortion = -centre.log_prob(batch.images)
        return Loss(distortion.mean(), {"distortion": distortion, "rate": torch.full_like(distortion, 2.0)})


def test_numbers_of_a_model_whose_answers_are_known(data):
    results = evaluate(Copier(), data, samples=60, features="pixels")
    assert results["reconstruction_mse"].value == 0
    assert results["reconstruction_psnr"].value == pytest.approx(10 * math.log10(12 * 255**2))
    assert "reconstruction_ssim" not in results, "images smaller than its window"
    assert results["frechet_reconstructions"].value < 1e-3
    assert results["frechet_samples"] > results["frechet_reconstructions"]
    assert results["kernel_samples"] > results["kernel_reconstructions"]
    assert results["sharpness_reconstructions"].value == pytest.approx(results["sharpness_data"].value)
    assert results["sharpness_closeness_reconstructions"].value == pytest.approx(1)
    ratio = results["sharpness_samples"].value / results["sharpness_data"].value
    assert results["sharpness_closeness_samples"].value == pytest.approx(min(ratio, 1 / ratio))
    assert results["sharpness_closeness_samples"].protocol.key == data.key
    assert (results["rate"].value, results["rate"].standard_error) == (2.0, 0.0)

    # −log p of the pixels k / 255 under N(½, 1/12), summed, in numpy's terms.
    x = data.images.double() / 255
    nats = (6 * (x - 0.5) ** 2 + 0.5 * math.log(2 * math.pi / 12)).flatten(1).sum(dim=1)
    assert results["distortion"].value == pytest.approx(nats.mean().item(), rel=1e-5)
    assert results["distortion"].standard_error == pytest.approx((nats.std() / math.sqrt(60)).item(), rel=1e-5)
    assert results["negative_elbo"].value == pytest.approx(nats.mean().item() + 2, rel=1e-5)


def test_bits_of_a_density_are_those_of_dequantised_images(data):
    """E over the noise of −log₂ N((k + u)/256; ½, 1/12) + 8, by the moments of u, and the rate's two nats."""
    results = evaluate(Copier(), data, samples=60, features=None)
    centre = (data.images.double() + 0.5) / 256
    squared = (centre - 0.5) ** 2 + 1 / 12 / 256**2
    nats = (6 * squared + 0.5 * math.log(2 * math.pi / 12)).flatten(1).sum(dim=1).mean().item() + 2
    expected = nats / math.log(2) / DIMENSIONS + 8
    assert results["bits_per_dimension"].value == pytest.approx(expected, abs=2e-3)
    assert results["bits_per_dimension"].protocol.unit == "bits per dimension"
    assert results["bits_per_dimension"].standard_error > 0


def test_bits_of_a_discrete_likelihood_are_its_nats_converted(data):
    results = evaluate(small_vae(LogisticMixtureLikelihood(components=2)), data, features=None)
    converted = results["negative_elbo"].value / (DIMENSIONS * math.log(2))
    assert results["bits_per_dimension"].value == pytest.approx(converted)
    assert "256 grey levels" in results["negative_elbo"].protocol.definition


@pytest.mark.parametrize(
    ("likelihood", "levels"), [(BernoulliLikelihood(), 2), (LogisticMixtureLikelihood(components=2, bits=5), 32)]
)
def test_each_likelihood_is_shown_images_of_its_own_levels(data, likelihood, levels):
    results = evaluate(small_vae(likelihood), data, features=None)
    assert f"{levels} grey levels" in results["bits_per_dimension"].protocol.definition
    assert 0 < results["bits_per_dimension"].value < 20


def test_a_density_and_a_probability_do_not_compare(data):
    density = evaluate(small_vae(), data, features=None)
    mass = evaluate(small_vae(LogisticMixtureLikelihood(components=2)), data, features=None)
    with pytest.raises(ValueError, match="definition: 'density on \\[0, 1\\]' and 'probability of 256 grey levels'"):
        assert density["negative_elbo"] < mass["negative_elbo"]
    assert isinstance(density["rate"] < mass["rate"], bool)


def test_measuring_repeats_with_its_seed_and_leaves_no_trace(data):
    model = small_vae().train()
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = evaluate(model, data, samples=40, seed=1, features="pixels")
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert evaluate(model, data, samples=40, seed=1, features="pixels") == first
    assert evaluate(model, data, samples=40, seed=2, features="pixels") != first


def test_batch_norm_is_measured_in_eval_mode_and_not_changed(data):
    model = VAE(VAEConfig(image_shape=SHAPE, latent_dimension=2, network=Convolutional())).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    evaluate(model, data, samples=32, features=None)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_deterministic_autoencoder_has_no_samples_and_no_rate(data):
    model = Autoencoder(AutoencoderConfig(image_shape=SHAPE, latent_dimension=3, network=Linear()))
    assert set(evaluate(model, data, features="pixels")) == {
        "distortion",
        "reconstruction_mse",
        "reconstruction_psnr",
        "frechet_reconstructions",
        "kernel_reconstructions",
        "sharpness_data",
        "sharpness_reconstructions",
        "sharpness_closeness_reconstructions",
    }


def test_reconstruction_error_is_the_mean_square_over_pixels(data):
    model = small_vae()
    measured = evaluate(model, data, features=None)["reconstruction_mse"]
    images = data.batch(slice(None)).images
    errors = (model.reconstruct(images) - images).double().numpy() ** 2
    assert measured.value == pytest.approx(errors.mean(), rel=1e-5)
    assert measured.standard_error == pytest.approx(errors.mean(axis=(1, 2, 3)).std(ddof=1) / math.sqrt(60), rel=1e-4)
    assert measured.protocol.key == "toy v1"


def test_precision_to_coverage_are_those_of_the_model_s_samples(data):
    model = small_vae()
    results = evaluate(model, data, samples=60, seed=4, features="pixels")
    samples = model.sample(60, generator=torch.Generator().manual_seed(4))
    direct = manifold_scores(data, samples, features="pixels", subject="samples", seed=4)
    for name in ("precision", "recall", "density", "coverage"):
        assert results[name] == getattr(direct, name)
    # Samples of an untrained VAE are grey, far from images of noise.
    assert results["coverage"].value < 0.2


def test_images_are_put_through_the_feature_network_once_each(data, monkeypatch):
    seen = []

    class Counting(nn.Flatten):
        def forward(self, images):
            seen.append(len(images))
            return super().forward(images)

    monkeypatch.setitem(FEATURES, "counting", FeatureNetwork("counting", 64, "all", "none", "counted", Counting))
    evaluate(small_vae(), data, samples=50, features="counting")
    assert sum(seen) == 3 * 50, "real images, samples and reconstructions"


def test_psnr_and_ssim_of_reconstructions(generator):
    images = torch.randint(256, (40, 1, 16, 16), generator=generator, dtype=torch.uint8)
    data = ImageSet(images, "toy", "test", "toy v2")
    model = VAE(VAEConfig(image_shape=(1, 16, 16), latent_dimension=3, network=Linear()))
    results = evaluate(model, data, features=None)
    originals = data.batch(slice(None)).images
    rebuilt = model.reconstruct(originals)
    assert results["reconstruction_psnr"].value == pytest.approx(image_psnr(rebuilt, originals).mean().item())
    assert results["reconstruction_ssim"].value == pytest.approx(image_ssim(rebuilt, originals).mean().item(), abs=1e-5)
    assert results["reconstruction_ssim"].protocol.key == "toy v2"


def test_fewer_samples_than_data_use_the_first_images_and_say_so(data):
    results = evaluate(small_vae(), data, samples=40, features="pixels")
    protocol = results["frechet_samples"].protocol
    assert (protocol.samples, protocol.reference_samples) == (40, 40)
    assert protocol.key == data.take(40).key != data.key


def test_a_temperature_is_on_record(data):
    results = evaluate(small_vae(), data, temperature=0.7, features="pixels")
    assert results["frechet_samples"].protocol.subject == "samples at temperature 0.7"
    assert results["sharpness_samples"].protocol.subject == "samples at temperature 0.7"
    assert results["sharpness_closeness_samples"].protocol.subject == "samples at temperature 0.7"
    assert results["frechet_reconstructions"].protocol.subject == "reconstructions"


def test_what_cannot_be_measured_is_refused(data):
    with pytest.raises(ValueError, match="the model was built for \\(1, 8, 8\\)"):
        evaluate(small_vae(), ImageSet(torch.zeros(40, 3, 8, 8, dtype=torch.uint8), "colour", "test", "colour"))
    with pytest.raises(ValueError, match="at least 32 images and samples, not 60 and 10"):
        evaluate(small_vae(), data, samples=10)
    with pytest.raises(ValueError, match="there are no features 'pixel'"):
        evaluate(small_vae(), data, features="pixel")


def test_active_units_are_those_whose_mean_varies(data):
    model = small_vae()
    with torch.no_grad():
        model.encoder[1].weight.mul_(3)
        model.encoder[1].weight[1] = 0  # the second latent sees nothing
        model.encoder[1].weight[3:] = 0  # log-variances of one value everywhere
    found = active_units(model, data)
    assert found.active.tolist() == [True, False, True]
    assert found.count == 2
    assert set(found.order) == {0, 1, 2}
    assert found.order[-1] == 1
    means = model.encode(data.batch(slice(None)).images).mean.detach().double()
    torch.testing.assert_close(found.variances.double(), means.var(dim=0), rtol=1e-4, atol=1e-8)
    assert active_units(model, data, threshold=1e6).count == 0
    assert torch.equal(active_units(model, data.batch(slice(None)).images).variances, found.variances)


def test_the_rates_of_the_latents_are_their_kl_by_torch(data):
    model = small_vae()
    posterior = model.encode(data.batch(slice(None)).images)
    normal = torch.distributions.Normal(posterior.mean, posterior.standard_deviation)
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).mean(dim=0)
    torch.testing.assert_close(active_units(model, data).rates, expected.detach(), rtol=1e-4, atol=1e-6)


def test_codes_without_a_density_have_variances_but_no_rates(data):
    found = active_units(Copier(), data)
    assert found.rates is None
    assert found.count == DIMENSIONS
    with pytest.raises(ValueError, match="at least two"):
        active_units(Copier(), data.take(1))
