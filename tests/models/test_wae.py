"""The WAE: its objective by hand, its players, its units and its settings."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from torch import distributions as oracle

from vaelib.data.image_set import Batch
from vaelib.models import (
    VAE,
    WAE,
    Autoencoder,
    AutoencoderConfig,
    Progress,
    VAEConfig,
    WAEConfig,
    penalty_weight_in_nats,
)
from vaelib.networks import Convolutional
from vaelib.probability import (
    DiagonalGaussian,
    FixedGaussianLikelihood,
    InverseMultiquadratic,
    PointMass,
    maximum_mean_discrepancy_squared,
)

SHAPE, LATENTS = (3, 8, 8), 4
SMALL = Convolutional(widths=(8,))


def make(**options):
    torch.manual_seed(0)
    return WAE(WAEConfig(**{"image_shape": SHAPE, "latent_dimension": LATENTS, "network": SMALL, **options}))


@pytest.fixture
def images(generator):
    return torch.rand(6, *SHAPE, generator=generator)


def prior_draws(seed, count=6, variance=1.0):
    torch.manual_seed(seed)
    return math.sqrt(variance) * torch.randn(count, LATENTS)


def test_with_mmd_the_terms_are_those_computed_by_hand(images):
    model = make(penalty_weight=7.0, likelihood=FixedGaussianLikelihood(0.02), prior_variance=2.0).eval()
    torch.manual_seed(5)
    loss = model.loss(Batch(images), Progress.finished())

    codes = model.encoder(images)
    pixels = oracle.Normal(model.decoder(codes), math.sqrt(0.02))
    distortion = -pixels.log_prob(images).sum((1, 2, 3))
    kernel = InverseMultiquadratic(2 * LATENTS * 2.0)
    divergence = maximum_mean_discrepancy_squared(codes, prior_draws(5, variance=2.0), kernel)

    assert set(loss.per_image) == {"distortion"}
    assert set(loss.per_batch) == {"mmd_squared"}
    torch.testing.assert_close(loss.per_image["distortion"], distortion)
    torch.testing.assert_close(loss.per_batch["mmd_squared"], divergence)
    torch.testing.assert_close(loss.total, distortion.mean() + 7.0 * divergence)


def test_with_gan_the_terms_of_both_players_are_those_computed_by_hand(images):
    model = make(penalty="gan", penalty_weight=3.0, adversary_widths=(16, 16)).eval()
    loss = model.loss(Batch(images), Progress.finished())
    torch.manual_seed(5)
    rival = model.adversary_loss(Batch(images), Progress.finished())

    codes, draws = model.encoder(images), prior_draws(5)
    of_codes, of_draws = (
        model.penalty.adversary.layers(z)[:, 0] + oracle.Normal(0.0, 1.0).log_prob(z).sum(1) for z in (codes, draws)
    )
    ones, zeros = torch.ones(6), torch.zeros(6)
    deception = F.binary_cross_entropy_with_logits(of_codes, ones)
    torch.testing.assert_close(loss.per_batch["deception"], deception)
    torch.testing.assert_close(loss.total, loss.per_image["distortion"].mean() + 3.0 * deception)
    total = F.binary_cross_entropy_with_logits(of_draws, ones) + F.binary_cross_entropy_with_logits(of_codes, zeros)
    torch.testing.assert_close(rival.total, total)
    assert set(rival.per_batch) == {"accuracy", "jensen_shannon"}
    right = (of_draws > 0).sum() + (of_codes < 0).sum()
    assert rival.per_batch["accuracy"].item() == pytest.approx(right.item() / 12)
    torch.testing.assert_close(rival.per_batch["jensen_shannon"], math.log(2) - total / 2)


def test_without_a_price_it_is_the_autoencoder(images):
    likelihood = FixedGaussianLikelihood(0.05)
    model = make(penalty_weight=0.0, likelihood=likelihood)
    plain = Autoencoder(AutoencoderConfig(SHAPE, LATENTS, SMALL, likelihood))
    plain.load_state_dict(model.state_dict())  # the same weights by the same names, and no others
    ours, theirs = (one.loss(Batch(images), Progress.finished()).total for one in (model, plain))
    torch.testing.assert_close(ours, theirs)


def test_the_published_cost_is_the_distortion_of_the_default_up_to_a_constant(images):
    model = make().eval()
    distortion = model.loss(Batch(images), Progress.finished()).per_image["distortion"]
    pictures = model.decode(model.encode(images).mean).mean
    published = 0.05 * ((2 * images - 1) - (2 * pictures - 1)).square().sum((1, 2, 3))
    constant = 192 / 2 * math.log(2 * math.pi * 2.5)
    torch.testing.assert_close(distortion, published + constant)


@pytest.mark.parametrize("variance", [2.5, 0.05, 0.0125])
def test_with_the_weight_in_nats_the_gradient_is_the_published_one_times_a_factor(images, variance):
    model = make(
        likelihood=FixedGaussianLikelihood(variance), penalty_weight=penalty_weight_in_nats(100, variance)
    ).eval()
    torch.manual_seed(5)
    model.loss(Batch(images), Progress.finished()).total.backward()

    other = make().eval()
    codes = other.encoder(images)
    squared_error = ((2 * images - 1) - (2 * other.decoder(codes) - 1)).square().sum((1, 2, 3)).mean()
    divergence = maximum_mean_discrepancy_squared(codes, prior_draws(5))
    (0.05 * squared_error + 100 * divergence).backward()
    for ours, published in zip(model.parameters(), other.parameters(), strict=True):
        if published.grad is not None:
            torch.testing.assert_close(ours.grad, published.grad * 2.5 / variance, rtol=1e-3, atol=1e-4 / variance)


def test_the_weight_in_nats_is_that_of_the_docstring():
    assert penalty_weight_in_nats(100, 2.5) == 100
    assert penalty_weight_in_nats(100, 0.05) == 5_000
    # A cost that is the plain squared error on [0, 1]: twice σ² is all that is left.
    assert penalty_weight_in_nats(1, 0.5, cost_weight=1, range_width=1) == pytest.approx(1)
    with pytest.raises(ValueError, match="weight should be 0 or more, the others positive, not 1, 0"):
        penalty_weight_in_nats(1, 0)


def test_encoders_are_those_of_the_autoencoder_and_of_the_vae(images):
    point, gaussian = make().eval(), make(encoder="gaussian").eval()
    assert isinstance(point.encode(images), PointMass)
    vae = VAE(VAEConfig(SHAPE, LATENTS, SMALL)).eval()
    vae.load_state_dict(gaussian.state_dict())
    ours, theirs = gaussian.encode(images), vae.encode(images)
    assert isinstance(ours, DiagonalGaussian)
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.log_variance, theirs.log_variance)


def test_a_gaussian_encoder_is_sampled_and_its_noise_reaches_the_penalty(images):
    model = make(encoder="gaussian")
    torch.manual_seed(1)
    first = model.loss(Batch(images), Progress.finished())
    torch.manual_seed(2)
    second = model.loss(Batch(images), Progress.finished())
    assert not torch.equal(first.per_image["distortion"], second.per_image["distortion"])
    first.per_batch["mmd_squared"].backward()
    log_variances = model.encoder[-1].bias.grad[LATENTS:]
    assert log_variances.abs().min() > 0


def test_the_prior_has_the_variance_that_is_asked_for():
    prior, z = make(prior_variance=2.0).prior(5), torch.randn(5, LATENTS)
    torch.testing.assert_close(prior.log_prob(z), oracle.Normal(0.0, math.sqrt(2.0)).log_prob(z).sum(1))


@pytest.mark.parametrize("encoder", ["deterministic", "gaussian"])
def test_players_share_no_parameter_and_leave_none_out(encoder):
    model = make(penalty="gan", encoder=encoder, adversary_widths=(8,), adversary_learning_rate=0.25)
    codec, rival = model.players()
    assert (codec.name, rival.name) == ("model", "adversary")
    assert (codec.learning_rate_factor, rival.learning_rate_factor) == (1.0, 0.25)
    owned = [{id(parameter) for parameter in player.parameters} for player in (codec, rival)]
    assert not owned[0] & owned[1]
    assert owned[0] | owned[1] == {id(parameter) for parameter in model.parameters()}
    alone = make(encoder=encoder)
    (only,) = alone.players()
    assert {id(parameter) for parameter in only.parameters} == {id(parameter) for parameter in alone.parameters()}
    with pytest.raises(TypeError, match="MMDPenalty has no adversary"):
        make().adversary_loss(Batch(torch.rand(4, *SHAPE)), Progress.finished())


def test_the_adversarys_loss_leaves_the_autoencoder_alone(images):
    model = make(penalty="gan", adversary_widths=(8,))
    model.adversary_loss(Batch(images), Progress.finished()).total.backward()
    moved = {name.partition(".")[0] for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert moved == {"penalty"}
    model.zero_grad()
    model.loss(Batch(images), Progress.finished()).total.backward()
    assert model.encoder[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"penalty": "gna"}, "WAEConfig.penalty should be one of mmd, gan, not 'gna'. Did you mean 'gan'"),
        ({"encoder": "gausian"}, "encoder should be one of deterministic, gaussian.*Did you mean 'gaussian'"),
        ({"kernel": "linear"}, "kernel should be one of imq, rbf, not 'linear'"),
        ({"penalty_weight": -1.0}, "penalty_weight should be 0 or more, and finite, not -1"),
        ({"penalty_weight": math.nan}, "penalty_weight should be 0 or more, and finite, not nan"),
        ({"prior_variance": 0.0}, "prior_variance should be positive and finite, not 0"),
        ({"adversary_learning_rate": -0.5}, "adversary_learning_rate should be positive and finite, not -0.5"),
        ({"adversary_widths": ()}, "adversary_widths should be one or more numbers of units"),
        ({"latent_dimension": 0}, "latent_dimension should be at least 1, not 0"),
    ],
)
def test_settings_are_checked_when_they_are_made(options, message):
    with pytest.raises(ValueError, match=message):
        WAEConfig(**options)


def test_one_image_has_no_aggregate(images):
    with pytest.raises(ValueError, match="at least 2 points each, not 1 and 1"):
        make().loss(Batch(images[:1]), Progress.finished())


def test_it_refuses_the_settings_of_another():
    with pytest.raises(TypeError, match="WAE takes a WAEConfig, not a VAEConfig"):
        WAE(VAEConfig())
    assert dataclasses.replace(WAEConfig(), penalty="gan").penalty == "gan"
