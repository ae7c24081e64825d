"""The β-VAE and the VAE with a budget: gradients by hand, the case that is the VAE, and the kink at the budget."""

import math

import pytest
import torch
from torch import nn

from vaelib.config import from_dict, to_dict
from vaelib.data.image_set import Batch
from vaelib.models import VAE, BetaVAE, BetaVAEConfig, CapacityVAE, CapacityVAEConfig, Progress, VAEConfig
from vaelib.networks import Convolutional, Linear
from vaelib.probability import FixedGaussianLikelihood
from vaelib.probability.equivalence import equivalent_variance

SHAPE, LATENTS = (3, 16, 16), 4
SMALL = Convolutional(widths=(8, 16))


def make(kind, **options):
    """The same weights for every kind and every setting."""
    torch.manual_seed(0)
    return kind(kind.Config(SHAPE, LATENTS, network=SMALL, **options)).eval()


@pytest.fixture
def images(generator):
    return torch.rand(6, *SHAPE, generator=generator)


def loss_of(model, images, progress=None):
    """With the same noise every time."""
    torch.manual_seed(5)
    return model.loss(Batch(images), progress or Progress.finished(len(images)))


def gradient(model, scalar):
    """Of every weight, as one vector."""
    found = torch.autograd.grad(scalar, list(model.parameters()), retain_graph=True, materialize_grads=True)
    return torch.cat([one.flatten() for one in found])


# Weight ---------------------------------------------------------------------------------------------------------------


def test_each_is_a_vae_that_overrides_how_the_terms_add_up_and_nothing_else():
    for kind in (BetaVAE, CapacityVAE):
        assert issubclass(kind, VAE)
        changed = {name for name, value in vars(kind).items() if callable(value) and not isinstance(value, type)}
        assert changed <= {"weigh", "capacity_at"}


@pytest.mark.parametrize("beta", [0.0, 0.5, 4.0, 100.0])
def test_the_gradient_is_that_of_distortion_plus_beta_times_rate(beta, images):
    model = make(BetaVAE, beta=beta)
    loss = loss_of(model, images)
    distortion, rate = (loss.per_image[name].mean() for name in ("distortion", "rate"))
    torch.testing.assert_close(loss.total, distortion + beta * rate)
    expected = gradient(model, distortion) + beta * gradient(model, rate)
    torch.testing.assert_close(gradient(model, loss.total), expected, rtol=1e-4, atol=1e-3)
    # The terms are reported at weight 1, whatever they are charged.
    vae = loss_of(make(VAE), images)
    for name in ("distortion", "rate"):
        assert torch.equal(loss.per_image[name], vae.per_image[name])


def test_beta_one_is_the_vae_to_the_last_bit(images):
    vae, beta_vae = make(VAE), make(BetaVAE, beta=1.0)
    ours, theirs = loss_of(beta_vae, images), loss_of(vae, images)
    assert torch.equal(ours.total, theirs.total)
    assert torch.equal(gradient(beta_vae, ours.total), gradient(vae, theirs.total))


def test_beta_is_four_unless_said_otherwise_and_warms_up_like_the_vae():
    assert BetaVAEConfig().beta == 4.0
    distortion, rate = torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0])
    model = make(BetaVAE, beta=3.0, kl_warmup=0.5)
    for step, weight in ((0, 0.0), (25, 1.5), (50, 3.0), (100, 3.0)):
        expected = distortion + weight * rate
        torch.testing.assert_close(model.weigh(distortion, rate, Progress(step, 100, 6)), expected)


@pytest.mark.parametrize("beta", [0.25, 4.0])
def test_with_a_fixed_variance_it_is_the_vae_of_beta_times_that_variance(beta, images):
    # β · J(βσ², 1) = J(σ², β) but for a constant, so one gradient is β times the other.
    beta_vae = make(BetaVAE, beta=beta, likelihood=FixedGaussianLikelihood(0.05))
    vae = make(VAE, likelihood=FixedGaussianLikelihood(equivalent_variance(beta, 0.05)))
    charged, plain = loss_of(beta_vae, images), loss_of(vae, images)
    torch.testing.assert_close(
        gradient(beta_vae, charged.total), beta * gradient(vae, plain.total), rtol=1e-4, atol=1e-3
    )
    dimensions = math.prod(SHAPE)
    constant = dimensions / 2 * (math.log(2 * math.pi * 0.05) - beta * math.log(2 * math.pi * beta * 0.05))
    torch.testing.assert_close(charged.total, beta * plain.total + constant, rtol=1e-5, atol=1e-2)


