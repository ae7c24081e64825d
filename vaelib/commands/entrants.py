"""Which models a comparison is about, and which are runs of one model: by what the user typed, and by their cards."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaelib.commands.options import UsageError
from vaelib.commands.runs import Trained, note, open_trained


@dataclass(frozen=True)
class Named:
    """One argument: `zoo:vae-faces64`, or `vae=runs/vae-0,runs/vae-1`, several runs under a name.

    Attributes:
        name: None where the user gave none.
        sources: runs, folders and models of the zoo.
    """

    name: str | None
    sources: tuple[str, ...]

    @classmethod
    def read(cls, text: str) -> "Named":
        """What an argument means.

        Raises:
            UsageError: a name without runs, or runs without a name.
        """
        name, equals, listed = text.partition("=")
        if not equals or Path(text).exists():  # a folder may have any name
            return cls(None, (text,))
        sources = tuple(source.strip() for source in listed.split(","))
        if not name.strip() or not all(sources):
            raise UsageError(f"several runs of one model are written NAME=CKPT,CKPT, without gaps, not {text!r}")
        return cls(name.strip(), sources)


def open_entrants(arguments: Sequence[str]) -> dict[str, list[Trained]]:
    """The trained models by the name that they have in the tables; runs of one recipe with other seeds share a name.

    Raises:
        UsageError: one name for two models.
        FileNotFoundError, ValueError: a model that is not there, or damaged.
    """
    groups: list[tuple[str | None, list[Trained]]] = []
    for argument in map(Named.read, arguments):
        opened = [open_trained(source) for source in argument.sources]
        if argument.name is None:
            alike = next((runs for name, runs in groups if name is None and _other_seed(opened[0], runs)), None)
            if alike is not None:
                alike += opened
                continue
        groups.append((argument.name, opened))
    entrants: dict[str, list[Trained]] = {}
    for given, runs in groups:
        name = given or common_name([short_name(run.source) for run in runs])
        if name in entrants:
            raise UsageError(f"two models are called {name!r}: give one another name, OTHER={runs[0].source}")
        if given is None and len(runs) > 1:
            sources = ", ".join(run.source for run in runs)
            note(f"{name}: {sources} are one recipe with other seeds, so they count as runs of one model")
        entrants[name] = runs
    return entrants


def short_name(source: str) -> str:
    """What to call a model: NAME of zoo:NAME, else the name of the folder of its run, or of its own."""
    if source.startswith("zoo:"):
        return source.removeprefix("zoo:")
    folder = Path(source).expanduser().resolve()
    return folder.parent.name if folder.name in ("model", "checkpoint") else folder.name


def common_name(names: Sequence[str]) -> str:
    """What the names of several runs begin with: vae-faces64-seed-0 and vae-faces64-seed-1 are vae-faces64."""
    if len(names) == 1:
        return names[0]
    first, last = min(names), max(names)  # in alphabetical order, all others share what these two do
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return re.sub(r"[-_ ]*(seed)?[-_ ]*$", "", first[:same]) or names[0]


def whole_card(trained: Trained) -> dict[str, Any]:
    """The card, where a model of the zoo that grew in stages counts them all: its own card counts the last."""
    from vaelib.zoo.records import all_stages

    if not trained.source.startswith("zoo:"):
        return trained.card
    return all_stages(trained.source.removeprefix("zoo:"), trained.card, trained.model.image_shape[-1])


def _other_seed(trained: Trained, runs: Sequence[Trained]) -> bool:
    """Whether the cards say that this is the training of those runs with another seed."""
    mine, seed = _recipe(trained)
    theirs = [_recipe(run) for run in runs]
    return mine is not None and all(recipe == mine and other != seed for recipe, other in theirs)


def _recipe(trained: Trained) -> tuple[str | None, Any]:
    """Everything a card says of the training but the seed, and the seed; None where it does not say enough."""
    from vaelib.config import from_dict, to_dict
    from vaelib.training import TrainConfig

    train, data = trained.card.get("train"), trained.card.get("data")
    if not isinstance(train, Mapping) or "seed" not in train or not data:
        return None, None
    try:
        train = to_dict(from_dict(TrainConfig, train))  # settings that are younger than the card have their defaults
    except (ValueError, TypeError):
        return None, None
    # The precision is the machine's choice, and the model's settings are those of the model itself.
    kept = {name: value for name, value in train.items() if name not in ("seed", "precision")}
    settings = [trained.model.kind, to_dict(trained.model.config), kept, data]
    return json.dumps(settings, sort_keys=True), train["seed"]
