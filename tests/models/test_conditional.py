"""The conditional VAE: what the label does, the VAE of one label, and what is said about labels that do not fit."""

import math

import pytest
import torch
from torch import distributions as oracle

import vaelib
from vaelib.config import from_dict, to_dict
from vaelib.data.image_set import Batch, ImageSet
from vaelib.models import VAE, ConditionalVAE, ConditionalVAEConfig, GivenLabel, Progress, VAEConfig
from vaelib.networks import Convolutional, FullyConnected, Linear
from vaelib.probability import BernoulliLikelihood, DiagonalGaussian, FixedGaussianLikelihood
from vaelib.training import TrainConfig, train

SHAPE, LATENTS = (3, 8, 8), 4


def make(label_sizes=(10,), network=FullyConnected(widths=(16,)), **options):  # noqa: B008
    torch.manual_seed(0)
    return ConditionalVAE(ConditionalVAEConfig(SHAPE, LATENTS, network, label_sizes=label_sizes, **options)).eval()


@pytest.fixture
def images(generator):
    return torch.rand(6, *SHAPE, generator=generator)


LABELS = torch.tensor([3, 0, 9, 3, 5, 7])


# What the label does --------------------------------------------------------------------------------------------------


def test_labels_become_one_hot_blocks_side_by_side():
    labels = torch.tensor([[2, 0], [0, 1]])
    expected = torch.tensor([[0.0, 0, 1, 1, 0], [1, 0, 0, 0, 1]])
    assert torch.equal(make((3, 2)).one_hot(labels, 2), expected)
    one = make((4,))
    assert torch.equal(one.one_hot(torch.tensor([3, 1]), 2), torch.eye(4)[[3, 1]])
    assert torch.equal(one.one_hot(torch.tensor([[3], [1]]), 2), torch.eye(4)[[3, 1]])
    assert torch.equal(one.one_hot(torch.tensor([3, 1], dtype=torch.uint8), 2), torch.eye(4)[[3, 1]])