def test_a_dearer_nat_is_bought_less_often():
    pictures = torch.rand(64, 1, 2, 2, generator=torch.Generator().manual_seed(1))
    rates = []
    for beta in (0.5, 8.0):
        torch.manual_seed(0)
        model = BetaVAE(BetaVAEConfig((1, 2, 2), 2, Linear(), FixedGaussianLikelihood(0.02), beta=beta))
        optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
        for step in range(200):
            optimiser.zero_grad()
            model.loss(Batch(pictures), Progress(step, 200, 64)).total.backward()
            optimiser.step()
        rates.append(loss_of(model.eval(), pictures).per_image["rate"].mean().item())
    assert rates[0] > 1.5 * rates[1]


# Budget ---------------------------------------------------------------------------------------------------------------


def test_the_objective_is_distortion_plus_gamma_times_the_distance_from_the_budget(images):
    model = make(CapacityVAE, capacity=3.0, gamma=7.0)
    loss = loss_of(model, images)
    distortion, rate = (loss.per_image[name].mean() for name in ("distortion", "rate"))
    torch.testing.assert_close(loss.total, distortion + 7.0 * abs(rate - 3.0))
    assert set(loss.per_image) == {"distortion", "rate"}


@pytest.mark.parametrize(("excess", "sign"), [(-0.5, -1.0), (0.5, 1.0)])
def test_the_gradient_pulls_the_rate_to_the_budget_from_both_sides(excess, sign, images):
    rate = loss_of(make(VAE), images).per_image["rate"].mean().item()
    model = make(CapacityVAE, capacity=rate - excess * rate, gamma=10.0)
    loss = loss_of(model, images)
    distortion, mean_rate = (loss.per_image[name].mean() for name in ("distortion", "rate"))
    expected = gradient(model, distortion) + sign * 10.0 * gradient(model, mean_rate)
    torch.testing.assert_close(gradient(model, loss.total), expected, rtol=1e-4, atol=1e-3)


def test_at_the_budget_nothing_is_charged_and_nothing_pulls():
    model = make(CapacityVAE, capacity=15.0, gamma=100.0)
    distortion = torch.tensor([1.0, 2.0])
    rate = torch.tensor([10.0, 20.0], requires_grad=True)
    charged = model.weigh(distortion, rate, Progress.finished(2))
    assert torch.equal(charged, distortion)
    charged.sum().backward()
    assert torch.equal(rate.grad, torch.zeros(2))


def test_the_budget_is_for_the_mean_so_a_hard_image_may_take_more():
    model = make(CapacityVAE, capacity=10.0, gamma=2.0)
    distortion = torch.zeros(2)
    for rates in ([10.0, 10.0], [0.0, 20.0], [5.0, 15.0]):
        assert torch.equal(model.weigh(distortion, torch.tensor(rates), Progress.finished(2)), torch.zeros(2))
    # An |r_i − C| of each image would charge 2 · 10 here.
    rate = torch.tensor([0.0, 24.0])
    torch.testing.assert_close(model.weigh(distortion, rate, Progress.finished(2)), torch.tensor([4.0, 4.0]))


@pytest.mark.parametrize(
    ("annealing", "step", "capacity"),
    [
        (1.0, 0, 0.0),
        (1.0, 25, 5.0),
        (1.0, 100, 20.0),
        (0.5, 25, 10.0),
        (0.5, 50, 20.0),
        (0.5, 80, 20.0),
        (0.0, 0, 20.0),
    ],
)
def test_the_budget_grows_over_the_run(annealing, step, capacity):
    model = make(CapacityVAE, capacity=20.0, annealing=annealing, gamma=1.0)
    assert model.capacity_at(Progress(step, 100, 6)) == pytest.approx(capacity)
    rate = torch.tensor([8.0, 16.0])
    charged = model.weigh(torch.zeros(2), rate, Progress(step, 100, 6))
    torch.testing.assert_close(charged, torch.full((2,), abs(12.0 - capacity)))


def test_validation_sees_the_whole_budget():
    assert make(CapacityVAE, capacity=20.0).capacity_at(Progress.finished()) == 20.0


