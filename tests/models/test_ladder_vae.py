"""The ladder: its rate against sampling and exact answers, its two inferences, and what it refuses."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

import vaelib
from vaelib.config import from_dict, to_dict
from vaelib.data.image_set import Batch
from vaelib.models import MODELS, LadderVAE, LadderVAEConfig, Progress, precision_weighted
from vaelib.probability import DiagonalGaussian, FixedGaussianLikelihood

SHAPE = (1, 6, 6)
BOTH = pytest.mark.parametrize("inference", ["bottom_up", "top_down"])


def small(inference="top_down", **options):
    torch.manual_seed(0)
    settings = {"image_shape": SHAPE, "latent_widths": (3, 2), "widths": (12, 8), "inference": inference}
    return LadderVAE(LadderVAEConfig(**(settings | options)))


@pytest.fixture
def images(generator):
    return torch.rand(5, *SHAPE, generator=generator)


def test_precision_weighting_is_the_normalised_product_of_two_densities() -> None:
    one, other = (
        DiagonalGaussian(torch.tensor([[m]], dtype=torch.float64), torch.tensor([[v]], dtype=torch.float64).log())
        for m, v in ((1.0, 0.5), (-2.0, 3.0))
    )
    z = torch.linspace(-20, 20, 40_001, dtype=torch.float64)[:, None]
    product = (one.log_prob(z) + other.log_prob(z)).exp()
    density = product / torch.trapezoid(product, z[:, 0])
    mean = torch.trapezoid(density * z[:, 0], z[:, 0])
    variance = torch.trapezoid(density * (z[:, 0] - mean) ** 2, z[:, 0])
    both = precision_weighted(one, other)
    torch.testing.assert_close(both.mean.squeeze(), mean)
    torch.testing.assert_close(both.log_variance.exp().squeeze(), variance)
    torch.testing.assert_close(both.log_prob(z).exp(), density)
    assert both.mean.item() == pytest.approx((1 / 0.5 - 2 / 3) / (1 / 0.5 + 1 / 3))


def test_precision_weighting_does_not_care_about_the_order_and_survives_extremes() -> None:
    sharp = DiagonalGaussian(torch.tensor([[3.0]]), torch.tensor([[-200.0]]))
    vague = DiagonalGaussian(torch.tensor([[-1.0]]), torch.tensor([[200.0]]))
    for both in (precision_weighted(sharp, vague), precision_weighted(vague, sharp)):
        assert both.mean.item() == 3.0
        assert both.log_variance.item() == -200.0
    same = precision_weighted(sharp, sharp)
    assert same.log_variance.item() == pytest.approx(-200 - math.log(2))


@BOTH
def test_the_encoding_names_its_layers_from_the_image_upwards(inference, images) -> None:
    encoding = small(inference).encode(images)
    assert len(encoding) == 2
    assert [q.mean.shape for q in encoding] == [(5, 3), (5, 2)]
    assert [z.shape for z in encoding.latents] == [(5, 3), (5, 2)]
    assert encoding[-1] is encoding.posteriors[1]
    assert encoding[:1] == encoding.posteriors[:1]
    assert torch.equal(encoding.priors[1].mean, torch.zeros(5, 2))
    assert encoding.kl_per_layer.shape == (5, 2)


@BOTH
@pytest.mark.parametrize("layers", [2, 3])
def test_the_rate_is_log_q_minus_log_p_on_average(inference, layers, images, generator) -> None:
    """For any number of layers; a Monte Carlo mean on both sides, from independent draws."""
    model = small(inference, latent_widths=(3, 2, 2)[:layers], widths=(12, 8, 8)[:layers]).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)  # so that layers do depend on one another
        many = images[:1].expand(40_000, -1, -1, -1)
        one, other = model.encode(many, generator=generator), model.encode(many, generator=generator)
        decomposed, sampled = one.kl_per_layer.sum(dim=1), other.log_q - other.log_p
    error = math.hypot(decomposed.std().item(), sampled.std().item()) / math.sqrt(len(many))
    assert decomposed.mean().item() > 0
    assert abs(decomposed.mean() - sampled.mean()).item() < 5 * error


def set_linear(layer, weight, bias) -> None:
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(weight))
        layer.bias.copy_(torch.as_tensor(bias))


class Affine(torch.nn.Module):
    """One number in; a mean a·z + b and a fixed log-variance out."""

    def __init__(self, slope, offset, log_variance) -> None:
        super().__init__()
        self.slope, self.offset, self.log_variance = slope, offset, log_variance

    def forward(self, z):
        return torch.cat([self.slope * z + self.offset, torch.full_like(z, self.log_variance)], dim=1)


def linear_ladder(inference):
    """One latent a layer, everything linear: q and p are then Gaussians over (z_1, z_2)."""
    model = small(inference, image_shape=(1, 1, 1), latent_widths=(1, 1), widths=(2, 2)).eval()
    model.encoder = torch.nn.ModuleList([torch.nn.Identity(), torch.nn.Identity()])
    model.posterior_heads = torch.nn.ModuleList([Affine(0.8, 0.1, math.log(0.3)), Affine(-0.7, 0.2, math.log(0.4))])
    model.priors = torch.nn.ModuleList([Affine(0.9, -0.3, math.log(0.5))])
    return model


def joint(slope, offset, variance, below_mean, below_variance):
    """A Gaussian over (a, b) with a ~ N(below_mean, below_variance), b = slope · a + offset + noise."""
    mean = torch.tensor([below_mean, slope * below_mean + offset])
    covariance = torch.tensor(
        [[below_variance, slope * below_variance], [slope * below_variance, slope**2 * below_variance + variance]]
    )
    return mean, covariance


@BOTH
def test_the_rate_of_a_linear_ladder_is_the_exact_kl_of_two_gaussians(inference, generator) -> None:
    x = 0.6
    model = linear_ladder(inference)
    images = torch.full((200_000, 1, 1, 1), x)
    with torch.no_grad():
        terms = model.encode(images, generator=generator).kl_per_layer.double()
    mean, covariance = joint(0.9, -0.3, 0.5, 0.0, 1.0)  # (z_2, z_1) under the prior
    p = MultivariateNormal(mean.flip(0), covariance.flip(0, 1))
    if inference == "bottom_up":
        q = MultivariateNormal(*joint(-0.7, 0.2, 0.4, 0.8 * x + 0.1, 0.3))
    else:  # z_2 from x, then precisions 1/0.3 of the evidence and 1/0.5 of the prior 0.9 z_2 − 0.3
        variance = 1 / (1 / 0.3 + 1 / 0.5)
        slope, offset = variance * 0.9 / 0.5, variance * ((0.8 * x + 0.1) / 0.3 - 0.3 / 0.5)
        mean, covariance = joint(slope, offset, variance, -0.7 * x + 0.2, 0.4)
        q = MultivariateNormal(mean.flip(0), covariance.flip(0, 1))
    exact = torch.distributions.kl_divergence(q, p).item()
    rate = terms.sum(dim=1)
    assert rate.mean().item() == pytest.approx(exact, abs=5 * rate.std().item() / math.sqrt(len(rate)))


def test_bottom_up_the_closed_form_of_the_lower_layer_would_be_wrong(generator) -> None:
    """z_2 was drawn from z_1, so KL(q(z_1 | x) || p(z_1 | z_2)) treats as independent what is not."""
    model = linear_ladder("bottom_up")
    with torch.no_grad():
        encoding = model.encode(torch.full((200_000, 1, 1, 1), 0.6), generator=generator)
        naive = encoding.posteriors[0].kl(encoding.priors[0]).mean()
        right = encoding.kl_per_layer[:, 0].mean()
    # E over independent z_1, z_2 instead of dependent ones: off by slope · covariance / prior variance.
    assert (right - naive).item() == pytest.approx(-0.9 * -0.7 * 0.3 / 0.5, abs=0.02)


def test_top_down_each_layer_has_a_kl_of_its_own_that_is_never_negative(images) -> None:
    encoding = small("top_down").encode(images)
    assert (encoding.kl_per_layer >= 0).all()
    expected = torch.stack([q.kl(p) for q, p in zip(encoding.posteriors, encoding.priors, strict=True)], dim=1)
    assert torch.equal(encoding.kl_per_layer, expected)


def test_top_down_the_posterior_is_the_evidence_times_the_prior(images) -> None:
    model = small("top_down").eval()
    encoding = model.encode(images)
    feature = model.encoder[0](images.flatten(1))
    mean, log_variance = model.posterior_heads[0](feature).chunk(2, dim=1)
    expected = precision_weighted(DiagonalGaussian(mean, log_variance), model.prior_of(0, encoding.latents[1]))
    torch.testing.assert_close(encoding[0].mean, expected.mean)
    torch.testing.assert_close(encoding[0].log_variance, expected.log_variance)
    assert (encoding[0].log_variance < encoding.priors[0].log_variance).all()


@BOTH
def test_the_bound_is_below_the_importance_weighted_estimate(inference, images, generator) -> None:
    model = small(inference, likelihood=FixedGaussianLikelihood(variance=0.05)).eval()
    with torch.no_grad():
        rows = []
        for _ in range(500):
            encoding = model.encode(images, generator=generator)
            rows.append(model.decode(encoding.latents).log_prob(images) + encoding.log_p - encoding.log_q)
        log_weights = torch.stack(rows)
        bound = -torch.stack([model.loss(Batch(images), Progress.finished()).total for _ in range(500)]).mean()
    estimate = (log_weights.logsumexp(dim=0) - math.log(500)).mean()
    assert bound.item() == pytest.approx(log_weights.mean().item(), abs=0.5)
    assert bound < estimate


@BOTH
def test_with_the_upper_layer_ignored_the_bound_is_that_of_one_layer_and_nothing_pulls_it_back(
    inference, images
) -> None:
    model = small(inference, likelihood=FixedGaussianLikelihood(variance=0.05))
    for layer in (model.posterior_heads[1], model.priors[0][1]):
        set_linear(layer, torch.zeros_like(layer.weight), torch.zeros_like(layer.bias))
    torch.manual_seed(1)
    loss = model.loss(Batch(images.repeat(2_000, 1, 1, 1)), Progress.finished())
    assert torch.equal(loss.per_image["kl_2"], torch.zeros(10_000))
    loss.total.backward()
    # To say more in z_2 changes nothing downstream, and its price is at its minimum.
    head = model.posterior_heads[1]
    assert head.weight.grad.abs().max() < 1e-6
    assert head.bias.grad.abs().max() < 1e-6


@BOTH
def test_gradients_reach_every_parameter(inference, images) -> None:
    model = small(inference, latent_widths=(3, 2, 2), widths=(12, 8, 8))
    model.loss(Batch(images), Progress.finished()).total.backward()
    for name, parameter in model.named_parameters():
        if parameter.numel():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().sum() > 0, name


@BOTH
def test_the_loss_has_its_terms_by_name_and_the_warm_up_weighs_the_rate(inference, images) -> None:
    model = small(inference, kl_warmup=0.5)
    for step, weight in ((0, 0.0), (10, 0.4), (25, 1.0), (50, 1.0)):
        loss = model.loss(Batch(images), Progress(step, 50, 5))
        terms = loss.per_image
        assert list(terms) == ["distortion", "rate", "kl_1", "kl_2"]
        torch.testing.assert_close(terms["rate"], terms["kl_1"] + terms["kl_2"])
        torch.testing.assert_close(loss.total, (terms["distortion"] + weight * terms["rate"]).mean())


@BOTH
def test_a_saved_model_comes_back(inference, images, tmp_path) -> None:
    model = small(inference, kl_warmup=0.25)
    loaded = vaelib.load(vaelib.save(model, tmp_path / "model"))
    assert type(loaded) is LadderVAE is MODELS["ladder_vae"]
    assert loaded.config == model.config == from_dict(LadderVAEConfig, to_dict(model.config))
    assert torch.equal(loaded.reconstruct(images), model.reconstruct(images))


@BOTH
def test_pictures_have_their_shapes_and_do_not_depend_on_the_chunk(inference, images) -> None:
    model = small(inference).train()
    first, again, in_chunks = (
        model.sample(7, generator=torch.Generator().manual_seed(1), chunk=chunk) for chunk in (256, 256, 3)
    )
    assert first.shape == (7, *SHAPE)
    assert torch.equal(first, again)
    torch.testing.assert_close(first, in_chunks)
    assert not torch.equal(first, model.sample(7, generator=torch.Generator().manual_seed(2)))
    torch.testing.assert_close(model.reconstruct(images), model.reconstruct(images, chunk=2))
    path = model.interpolate(images[:2], images[2:4], steps=4)
    assert path.shape == (2, 4, *SHAPE)
    torch.testing.assert_close(path[:, 0], model.reconstruct(images[:2]))
    assert model.training
    assert all(pictures.min() >= 0 and pictures.max() <= 1 for pictures in (first, path))


def test_at_temperature_zero_every_layer_is_the_mean_of_its_prior() -> None:
    model = small().eval()
    with torch.no_grad():
        top = torch.zeros(1, 2)
        expected = model.decode((model.prior_of(0, top).mean, top)).mean.clamp(0, 1)
    torch.testing.assert_close(model.sample(3, temperature=0.0), expected.expand(3, -1, -1, -1))


def test_both_inferences_have_the_same_generative_model() -> None:
    one, other = small("bottom_up"), small("top_down")
    for part in ("priors", "decoder"):
        shapes = [[p.shape for p in getattr(model, part).parameters()] for model in (one, other)]
        assert shapes[0] == shapes[1]


def test_wrong_requests_say_what_was_wrong_and_what_was_expected(images) -> None:
    model = small().eval()
    with pytest.raises(ValueError, match=r"this LadderVAE takes images \(B, 1, 6, 6\), not \(5, 1, 7, 7\)"):
        model.encode(torch.zeros(5, 1, 7, 7))
    with pytest.raises(ValueError, match=r"should lie in \[0, 1\]"):
        model.encode(images * 2 - 1)
    with pytest.raises(ValueError, match=r"latents of all its layers, z_1 first: \(B, 3\), \(B, 2\); not \[\(2,\)"):
        model.decode((torch.zeros(4, 2), torch.zeros(4, 3)))
    with pytest.raises(ValueError, match="latents of all its layers"):
        model.decode(torch.zeros(4, 5))
    with pytest.raises(TypeError, match="the prior of a LadderVAE is a chain"):
        model.prior(3)
    with pytest.raises(ValueError, match="start and end should have one shape"):
        model.interpolate(images[:2], images[:3])
    with pytest.raises(ValueError, match="count and chunk should be at least 1, not 0 and 256"):
        model.sample(0)
    with pytest.raises(ValueError, match="temperature should be 0 or more"):
        model.sample(2, temperature=-1.0)
    with pytest.raises(ValueError, match="chunk should be at least 1, not 0"):
        model.reconstruct(images, chunk=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inference": "topdown"}, "LadderVAEConfig.inference should be .*not 'topdown'"),
        ({"latent_widths": (8,)}, "latent_widths should be two or more numbers"),
        ({"latent_widths": (8, 0)}, "latent_widths should be two or more numbers, each at least 1"),
        ({"widths": (8,)}, "widths should be 2 numbers, one for each layer of latents"),
        ({"image_shape": (1, 0, 28)}, "image_shape should be"),
        ({"kl_warmup": 2.0}, "kl_warmup should be a fraction of the run, from 0 to 1, not 2.0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        LadderVAEConfig(**options)


def test_misspelt_options_are_answered_with_the_near_miss() -> None:
    with pytest.raises(ValueError, match=r"Did you mean 'latent_widths'\?"):
        from_dict(LadderVAEConfig, {"latent_width": [16, 8]})
    with pytest.raises(TypeError, match="LadderVAE takes a LadderVAEConfig, not a dict"):
        LadderVAE({})
