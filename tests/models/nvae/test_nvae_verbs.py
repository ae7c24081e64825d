"""What a user asks of a trained NVAE: parts of images redrawn, scales moved apart, averages recomputed, numbers."""

import math

import pytest
import torch
from torch import nn

import vaelib
from vaelib.data import ImageSet
from vaelib.evaluation import (
    active_units,
    aggregate_codes,
    elbo_decomposition,
    evaluate,
    importance_weighted_bound,
    posterior_means,
    rate_distortion,
)
from vaelib.models.nvae import NVAE, CellTypes, NVAEConfig
from vaelib.probability import BernoulliLikelihood, LogisticMixtureLikelihood

TINY = {
    "image_shape": (3, 16, 16),
    "encoder_width": 4,
    "decoder_width": 4,
    "latent_channels": 2,
    "groups": (1, 2),
    "pre_cells": 1,
    "post_cells": 1,
    "likelihood": LogisticMixtureLikelihood(components=2),
}


def make(**options) -> NVAE:
    torch.manual_seed(0)
    return NVAE(NVAEConfig(**(TINY | options)))


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images(generator):
    return torch.randint(0, 256, (4, 3, 16, 16), generator=generator) / 255


def pictures(count: int = 12, channels: int = 3) -> ImageSet:
    images = torch.randint(0, 256, (count, channels, 16, 16), dtype=torch.uint8, generator=seeded(3))
    return ImageSet(images, "noise", "test", "noise")


# resample and interpolate ---------------------------------------------------------------------------------------------


def test_keeping_all_groups_reconstructs_and_redrawing_all_samples(images):
    model = make(flows=1)
    torch.testing.assert_close(model.resample(images, groups=()), model.reconstruct(images))
    torch.testing.assert_close(model.resample(images, scales=[]), model.reconstruct(images))
    every = model.resample(images, scales=(0, 1), temperature=(0.7, 0.9), generator=seeded())
    torch.testing.assert_close(every, model.sample(4, temperature=(0.7, 0.9), generator=seeded()))


def test_a_redrawn_group_comes_from_its_prior_given_what_was_kept(images):
    model = make().eval()
    cold = model.resample(images, groups=[-1], temperature=0.0)
    encoding = model.encode(images, mean_path=True)
    latents = [*encoding.latents[:2], encoding.groups[2].prior.mean]
    torch.testing.assert_close(cold, model.decode(latents).mean.clamp(0, 1))
    # A coarse group is redrawn, and the fine ones stay the image's: not what their priors now say.
    warm = model.resample(images, groups=[0], generator=seeded())
    alone = [model.resample(image[None], groups=[0], temperature=0.0) for image in images]
    latents = [encoding.groups[0].prior.mean, *encoding.latents[1:]]
    torch.testing.assert_close(torch.cat(alone), model.decode(latents).mean.clamp(0, 1), atol=1e-5, rtol=1e-4)
    assert not torch.equal(warm, torch.cat(alone))


def test_resampling_repeats_with_a_generator_and_does_not_depend_on_the_chunk(images):
    model = make()
    first, again, chunked = (
        model.resample(images, scales=[-1], generator=seeded(), chunk=chunk) for chunk in (32, 32, 3)
    )
    assert torch.equal(first, again)
    torch.testing.assert_close(first, chunked)
    torch.testing.assert_close(first, model.resample(images, groups=(1, 2), generator=seeded()))
    assert not torch.equal(first, model.resample(images, groups=(1, 2), generator=seeded(2)))
    assert model.training


def test_only_the_latents_of_the_given_scales_move(images):
    model = make().eval()
    start, end = images[:2], images[2:]
    first, last = (model.encode(each, mean_path=True).latents for each in (start, end))
    path = model.interpolate(start, end, steps=3, scales=[0])
    assert path.shape == (2, 3, 3, 16, 16)
    torch.testing.assert_close(path[:, 0], model.reconstruct(start))
    torch.testing.assert_close(path[:, 2], model.decode([last[0], *first[1:]]).mean.clamp(0, 1))
    middle = [first[0], *(torch.lerp(one, other, 0.5) for one, other in zip(first[1:], last[1:], strict=True))]
    path = model.interpolate(start, end, steps=3, scales=[1])
    torch.testing.assert_close(path[:, 1], model.decode(middle).mean.clamp(0, 1))
    torch.testing.assert_close(model.interpolate(start, end, 2, scales=(0, 1)), model.interpolate(start, end, 2))


