"""What every likelihood promises, and the Gaussian, Laplace and Bernoulli ones against torch.distributions."""

import math

import pytest
import torch
from torch import distributions as oracle

from vaelib.config import from_dict, to_dict
from vaelib.probability import (
    BernoulliLikelihood,
    FixedGaussianLikelihood,
    LaplaceLikelihood,
    LearnedGaussianLikelihood,
    Likelihood,
    LogisticMixtureLikelihood,
    PerPixelGaussianLikelihood,
)

EVERY = (
    FixedGaussianLikelihood(variance=0.02),
    LearnedGaussianLikelihood(initial_variance=0.02),
    PerPixelGaussianLikelihood(),
    LaplaceLikelihood(scale=0.1),
    BernoulliLikelihood(),
    LogisticMixtureLikelihood(components=3),
    LogisticMixtureLikelihood(components=2, bits=5),
)


def images_for(likelihood, shape, generator):
    """Random images that this likelihood accepts."""
    if likelihood.levels is None:
        return torch.rand(shape, generator=generator)
    top = likelihood.levels - 1
    return torch.randint(0, top + 1, shape, generator=generator) / top


@pytest.mark.parametrize("likelihood", EVERY, ids=lambda likelihood: likelihood.kind)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_shapes_ranges_and_gradients_for_any_number_of_channels(likelihood, channels, generator):
    shape = (2, channels, 5, 5)
    output = torch.randn(2, likelihood.output_channels(channels), 5, 5, generator=generator, requires_grad=True)
    free = likelihood.initial_free().requires_grad_()
    distribution = likelihood.distribution(output, free)
    assert distribution.mean.shape == distribution.sample(generator).shape == shape
    log_prob = distribution.log_prob(images_for(likelihood, shape, generator))
    assert log_prob.shape == (2,)
    log_prob.sum().backward()
    assert output.grad.isfinite().all()
    assert (output.grad != 0).any()
    assert free.numel() == 0 or (free.grad != 0).all()


