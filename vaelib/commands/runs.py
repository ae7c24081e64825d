"""Which trained model a command means, and where its pictures go."""

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaelib.commands.options import UsageError, as_text, reader
from vaelib.config import near_miss

if TYPE_CHECKING:
    from torch import Tensor

    from vaelib.data import ImageSet
    from vaelib.models import Model

RUNS = Path("runs")


def add_run(parser: Any) -> None:
    """The positional argument RUN."""
    parser.add_argument(
        "run",
        metavar="RUN",
        nargs="?",
        help="a run, by name or folder; a saved model; or zoo:NAME (default: the newest run in runs/)",
    )


def add_data(parser: Any) -> None:
    """The options --data and --crop of commands that need test images."""
    parser.add_argument(
        "--data", metavar="NAME", help="whose test split (default: that of the data the model was trained on)"
    )
    parser.add_argument(
        "--crop", metavar="NAME", help="a published crop (default: that of the data the model was trained on, if any)"
    )


def add_features(parser: Any) -> None:
    """The option --features of commands that compare images."""
    parser.add_argument(
        "--features",
        metavar="NAME",
        default="efficientnet-lite0",
        help="network that distances, precision and coverage compare by: efficientnet-lite0 (default), inception for "
        "FID, or none to leave them out",
    )


def checked_features(name: str) -> str | None:
    """What --features names; None for "none".

    Raises:
        UsageError: no such network; the message names the near miss.
    """
    from vaelib.evaluation import FEATURES

    known = [*FEATURES, "none"]
    if name not in known:
        raise UsageError(f"--features should be one of {', '.join(known)}, not {name!r}.{near_miss(name, known)}")
    return None if name == "none" else name


def add_label(parser: Any, meaning: str) -> None:
    """The option --label of commands that a conditional model can serve."""
    parser.add_argument("--label", metavar="N,…", type=reader(tuple[int, ...]), help=meaning)


def label_rows(trained: "Trained", label: tuple[int, ...] | None, count: int) -> "Tensor | None":
    """What the user gave as --label, once for each of `count` pictures, (count, K).

    Raises:
        ValueError: a label for a model that takes none, or one that the model does not know.
    """
    import torch

    from vaelib.models import ConditionalVAE

    if label is None:
        return None
    if not isinstance(trained.model, ConditionalVAE):
        name = type(trained.model).__name__
        raise ValueError(f"{trained.source} is a {name}, which takes no --label; a ConditionalVAE does")
    sizes = trained.model.config.label_sizes
    known = [0 <= number < size for number, size in zip(label, sizes, strict=False)]
    if len(label) != len(sizes) or not all(known):
        ranges = ", ".join(f"0 to {size - 1}" for size in sizes)
        raise ValueError(f"--label {as_text(label)} does not fit {trained.source}, whose labels are {ranges}")
    return torch.tensor(label).expand(count, -1)


def chosen(source: str | None) -> str:
    """The run, folder or zoo model that the user named; the newest run, which is announced, when none was.

    Raises:
        FileNotFoundError: there is none; the message names the near miss.
    """
    known = runs_with_models()
    if source is None:
        if not known:
            raise FileNotFoundError(
                "there is no run in runs/ here: train one with `vaelib train vae`, or name a folder or zoo:NAME"
            )
        note(f"The newest run: {known[0]}")
        return str(known[0])
    if not source.startswith("zoo:") and not Path(source).exists() and Path(source).name == source:
        if not (RUNS / source).is_dir():
            names = [run.name for run in known]
            raise FileNotFoundError(f"there is no run and no folder {source!r} here.{near_miss(source, names)}")
        return str(RUNS / source)
    return source


def runs_with_models() -> list[Path]:
    """The runs in runs/ that hold a model or a checkpoint, the newest first."""
    files = [*RUNS.glob("*/model/config.json"), *RUNS.glob("*/checkpoint/config.json")]
    newest = sorted(files, key=lambda file: file.stat().st_mtime, reverse=True)
    return list(dict.fromkeys(file.parent.parent for file in newest))