def test_the_terms_are_those_computed_by_hand(images):
    model = make(likelihood=FixedGaussianLikelihood(0.02))
    torch.manual_seed(5)
    loss = model.loss(Batch(images, LABELS), Progress.finished())

    code = torch.eye(10)[LABELS]
    channel = (code @ model.label_map.weight.T + model.label_map.bias).view(6, 1, 8, 8)
    mean, log_variance = model.encoder(torch.cat([images, channel], dim=1)).split(LATENTS, dim=1)
    deviation = (log_variance / 2).exp()
    torch.manual_seed(5)
    z = mean + deviation * torch.randn(6, LATENTS)
    pixels = oracle.Normal(model.decoder(torch.cat([z, code], dim=1)), math.sqrt(0.02))
    distortion = -pixels.log_prob(images).sum((1, 2, 3))
    rate = oracle.kl_divergence(oracle.Normal(mean, deviation), oracle.Normal(0.0, 1.0)).sum(1)
    assert list(loss.per_image) == ["distortion", "rate"]
    torch.testing.assert_close(loss.per_image["distortion"], distortion, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(loss.per_image["rate"], rate, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(loss.total, (distortion + rate).mean(), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("network", [Linear(), FullyConnected(widths=(16,)), Convolutional(widths=(8,))], ids=repr)
def test_both_halves_listen_to_the_label_with_every_network(network, images):
    model = make(network=network)
    one, other = torch.zeros(6, dtype=torch.long), torch.ones(6, dtype=torch.long)
    with torch.no_grad():
        assert not torch.allclose(model.encode(images, one).mean, model.encode(images, other).mean)
        z = torch.zeros(6, LATENTS)
        assert not torch.allclose(model.decode(z, one).mean, model.decode(z, other).mean)
        assert model.decode(z, one).mean.shape == images.shape
    model.loss(Batch(images, LABELS), Progress.finished()).total.backward()
    seen = model.label_map.weight.grad.abs().sum(dim=0) > 0
    assert seen.tolist() == [label in LABELS.tolist() for label in range(10)]


def test_the_price_of_the_rate_is_that_of_the_vae(images):
    model = make(kl_warmup=0.5)
    start, end = (model.loss(Batch(images, LABELS), Progress(step, 100, 6)) for step in (0, 100))
    torch.testing.assert_close(start.total, start.per_image["distortion"].mean())
    torch.testing.assert_close(end.total, (end.per_image["distortion"] + end.per_image["rate"]).mean())
    assert isinstance(model, VAE)


def test_where_the_label_says_everything_the_code_carries_nothing():
    """Four pictures, each with its label. Without labels, which one it is costs ln 4 nats; with them, nothing."""
    labels = torch.arange(64) % 4
    pictures = torch.eye(4)[labels].view(64, 1, 2, 2)
    rates = {}
    for kind in (VAE, ConditionalVAE):
        torch.manual_seed(0)
        options = {"label_sizes": (4,)} if kind is ConditionalVAE else {}
        network, likelihood = FullyConnected(widths=(16,)), FixedGaussianLikelihood(0.02)
        model = kind(kind.Config((1, 2, 2), 2, network, likelihood, **options))
        optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
        for step in range(200):
            optimiser.zero_grad()
            loss = model.loss(Batch(pictures, labels), Progress(step, 200, 64))
            loss.total.backward()
            optimiser.step()
        rates[kind] = loss.per_image["rate"].mean().item()
        given = (labels,) if kind is ConditionalVAE else ()
        assert (model.reconstruct(pictures, *given) - pictures).abs().max() < 0.2
    assert rates[ConditionalVAE] < 0.1
    assert rates[VAE] > math.log(4)


# Verbs ----------------------------------------------------------------------------------------------------------------


def test_samples_show_the_labels_that_were_asked_for_and_do_not_depend_on_the_chunk():
    model = make()
    drawn, in_chunks = (
        model.sample(6, labels=LABELS, generator=torch.Generator().manual_seed(3), chunk=chunk) for chunk in (256, 4)
    )
    z = torch.randn(6, LATENTS, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        torch.testing.assert_close(drawn, model.decode(z, LABELS).mean.clamp(0, 1))
    torch.testing.assert_close(drawn, in_chunks)
    as_columns = model.sample(6, labels=LABELS[:, None], generator=torch.Generator().manual_seed(3))
    assert torch.equal(as_columns, drawn)


def test_without_labels_they_are_drawn_evenly_and_by_the_generator():
    model = make((3, 2))
    with torch.no_grad():
        for layer in model.decoder:  # a decoder that shows its labels, and no code
            if isinstance(layer, torch.nn.Linear):
                layer.weight.zero_()
                layer.bias.zero_()
        model.decoder[0].weight[:5, LATENTS:] = 10 * torch.eye(5)
        model.decoder[2].weight[:5, :5] = 0.1 * torch.eye(5)
    before = torch.get_rng_state()
    first, again = (model.sample(600, generator=torch.Generator().manual_seed(8), chunk=100) for _ in "ab")
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), before)
    shown = first.flatten(1)[:, :5] > 0.5
    assert (shown[:, :3].sum(dim=1) == 1).all()
    assert (shown[:, 3:].sum(dim=1) == 1).all()
    kinds = (shown.float() @ torch.tensor([0.0, 2, 4, 0, 1])).long().bincount(minlength=6)
    assert ((kinds - 100.0) ** 2 / 100).sum() < 5 + 4 * math.sqrt(10)  # χ², five degrees of freedom


def test_reconstructions_use_the_labels_and_do_not_depend_on_the_chunk(images):
    model = make()
    with torch.no_grad():
        expected = model.decode(model.encode(images, LABELS).mean, LABELS).mean.clamp(0, 1)
    torch.testing.assert_close(model.reconstruct(images, LABELS), expected)
    torch.testing.assert_close(model.reconstruct(images, LABELS[:, None], chunk=4), expected)
    assert not torch.allclose(model.reconstruct(images, LABELS.flip(0)), expected)


def test_the_vae_of_one_label_speaks_as_the_model_does_with_that_label(images):
    model = make()
    seven, labels = model.given(7), torch.full((6,), 7)
    assert isinstance(seven, GivenLabel)
    torch.testing.assert_close(seven.encode(images).mean, model.encode(images, labels).mean)
    torch.testing.assert_close(seven.reconstruct(images), model.reconstruct(images, labels))
    drawn, asked = (
        verb(torch.Generator().manual_seed(1))
        for verb in (
            lambda generator: seven.sample(6, temperature=0.8, generator=generator),
            lambda generator: model.sample(6, labels=labels, temperature=0.8, generator=generator),
        )
    )
    torch.testing.assert_close(drawn, asked)
    path = seven.interpolate(images[:2], images[2:4], steps=3)
    torch.testing.assert_close(path[:, 0], model.reconstruct(images[:2], labels[:2]))
    torch.testing.assert_close(path[:, 2], model.reconstruct(images[2:4], labels[:2]))
    rows = seven.traverse(torch.zeros(LATENTS), [1], torch.tensor([-2.0, 2.0]))
    codes = torch.zeros(2, LATENTS)
    codes[:, 1] = torch.tensor([-2.0, 2.0])
    with torch.no_grad():
        torch.testing.assert_close(rows[0], model.decode(codes, labels[:2]).mean.clamp(0, 1))
    prior = seven.prior(3)
    assert isinstance(prior, DiagonalGaussian)
    assert torch.equal(prior.mean, torch.zeros(3, LATENTS))


def test_a_label_can_be_given_as_a_number_a_tuple_or_a_tensor():
    for model, labels in ((make((3, 2)), ((2, 1), torch.tensor([2, 1]))), (make(), (4, torch.tensor(4)))):
        drawn = [model.given(label).sample(2, generator=torch.Generator().manual_seed(1)) for label in labels]
        assert torch.equal(*drawn)


@pytest.mark.parametrize("training", [True, False])
def test_verbs_put_the_mode_back_also_after_an_error(training, images):
    model = make(network=Convolutional(widths=(8,))).train(training)
    statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
    seven = model.given(7)
    assert seven.training == training
    results = [model.sample(2), model.reconstruct(images, LABELS), seven.sample(2), seven.reconstruct(images)]
    assert not any(result.requires_grad or result.is_inference() for result in results)
    with pytest.raises(ValueError, match="takes images"):
        seven.reconstruct(images[:, :1])
    with pytest.raises(ValueError, match="labels should be from 0 to 9"):
        model.sample(2, labels=torch.tensor([1, 10]))
    assert all(module.training == training for module in [*model.modules(), seven])
    assert all(torch.equal(buffer, statistics[name]) for name, buffer in model.named_buffers())
    seven.train(not training)
    assert model.training != training  # there is one mode, the model's
    assert list(map(id, seven.parameters())) == list(map(id, model.parameters()))


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([1, 2]), r"whole numbers as labels, 1 for each of 6 images or latents, not torch.int64 \(2,\)"),
        (torch.zeros(6, 2, dtype=torch.long), r"1 for each of 6 .* not torch.int64 \(6, 2\)"),
        (torch.zeros(6), r"whole numbers as labels.*not torch.float32 \(6,\)"),
        (torch.full((6,), float("nan")), "whole numbers as labels"),
        (torch.tensor(3), r"1 for each of 6 .* not torch.int64 \(\)"),
        (torch.tensor([0, 1, 2, 3, 4, 10]), "labels should be from 0 to 9; there are 0 to 10"),
        (torch.tensor([0, 1, 2, 3, 4, -1]), "labels should be from 0 to 9; there are -1 to 4"),
    ],
)
def test_labels_that_do_not_fit_are_named(labels, message, images):
    model = make()
    for request in (
        lambda: model.encode(images, labels),
        lambda: model.decode(torch.zeros(6, LATENTS), labels),
        lambda: model.reconstruct(images, labels),
        lambda: model.sample(6, labels=labels),
        lambda: model.loss(Batch(images, labels), Progress.finished()),
    ):
        with pytest.raises(ValueError, match=message):
            request()


