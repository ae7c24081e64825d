"""The trained models that come with vaelib: list them, show the card of one, copy it, train it again."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaelib.commands.options import UsageError, one_of, output_folder, seed

if TYPE_CHECKING:
    from vaelib.training import Preset

ACTIONS = ("list", "card", "load", "retrain")

EXAMPLES = """
  vaelib zoo                                which models there are
  vaelib zoo card vae-faces64               what one is, what it took, what was measured, what it is not for
  vaelib zoo load vae-faces64 --out mine    copy it into the folder mine, which every other command takes
  vaelib zoo retrain vae-faces64 --seed 1   train it again; Ctrl-C stops, the same command goes on
"""


def add_options(parser: Any, arguments: list[str]) -> None:
    """The options of `vaelib zoo`: those of the action that is named; its help, when none is, shows all."""
    named = next((argument for argument in arguments if argument in ACTIONS), None)
    shows_all = named is None and (not arguments or not {"-h", "--help"}.isdisjoint(arguments))
    optional: dict[str, Any] = {} if named else {"nargs": "?"}
    parser.add_argument(
        "action",
        metavar="ACTION",
        type=one_of(ACTIONS),
        default="list",
        help="list, card, load or retrain (default: list)",
        **optional,
    )
    if shows_all or named in ACTIONS[1:]:
        parser.add_argument("name", metavar="NAME", help="a model of the zoo", **optional)
    if shows_all or named == "card":
        formats = parser.add_argument_group("card").add_mutually_exclusive_group()
        formats.add_argument("--json", action="store_true", help="the card as JSON, with unrounded numbers")
        formats.add_argument("--markdown", action="store_true", help="the card as Markdown")
    if shows_all or named == "load":
        group = parser.add_argument_group("load")
        group.add_argument(
            "--out", metavar="FOLDER", type=output_folder, help="a folder that is not there yet (default: NAME)"
        )
    if shows_all or named == "retrain":
        group = parser.add_argument_group("retrain")
        group.add_argument(
            "--seed", type=seed, default=0, metavar="K", help="of the weights, the order and all noise (default: 0)"
        )
        group.add_argument("--run", metavar="FOLDER", help="a name in runs/, or a folder (default: runs/NAME-seed-K)")


def run(options: argparse.Namespace) -> int:
    """List, show, copy or train."""
    if options.action == "list":
        return list_models()
    name = options.name.removeprefix("zoo:")
    if options.action == "retrain":
        return retrain(name, options.seed, options.run)
    _check(name)
    return show(name, options) if options.action == "card" else copy(name, options.out or Path(name))


def list_models() -> int:
    """A table of all models."""
    from vaelib.commands.runs import shape_text, table
    from vaelib.zoo.cards import cards

    rows = [("name", "kind", "images", "parameters", "size", "licence")]
    for name, card in cards().items():
        size = f"{card.weights_bytes / 1e6:.1f} MB"
        rows.append((name, card.kind, shape_text(card.image_shape), f"{card.parameters:,}", size, card.licence))
    print(table(rows, indent=""))
    print("\nvaelib zoo card NAME shows a card; zoo:NAME stands for a model in every command.")
    return 0


def show(name: str, options: argparse.Namespace) -> int:
    """Print a card."""
    from vaelib.zoo.cards import ModelCard

    card = ModelCard.of(name)
    print(card.to_json() if options.json else card.markdown() if options.markdown else card.text())
    return 0


def copy(name: str, folder: Path) -> int:
    """Copy a model, whose hash has been checked, and its card for people into a folder of the user's."""
    import shutil

    from vaelib import storage, zoo
    from vaelib.commands.runs import note
    from vaelib.zoo.cards import ModelCard

    if folder.exists():
        raise FileExistsError(f"{folder} exists already, and nothing is overwritten: name another folder with --out")
    model = zoo.load(name)  # checks the hash
    with storage.written_whole(folder) as partial:
        for file in (storage.WEIGHTS, storage.CONFIG, storage.CARD):
            shutil.copyfile(zoo.model_folder(name) / file, partial / file)
        (partial / "README.md").write_text(ModelCard.of(name).markdown(), encoding="utf-8")
    try:
        model.check_sampling()
        command, use = "sample", "model.sample(16)  # (16, C, H, W), in [0, 1]"
    except TypeError:  # it has no prior
        command, use = "reconstruct", "model.reconstruct(images)  # (N, C, H, W) in [0, 1], and so are the pictures"
    print(f"{name} is in {folder}, its card in {folder / 'README.md'}. Licence: {zoo.card(name)['licence']}.")
    print(f"\nIn a terminal:\n  vaelib {command} {shown(folder)}")
    print(f'In Python:\n  model = vaelib.load("{folder}")\n  pictures = {use}')
    note(f'vaelib.load("zoo:{name}") does without the copy.')
    return 0


