"""The WAE in use: whether its codes come to look like the prior, resuming, pretraining, saving, measuring."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import vaelib
from vaelib.data import ImageSet
from vaelib.evaluation import active_units, evaluate, importance_weighted_bound, rate_distortion
from vaelib.models import WAE, Progress, WAEConfig, moment_mismatch, penalty_weight_in_nats
from vaelib.networks import Convolutional, FullyConnected
from vaelib.probability import FixedGaussianLikelihood
from vaelib.training import NonFiniteError, TrainConfig, train

SHAPE, LATENTS = (1, 8, 8), 4


def make(**options):
    torch.manual_seed(0)
    return WAE(
        WAEConfig(
            **{"image_shape": SHAPE, "latent_dimension": LATENTS, "network": Convolutional(widths=(8,)), **options}
        )
    )


@pytest.fixture
def blobs(generator) -> ImageSet:
    """512 pictures 8×8 with four things to know about each: how bright each of its quarters is."""
    quarters = torch.rand(512, 1, 2, 2, generator=generator)
    pictures = F.interpolate(quarters, size=(8, 8))
    return ImageSet((255 * pictures).round().to(torch.uint8), "blobs", "train", "blobs 512")


def frechet_to_prior(model, data):
    """|mean|² + |Σ^½ − I|² of the codes: the Fréchet distance between their Gaussian and N(0, I)."""
    codes = model.encode(data.batch(slice(None)).images).mean.detach()
    deviations = torch.linalg.eigvalsh(torch.cov(codes.T)).clamp(min=0).sqrt()
    return (codes.mean(dim=0).square().sum() + (deviations - 1).square().sum()).item()


WEIGHTS = {"mmd": penalty_weight_in_nats(100, 0.05), "gan": penalty_weight_in_nats(1, 0.05)}


def trained(blobs, penalty, weight, steps=250):
    torch.manual_seed(0)
    model = WAE(
        WAEConfig(
            image_shape=SHAPE,
            latent_dimension=LATENTS,
            network=FullyConnected(widths=(32,)),
            likelihood=FixedGaussianLikelihood(0.05),
            penalty=penalty,
            penalty_weight=weight,
            adversary_widths=(32, 32),
        )
    )
    config = TrainConfig(
        steps=steps, batch_size=64, learning_rate=5e-3, betas=(0.5, 0.99), precision="float32", log_every=50
    )
    return train(model, blobs, config)


@pytest.mark.parametrize("penalty", ["mmd", "gan"])
def test_a_short_training_brings_the_codes_to_the_prior(blobs, penalty):
    free, priced = (trained(blobs, penalty, weight) for weight in (0.0, WEIGHTS[penalty]))
    assert frechet_to_prior(priced.model, blobs) < frechet_to_prior(free.model, blobs) / 5
    # The codes still say something: most of the variance is back.
    pictures = blobs.batch(slice(None)).images
    error = (priced.model.reconstruct(pictures) - pictures).square().mean()
    assert error < 0.3 * pictures.var(dim=0).mean()
    if penalty == "gan":
        last = priced.history.last()
        assert 0.4 < last["train/adversary/accuracy"] < 0.9  # neither has won
        assert 0.3 < last["train/deception"] < 2.0  # ln 2 = 0.69 is a draw


class Crash(Exception):
    pass


@pytest.mark.parametrize("penalty", ["mmd", "gan"])
def test_a_crashed_run_resumes_exactly(blobs, penalty, tmp_path):
    config = TrainConfig(steps=8, batch_size=16, log_every=1, checkpoint_every=2)

    def crash(model, row):
        if row["step"] == 5:
            raise Crash

    def build():
        return make(penalty=penalty, adversary_widths=(8,))

    with pytest.raises(Crash):
        train(build(), blobs, config, run=tmp_path / "run", callback=crash)
    resumed = train(build(), blobs, config, run=tmp_path / "run").model.state_dict()
    whole = train(build(), blobs, config).model.state_dict()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_codes_that_are_not_numbers_are_a_matter_for_the_guard(blobs):
    """A ValueError of the penalty would hide the layer that they came from."""
    for penalty in ("mmd", "gan"):
        model = make(penalty=penalty, adversary_widths=(8,))
        with torch.no_grad():
            model.encoder[0].weight.fill_(math.nan)
        with pytest.raises(NonFiniteError, match=r"encoder\.0"):
            train(model, blobs, TrainConfig(steps=1, batch_size=16))


@pytest.mark.parametrize("encoder", ["deterministic", "gaussian"])
def test_pretraining_matches_the_moments_of_the_prior_and_moves_the_encoder_only(blobs, encoder):
    model = make(encoder=encoder, prior_variance=4.0)
    model.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(9)
    state = torch.get_rng_state()
    mismatches = model.pretrain_encoder(blobs, learning_rate=0.02)
    assert torch.equal(torch.get_rng_state(), state)
    assert not model.training
    assert mismatches[0] > 0.5
    assert mismatches[-1] < 0.1
    assert len(mismatches) <= 200
    assert all(parameter.grad is None for parameter in model.parameters())
    changed = {
        name.partition(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {"encoder"}

    again = make(encoder=encoder, prior_variance=4.0)
    torch.manual_seed(10)
    assert again.pretrain_encoder(blobs, learning_rate=0.02) == mismatches
    with pytest.raises(ValueError, match="one step or more of two images or more, not 0 of 256 from 512"):
        model.pretrain_encoder(blobs, steps=0)


def test_the_mismatch_of_draws_from_the_prior_averages_to_zero(generator):
    values = torch.stack(
        [moment_mismatch(math.sqrt(2.0) * torch.randn(20, 6, generator=generator), 2.0) for _ in range(600)]
    )
    error = values.std() / math.sqrt(600)
    assert error < 0.02
    assert abs(values.mean()) < 4 * error


def test_the_mismatch_is_the_one_computed_by_hand(generator):
    codes = torch.randn(10, 3, generator=generator) @ torch.randn(3, 3, generator=generator) + 1
    covariance = torch.cov(codes.T)
    by_hand = codes.mean(dim=0).square().sum() / 2 + (covariance / 2 - torch.eye(3)).square().sum()
    by_chance = 1 / 10 + 4 / 9
    torch.testing.assert_close(moment_mismatch(codes, 2.0), by_hand / 3 - by_chance)
    alike = torch.zeros(256, 64)
    assert moment_mismatch(alike).item() == pytest.approx(1 - 1 / 256 - 65 / 255)


def test_too_few_images_for_a_pair_are_refused_before_the_first_step(blobs):
    config = TrainConfig(steps=2, batch_size=8, precision="float32")
    with pytest.raises(ValueError, match="images for validation: 1 is too few: this WAE compares"):
        train(make(penalty="mmd"), blobs, config, validation=blobs.take(1))
    with pytest.raises(ValueError, match="batch_size: 1 is too few"):
        train(make(penalty="mmd"), blobs, replace(config, batch_size=1))
    train(make(penalty="gan", adversary_widths=(4,)), blobs, config, validation=blobs.take(1))


@pytest.mark.parametrize("penalty", ["mmd", "gan"])
@pytest.mark.parametrize("encoder", ["deterministic", "gaussian"])
def test_a_saved_wae_comes_back_and_draws_the_same(penalty, encoder, tmp_path, blobs):
    model = make(penalty=penalty, encoder=encoder, adversary_widths=(8, 4), prior_variance=2.0, kernel="rbf").eval()
    loaded = vaelib.load(vaelib.save(model, tmp_path / "wae"))
    assert loaded.config == model.config
    ours, theirs = (one.sample(3, generator=torch.Generator().manual_seed(1)) for one in (model, loaded))
    assert torch.equal(ours, theirs)
    images = blobs.batch(slice(0, 4)).images
    assert torch.equal(model.reconstruct(images), loaded.reconstruct(images))


def test_what_evaluation_can_say_of_each_encoder(blobs):
    point, gaussian = (make(encoder=kind) for kind in ("deterministic", "gaussian"))
    test = blobs.take(40)
    results = evaluate(point, test, samples=40, features=None)
    assert {"distortion", "reconstruction_mse", "sharpness_samples", "sharpness_reconstructions"} <= results.keys()
    batch = test.batch(slice(None))
    expected = point.eval().loss(batch, Progress.finished(40)).per_image["distortion"].mean().item()
    assert results["distortion"].value == pytest.approx(expected, rel=1e-4)
    assert not {"negative_elbo", "rate", "bits_per_dimension"} & results.keys()  # a point has no density
    units = active_units(point, test)
    assert units.rates is None
    for measure in (rate_distortion, lambda model, data: importance_weighted_bound(model, data, k=2)):
        with pytest.raises(TypeError, match="WAE encodes an image as a point, which has no density over its latents"):
            measure(point, test)
    # A Gaussian encoder makes it a VAE that was trained on something else, so it has a bound.
    plane = rate_distortion(gaussian, test)
    assert plane.rate.value > 0
    assert active_units(gaussian, test).rates.shape == (LATENTS,)