def test_forgotten_labels_are_asked_for(images):
    model = make()
    wanted = r"takes labels beside its images or latents; model.given\(label\) has all verbs"
    for request in (
        lambda: model.encode(images),
        lambda: model.decode(torch.zeros(6, LATENTS)),
        lambda: model.interpolate(images[:2], images[2:4]),
        lambda: model.traverse(torch.zeros(LATENTS), [0], torch.zeros(2)),
    ):
        with pytest.raises(ValueError, match=wanted):
            request()
    with pytest.raises(ValueError, match=r"with their labels: reconstruct\(images, labels\)"):
        model.reconstruct(images)
    with pytest.raises(ValueError, match="trained on images with labels, and this data set has none"):
        model.loss(Batch(images), Progress.finished())


def test_a_label_that_does_not_exist_is_refused_when_it_is_given(images):
    with pytest.raises(ValueError, match="labels should be from 0 to 9; there are 10 to 10"):
        make().given(10)
    with pytest.raises(ValueError, match="2 for each of 1 images"):
        make((3, 2)).given(1)
    with pytest.raises(ValueError, match=r"takes images \(B, 3, 8, 8\), not \(6, 1, 8, 8\)"):
        make().reconstruct(images[:, :1], LABELS)
    with pytest.raises(ValueError, match="chunk should be at least 1, not 0"):
        make().reconstruct(images, LABELS, chunk=0)
    with pytest.raises(ValueError, match=r"takes latents \(B, 4\), not \(2, 5\)"):
        make().given(1).decode(torch.zeros(2, 5))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((), r"label_sizes should be one or more numbers, each at least 2, not \(\)"),
        ((10, 1), "each at least 2"),
        ((0,), "each at least 2"),
        (10, "label_sizes should be tuple"),
        ((2.5,), "label_sizes should be"),
    ],
)
def test_settings_that_make_no_sense_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        ConditionalVAEConfig(label_sizes=sizes)


