"""What every model can be asked, whatever it is: sample, reconstruct, interpolate, traverse, and good errors."""

import pytest
import torch

from vaelib.data.image_set import Batch
from vaelib.models import MODELS, VAE, Autoencoder, AutoencoderConfig, GivenLabel, Loss, Progress, VAEConfig
from vaelib.networks import Convolutional, Linear
from vaelib.probability import BernoulliLikelihood, LaplaceLikelihood, LogisticMixtureLikelihood

SHAPE, LATENTS = (3, 16, 16), 4
SMALL = Convolutional(widths=(8, 16))


# Their codes are several tensors, so they have tests of their own.
HIERARCHICAL = ("ladder_vae", "nvae")


@pytest.fixture(params=[kind for kind in MODELS if kind not in HIERARCHICAL])
def model(request):
    """One of every kind with one code; a conditional one is told its label, as whoever uses it must."""
    torch.manual_seed(0)
    kind = MODELS[request.param]
    model = kind(kind.Config(SHAPE, LATENTS, network=SMALL))
    return model.given(7) if request.param == "conditional_vae" else model


def loss_of(model, images):
    """The loss; of a model that was told its label, that of the conditional model with this label."""
    labels = None
    if isinstance(model, GivenLabel):
        model, labels = model.model, torch.full((len(images),), 7)
    return model.loss(Batch(images, labels), Progress.finished(len(images)))


@pytest.fixture
def vae():
    torch.manual_seed(0)
    return VAE(VAEConfig(SHAPE, LATENTS, network=SMALL))


@pytest.fixture
def images(generator):
    return torch.rand(6, *SHAPE, generator=generator)


def test_every_kind_is_listed_under_its_own_name():
    kinds = ["autoencoder", "vae", "beta_vae", "capacity_vae", "beta_tcvae", "conditional_vae"]
    assert list(MODELS)[: len(kinds)] == kinds  # in the order of the book
    assert (MODELS["autoencoder"], MODELS["vae"]) == (Autoencoder, VAE)
    assert all(model.kind == kind for kind, model in MODELS.items())


def test_encode_decode_and_loss_are_differentiable(model, images):
    images.requires_grad_()
    decoded = model.decode(model.encode(images).sample()).mean
    assert decoded.shape == images.shape
    decoded.sum().backward()
    assert images.grad.abs().sum() > 0
    model.zero_grad()
    loss_of(model, images.detach()).total.backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.numel()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("training", [True, False])
def test_verbs_run_in_eval_mode_without_gradients_and_put_the_mode_back(model, images, training):
    model.train(training)
    statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
    results = [
        model.reconstruct(images),
        model.interpolate(images[:2], images[2:4], steps=3),
        model.traverse(torch.zeros(LATENTS), [0], torch.tensor([-1.0, 1.0])),
    ]
    if type(model) is not Autoencoder:
        results.append(model.sample(2))
    for result in results:
        assert not result.requires_grad
        assert result.dtype == torch.float32
        assert result.min() >= 0
        assert result.max() <= 1
    assert all(module.training == training for module in model.modules())
    assert all(torch.equal(buffer, statistics[name]) for name, buffer in model.named_buffers())


def test_the_mode_is_put_back_after_an_error(model):
    model.train()
    with pytest.raises(ValueError, match="takes images"):
        model.reconstruct(torch.zeros(1, 1, 4, 4))
    assert model.training


def test_pictures_can_be_encoded_again_with_gradients(vae):
    vae.encode(vae.sample(2)).mean.sum().backward()
    assert any(parameter.grad is not None for parameter in vae.encoder.parameters())


def test_samples_repeat_with_a_generator_and_do_not_depend_on_the_chunk(vae):
    before = torch.get_rng_state()
    first, again, in_chunks = (
        vae.sample(5, generator=torch.Generator().manual_seed(1), chunk=chunk) for chunk in (256, 256, 2)
    )
    other = vae.sample(5, generator=torch.Generator().manual_seed(2))
    assert first.shape == (5, *SHAPE)
    assert torch.equal(first, again)
    torch.testing.assert_close(first, in_chunks)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())


def test_temperature_zero_is_the_picture_of_the_prior_mean(vae):
    vae.eval()
    cold = vae.sample(3, temperature=0.0)
    with torch.no_grad():
        centre = vae.decode(torch.zeros(1, LATENTS)).mean.clamp(0, 1)
    torch.testing.assert_close(cold, centre.expand(3, -1, -1, -1))