@pytest.mark.parametrize("likelihood", EVERY, ids=lambda likelihood: likelihood.kind)
def test_log_probability_of_an_image_ignores_the_rest_of_the_batch(likelihood, generator):
    output = torch.randn(3, likelihood.output_channels(3), 4, 4, generator=generator)
    images, free = images_for(likelihood, (3, 3, 4, 4), generator), likelihood.initial_free()
    together = likelihood.distribution(output, free).log_prob(images)
    alone = [likelihood.distribution(output[i : i + 1], free).log_prob(images[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize("likelihood", EVERY, ids=lambda likelihood: likelihood.kind)
def test_images_off_the_unit_range_are_rejected_with_what_to_do(likelihood, generator):
    output = torch.randn(2, likelihood.output_channels(3), 4, 4, generator=generator)
    distribution = likelihood.distribution(output, likelihood.initial_free())
    message = "vaelib.data.(binarise|quantise)" if likelihood.levels else "should lie in \\[0, 1\\]"
    for wrong in (images_for(likelihood, (2, 3, 4, 4), generator) * 2 - 1, torch.full((2, 3, 4, 4), 255.0)):
        with pytest.raises(ValueError, match=message):
            distribution.log_prob(wrong)
    with pytest.raises(ValueError, match=message):
        distribution.log_prob(torch.full((2, 3, 4, 4), torch.nan))


@pytest.mark.parametrize("likelihood", EVERY, ids=lambda likelihood: likelihood.kind)
def test_eight_bit_images_are_prepared_for_every_likelihood(likelihood, generator):
    images = torch.randint(0, 256, (2, 3, 4, 4), generator=generator) / 255
    prepared = likelihood.prepare(images)
    output = torch.randn(2, likelihood.output_channels(3), 4, 4, generator=generator)
    assert likelihood.distribution(output, likelihood.initial_free()).log_prob(prepared).isfinite().all()
    # 256 levels and densities take the images as they are; five bits are within a level of 32, rounded down.
    if likelihood.levels in (None, 256):
        assert torch.equal(prepared, images)
    elif likelihood.levels == 32:
        assert torch.equal((prepared * 31).round(), ((images * 255).round() / 8).floor())


@pytest.mark.parametrize("likelihood", EVERY, ids=lambda likelihood: likelihood.kind)
def test_settings_survive_json(likelihood):
    assert from_dict(Likelihood, to_dict(likelihood)) == likelihood


def test_kinds_and_levels_are_the_published_ones():
    assert {
        "fixed-gaussian",
        "learned-gaussian",
        "per-pixel-gaussian",
        "laplace",
        "bernoulli",
        "logistic-mixture",
    } <= set(Likelihood.choices())
    assert [likelihood.levels for likelihood in EVERY] == [None, None, None, None, 2, 256, 32]


@pytest.mark.parametrize(
    "make",
    [
        lambda: FixedGaussianLikelihood(variance=0.0),
        lambda: LearnedGaussianLikelihood(initial_variance=-1.0),
        lambda: LaplaceLikelihood(scale=float("nan")),
    ],
)
def test_a_scale_that_is_not_positive_is_refused(make):
    with pytest.raises(ValueError, match="should be positive"):
        make()


def test_fixed_gaussian_is_squared_error_over_twice_the_variance_plus_a_constant(generator):
    output, images = torch.randn(2, 3, 4, 4, generator=generator), torch.rand(2, 3, 4, 4, generator=generator)
    log_prob = FixedGaussianLikelihood(variance=0.02).distribution(output, torch.zeros(0)).log_prob(images)
    squared_error = ((images - output) ** 2).sum((1, 2, 3))
    torch.testing.assert_close(log_prob, -squared_error / 0.04 - 24 * math.log(2 * math.pi * 0.02))
    torch.testing.assert_close(log_prob, oracle.Normal(output, math.sqrt(0.02)).log_prob(images).sum((1, 2, 3)))


def test_learned_variance_has_its_optimum_at_the_mean_squared_error(generator):
    output, images = torch.rand(8, 3, 4, 4, generator=generator), torch.rand(8, 3, 4, 4, generator=generator)
    likelihood = LearnedGaussianLikelihood()
    mean_squared_error = ((images - output) ** 2).mean()
    free = mean_squared_error.log().reshape(likelihood.initial_free().shape).requires_grad_()
    likelihood.distribution(output, free).log_prob(images).mean().backward()
    assert abs(free.grad.item()) < 1e-4
    assert likelihood.initial_free().exp().item() == pytest.approx(0.0125)


def test_per_pixel_gaussian_takes_means_then_log_variances(generator):
    # Far from both bounds, log(1/4) = −1.4 and log(1/(12 · 255²)) = −13.6, the log-variance is the decoder's own.
    mean, log_variance = torch.rand(2, 3, 4, 4, generator=generator), torch.full((2, 3, 4, 4), -7.5)
    images = torch.rand(2, 3, 4, 4, generator=generator)
    output = torch.cat([mean, log_variance], dim=1)
    ours = PerPixelGaussianLikelihood().distribution(output, torch.zeros(0))
    torch.testing.assert_close(ours.log_variance, log_variance, atol=5e-3, rtol=0)
    expected = oracle.Normal(mean, ours.standard_deviation).log_prob(images).sum((1, 2, 3))
    torch.testing.assert_close(ours.log_prob(images), expected)


def test_per_pixel_deviation_stays_between_a_rounding_error_and_one_half():
    raw = torch.linspace(-60, 60, 241).requires_grad_()
    output = torch.stack([torch.zeros(241), raw]).reshape(1, 2, 241, 1)
    deviation = PerPixelGaussianLikelihood().distribution(output, torch.zeros(0)).standard_deviation.flatten()
    assert deviation.min().item() == pytest.approx(1 / 255 / math.sqrt(12), rel=1e-3)
    assert deviation.max().item() == pytest.approx(0.5, rel=1e-3)
    assert (deviation.diff() >= 0).all()
    deviation.log().sum().backward()
    inside = (raw > -20) & (raw < 5)
    assert (raw.grad[inside] > 0).all()


def test_per_pixel_gaussian_cannot_run_away_on_a_pixel_that_never_changes():
    output = torch.stack([torch.zeros(4, 4), torch.full((4, 4), -1e4)]).unsqueeze(0)
    log_prob = PerPixelGaussianLikelihood().distribution(output, torch.zeros(0)).log_prob(torch.zeros(1, 1, 4, 4))
    most = 16 * -0.5 * math.log(2 * math.pi / (12 * 255**2))
    assert log_prob.item() == pytest.approx(most, rel=1e-4)


def test_laplace_likelihood_is_absolute_error_over_the_scale_plus_a_constant(generator):
    output, images = torch.randn(2, 3, 4, 4, generator=generator), torch.rand(2, 3, 4, 4, generator=generator)
    log_prob = LaplaceLikelihood(scale=0.1).distribution(output, torch.zeros(0)).log_prob(images)
    torch.testing.assert_close(log_prob, -(images - output).abs().sum((1, 2, 3)) / 0.1 - 48 * math.log(0.2))


def test_default_laplace_and_gaussian_have_one_variance():
    assert 2 * LaplaceLikelihood().scale ** 2 == pytest.approx(FixedGaussianLikelihood().variance)


@pytest.mark.parametrize(
    "likelihood",
    [
        FixedGaussianLikelihood(unit_range=False),
        LearnedGaussianLikelihood(unit_range=False),
        LaplaceLikelihood(unit_range=False),
    ],
    ids=lambda likelihood: likelihood.kind,
)
def test_real_valued_data_are_welcome_when_the_likelihood_says_so(likelihood):
    data = torch.full((1, 1, 2, 2), -7.0)
    distribution = likelihood.distribution(data, likelihood.initial_free())
    assert distribution.log_prob(data).isfinite().all()


def test_the_message_about_the_range_names_the_way_out_for_other_data():
    distribution = FixedGaussianLikelihood().distribution(torch.zeros(1, 1, 2, 2), torch.zeros(0))
    with pytest.raises(ValueError, match=r"run from -7 to -7.*unit_range=False"):
        distribution.log_prob(torch.full((1, 1, 2, 2), -7.0))


def test_bernoulli_likelihood_refuses_grey_and_points_to_binarise():
    distribution = BernoulliLikelihood().distribution(torch.zeros(1, 1, 2, 2), torch.zeros(0))
    with pytest.raises(ValueError, match=r"vaelib\.data\.binarise"):
        distribution.log_prob(torch.full((1, 1, 2, 2), 0.5))


def test_bernoulli_probabilities_of_all_black_and_white_images_sum_to_one(generator):
    every = torch.tensor([[(number >> bit) & 1 for bit in range(9)] for number in range(2**9)]).float()
    output = torch.randn(1, 1, 3, 3, generator=generator).expand(2**9, -1, -1, -1)
    log_prob = BernoulliLikelihood().distribution(output, torch.zeros(0)).log_prob(every.reshape(-1, 1, 3, 3))
    assert log_prob.exp().sum().item() == pytest.approx(1.0, abs=1e-5)