def test_a_model_refuses_the_settings_of_another():
    with pytest.raises(TypeError, match="ConditionalVAE takes a ConditionalVAEConfig, not a VAEConfig"):
        ConditionalVAE(VAEConfig())


# Kept -----------------------------------------------------------------------------------------------------------------


def test_a_saved_model_comes_back(tmp_path, images):
    model = make((10,), likelihood=BernoulliLikelihood())
    again = vaelib.load(vaelib.save(model, tmp_path / "model"))
    assert isinstance(again, ConditionalVAE)
    assert again.config == model.config
    assert from_dict(ConditionalVAEConfig, to_dict(model.config)) == model.config
    assert torch.equal(again.reconstruct(images, LABELS), model.reconstruct(images, LABELS))


def test_a_run_that_was_stopped_ends_with_the_same_weights(tmp_path):
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(256, (12, *SHAPE), generator=generator, dtype=torch.uint8)
    data = ImageSet(pixels, "toy", "train", "toy", torch.arange(12) % 10)
    config = TrainConfig(steps=4, batch_size=4, checkpoint_every=2, log_every=1, precision="float32")
    whole = train(make(network=Linear()), data, config, run=tmp_path / "whole")

    def crash(model, row):
        if row["step"] == 3:
            raise RuntimeError("the power went")

    with pytest.raises(RuntimeError, match="the power went"):
        train(make(network=Linear()), data, config, run=tmp_path / "half", callback=crash)
    assert vaelib.load(tmp_path / "half" / "checkpoint").config == whole.model.config
    resumed = train(make(network=Linear()), data, config, run=tmp_path / "half")
    for name, weights in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], weights), name