def test_requests_that_make_no_sense_say_what_was_expected(images):
    model = make()
    for wrong, error, message in (
        ({}, ValueError, "either by groups=… or by scales=…"),
        ({"groups": [0], "scales": [0]}, ValueError, "either by groups=… or by scales=…"),
        ({"groups": [3]}, IndexError, "there is no group 3: this NVAE has 3, and 0 is the coarsest"),
        ({"scales": [-3]}, IndexError, "there is no scale -3: this NVAE has 2"),
        ({"groups": [0], "temperature": (1.0,)}, ValueError, "temperature should be one number or 2"),
        ({"groups": [0], "chunk": 0}, ValueError, "chunk should be at least 1"),
    ):
        with pytest.raises(error, match=message):
            model.resample(images, **wrong)
    with pytest.raises(ValueError, match="takes images"):
        model.resample(images[:, :1], groups=[0])
    with pytest.raises(ValueError, match="steps should be at least 1"):
        model.interpolate(images, images, 0)
    with pytest.raises(TypeError, match="the prior of an NVAE is a chain of groups"):
        model.prior(1)
    with pytest.raises(TypeError, match="no single code to vary: `resample` redraws groups"):
        model.traverse(torch.zeros(3), [0], torch.zeros(2))


def test_black_and_white_images_are_not_tossed_by_the_verbs(generator):
    model = make(image_shape=(1, 16, 16), likelihood=BernoulliLikelihood())
    grey = torch.rand(2, 1, 16, 16, generator=generator)
    assert torch.equal(model.reconstruct(grey), model.reconstruct(grey))


# recalibration --------------------------------------------------------------------------------------------------------


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def changed(model: nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}


