"""The recipes of the comparison: one network, one budget, and the objective alone differs."""

import pytest

from vaelib import zoo
from vaelib.config import to_dict
from vaelib.zoo.recipes import KINDS, recipe


def test_the_shipped_vae_was_trained_by_its_recipe():
    card, found = zoo.card("vae-faces64"), recipe("vae-faces64")
    assert to_dict(found.model).items() <= card["model"].items()
    settings = to_dict(found.train) | {"precision": card["train"]["precision"]}  # resolved on the machine
    assert {name: value for name, value in settings.items() if name in card["train"]} == card["train"]
    assert found.train.steps * found.train.images_per_step == card["images_seen"]


@pytest.mark.parametrize("name", KINDS)
def test_models_of_the_comparison_share_network_and_budget(name: str):
    chosen, vae = recipe(name, seed=2), recipe("vae-faces64")
    assert chosen.model.network == vae.model.network
    assert chosen.model.latent_dimension == vae.model.latent_dimension
    assert chosen.train.steps * chosen.train.images_per_step == 300_800
    assert (chosen.data, chosen.count, chosen.train.seed) == ("faces", None, 2)


def test_a_misspelt_model_is_named():
    with pytest.raises(ValueError, match="Did you mean 'wae-mmd-faces64'"):
        recipe("wae-mdm-faces64")
