"""Codes of a data set and the units that a model uses, with labels where a model takes them."""

import pytest
import torch

from vaelib.data import ImageSet
from vaelib.evaluation import active_units, aggregate_codes, evaluate, posterior_means
from vaelib.models import (
    VAE,
    Autoencoder,
    AutoencoderConfig,
    BetaTCVAE,
    BetaTCVAEConfig,
    ConditionalVAE,
    ConditionalVAEConfig,
    VAEConfig,
)
from vaelib.networks import Convolutional, Linear
from vaelib.probability import BernoulliLikelihood

SHAPE, LATENTS = (1, 8, 8), 3


@pytest.fixture
def data(generator) -> ImageSet:
    """Thirty-three images, so that slices of eight leave one over."""
    pixels = torch.randint(256, (33, *SHAPE), generator=generator, dtype=torch.uint8)
    return ImageSet(pixels, "toy", "test", "toy", torch.randint(4, (33,), generator=generator))


def vae(**options) -> VAE:
    torch.manual_seed(0)
    return VAE(VAEConfig(SHAPE, LATENTS, **{"network": Linear(), **options}))


def conditional(*sizes: int) -> ConditionalVAE:
    torch.manual_seed(0)
    return ConditionalVAE(ConditionalVAEConfig(SHAPE, LATENTS, Linear(), label_sizes=sizes or (4,)))


def test_the_means_are_those_of_the_posterior_whatever_the_chunk(data):
    model = vae()
    images = data.batch(slice(None)).images
    expected = model.encode(images).mean.detach()
    for given in (data, images):
        for chunk in (8, 256):
            means = posterior_means(model, given, chunk=chunk)
            assert means.shape == (33, LATENTS)
            assert means.dtype == torch.float32
            assert not means.requires_grad
            torch.testing.assert_close(means, expected)


def test_a_point_is_its_own_mean(data):
    model = Autoencoder(AutoencoderConfig(SHAPE, LATENTS, Linear()))
    torch.testing.assert_close(posterior_means(model, data), model.encode(data.batch(slice(None)).images).mean.detach())


def test_the_aggregate_of_points_is_their_cloud_and_that_of_gaussians_is_wider_by_their_noise():
    pictures = torch.rand(4_000, *SHAPE, generator=torch.Generator().manual_seed(1))
    point = Autoencoder(AutoencoderConfig(SHAPE, LATENTS, Linear()))
    torch.testing.assert_close(aggregate_codes(point, pictures), posterior_means(point, pictures))
    model = vae()
    posterior = model.encode(pictures)
    # Var(z) = Var(E[z | x]) + E[Var(z | x)], the law of total variance
    expected = posterior.mean.var(dim=0) + posterior.log_variance.exp().mean(dim=0)
    draws = aggregate_codes(model, pictures, seed=3)
    torch.testing.assert_close(draws.var(dim=0), expected.detach(), rtol=0.1, atol=0)
    assert torch.equal(draws, aggregate_codes(model, pictures, seed=3))
    assert not torch.equal(draws, aggregate_codes(model, pictures, seed=4))


def test_a_conditional_model_is_told_the_labels_of_each_image(data):
    model = conditional()
    expected = model.encode(data.batch(slice(None)).images, data.labels).mean.detach()
    torch.testing.assert_close(posterior_means(model, data, chunk=8), expected)
    units = active_units(model, data, chunk=8)
    torch.testing.assert_close(units.variances, expected.double().var(dim=0).float(), rtol=1e-4, atol=1e-8)
    posterior = model.encode(data.batch(slice(None)).images, data.labels)
    normal = torch.distributions.Normal(posterior.mean, posterior.standard_deviation)
    rates = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).mean(dim=0).detach()
    torch.testing.assert_close(units.rates, rates, rtol=1e-4, atol=1e-6)


def test_with_one_label_for_all_it_is_the_vae_of_that_label(data):
    model = conditional()
    all_twos = ImageSet(data.images, "toy", "test", "twos", torch.full((33,), 2))
    torch.testing.assert_close(posterior_means(model, all_twos), posterior_means(model.given(2), data))
    ours, theirs = active_units(model, all_twos), active_units(model.given(2), data)
    torch.testing.assert_close(ours.variances, theirs.variances)
    torch.testing.assert_close(ours.rates, theirs.rates)
    assert not torch.allclose(posterior_means(model, all_twos), posterior_means(model, data))


