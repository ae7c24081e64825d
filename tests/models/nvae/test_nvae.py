"""The tower: shapes, counts, objective, and the verbs that every model speaks."""

import math

import pytest
import torch

from vaelib.config import from_dict, to_dict
from vaelib.data.image_set import Batch
from vaelib.models.base import Progress
from vaelib.models.nvae import NVAE, NVAEConfig, SoftClampedNormalLikelihood, adaptive_groups, published
from vaelib.models.nvae.objective import balance, expected_shares, kl_weight, regularisation_weight
from vaelib.models.nvae.regularisation import SpectralNorms, batch_norm_scales, convolutions, matrix, stacked_filters
from vaelib.probability import BernoulliLikelihood

SMALL = {"encoder_width": 4, "decoder_width": 4, "latent_channels": 2, "groups": (1, 2)}


def make(**options):
    torch.manual_seed(0)
    return NVAE(NVAEConfig(**({"image_shape": (3, 16, 16)} | SMALL | options)))


@pytest.fixture
def images(generator):
    return torch.randint(0, 256, (4, 3, 16, 16), generator=generator) / 255


@pytest.mark.parametrize(
    ("name", "parameters", "groups"),
    [
        ("mnist", 33_363_134, (5, 10)),
        ("cifar10", 130_852_480, (30,)),
        ("celeba64", 153_281_364, (5, 10, 20)),
        ("celebahq256", None, (4, 4, 4, 8, 16)),
        ("ffhq256", None, (4, 4, 4, 8, 16)),
    ],
)
def test_the_published_configurations_have_the_published_size(name, parameters, groups):
    config = getattr(published, name)()
    with torch.device("meta"):
        model = NVAE(config)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert config.groups == groups
    assert count == parameters if parameters else round(count / 1e5) == 3308
    assert from_dict(NVAEConfig, to_dict(config)) == config


def test_the_adaptive_rule():
    assert adaptive_groups(3, 20) == (5, 10, 20)
    assert adaptive_groups(5, 16, minimum=4) == (4, 4, 4, 8, 16)
    assert adaptive_groups(4, 2) == (1, 1, 1, 2)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"flows": 1, "residual_posterior": False},
        {"groups": (1,)},
        {"blocks": 0, "squeeze_excite": False},
        {"decoder_width": 6, "encoder_cells": 2},
        {"likelihood": SoftClampedNormalLikelihood()},
    ],
)
def test_a_training_step_reaches_every_parameter(images, options):
    model = make(**options).train()
    loss = model.loss(Batch(images), Progress(0, 100, 4))
    loss.total.backward()
    assert loss.total.isfinite()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    groups = [loss.per_image[name] for name in loss.per_image if name.startswith("kl_")]
    assert len(groups) == sum(model.config.groups)
    torch.testing.assert_close(sum(groups), loss.per_image["rate"])


def test_28_pixels_are_padded_to_32_and_counted_without_the_padding(generator):
    model = make(image_shape=(1, 28, 28), likelihood=BernoulliLikelihood(), blocks=2).eval()
    assert (model.config.side, model.config.latent_shapes) == (32, ((2, 4, 4), (2, 8, 8), (2, 8, 8)))
    x = torch.rand(2, 1, 28, 28, generator=generator).round()
    answer = model.deterministic(x)
    assert answer.logits.shape == (2, 1, 32, 32)
    inside = answer.logits[:, :, 2:30, 2:30]
    expected = torch.nn.functional.binary_cross_entropy_with_logits(inside, x, reduction="none").sum((1, 2, 3))
    torch.testing.assert_close(answer.reconstruction_nats, expected)
    padded = model.deterministic(torch.nn.functional.pad(x, (2, 2, 2, 2)))
    torch.testing.assert_close(padded.logits, answer.logits)
    assert model.sample(3).shape == (3, 1, 28, 28)


def test_encode_and_decode_are_the_two_halves_of_the_mean_path(images):
    model = make(flows=1).eval()
    answer = model.deterministic(images)
    encoding = model.encode(images, mean_path=True)
    assert len(encoding) == 3
    torch.testing.assert_close(encoding.log_q, answer.log_q)
    torch.testing.assert_close(-model.decode(encoding.latents).log_prob(images), answer.reconstruction_nats)
    for posterior, z in zip(encoding, encoding.latents, strict=True):
        torch.testing.assert_close(posterior.mean, z)
    with pytest.raises(ValueError, match="takes latents"):
        model.decode(encoding.latents[:2])