@dataclass(frozen=True)
class Trained:
    """A trained model and what is known about it.

    Attributes:
        source: what to call it: `runs/vae-faces`, `zoo:vae-faces64`.
        model: in eval mode, on the GPU where there is one.
        card: how it was trained, as far as its card and the `run.json` of its run say.
    """

    source: str
    model: "Model"
    card: dict[str, Any]


def open_trained(source: str | None) -> Trained:
    """The model that the user named, or that of the newest run.

    Raises:
        FileNotFoundError, ValueError: there is none, or it is damaged.
    """
    import torch

    from vaelib import storage, zoo

    device = "cuda" if torch.cuda.is_available() else "cpu"
    source = chosen(source)
    if source.startswith("zoo:"):
        name = source.removeprefix("zoo:")
        return Trained(source, zoo.load(name).to(device), zoo.card(name))
    folder = storage.find(source)
    run = folder.parent / "run.json"
    card = {**(storage.read_object(run) if run.exists() else {}), **storage.read_card(folder)}
    return Trained(source, storage.load(folder).to(device), card)


def held_out_images(trained: Trained, data: str | None, crop: str | None, count: int | None) -> "ImageSet":
    """At most `count` test images (None: all) of the data a model was trained on, or of other data of the same shape.

    Raises:
        ValueError: the card names no data and the user did not either, or their shape is not the model's.
    """
    if data:
        check_data(data)
    name = data or trained.card.get("dataset")
    if data is None and crop is None:
        crop = trained.card.get("crop")
    if not name:
        raise ValueError(f"{trained.source} does not say what it was trained on: name the data with --data")
    if not isinstance(name, str):
        raise ValueError(f"{trained.source} says it was trained on {name!r}, which is no name: give it with --data")
    shape = tuple(trained.model.config.image_shape)
    try:
        images = load_at_most(name, "test", count, size=shape[-1], crop=crop)
    except ValueError as error:
        raise ValueError(f"test images of {shape_text(shape)} for {trained.source}: {error}") from error
    if images.image_shape != shape:
        raise ValueError(
            f"{trained.source} takes images of shape {shape_text(shape)}, but {name} has "
            f"{shape_text(images.image_shape)}: choose other data with --data"
        )
    return images


def check_data(name: str) -> None:
    """Raise a UsageError, with the near miss, when the catalogue has no data set of this name."""
    from vaelib import data as catalogue

    try:
        catalogue.card(name)
    except ValueError as error:
        raise UsageError(str(error)) from error


def load_at_most(
    name: str, split: str, count: int | None, *, size: int | None = None, crop: str | None = None
) -> "ImageSet":
    """The first `count` images of a split, or all of them when there are fewer."""
    from vaelib import data as catalogue

    available = catalogue.card(name).splits.get(split)
    if available is not None:
        count = available if count is None else min(count, available)
        return catalogue.load(name, split, count=count, size=size, crop=crop)
    images = catalogue.load(name, split, size=size, crop=crop)
    return images if count is None or count >= len(images) else images.take(count)


def shape_text(shape: tuple[int, ...]) -> str:
    """(3, 64, 64) → '3×64×64'."""
    return "×".join(map(str, shape))


def table(rows: Sequence[tuple[str, ...]], indent: str = "  ") -> str:
    """Rows of text with their columns lined up."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        (indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()
        for row in rows
    )


def note(message: str) -> None:
    """A remark beside the answer: to stderr, so that the answer can go into a file."""
    print(message, file=sys.stderr)


def check_writable(file: Path) -> None:
    """Raise a UsageError unless the file can be written; its folder is made when it is not there."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=file.parent):
            return
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror or error}") from error


def write_text(text: str, file: Path) -> None:
    """Write a file, whole or not at all; folders are made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