def test_labels_that_are_missing_or_do_not_fit_are_named(data):
    images = data.batch(slice(None)).images
    bare = ImageSet(data.images, "toy", "test", "toy")
    for measure in (posterior_means, active_units):
        for given in (images, bare):
            with pytest.raises(ValueError, match="ConditionalVAE is conditional: give an ImageSet with labels"):
                measure(conditional(), given)
        with pytest.raises(ValueError, match="labels should be from 0 to 1; there are 0 to 3"):
            measure(conditional(2), data)
        with pytest.raises(ValueError, match="whole numbers as labels, 2 for each of 33 images"):
            measure(conditional(4, 2), data)


def test_what_a_coin_decides_follows_the_seed_and_leaves_the_global_generator_alone(data):
    model = vae(likelihood=BernoulliLikelihood())
    before = torch.get_rng_state()
    first, again, other = (posterior_means(model, data, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    # On images that are black and white there is nothing to decide.
    sharp = ImageSet(data.images.gt(127).to(torch.uint8) * 255, "toy", "test", "sharp")
    assert torch.equal(posterior_means(model, sharp, seed=1), posterior_means(model, sharp, seed=2))
    expected = model.encode(sharp.batch(slice(None)).images).mean.detach()
    torch.testing.assert_close(posterior_means(model, sharp), expected)


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_and_the_statistics_stay(training, data):
    model = vae(network=Convolutional(widths=(8,))).train(training)
    statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
    posterior_means(model, data)
    active_units(model, data)
    assert all(module.training == training for module in model.modules())
    assert all(torch.equal(buffer, statistics[name]) for name, buffer in model.named_buffers())


def test_images_that_cannot_be_measured_are_refused(data):
    model, images = vae(), data.batch(slice(None)).images
    broken = images.clone()
    broken[3, 0, 0, 0] = float("nan")
    for wrong, message in (
        (broken, "hold NaN or infinity"),
        (images * 2 - 1, r"should lie in \[0, 1\]"),
        (images[:, :, :4], r"takes images \(B, 1, 8, 8\), not \(33, 1, 4, 8\)"),
        (data.images, "divide bytes by 255"),
        (images[:0], "no images to measure"),
        (ImageSet(torch.zeros(3, 3, 8, 8, dtype=torch.uint8), "colour", "test", "c"), "colour has images"),
    ):
        with pytest.raises(ValueError, match=message):
            posterior_means(model, wrong)
    for chunk in (0, 2.5):
        with pytest.raises(ValueError, match="chunk should be a whole number of at least 1"):
            posterior_means(model, data, chunk=chunk)
    with pytest.raises(ValueError, match=r"should lie in \[0, 1\] but run from nan"):
        active_units(model, broken)


def test_everything_is_measured_of_a_conditional_model_too(data):
    model = conditional()
    results = evaluate(model, data, samples=33, features=None, chunk=8)
    errors = (model.reconstruct(data.batch(slice(None)).images, data.labels) - data.batch(slice(None)).images).square()
    assert results["reconstruction_mse"].value == pytest.approx(errors.mean().item(), rel=1e-5)
    units = active_units(model, data)
    assert results["rate"].value == pytest.approx(units.rates.sum().item(), rel=1e-4)
    assert "sharpness_samples" in results


def test_a_loss_that_compares_images_never_gets_one_alone(data):
    torch.manual_seed(0)
    model = BetaTCVAE(BetaTCVAEConfig(SHAPE, LATENTS, Linear()))
    results = evaluate(model, data, samples=33, features=None, chunk=8)
    # The bound that is reported is at weight 1, the VAE's own, whatever β is.
    assert results["negative_elbo"].value == pytest.approx(results["distortion"].value + results["rate"].value)
    assert results["rate"].value == pytest.approx(active_units(model, data).rates.sum().item(), rel=1e-4)