def test_no_budget_and_a_price_is_the_beta_vae(images):
    # |R − 0| = R, so γ is a β there.
    budget, weight = make(CapacityVAE, capacity=0.0, gamma=4.0), make(BetaVAE, beta=4.0)
    ours, theirs = loss_of(budget, images), loss_of(weight, images)
    torch.testing.assert_close(ours.total, theirs.total)
    torch.testing.assert_close(gradient(budget, ours.total), gradient(weight, theirs.total), rtol=1e-4, atol=1e-4)


def test_the_tolerance_of_the_paper_moves_no_weight_but_the_budget_does(images):
    """Equation 4 of He 2023 has β (KL − ε): another number, the same gradient."""
    model = make(BetaVAE, beta=4.0)
    loss = loss_of(model, images)
    distortion, rate = (loss.per_image[name].mean() for name in ("distortion", "rate"))
    with_tolerance = distortion + 4.0 * (rate - 3.0)
    assert (loss.total - with_tolerance).item() == pytest.approx(12.0, abs=1e-3)
    torch.testing.assert_close(gradient(model, with_tolerance), gradient(model, loss.total))
    small, large = (make(CapacityVAE, capacity=capacity, gamma=4.0) for capacity in (0.0, 1e4))
    one, other = (gradient(each, loss_of(each, images).total) for each in (small, large))
    assert not torch.allclose(one, other, rtol=0.01)


def test_a_rate_above_and_one_below_the_budget_both_end_at_it():
    """Training finds the budget: a linear model of four pixels, from a rate of almost none and from far too much."""
    pictures = torch.rand(128, 1, 2, 2, generator=torch.Generator().manual_seed(1))
    for start in (0.0, -8.0):  # of the log-variances: σ² = 1, or 0.0003
        torch.manual_seed(0)
        config = CapacityVAEConfig(
            (1, 2, 2), 2, Linear(), FixedGaussianLikelihood(0.05), capacity=2.5, gamma=20.0, annealing=0.0
        )
        model = CapacityVAE(config)
        linear = model.encoder[1]
        assert isinstance(linear, nn.Linear)
        with torch.no_grad():
            linear.bias[2:] = start
        optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
        for step in range(400):
            optimiser.param_groups[0]["lr"] = 0.02 * (1 - step / 400)
            optimiser.zero_grad()
            model.loss(Batch(pictures), Progress(step, 400, 128)).total.backward()
            optimiser.step()
        assert loss_of(model.eval(), pictures).per_image["rate"].mean().item() == pytest.approx(2.5, abs=0.05)


# Settings -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (BetaVAEConfig, {"beta": -1.0}, "beta should be 0 or more, and finite, not -1.0"),
        (BetaVAEConfig, {"beta": math.inf}, "beta should be 0 or more, and finite, not inf"),
        (BetaVAEConfig, {"beta": math.nan}, "beta should be 0 or more, and finite, not nan"),
        (BetaVAEConfig, {"beta": "4"}, "BetaVAEConfig.beta should be float, not '4'"),
        (BetaVAEConfig, {"kl_warmup": 2.0}, "kl_warmup should be a fraction of the run"),
        (
            CapacityVAEConfig,
            {"capacity": -1.0},
            "capacity should be 0 or more and gamma above 0, both finite, not -1.0",
        ),
        (CapacityVAEConfig, {"capacity": math.nan}, "capacity should be 0 or more"),
        (CapacityVAEConfig, {"gamma": 0.0}, "gamma above 0, both finite, not 25.0 and 0.0"),
        (CapacityVAEConfig, {"gamma": math.inf}, "gamma above 0, both finite"),
        (CapacityVAEConfig, {"annealing": 1.5}, "annealing should be a fraction of the run, from 0 to 1, not 1.5"),
        (CapacityVAEConfig, {"kl_warmup": 0.5}, "anneals its capacity, so kl_warmup should be 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(config, options, message):
    with pytest.raises(ValueError, match=message):
        config(**options)


def test_settings_go_to_json_and_back_and_a_typo_names_the_near_miss():
    for config in (BetaVAEConfig(beta=2), CapacityVAEConfig(capacity=5, annealing=0.5)):
        assert from_dict(type(config), to_dict(config)) == config
    with pytest.raises(ValueError, match="Did you mean 'beta'"):
        from_dict(BetaVAEConfig, {"bta": 2.0})
    with pytest.raises(ValueError, match="Did you mean 'capacity'"):
        from_dict(CapacityVAEConfig, {"capacty": 2.0})
    with pytest.raises(TypeError, match="BetaVAE takes a BetaVAEConfig, not a VAEConfig"):
        BetaVAE(VAEConfig())
