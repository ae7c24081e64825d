"""β, the Gaussian variance and the weight beside a mean-squared error: their gradients are proportional."""

import pytest
import torch
import torch.nn.functional as F

from vaelib.models import VAE, VAEConfig
from vaelib.networks import Convolutional
from vaelib.probability import (
    FixedGaussianLikelihood,
    equivalent_beta,
    equivalent_variance,
    kl_weight_beside_mse,
    variance_of_kl_weight,
)

DIMENSIONS = 3 * 16 * 16


def vae(variance):
    """The same random weights for every variance, with a posterior wide enough for both terms to matter."""
    torch.manual_seed(1)
    likelihood = FixedGaussianLikelihood(variance)
    model = VAE(VAEConfig((3, 16, 16), latent_dimension=5, network=Convolutional(widths=(4, 8)), likelihood=likelihood))
    with torch.no_grad():
        model.encoder[-1].weight.mul_(5)
    return model


def gradients(model, objective):
    """The gradients of objective(distortion, rate, images, mean), at images and noise that are always the same."""
    generator = torch.Generator().manual_seed(2)
    images = torch.rand(6, 3, 16, 16, generator=generator)
    posterior = model.encode(images)
    decoded = model.decode(posterior.sample(generator))
    rate = posterior.kl(model.prior(6)).mean()
    objective(-decoded.log_prob(images).mean(), rate, images, decoded.mean).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def flat(found, part):
    """The gradients of the encoder or the decoder as one vector. Only the encoder feels the rate."""
    return torch.cat([gradient.flatten() for name, gradient in found.items() if name.startswith(part)])


def assert_proportional(found, expected, factor):
    for part in ("encoder", "decoder"):
        ours, scaled = flat(found, part), factor * flat(expected, part)
        assert (ours - scaled).norm() < 1e-4 * scaled.norm()


@pytest.mark.parametrize(("beta", "variance"), [(4.0, 0.0125), (0.1, 0.5), (20.0, 0.001)])
def test_beta_times_the_variance_is_one_number(beta, variance):
    with_beta = gradients(vae(variance), lambda distortion, rate, *_: distortion + beta * rate)
    without = gradients(vae(equivalent_variance(beta, variance)), lambda distortion, rate, *_: distortion + rate)
    assert_proportional(with_beta, without, beta)


@pytest.mark.parametrize(("beta", "variance"), [(1.0, 0.0125), (4.0, 0.0125), (0.1, 0.5)])
def test_the_weight_beside_a_mean_squared_error_has_the_same_minimiser(beta, variance):
    with_beta = gradients(vae(variance), lambda distortion, rate, *_: distortion + beta * rate)
    weight = kl_weight_beside_mse(beta, variance, DIMENSIONS)
    as_mse = gradients(vae(variance), lambda _, rate, images, mean: F.mse_loss(mean, images) + weight * rate)
    assert_proportional(as_mse, with_beta, 2 * variance / DIMENSIONS)


def test_the_weight_beside_a_mean_squared_error_on_the_wider_range_has_the_same_minimiser():
    beta, variance = 2.0, 0.0125
    with_beta = gradients(vae(variance), lambda distortion, rate, *_: distortion + beta * rate)
    weight = kl_weight_beside_mse(beta, variance, DIMENSIONS, range_width=2)
    as_mse = gradients(
        vae(variance), lambda _, rate, images, mean: F.mse_loss(2 * mean - 1, 2 * images - 1) + weight * rate
    )
    assert_proportional(as_mse, with_beta, 4 * 2 * variance / DIMENSIONS)


@pytest.mark.parametrize("wrong", [0.5, 2.0])
def test_a_weight_that_is_wrong_by_two_is_noticed(wrong):
    beta, variance = 4.0, 0.0125
    with_beta = gradients(vae(variance), lambda distortion, rate, *_: distortion + beta * rate)
    weight = wrong * kl_weight_beside_mse(beta, variance, DIMENSIONS)
    as_mse = gradients(vae(variance), lambda _, rate, images, mean: F.mse_loss(mean, images) + weight * rate)
    scaled = 2 * variance / DIMENSIONS * flat(with_beta, "encoder")
    assert (flat(as_mse, "encoder") - scaled).norm() > 0.01 * scaled.norm()


def test_the_three_names_convert_back_and_forth():
    assert equivalent_beta(equivalent_variance(4.0, 0.0125), 0.0125) == pytest.approx(4.0)
    weight = kl_weight_beside_mse(4.0, 0.0125, 12288, range_width=2)
    assert variance_of_kl_weight(weight, 12288, beta=4.0, range_width=2) == pytest.approx(0.0125)


def test_a_well_known_weight_in_numbers():
    # "MSE + 0.00025 KL" on 64 × 64 × 3 images in [-1, 1]: σ² = 0.00025 · 12288 / 2 / 4 = 0.384 on the [0, 1] scale.
    assert variance_of_kl_weight(0.00025, 12288, range_width=2) == pytest.approx(0.384)


def test_knobs_that_are_not_positive_are_refused_by_name():
    with pytest.raises(ValueError, match="beta should be positive, not 0"):
        equivalent_variance(0, 0.1)
    with pytest.raises(ValueError, match="dimensions should be positive"):
        kl_weight_beside_mse(1.0, 0.1, 0)
