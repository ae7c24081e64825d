"""The discretised logistic mixture against direct sums over every level and a slow loop written from its definition."""

import math

import pytest
import torch
from scipy import stats

from vaelib.probability import LogisticMixtureLikelihood


def sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def interval_mass(lower, upper, mean, scale):
    """The mass of a logistic distribution between two edges, on the side of the mean where doubles resolve it."""
    if lower + upper > 2 * mean:
        lower, upper = 2 * mean - upper, 2 * mean - lower
    return sigmoid((upper - mean) / scale) - sigmoid((lower - mean) / scale)


def exact_mass(level, levels, mean, scale):
    """The mass of one level in a logistic distribution, from its definition, in double precision."""
    x, half = 2 * level / (levels - 1) - 1, 1 / (levels - 1)
    return interval_mass(
        -math.inf if level == 0 else x - half, math.inf if level == levels - 1 else x + half, mean, scale
    )


def published_mass(level, levels, mean, scale):
    """What NVAE computes instead: edges at −0.999 and 0.99, the density of the middle for masses up to 1e-5."""
    x, half = 2 * level / (levels - 1) - 1, 1 / (levels - 1)
    if x < -0.999:
        return interval_mass(-math.inf, x + half, mean, scale)
    if x > 0.99:
        return interval_mass(x - half, math.inf, mean, scale)
    mass = interval_mass(x - half, x + half, mean, scale)
    density = sigmoid((x - mean) / scale) * sigmoid((mean - x) / scale) / scale
    return mass if mass > 1e-5 else 2 * half * density


def slow_log_prob(output, image, components, levels, mass=exact_mass):
    """log P of one image (C, H, W) of levels from raw maps (maps, H, W), pixel by pixel."""
    channels, height, width = image.shape
    slots = 3 if channels == 3 else 2
    total = 0.0
    for row in range(height):
        for column in range(width):
            raw = output[:, row, column].double().tolist()
            colour = [2 * image[c, row, column].item() / (levels - 1) - 1 for c in range(channels)]
            heaviest = max(raw[:components])
            weights = [math.exp(logit - heaviest) for logit in raw[:components]]
            probability = 0.0
            for k in range(components):

                def value(channel, slot, k=k, raw=raw):
                    return raw[components + (channel * slots + slot) * components + k]

                shifts = [0.0] * channels
                if channels == 3:
                    shifts[1] = math.tanh(value(0, 2)) * colour[0]
                    shifts[2] = math.tanh(value(1, 2)) * colour[0] + math.tanh(value(2, 2)) * colour[1]
                product = weights[k] / sum(weights)
                for c in range(channels):
                    scale = math.exp(max(value(c, 1), -7.0))
                    product *= mass(int(image[c, row, column]), levels, value(c, 0) + shifts[c], scale)
                probability += product
            total += math.log(probability)
    return total


def raw_maps(generator, components, channels, size=1, log_scale=-1.5):
    """Random maps of a decoder, for one image, with scales around exp(log_scale)."""
    likelihood = LogisticMixtureLikelihood(components=components)
    output = torch.randn(1, likelihood.output_channels(channels), size, size, generator=generator)
    slots = 3 if channels == 3 else 2
    for c in range(channels):
        start = components * (1 + c * slots + 1)
        output[:, start : start + components] *= 0.5
        output[:, start : start + components] += log_scale
    return output


def every_colour(levels, channels):
    """(levels^channels, channels, 1, 1): every image of one pixel, in levels."""
    ranges = torch.meshgrid(*[torch.arange(levels)] * channels, indexing="ij")
    return torch.stack([levels_of.flatten() for levels_of in ranges], dim=1)[:, :, None, None]


def probabilities(likelihood, output, levels):
    """P of each one-pixel image, in double precision so that only log_prob itself is in question."""
    output = output.expand(len(levels), -1, -1, -1)
    distribution = likelihood.distribution(output, torch.zeros(0))
    return distribution.log_prob(levels.float() / (likelihood.levels - 1)).double().exp()


def test_the_number_of_maps_is_that_of_the_layout():
    likelihood = LogisticMixtureLikelihood(components=10)
    assert [likelihood.output_channels(channels) for channels in (1, 2, 3, 4)] == [30, 50, 100, 90]