@pytest.mark.parametrize("training", [True, False])
def test_every_batch_norm_gets_the_plain_means_of_what_it_sees_and_nothing_else_moves(images, training):
    types = CellTypes(normal_decoder=("res_elu",), up_decoder=("res_bnswish",))
    model = make(cell_types=types).train(training)
    before, seen, expected = state(model), {}, set()
    norms = {name: module for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    hooks = [
        norm.register_forward_hook(
            lambda module, inputs, output, name=name: seen.setdefault(name, []).append(inputs[0])
        )
        for name, norm in norms.items()
    ]
    with torch.autocast("cpu", torch.bfloat16):  # which it turns off
        model.recalibrate(torch.cat((images, images[:1])), batch_size=3, generator=seeded())
    for hook in hooks:
        hook.remove()
    for name, norm in norms.items():
        assert [len(x) for x in seen[name]] == [3, 2]
        assert all(x.dtype == torch.float32 for x in seen[name])
        means, variances = zip(*((x.mean((0, 2, 3)), x.var((0, 2, 3))) for x in seen[name]), strict=True)
        torch.testing.assert_close(norm.running_mean, sum(means) / 2)
        torch.testing.assert_close(norm.running_var, sum(variances) / 2)
        assert norm.momentum == 0.05
        expected |= {f"{name}.running_mean", f"{name}.running_var"}
    assert changed(model, before) == expected
    assert all(module.training == training for module in model.modules())
    assert any(name.endswith("waits_for_data") for name in before)


def test_recalibration_on_samples_moves_the_decoder_only():
    model = make()
    before = state(model)
    model.recalibrate_on_samples((0.6, 0.8), passes=2, batch_size=3, generator=seeded())
    names = changed(model, before)
    assert names
    assert all(name.startswith(("decoder_tower", "post_process")) and "running_" in name for name in names)
    once = state(model)
    model.recalibrate_on_samples((0.6, 0.8), passes=2, batch_size=3, generator=seeded())
    assert not changed(model, once)  # what was before has no say


def test_a_layer_that_spoils_the_averages_is_named_and_the_old_ones_are_kept(images):
    model = make()
    with torch.no_grad():
        model.post_process[0].operations[0].expand.weight[0, 0] = float("nan")
    before = state(model)
    place = r"layer 'post_process.0.operations.0.expand' \(Conv2d\) is the first whose output is not finite"
    for recalibrate in (lambda: model.recalibrate(images), lambda: model.recalibrate_on_samples(passes=1)):
        with pytest.raises(FloatingPointError, match=place):
            recalibrate()
        assert not {name for name in changed(model, before) if "expand" not in name}
        assert model.training
        assert all(norm.momentum == 0.05 for norm in model.modules() if isinstance(norm, nn.BatchNorm2d))
    with pytest.raises(ValueError, match="a batch norm takes 2 images or more, not 1"):
        model.recalibrate(images[:1])
    with pytest.raises(ValueError, match=r"recalibrated in float32, .*use model.float\(\) first"):
        make().bfloat16().recalibrate(images)


# numbers --------------------------------------------------------------------------------------------------------------


def blind(**options) -> NVAE:
    """A decoder whose pixels are fair coins whatever z is: log p(x) = −256 log 2 for every black-and-white image."""
    model = make(image_shape=(1, 16, 16), likelihood=BernoulliLikelihood(), **options)
    for parameter in (model.image_conditional[1].weight, model.image_conditional[1].bias):
        nn.init.zeros_(parameter)
    return model.eval()


def test_the_bound_is_the_likelihood_where_the_posterior_is_the_prior():
    model = blind()
    for head in model.posterior_heads:  # relative to the prior: no difference
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
    for k in (1, 3):
        bound = importance_weighted_bound(model, pictures(channels=1), k)
        torch.testing.assert_close(bound.per_image, torch.full((12,), -256 * math.log(2)).double(), atol=1e-3, rtol=0)
        torch.testing.assert_close(bound.effective_samples, torch.full((12,), float(k)).double(), atol=1e-2, rtol=0)


def test_the_bound_rises_with_k_towards_a_likelihood_that_is_known():
    model = blind(latent_channels=1, groups=(1, 1), blocks=2)
    with torch.no_grad():
        for head in model.posterior_heads:
            head.log_length.add_(1.0)
    exact = -256 * math.log(2)
    values = [importance_weighted_bound(model, pictures(channels=1), k, seed=5) for k in (1, 8, 32)]
    assert values[0].value < values[1].value < values[2].value <= exact + 3 * values[2].monte_carlo_error
    assert exact - values[2].value < 0.5 * (exact - values[0].value)


def test_the_bound_of_one_draw_is_the_elbo_on_average_and_the_chunk_changes_nothing(images):
    model = make(flows=1).eval()
    same = images[:1].expand(64, -1, -1, -1)
    bound, plane = importance_weighted_bound(model, same, 1), rate_distortion(model, same, repetitions=2, seed=4)
    error = math.hypot(bound.standard_error, plane.negative_elbo.standard_error)
    assert bound.value == pytest.approx(plane.elbo, abs=4 * error)
    assert bound.bits_per_dimension.value == pytest.approx(-bound.value / (768 * math.log(2)))
    chunked = importance_weighted_bound(model, same, 1, chunk=5)
    torch.testing.assert_close(chunked.per_image, bound.per_image, atol=0.05, rtol=0)


def test_evaluate_measures_bound_reconstructions_and_samples():
    model, data = make(), pictures()
    results = evaluate(model, data, samples=6, features=None, chunk=4)
    assert {"negative_elbo", "rate", "bits_per_dimension", "reconstruction_mse", "sharpness_samples"} <= results.keys()
    assert results["negative_elbo"].value == pytest.approx(results["distortion"].value + results["rate"].value)
    plane = rate_distortion(model, data.take(6))
    assert plane.rate.value == pytest.approx(results["rate"].value, rel=0.2)


@pytest.mark.parametrize("measure", [posterior_means, aggregate_codes, active_units, elbo_decomposition])
def test_what_measures_single_codes_says_that_there_are_several(measure):
    with pytest.raises(TypeError, match=r"single codes .* NVAE encodes an image as several layers of latents"):
        measure(make(), pictures())


def test_a_saved_model_answers_the_same(images, tmp_path):
    model = make(flows=1)
    model.recalibrate(images)
    loaded = vaelib.load(vaelib.save(model, tmp_path / "model"))
    assert type(loaded) is NVAE
    assert loaded.config == model.config
    assert not changed(loaded, state(model))
    assert torch.equal(loaded.reconstruct(images), model.reconstruct(images))
    assert torch.equal(loaded.sample(2, generator=seeded()), model.sample(2, generator=seeded()))
    answers = [vars(one.deterministic(images)) for one in (loaded, model)]
    assert all(torch.equal(answers[0][name], answers[1][name]) for name in answers[0])


def test_the_command_line_samples_reconstructs_and_evaluates(tmp_path, monkeypatch, capsys):
    from PIL import Image

    from vaelib.cli import main

    monkeypatch.chdir(tmp_path)
    vaelib.save(make(), tmp_path / "model")
    assert main(["sample", "model", "-n", "4", "--temperature", "0.7", "--out", "drawn.png"]) == 0
    with Image.open("drawn.png") as grid:
        assert grid.size == (2 * 18 + 2, 2 * 18 + 2)
    Image.new("RGB", (20, 16), "teal").save("mine.png")
    assert main(["reconstruct", "model", "--image", "mine.png", "--out", "back.png"]) == 0
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, pixels in enumerate(pictures(40).images.permute(0, 2, 3, 1).numpy()):
        Image.fromarray(pixels).save(folder / f"{index:02d}.png")
    assert main(["evaluate", "model", "--data", f"folder:{folder}", "--samples", "4", "--features", "none"]) == 0
    assert "bits_per_dimension" in capsys.readouterr().out