def test_temperature_scales_the_latents_that_are_decoded(vae):
    latents = torch.randn(4, LATENTS, generator=torch.Generator().manual_seed(3))
    vae.eval()
    with torch.no_grad():
        expected = vae.decode(0.5 * latents).mean.clamp(0, 1)
    torch.testing.assert_close(vae.sample(4, temperature=0.5, generator=torch.Generator().manual_seed(3)), expected)


def test_an_autoencoder_explains_why_it_cannot_sample():
    model = Autoencoder(AutoencoderConfig(SHAPE, LATENTS, network=Linear()))
    with pytest.raises(
        TypeError, match=r"Autoencoder has no prior, so there is nothing to sample from; see notebook 1\.2"
    ):
        model.sample(4)


def test_reconstruct_decodes_the_posterior_mean_and_does_not_depend_on_the_chunk(model, images):
    model.eval()
    with torch.no_grad():
        expected = model.decode(model.encode(images).mean).mean.clamp(0, 1)
    torch.testing.assert_close(model.reconstruct(images), expected)
    torch.testing.assert_close(model.reconstruct(images, chunk=4), expected)


def test_an_interpolation_starts_and_ends_at_the_reconstructions_and_passes_the_middle_code(model, images):
    start, end = images[:3], images[3:]
    path = model.interpolate(start, end, steps=5)
    assert path.shape == (3, 5, *SHAPE)
    torch.testing.assert_close(path[:, 0], model.reconstruct(start))
    torch.testing.assert_close(path[:, -1], model.reconstruct(end))
    model.eval()
    with torch.no_grad():
        middle = model.decode((model.encode(start).mean + model.encode(end).mean) / 2).mean.clamp(0, 1)
    torch.testing.assert_close(path[:, 2], middle)


def test_a_traversal_moves_one_latent_and_holds_the_others(model):
    start, values = torch.tensor([0.5, -0.5, 1.0, 0.0]), torch.tensor([-2.0, 0.5, 2.0])
    rows = model.traverse(start, [0, -1], values)
    assert rows.shape == (2, 3, *SHAPE)
    model.eval()
    for row, dimension in zip(rows, (0, 3), strict=True):
        codes = torch.stack([start] * 3)
        codes[:, dimension] = values
        with torch.no_grad():
            torch.testing.assert_close(row, model.decode(codes).mean.clamp(0, 1))
    assert torch.equal(start, torch.tensor([0.5, -0.5, 1.0, 0.0]))


def test_wrong_requests_say_what_was_wrong_and_what_was_expected(vae, images):
    name = r"this VAE takes images \(B, 3, 16, 16\), not "
    for wrong, message in (
        (torch.zeros(2, 1, 16, 16), name + r"\(2, 1, 16, 16\)"),
        (torch.zeros(2, 3, 32, 32), name + r"\(2, 3, 32, 32\)"),
        (torch.zeros(3, 16, 16), name + r"\(3, 16, 16\)"),
        (torch.zeros(2, 3, 16, 16, dtype=torch.uint8), "float32 in .*not torch.uint8: divide bytes by 255"),
    ):
        for request in (vae.encode, vae.reconstruct):
            with pytest.raises(ValueError, match=message):
                request(wrong)
    with pytest.raises(ValueError, match=r"takes latents \(B, 4\), not \(2, 5\)"):
        vae.decode(torch.zeros(2, 5))
    with pytest.raises(ValueError, match=r"takes latents \(B, 4\), not \(1, 3\)"):
        vae.traverse(torch.zeros(3), [0], torch.zeros(1))
    with pytest.raises(IndexError, match="there is no latent 4: the model has 4"):
        vae.traverse(torch.zeros(4), [4], torch.zeros(1))
    with pytest.raises(ValueError, match="start and end should have one shape"):
        vae.interpolate(images[:2], images[:3])
    with pytest.raises(ValueError, match="at least 1, not 0"):
        vae.sample(0)


def test_images_on_another_scale_are_refused_by_the_loss(model, images):
    with pytest.raises(ValueError, match=r"images should lie in \[0, 1\] but run from -0.999 to"):
        loss_of(model, images * 2 - 1)