@pytest.mark.parametrize("bits", [8, 5, 1])
@pytest.mark.parametrize("log_scale", [-7.0, -4.0, -1.5, 1.0])
def test_grey_probabilities_of_all_levels_sum_to_one(bits, log_scale, generator):
    likelihood = LogisticMixtureLikelihood(components=4, bits=bits)
    for _ in range(5):
        output = raw_maps(generator, 4, 1, log_scale=log_scale)
        total = probabilities(likelihood, output, every_colour(2**bits, 1)).sum().item()
        assert total == pytest.approx(1.0, abs=1e-5)


def test_rgb_probabilities_of_all_colours_sum_to_one_at_five_bits(generator):
    likelihood = LogisticMixtureLikelihood(components=2, bits=5)
    total = probabilities(likelihood, raw_maps(generator, 2, 3), every_colour(32, 3)).sum().item()
    assert total == pytest.approx(1.0, abs=1e-5)


def test_rgb_probabilities_at_eight_bits_sum_to_the_marginal_of_red_and_of_red_and_green(generator):
    components = 2
    output = raw_maps(generator, components, 3)
    raw, likelihood = output.flatten().double(), LogisticMixtureLikelihood(components=components)
    weights = raw[:components].softmax(0).tolist()
    red, green = 140, 77
    marginal_red = sum(
        weights[k] * exact_mass(red, 256, raw[2 + k].item(), math.exp(raw[4 + k].item())) for k in range(components)
    )
    rest = every_colour(256, 2)
    colours = torch.cat([torch.full((len(rest), 1, 1, 1), red), rest], dim=1)
    joint = probabilities(likelihood, output, colours)
    assert joint.sum().item() == pytest.approx(marginal_red, rel=1e-5)

    marginal_red_green = sum(
        weights[k]
        * exact_mass(red, 256, raw[2 + k].item(), math.exp(raw[4 + k].item()))
        * exact_mass(
            green,
            256,
            raw[8 + k].item() + math.tanh(raw[6 + k].item()) * (2 * red / 255 - 1),
            math.exp(raw[10 + k].item()),
        )
        for k in range(components)
    )
    assert joint[colours[:, 1, 0, 0] == green].sum().item() == pytest.approx(marginal_red_green, rel=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 5])
def test_log_probability_is_that_of_a_slow_loop(channels, bits, generator):
    likelihood = LogisticMixtureLikelihood(components=3, bits=bits)
    output = raw_maps(generator, 3, channels, size=3)
    image = torch.randint(0, 2**bits, (channels, 3, 3), generator=generator)
    image[:, 0, 0], image[:, 0, 1] = 0, 2**bits - 1
    ours = likelihood.distribution(output, torch.zeros(0)).log_prob(image[None].float() / (2**bits - 1))
    assert ours.item() == pytest.approx(slow_log_prob(output[0], image, 3, 2**bits), rel=1e-5)


@pytest.mark.parametrize("bits", [8, 5])
@pytest.mark.parametrize("log_scale", [-1.0, -4.0])
def test_nvae_tails_give_the_published_numbers(bits, log_scale, generator):
    likelihood = LogisticMixtureLikelihood(components=3, bits=bits, tails="nvae")
    output = raw_maps(generator, 3, 3, size=4, log_scale=log_scale)
    image = torch.randint(0, 2**bits, (3, 4, 4), generator=generator)
    image[:, 0, 0], image[:, 0, 1], image[:, 0, 2] = 0, 2**bits - 1, 2**bits - 2
    ours = likelihood.distribution(output, torch.zeros(0)).log_prob(image[None].float() / (2**bits - 1))
    assert ours.item() == pytest.approx(slow_log_prob(output[0], image, 3, 2**bits, published_mass), rel=1e-5)


def test_nvae_tails_count_the_highest_level_twice_at_eight_bits():
    # One component around white: nearly all of its mass is at 255.
    output = torch.tensor([0.0, 1.0, -4.0]).reshape(1, 3, 1, 1)
    levels = every_colour(256, 1)
    exact = probabilities(LogisticMixtureLikelihood(components=1), output, levels)
    published = probabilities(LogisticMixtureLikelihood(components=1, tails="nvae"), output, levels)
    assert exact.sum().item() == pytest.approx(1.0, abs=1e-6)
    white = exact_mass(255, 256, 1.0, math.exp(-4.0))
    assert published.sum().item() == pytest.approx(1.0 + white, abs=1e-4)


