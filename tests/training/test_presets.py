"""Every preset builds and makes a step; names with a typo are answered."""

import dataclasses

import pytest
import torch
from training_setup import noise

from vaelib.config import from_dict, to_dict
from vaelib.models import MODELS
from vaelib.profiles import PROFILES
from vaelib.training import PRESETS, Preset, preset, train

ALL = [one for sizes in PRESETS.values() for one in sizes.values()]


@pytest.mark.parametrize("one", ALL, ids=lambda one: f"{one.name}-{one.profile}")
def test_every_preset_builds_and_makes_a_step_on_one_image(one: Preset) -> None:
    """The gpu presets included, at batch 1 on whatever is here."""
    model = one.build()
    config = dataclasses.replace(one.train, steps=1, batch_size=1, learning_rate_warmup=0)
    before = model.encoder[0].weight.detach().clone()
    result = train(model, noise(2, shape=model.image_shape), config)
    assert torch.isfinite(torch.tensor(result.history.last()["train/total"]))
    assert not torch.equal(result.model.encoder[0].weight.cpu(), before)


@pytest.mark.parametrize("one", ALL, ids=lambda one: f"{one.name}-{one.profile}")
def test_every_preset_is_a_value_that_goes_to_json_and_back(one: Preset) -> None:
    assert type(one.build()) is MODELS[one.kind]
    assert from_dict(type(one.model), to_dict(one.model)) == one.model
    assert one.train.batch_size <= (one.count or 10**9)


def test_every_name_has_all_profiles() -> None:
    assert {"autoencoder", "vae"} <= PRESETS.keys()
    assert all(tuple(sizes) == PROFILES for sizes in PRESETS.values())


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