def retrain(name: str, seed: int, run: str | None) -> int:
    """Train a model of the zoo again, from nothing."""
    import shlex

    from vaelib.commands.runs import note
    from vaelib.commands.train import main_process
    from vaelib.training.runs import run_folder
    from vaelib.zoo.recipes import recipe

    try:
        chosen = recipe(name, seed)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if run is not None and Path(run).name in ("", ".."):
        raise UsageError(f"--run should be the name of a folder in runs/, such as first, or a folder, not {run!r}")
    folder = run_folder(run or f"{name}-seed-{seed}")
    assert folder is not None
    command = f"vaelib zoo retrain {name} --seed {seed}" + (f" --run {shlex.quote(run)}" if run else "")
    if finished(chosen, folder):
        note(f"{folder} is finished, and is not trained again. Look at it with `vaelib sample {shown(folder)}`")
        return 0
    if main_process():
        note(f"{name}, seed {seed}, into {folder}. {expected_time(name)}")
    if not train_recipe(chosen, folder, go_on=command):
        return 130
    if main_process():
        note(f"Finished: {folder / 'model'}. Look at it with `vaelib sample {shown(folder)}`")
    return 0


def finished(chosen: "Preset", folder: Path) -> bool:
    """Whether the folder holds the finished run of this recipe.

    Raises:
        FileExistsError: it holds a finished run of something else.
    """
    from vaelib import storage
    from vaelib.config import to_dict

    if not storage.is_model(folder / "model"):
        return False
    card = storage.read_card(folder / "model")
    # Precision is "auto" in a recipe and what the machine has in a card; settings younger than the card are not in it.
    asked = {("train", key): value for key, value in to_dict(chosen.train).items() if key != "precision"}
    asked |= {("model", key): value for key, value in {"kind": chosen.kind, **to_dict(chosen.model)}.items()}
    if "train" not in card or any(card.get(part, {}).get(key, value) != value for (part, key), value in asked.items()):
        raise FileExistsError(f"{folder} holds a finished run of another training: choose another folder with --run")
    return True


def expected_time(name: str) -> str:
    """What the training took when it was made, by the model's card."""
    from vaelib import zoo
    from vaelib.zoo.cards import ModelCard

    budget = ModelCard.of(name).budget if name in zoo.names() else None
    if budget is None:
        return "How long it takes is not known: the zoo has no card of it yet."
    return f"By its card this took: {budget}."


def train_recipe(chosen: "Preset", folder: Path, *, go_on: str) -> bool:
    """Train what a recipe describes, on the data that it names; an interrupted run goes on.

    Args:
        chosen: the recipe; `folder`: of the run.
        go_on: the command that goes on after Ctrl-C, to be named then.
    Returns:
        Whether the training came to its end; else Ctrl-C stopped it.
    """
    from vaelib.commands.runs import load_at_most
    from vaelib.commands.train import train_preset, validation_images

    def pictures_of(size: int) -> Any:
        asked: dict[str, Any] = {"size": size, "crop": chosen.crop}
        images = load_at_most(chosen.data, "train", chosen.count, **asked)
        return images, validation_images(chosen.data, chosen.train.validation_images, asked)

    pictures = pictures_of(chosen.model.image_shape[-1])
    return train_preset(chosen, pictures, pictures_of, folder, resume=True, go_on=go_on)


def shown(folder: Path) -> str:
    """A folder as one would type it after `vaelib sample`: a run in runs/ by its name alone."""
    import shlex

    from vaelib.commands.runs import RUNS

    return shlex.quote(folder.name if folder.parent == RUNS else str(folder))


def _check(name: str) -> None:
    """Raise a UsageError, with the near miss, when the zoo has no model of this name."""
    from vaelib import zoo

    try:
        zoo.card(name)
    except ValueError as error:
        if name in zoo.names():
            raise  # a damaged file
        raise UsageError(str(error)) from error