def test_far_tails_are_exact_and_nvae_falls_short_by_its_documented_factor():
    # At the smallest scale, s = e⁻⁷, half the range away: P = exp(−d/s) · 2 sinh(h/s) up to e^(−d/s) itself.
    mean, level = -0.5, 191
    distance, scale, half = (2 * level / 255 - 1) - mean, math.exp(-7.0), 1 / 255
    output = torch.tensor([0.0, mean, -9.0]).reshape(1, 3, 1, 1)  # −9 is raised to −7
    image = torch.full((1, 1, 1, 1), level / 255)
    exact, published = (
        LogisticMixtureLikelihood(components=1, tails=tails).distribution(output, torch.zeros(0)).log_prob(image).item()
        for tails in ("exact", "nvae")
    )
    assert exact == pytest.approx(-distance / scale + math.log(2 * math.sinh(half / scale)), rel=1e-5)
    assert exact - published == pytest.approx(math.log(math.sinh(half / scale) / (half / scale)), abs=1e-3)
    assert 2.1 < exact - published < 2.2


def test_gradients_are_finite_for_the_most_extreme_maps(generator):
    likelihood = LogisticMixtureLikelihood(components=2)
    output = (20 * torch.randn(1, 20, 6, 6, generator=generator)).requires_grad_()
    images = torch.randint(0, 256, (1, 3, 6, 6), generator=generator) / 255
    images[:, :, 0], images[:, :, 1] = 0.0, 1.0
    likelihood.distribution(output, torch.zeros(0)).log_prob(images).sum().backward()
    assert output.grad.isfinite().all()


def test_gradient_is_that_of_finite_differences(generator):
    likelihood = LogisticMixtureLikelihood(components=2, bits=5)
    output = raw_maps(generator, 2, 3, size=2).double().requires_grad_()
    images = torch.randint(0, 32, (1, 3, 2, 2), generator=generator).double() / 31
    images[:, :, 0, 0], images[:, :, 0, 1] = 0.0, 1.0
    assert torch.autograd.gradcheck(lambda maps: likelihood.distribution(maps, torch.zeros(0)).log_prob(images), output)


def test_a_batch_in_pieces_gives_what_single_images_give(generator):
    # 20 images of 64 × 64 × 3 with 10 components are several pieces.
    likelihood = LogisticMixtureLikelihood()
    output = torch.randn(20, 100, 64, 64, generator=generator)
    images = torch.randint(0, 256, (20, 3, 64, 64), generator=generator) / 255
    together = likelihood.distribution(output, torch.zeros(0)).log_prob(images)
    last = likelihood.distribution(output[-1:], torch.zeros(0)).log_prob(images[-1:])
    assert together.shape == (20,)
    torch.testing.assert_close(together[-1:], last)


