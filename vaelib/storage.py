"""Saved models: a folder of `config.json`, `weights.safetensors` and `card.json`. Nothing is pickled.

A folder is written under another name and renamed when it is whole, so a save that was cut off is never mistaken for a
model, and the model that it should have replaced is still there.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

import vaelib
from vaelib.config import from_dict, near_miss, to_dict
from vaelib.console import say
from vaelib.models import MODELS, Model

CONFIG, WEIGHTS, CARD = "config.json", "weights.safetensors", "card.json"


def save(model: Model, folder: str | Path, card: Mapping[str, Any] | None = None, *, half: bool = False) -> Path:
    """Write a model to a folder, which `load` reads back.

    Args:
        model: any model; its mode, device and weights stay as they are.
        folder: made, with its parents, when it is not there. An earlier model in it is replaced.
        card: what a reader should know about these weights (data, steps, results), plain JSON values.
        half: store floats as float16: half the size, for the zoo. `load` gives float32 again.
    Returns:
        The folder.
    Raises:
        FileExistsError: the folder holds something that is not a model.
        ValueError: a weight is too large for float16.
        TypeError: `model` is not a vaelib model, or the card does not go into JSON.
    """
    if not isinstance(model, Model):
        raise TypeError(f"save takes a vaelib model, not a {type(model).__name__}")
    folder = Path(folder)
    if folder.is_dir() and any(folder.iterdir()) and not is_model(folder):
        raise FileExistsError(f"{folder} is not empty and holds no model: choose another folder, or empty this one")
    with written_whole(folder) as partial:
        write_model(model, partial, card, half=half)
    return folder


def write_model(model: Model, folder: Path, card: Mapping[str, Any] | None = None, *, half: bool = False) -> None:
    """The three files of a model, into a folder that exists: for checkpoints, which add files of their own."""
    write_tensors(model.state_dict(), folder / WEIGHTS, half=half)
    _write_json(dict(card or {}), folder / CARD)
    # The configuration comes last: a folder without it is not a model.
    config = {"kind": model.kind, "config": to_dict(model.config), "vaelib": vaelib.__version__}
    _write_json(config, folder / CONFIG)


def write_tensors(tensors: Mapping[str, Tensor], file: Path, *, half: bool = False) -> None:
    """Tensors by name → a safetensors file, whatever their device and memory layout; shared ones are written twice."""
    stored: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        if half and tensor.is_floating_point():
            rounded = tensor.to(torch.float16)
            if not torch.equal(rounded.isfinite(), tensor.isfinite()):
                raise ValueError(f"{name} has values beyond ±65504, too large for float16: save it without half")
            tensor = rounded
        pointer = tensor.untyped_storage().data_ptr()
        stored[name] = tensor.clone() if pointer in seen else tensor
        seen.add(pointer)
    safetensors.torch.save_file(stored, file)
    file.chmod(0o644)  # safetensors keeps other users out; a model is to be shared


@contextmanager
def written_whole(folder: str | Path) -> Iterator[Path]:
    """Write a folder all or nothing.

        with written_whole("runs/first/checkpoint") as partial:
            (partial / "state.json").write_text(…)

    The block writes to a hidden sibling. When it ends without an error, that sibling takes the name `folder`, and what
    was there before is deleted; when it fails, `folder` is as it was.
    """
    folder = Path(folder).expanduser().resolve()
    partial, previous = folder.with_name(f".{folder.name}.partial"), _previous(folder)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file, not a folder")
    shutil.rmtree(partial, ignore_errors=True)  # of an earlier save that was killed
    partial.mkdir(parents=True)
    try:
        yield partial
        if folder.exists():
            shutil.rmtree(previous, ignore_errors=True)
            folder.rename(previous)
        partial.rename(folder)
        shutil.rmtree(previous, ignore_errors=True)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        if previous.exists() and not folder.exists():
            previous.rename(folder)
        raise


def load(source: str | Path) -> Model:
    """The model in a folder, in eval mode, on the CPU, in float32.

    Args:
        source: a folder written by `save`; the folder of a run (its final model, or its checkpoint while it has none);
            or "zoo:NAME".
    Raises:
        FileNotFoundError: no such folder; the message names the near miss.
        ValueError: not a model, damaged, of an unknown kind or option, or saved by a newer vaelib.
    """
    if str(source).startswith("zoo:"):
        from vaelib import zoo  # which itself loads with this module

        return zoo.load(str(source).removeprefix("zoo:"))
    folder = find(source)
    model = build(folder)
    _fill(model, read_tensors(folder / WEIGHTS), folder)
    return model.eval()


def find(source: str | Path) -> Path:
    """The folder of `config.json` that a path means: itself, the `model/` of a run, or the run's checkpoint.

    Raises:
        FileNotFoundError, ValueError: as `load`.
    """
    folder = Path(source).expanduser()
    found = _whole(folder) or _whole(folder / "model")
    if found:
        return found
    if checkpoint := _whole(folder / "checkpoint"):
        what = read_card(checkpoint).get("checkpoint", "the weights of its last checkpoint")
        say(f"{folder} holds no finished model: taking {what}.")
        return checkpoint
    if not folder.exists():
        siblings = [path.name for path in folder.parent.iterdir()] if folder.parent.is_dir() else []
        siblings = [name for name in siblings if not name.startswith(".")]
        raise FileNotFoundError(f"there is no folder {folder}.{near_miss(folder.name, siblings)}")
    if not folder.is_dir():
        raise ValueError(f"{folder} is a file: give the folder that holds {CONFIG} and {WEIGHTS}")
    missing = " and ".join(name for name in (CONFIG, WEIGHTS) if not (folder / name).exists())
    raise ValueError(f"{folder} is neither a saved model nor a run: it has no {missing}, no model/ and no checkpoint/")


def _whole(folder: Path) -> Path | None:
    """The model in this folder; the one that was there before, if a save was cut off between its two renames."""
    if is_model(folder):
        return folder
    if not folder.exists() and is_model(_previous(folder)):
        say(f"The last save to {folder} was cut off: taking the model before it.")
        return _previous(folder)
    return None


def is_model(folder: Path) -> bool:
    """Whether the folder looks like a saved model."""
    return (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file()


def build(folder: Path) -> Model:
    """The model that `config.json` in this folder describes, with fresh weights; the global generator stays as it was.

    Raises:
        ValueError: as `load`.
    """
    file = folder / CONFIG
    stored = read_json(file)
    if not isinstance(stored, dict) or not {"kind", "config", "vaelib"} <= stored.keys():
        raise ValueError(f"{file} should hold 'kind', 'config' and 'vaelib', as vaelib.save writes them")
    if _release(stored["vaelib"]) > _release(vaelib.__version__):
        raise ValueError(
            f"{folder} was saved by vaelib {stored['vaelib']}, newer than this one ({vaelib.__version__}): "
            "upgrade vaelib to read it"
        )
    kind = stored["kind"]
    if kind not in MODELS:
        raise ValueError(
            f"{folder} holds a model of kind {kind!r}; this vaelib knows {', '.join(sorted(MODELS))}."
            f"{near_miss(str(kind), MODELS)} A class of your own must be entered in vaelib.models.MODELS first."
        )
    try:
        config: Any = from_dict(MODELS[kind].Config, stored["config"])
        with torch.random.fork_rng(devices=[]):
            return MODELS[kind](config)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file} does not describe a {kind}: {error}") from error


def read_card(folder: Path) -> dict[str, Any]:
    """The card beside the weights; empty when there is none."""
    file = folder / CARD
    return read_object(file) if file.exists() else {}


def read_object(file: Path) -> dict[str, Any]:
    """The names and values in a JSON file.

    Raises:
        ValueError: it is no JSON, or holds something else.
    """
    values = read_json(file)
    if not isinstance(values, dict):
        raise ValueError(f"{file} should hold names and values, not {values!r:.40}: it was edited, or is another file")
    return values


def read_json(file: Path) -> Any:
    """The values in a JSON file.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is damaged, not JSON: {error}") from error


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors in a safetensors file, by name.

    Raises:
        ValueError: it is damaged.
    """
    try:
        return safetensors.torch.load_file(file)
    except SafetensorError as error:
        raise ValueError(f"{file} is damaged or was cut short ({error}): copy or save it again") from error


def _fill(model: Model, weights: Mapping[str, Tensor], folder: Path) -> None:
    """Copy weights into a model, or say by name what does not fit."""
    expected = model.state_dict()
    complaints = {
        "missing": sorted(expected.keys() - weights.keys()),
        "not expected": sorted(weights.keys() - expected.keys()),
        "of the wrong shape": [
            f"{name} {tuple(weights[name].shape)} instead of {tuple(tensor.shape)}"
            for name, tensor in expected.items()
            if name in weights and weights[name].shape != tensor.shape
        ],
    }
    found = [f"{what}: {_listed(names)}" for what, names in complaints.items() if names]
    if found:
        raise ValueError(f"the weights in {folder} do not fit its {CONFIG} (a {model.kind}). " + "; ".join(found))
    # Copies convert, so half-precision weights become float32 here.
    model.load_state_dict(dict(weights))


def _listed(names: Iterable[str], limit: int = 5) -> str:
    names = list(names)
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest


def _previous(folder: Path) -> Path:
    """Where the old content waits for the moment in which the new one takes its name."""
    return folder.with_name(f".{folder.name}.previous")


def _release(version: Any) -> tuple[int, ...]:
    """'0.2.1.dev3' → (0, 2, 1), to compare."""
    digits: list[int] = []
    for part in str(version).split("."):
        if not part.isdigit():
            break
        digits.append(int(part))
    return tuple(digits)


def _write_json(values: Mapping[str, Any], file: Path) -> None:
    try:
        text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{file.name} holds plain JSON values and finite numbers only: {error}") from error
    file.write_text(text + "\n", encoding="utf-8")
