"""Every preset builds and makes a step; names with a typo are answered."""

import dataclasses

import pytest
import torch
from training_setup import noise

from vaelib.config import from_dict, to_dict
from vaelib.data import card
from vaelib.models import MODELS
from vaelib.profiles import PROFILES
from vaelib.training import PRESETS, PUBLISHED_RUNS, Preset, preset, train
from vaelib.training.schedules import learning_rate_at

# The published NVAEs, which are too large to build here: tests/training/test_published.py.
ALL = [one for name, sizes in PRESETS.items() if name not in PUBLISHED_RUNS for one in sizes.values()]


@pytest.mark.parametrize("one", ALL, ids=lambda one: f"{one.name}-{one.profile}")
def test_every_preset_builds_and_makes_a_step_on_one_image(one: Preset) -> None:
    """The gpu presets included, at batch 1 on whatever is here; what is estimated from a batch takes two images."""
    model = one.build()
    batch_size = 2 if one.kind in ("beta_tcvae", "wae") else 1
    config = dataclasses.replace(one.train, steps=1, batch_size=batch_size, learning_rate_warmup=0)
    before = [weight.detach().clone() for weight in model.parameters()]
    images = dataclasses.replace(noise(2, shape=model.image_shape), labels=torch.tensor([0, 9]))
    result = train(model, images, config)
    assert torch.isfinite(torch.tensor(result.history.last()["train/total"]))
    after = [weight.cpu() for weight in result.model.parameters()]
    assert not all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("one", ALL, ids=lambda one: f"{one.name}-{one.profile}")
def test_every_preset_fits_its_data(one: Preset) -> None:
    shown = card(one.data)
    assert one.model.image_shape[0] == shown.shape[0]
    assert one.train.batch_size <= (one.count or shown.splits["train"]) <= shown.splits["train"]
    assert one.train.validation_images <= shown.splits["validation"]
    if one.kind == "conditional_vae":
        assert shown.label == "the digit, 0 to 9"
        assert one.model.label_sizes == (10,)


@pytest.mark.parametrize("one", ALL, ids=lambda one: f"{one.name}-{one.profile}")
def test_every_preset_is_a_value_that_goes_to_json_and_back(one: Preset) -> None:
    assert type(one.build()) is MODELS[one.kind]
    assert from_dict(type(one.model), to_dict(one.model)) == one.model
    assert one.train.batch_size <= (one.count or 10**9)


def test_every_name_has_all_profiles() -> None:
    assert {"autoencoder", "vae", "beta_vae", "capacity_vae", "beta_tcvae", "conditional_vae"} <= PRESETS.keys()
    assert {one.kind for one in ALL} == MODELS.keys()
    assert all(tuple(sizes) == PROFILES for name, sizes in PRESETS.items() if name not in PUBLISHED_RUNS)


@pytest.mark.parametrize(("name", "learning_rate"), [("wae_mmd", 1e-3), ("wae_gan", 3e-4)])
def test_the_full_wae_is_the_published_one(name: str, learning_rate: float) -> None:
    full = preset(name, "gpu")
    with torch.device("meta"):
        model = MODELS[full.kind](full.model)
    counts = {part: sum(p.numel() for p in module.parameters()) for part, module in model.named_children()}
    # Derived by hand in tests/test_networks.py and tests/probability/test_adversary.py.
    assert counts == {
        "encoder": 18_265_280,
        "decoder": 21_474_435,
        "penalty": {"wae_mmd": 0, "wae_gan": 3_216_385}[name],
    }
    assert (full.data, full.crop, full.model.image_shape) == ("celeba", "wae-140", (3, 64, 64))
    assert full.crop in card("celeba").crops
    assert (full.train.batch_size, full.model.latent_dimension, full.train.betas[0]) == (100, 64, 0.5)
    # Fifty times through the data, while the learning rate falls a hundredfold.
    assert full.train.steps * 100 / card("celeba").splits["train"] == pytest.approx(50, abs=0.1)
    assert learning_rate_at(full.train, 0) == learning_rate
    assert learning_rate_at(full.train, full.train.steps) == pytest.approx(learning_rate / 100)
    rates = [player.learning_rate_factor * learning_rate for player in model.players()]
    assert rates == pytest.approx([1e-3] if name == "wae_mmd" else [3e-4, 1e-3])
    assert full.model.likelihood.variance == 2.5  # 0.05 times the squared error on [-1, 1]: tests/models/test_wae.py
    assert full.model.penalty_weight == {"wae_mmd": 100, "wae_gan": 1}[name]


def test_the_small_waes_have_the_network_and_likelihood_of_the_vae() -> None:
    for name in ("wae_mmd", "wae_gan"):
        for size in ("smoke", "cpu"):
            ours, vae = preset(name, size).model, preset("vae", size).model
            assert (ours.network, ours.likelihood, ours.latent_dimension) == (
                vae.network,
                vae.likelihood,
                vae.latent_dimension,
            )
            assert preset(name, size).crop is None


def test_a_preset_builds_the_same_weights_every_time_and_leaves_the_generator_alone() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = preset("vae", "smoke").build()
    torch.manual_seed(2)
    second = preset("vae", "smoke").build()
    assert torch.equal(first.encoder[0].weight, second.encoder[0].weight)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_misspelt_preset_or_profile_is_answered_with_the_near_miss() -> None:
    with pytest.raises(ValueError, match=r"no preset 'autoencodr'.*Did you mean 'autoencoder'"):
        preset("autoencodr")
    with pytest.raises(ValueError, match=r"no profile 'smok'.*Did you mean 'smoke'"):
        preset("vae", "smok")
