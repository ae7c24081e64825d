"""Settings go to JSON and back, and every slip is named."""

import json
from dataclasses import dataclass
from typing import ClassVar, Literal

import pytest

from vaelib.config import Choice, check_option_names, from_dict, near_miss, to_dict
from vaelib.models import AutoencoderConfig, VAEConfig
from vaelib.networks import Convolutional, Linear
from vaelib.probability import LaplaceLikelihood, LogisticMixtureLikelihood


class Shape(Choice):
    """A choice of two, one of them two levels down."""


@dataclass(frozen=True)
class Circle(Shape):
    kind: ClassVar[str] = "circle"
    radius: float = 1.0


class Polygon(Shape):
    """No kind of its own."""


@dataclass(frozen=True)
class Square(Polygon):
    kind: ClassVar[str] = "square"
    side: int = 2


@dataclass(frozen=True)
class Settings:
    shape: Shape = Circle()
    sizes: tuple[int, ...] | None = None
    pair: tuple[int, float] = (1, 2.0)
    mode: Literal["fast", "slow"] = "fast"
    on: bool = False
    name: str = ""


EVERY = (
    Settings(),
    Settings(Square(3), (1, 2, 3), (4, 0.5), "slow", True, "x"),
    VAEConfig(),
    VAEConfig((1, 28, 28), 2, Linear(), LaplaceLikelihood(0.3), kl_warmup=0.25),
    AutoencoderConfig(network=Convolutional((4, 8)), likelihood=LogisticMixtureLikelihood(3, 5)),
)


@pytest.mark.parametrize("config", EVERY, ids=repr)
def test_a_config_survives_json(config):
    text = json.dumps(to_dict(config))
    assert from_dict(type(config), json.loads(text)) == config


def test_a_choice_carries_its_kind_and_is_found_at_any_depth():
    assert to_dict(Settings(Square()))["shape"] == {"kind": "square", "side": 2}
    assert Shape.choices() == {"circle": Circle, "square": Square}


def test_missing_options_take_their_defaults():
    assert from_dict(Settings, {"on": True}) == Settings(on=True)


def test_whole_numbers_are_welcome_where_floats_are_expected():
    radius = from_dict(Shape, {"kind": "circle", "radius": 2}).radius
    assert radius == 2.0
    assert isinstance(radius, float)


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (Settings, {"sizs": [1]}, "Settings has no option 'sizs'.*Did you mean 'sizes'"),
        (Settings, {"mode": "fats"}, "Settings.mode should be one of fast, slow, not 'fats'.*Did you mean 'fast'"),
        (Settings, {"on": 1}, "Settings.on should be bool, not 1"),
        (Settings, {"name": 3}, "Settings.name should be str, not 3"),
        (Settings, {"sizes": [1, "2"]}, "Settings.sizes should be"),
        (Settings, {"pair": [1]}, "Settings.pair should be"),
        (Settings, {"shape": {"kind": "sqare"}}, "there is no shape 'sqare'; there are circle, square.*mean 'square'"),
        (Settings, {"shape": {"side": 2}}, "Shape needs a 'kind', one of circle, square"),
        (Settings, {"shape": {"kind": "square", "size": 2}}, "Square has no option 'size'.*Did you mean 'side'"),
        (Settings, {"shape": {"kind": "square", "side": 2.5}}, "Square.side should be int, not 2.5"),
        (Settings, {"shape": {"kind": "square", "side": True}}, "Square.side should be int, not True"),
        (VAEConfig, {"latent_dim": 3}, "VAEConfig has no option 'latent_dim'.*Did you mean 'latent_dimension'"),
        (VAEConfig, {"likelihood": {"kind": "laplac"}}, "no likelihood 'laplac'.*Did you mean 'laplace'"),
    ],
)
def test_a_slip_is_named_with_what_was_expected(cls, values, message):
    with pytest.raises(ValueError, match=message):
        from_dict(cls, values)


def test_near_miss_is_silent_when_nothing_is_near():
    assert near_miss("zebra", ["apple", "pear"]) == ""
    assert near_miss("appel", ["apple", "pear"]) == " Did you mean 'apple'?"


def test_option_names_are_checked_against_the_dataclass():
    check_option_names(Settings, ["mode", "on"])
    with pytest.raises(ValueError, match="Did you mean 'mode'"):
        check_option_names(Settings, ["mod"])
