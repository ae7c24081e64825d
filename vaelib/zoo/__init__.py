"""Trained weights that come with vaelib, each with a card that says where they come from and what they may be used for.

`manifest.json` lists them; `python -m vaelib.zoo.add FOLDER --name NAME` adds one. `family` gives models that were
trained together, with one setting varied: see `vaelib.zoo.families`.
"""

import hashlib
from pathlib import Path
from typing import Any

from vaelib import storage
from vaelib.config import near_miss
from vaelib.models import Model
from vaelib.zoo.families import family

FOLDER = Path(__file__).parent
MANIFEST, LOG, RESULTS = "manifest.json", "log.json", "results.json"

__all__ = ["card", "family", "load", "names", "results", "training_log"]


def names() -> list[str]:
    """The models of the zoo, in alphabetical order."""
    return sorted(_manifest())


def card(name: str) -> dict[str, Any]:
    """What is known about a model: its title, kind, licence, files and hash, and how it was trained.

    Raises:
        ValueError: the zoo has no such model; the message names the near miss.
    """
    entry = _entry(name)
    return {**storage.read_card(model_folder(name)), **entry, "name": name}


def load(name: str) -> Model:
    """The model of this name, in eval mode, on the CPU, in float32, after a check of its weights' hash.

    Raises:
        ValueError: the zoo has no such model (the message names the near miss), or its weights are not those that were
            added.
    """
    expected = _entry(name)["sha256"]
    folder = model_folder(name)
    weights = folder / storage.WEIGHTS
    if not weights.exists():
        raise FileNotFoundError(f"{weights} is missing: install vaelib again")
    found = sha256(weights)
    if found != expected:
        raise ValueError(
            f"{weights} has SHA-256 {found[:12]}… where the manifest says {expected[:12]}…: install vaelib again"
        )
    return storage.load(folder)


def training_log(name: str) -> list[dict[str, Any]]:
    """What the training of this model logged, from its first stage on: terms of the loss in nats per image.

    Each row has `stage` (`last` for the last or only one), `step` in it, `images_seen` and `seconds` since the very
    beginning, `train/…`, and where there was a validation `validation/…`.

    Raises:
        ValueError: the zoo has no such model, or no log of it.
    """
    return _committed(name, LOG, "log of its training")


def results(name: str) -> dict[str, Any]:
    """What was measured of this model, by `python -m vaelib.zoo.measure`.

    Raises:
        ValueError: the zoo has no such model, or no results of it.
    """
    return _committed(name, RESULTS, "results")


def _committed(name: str, file: str, what: str) -> Any:
    _entry(name)
    path = model_folder(name) / file
    if not path.is_file():
        raise ValueError(f"the zoo has no {what} for {name!r}")
    return storage.read_json(path)


def model_folder(name: str) -> Path:
    """Where the files of a model lie."""
    return FOLDER / "models" / name


def sha256(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _manifest() -> dict[str, dict[str, Any]]:
    return storage.read_json(FOLDER / MANIFEST)


def _entry(name: str) -> dict[str, Any]:
    manifest = _manifest()
    if name not in manifest:
        there = f"it has {', '.join(sorted(manifest))}" if manifest else "it is empty in this version"
        raise ValueError(f"the zoo has no model {name!r}; {there}.{near_miss(name, manifest)}")
    return manifest[name]