@pytest.mark.parametrize(
    "likelihood",
    [LaplaceLikelihood(), BernoulliLikelihood(), LogisticMixtureLikelihood(components=2, bits=5)],
    ids=lambda likelihood: likelihood.kind,
)
@pytest.mark.parametrize("channels", [1, 3])
def test_verbs_answer_pictures_for_every_likelihood(likelihood, channels, generator):
    shape = (channels, 12, 12)
    model = VAE(VAEConfig(shape, LATENTS, network=Convolutional(widths=(8,)), likelihood=likelihood))
    for pictures in (model.sample(2), model.reconstruct(torch.rand(2, *shape, generator=generator))):
        assert pictures.shape == (2, *shape)
        assert pictures.min() >= 0
        assert pictures.max() <= 1


def test_a_loss_sums_up_to_numbers_by_name():
    loss = Loss(torch.tensor(3.0), {"rate": torch.tensor([1.0, 3.0])}, {"mmd": torch.tensor(0.5)})
    assert loss.summary() == {"rate": 2.0, "mmd": 0.5, "total": 3.0}


def test_progress_runs_from_zero_to_one():
    assert [Progress(step, 10, 100).fraction for step in (0, 5, 10, 20)] == [0.0, 0.5, 1.0, 1.0]
    assert Progress.finished(7) == Progress(1, 1, 7)
    assert Progress.finished().fraction == 1.0


def test_forward_is_the_loss_of_the_only_player(vae, images):
    (player,) = vae.players()
    assert player.name == "model"
    assert len(list(player.parameters)) == len(list(vae.parameters()))
    torch.manual_seed(1)
    expected = vae.loss(Batch(images), Progress.finished()).total
    torch.manual_seed(1)
    torch.testing.assert_close(vae(Batch(images), Progress.finished()).total, expected)


def test_images_of_another_range_or_type_are_refused(model, images):
    model.eval()
    with pytest.raises(ValueError, match=r"should lie in \[0, 1\] but run from -1"):
        model.reconstruct((images > 0.5).float() * 2 - 1)
    with pytest.raises(ValueError, match=r"should lie in \[0, 1\] but run from nan"):
        model.encode(torch.full_like(images, float("nan")))
    with pytest.raises(ValueError, match=r"images should be torch.float32, like the weights, not torch.float64"):
        model.encode(images.double())
    with pytest.raises(ValueError, match=r"latents should be torch.float32, like the weights, not torch.int64"):
        model.decode(torch.zeros(2, LATENTS, dtype=torch.long))


def test_counts_and_temperatures_that_make_no_sense_are_refused(vae, images):
    with pytest.raises(ValueError, match="temperature should be 0 or more, and finite, not nan"):
        vae.sample(2, temperature=float("nan"))
    with pytest.raises(ValueError, match="temperature should be 0 or more, and finite, not -1"):
        vae.sample(2, temperature=-1)
    with pytest.raises(ValueError, match="chunk should be at least 1, not 0"):
        vae.reconstruct(images, chunk=0)
    with pytest.raises(ValueError, match="steps should be at least 1, better 2 or more, not 0"):
        vae.interpolate(images, images, 0)
    with pytest.raises(ValueError, match="at least one dimension and values"):
        vae.traverse(torch.zeros(LATENTS), [], torch.zeros(3))
    assert vae.traverse(torch.zeros(LATENTS), [0], [-1.0, 0.0, 1.0]).shape == (1, 3, *SHAPE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent_dimension": 0}, "latent_dimension should be at least 1, not 0"),
        ({"latent_dimension": 2.5}, "VAEConfig.latent_dimension should be int, not 2.5"),
        ({"image_shape": (3, 0, 0)}, "image_shape should be .channels, height, width., each at least 1"),
        ({"image_shape": (3, 64)}, r"image_shape should be tuple\[int, int, int\], not \(3, 64\)"),
        ({"network": "linear"}, "VAEConfig.network should be Network, not 'linear'"),
        ({"kl_warmup": -0.5}, "kl_warmup should be a fraction of the run, from 0 to 1, not -0.5"),
    ],
)
def test_settings_of_a_model_are_checked_when_they_are_made(options, message):
    with pytest.raises(ValueError, match=message):
        VAEConfig(**options)


def test_a_model_refuses_the_settings_of_another():
    with pytest.raises(TypeError, match="VAE takes a VAEConfig, not a AutoencoderConfig"):
        VAE(AutoencoderConfig())
    with pytest.raises(TypeError, match="VAE takes a VAEConfig, not a dict"):
        VAE({})