def test_samples_do_not_depend_on_the_chunk_and_without_noise_are_the_mean_path():
    model = make()
    draws = [model.sample(5, generator=torch.Generator().manual_seed(1), chunk=chunk) for chunk in (2, 5)]
    torch.testing.assert_close(*draws)
    cold = model.sample(2, temperature=(0.0, 0.0))
    torch.testing.assert_close(cold, model._distribution(model.deterministic_prior(2)).mean.clamp(0, 1))
    fixed_coarse = model.sample(2, temperature=[0.0, 1.0])
    assert not torch.equal(fixed_coarse[0], fixed_coarse[1])
    assert model.training
    with pytest.raises(ValueError, match="temperature"):
        model.sample(1, temperature=(1.0,))


def test_reconstruct_and_interpolate(images):
    model = make()
    assert model.reconstruct(images, chunk=3).shape == images.shape
    path = model.interpolate(images[:2], images[2:], steps=3)
    torch.testing.assert_close(path[:, 0], model.reconstruct(images[:2]))
    torch.testing.assert_close(path[:, 2], model.reconstruct(images[2:]))


def test_a_density_is_on_the_unit_scale_and_its_published_number_is_not(images):
    model = make(likelihood=SoftClampedNormalLikelihood()).eval()
    answer = model.deterministic(images)
    mean, log_deviation = (5 * torch.tanh(answer.logits / 5)).chunk(2, dim=1)
    pixels = torch.distributions.Normal(mean, log_deviation.exp() + 0.01)
    expected = -pixels.log_prob(2 * images - 1).sum((1, 2, 3))
    torch.testing.assert_close(answer.reconstruction_nats, expected)
    ours = -model.decode(model.encode(images, mean_path=True).latents).log_prob(images)
    torch.testing.assert_close(ours, expected - 768 * math.log(2))


def test_warm_up_and_balancing_by_hand():
    schedule = {"constant": 1e-4, "constant_portion": 1e-4, "warmup": 0.3}
    assert kl_weight(0, **schedule) == 1e-4
    assert kl_weight(0.1501, **schedule) == pytest.approx(0.5)
    assert kl_weight(0.5, **schedule) == kl_weight(1, **schedule) == 1
    # Scales of 1 and 4 latents, with 1 and 2 groups: 1 and 2 per group.
    torch.testing.assert_close(expected_shares((1, 2)), torch.tensor([1.0, 2.0, 2.0]))
    weights = balance(torch.tensor([[0.99, 2.0, 4.0], [0.99, 1.98, 3.98]]), (1, 2))
    torch.testing.assert_close(
        weights, torch.tensor([0.75, 0.75, 1.5]) * torch.tensor([1.0, 1.0, 1.0]), atol=1e-2, rtol=0
    )
    assert regularisation_weight(0, 0.01, 1.0) == 1
    assert regularisation_weight(0.5, 0.01, 1.0) == pytest.approx(0.1)
    assert regularisation_weight(0.2, 0.01, None) == 0.01


def test_after_the_warm_up_the_loss_is_the_negative_bound(images):
    model = make(regularisation=0.0).eval()
    loss = model.loss(Batch(images), Progress.finished())
    torch.testing.assert_close(loss.total, (loss.per_image["distortion"] + loss.per_image["rate"]).mean())


def test_spectral_norms_are_the_largest_singular_values():
    model = make(flows=1).train()
    convs = convolutions(model)
    norms = SpectralNorms(convs)
    for _ in range(60):
        values = norms(stacked_filters(convs))
    order = [place for places in norms.places.values() for place in places]
    expected = torch.stack([torch.linalg.svdvals(matrix(convs[place]))[0] for place in order])
    torch.testing.assert_close(values, expected, rtol=2e-2, atol=1e-4)
    assert ((values - expected).abs() / expected).median() < 1e-4
    # The gradient is that of the singular value.
    weight = torch.randn(1, 3, 5, dtype=torch.double, requires_grad=True)
    conv = torch.nn.Conv2d(5, 3, 1, bias=False, dtype=torch.double)
    with torch.no_grad():
        conv.weight.copy_(weight[0, :, :, None, None])
    single = SpectralNorms([conv]).double()
    for _ in range(50):
        value = single(stacked_filters([conv])).sum()
    value.backward()
    torch.linalg.svdvals(weight[0])[0].backward()
    torch.testing.assert_close(conv.weight.grad[:, :, 0, 0], weight.grad[0])


def test_batch_norm_scales():
    model = torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.BatchNorm2d(3), torch.nn.BatchNorm2d(2))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([0.5, -4, 1]))
    torch.testing.assert_close(batch_norm_scales(model), torch.tensor([4.0, 1.0, 1.0]))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"image_shape": (3, 16, 20)}, "square"),
        ({"groups": ()}, "groups"),
        ({"latent_channels": 0}, "latent_channels"),
        ({"padded_side": 18}, "multiple of 4"),
        ({"kl_constant": 2.0}, "kl_constant"),
    ],
)
def test_settings_that_make_no_sense(options, reason):
    with pytest.raises(ValueError, match=reason):
        make(**options)