def test_a_training_step_keeps_less_than_eight_megabytes_per_image(generator):
    # So a batch of 128 images of 64 × 64 with 10 components keeps less than 1 GB for its backward pass.
    output = torch.randn(2, 100, 64, 64, generator=generator, requires_grad=True)
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=generator) / 255
    kept = {}

    def note(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        LogisticMixtureLikelihood().distribution(output, torch.zeros(0)).log_prob(images)
    assert 0 < sum(kept.values()) / 2 < 8e6


def test_sampled_colours_have_the_frequencies_of_the_mass_function(generator):
    draws, components, levels = 40_000, 2, 4
    likelihood = LogisticMixtureLikelihood(components=components, bits=2)
    output = raw_maps(generator, components, 3, log_scale=-1.0)
    samples = likelihood.distribution(output.expand(draws, -1, -1, -1), torch.zeros(0)).sample(generator)
    assert samples.shape == (draws, 3, 1, 1)
    colours = every_colour(levels, 3)
    index = (samples * (levels - 1)).round().long().flatten(1) @ torch.tensor([16, 4, 1])
    observed = index.bincount(minlength=64).double()
    expected = draws * torch.tensor([slow_log_prob(output[0], c, components, levels) for c in colours]).double().exp()
    common = expected > 5
    observed = torch.cat([observed[common], observed[~common].sum()[None]])
    expected = torch.cat([expected[common], expected[~common].sum()[None]])
    statistic = ((observed - expected) ** 2 / expected.clamp(min=1)).sum().item()
    assert common.sum() > 20
    assert stats.chi2.sf(statistic, len(observed) - 1) > 1e-3


@pytest.mark.parametrize("bits", [8, 5])
def test_samples_lie_on_the_grid_and_have_a_log_probability(bits, generator):
    likelihood = LogisticMixtureLikelihood(components=3, bits=bits)
    distribution = likelihood.distribution(raw_maps(generator, 3, 3, size=8), torch.zeros(0))
    sample = distribution.sample(generator)
    assert distribution.log_prob(sample).isfinite().all()
    again = distribution.sample(torch.Generator().manual_seed(1))
    assert torch.equal(again, distribution.sample(torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("log_scale", [-5.0, -3.0, -1.0, 0.5])
def test_grey_mean_is_the_sum_over_all_levels(log_scale, generator):
    output = raw_maps(generator, 3, 1, log_scale=log_scale)
    distribution = LogisticMixtureLikelihood(components=3).distribution(output, torch.zeros(0))
    levels = every_colour(256, 1)
    mass = torch.tensor([slow_log_prob(output[0], level, 3, 256) for level in levels]).double().exp()
    expected = (mass * levels.flatten() / 255).sum().item()
    assert distribution.mean.item() == pytest.approx(expected, abs=0.1 / 255)


def test_grey_mean_is_within_half_a_level_at_the_smallest_scale():
    for mean in torch.linspace(-1.2, 1.2, 97).tolist():
        output = torch.tensor([0.0, mean, -7.0]).reshape(1, 3, 1, 1)
        ours = LogisticMixtureLikelihood(components=1).distribution(output, torch.zeros(0)).mean.item()
        mass = [exact_mass(level, 256, mean, math.exp(-7.0)) for level in range(256)]
        assert abs(ours * 255 - sum(level * p for level, p in enumerate(mass))) < 0.51


@pytest.mark.parametrize(("log_scale", "allowed"), [(-3.0, 0.5 / 255), (-1.0, 5 / 255)])
def test_rgb_mean_is_the_sum_over_all_colours(log_scale, allowed, generator):
    colours = every_colour(32, 3)
    for _ in range(20):
        likelihood = LogisticMixtureLikelihood(components=1, bits=5)
        output = raw_maps(generator, 1, 3, log_scale=log_scale)
        mass = probabilities(likelihood, output, colours)
        expected = (mass[:, None] * colours.flatten(1) / 31).sum(0)
        ours = likelihood.distribution(output, torch.zeros(0)).mean.flatten().double()
        torch.testing.assert_close(ours, expected, atol=allowed, rtol=0)


def test_images_between_levels_or_of_another_shape_are_rejected_with_what_to_do(generator):
    distribution = LogisticMixtureLikelihood(bits=5).distribution(torch.zeros(1, 100, 2, 2), torch.zeros(0))
    with pytest.raises(ValueError, match=r"32 grey levels.*vaelib.data.quantise\(images, 5\)"):
        distribution.log_prob(torch.full((1, 3, 2, 2), 100 / 255))
    with pytest.raises(ValueError, match=r"over images \(1, 3, 2, 2\), not \(2, 3, 2, 2\)"):
        distribution.log_prob(torch.zeros(2, 3, 2, 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"components": 0}, "components should be at least 1"),
        ({"bits": 9}, "bits should be from 1 to 8"),
        ({"tails": "long"}, "tails should be 'exact' or 'nvae'"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LogisticMixtureLikelihood(**options)


def test_maps_that_are_no_mixture_are_refused():
    with pytest.raises(ValueError, match=r"99 maps are no image of 10 components.*30 for grey and 100 for RGB"):
        LogisticMixtureLikelihood().distribution(torch.zeros(1, 99, 2, 2), torch.zeros(0))
