"""Train a model. Ctrl-C stops; the same command goes on where it stopped."""

import argparse
import dataclasses
import os
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaelib import storage
from vaelib.commands.options import UsageError, add_options_of, at_least_one, changed, one_of
from vaelib.commands.runs import RUNS, check_data, load_at_most, note, shape_text
from vaelib.models import WAE
from vaelib.profiles import PROFILES, profile
from vaelib.training import PRESETS, preset, train
from vaelib.training.checkpoint import find_checkpoint
from vaelib.training.growing import train_stages

if TYPE_CHECKING:
    from vaelib.data import ImageSet
    from vaelib.training import Preset, TrainConfig

    Pictures = tuple[ImageSet, ImageSet | None]
    """Those to learn from, and those for validation, if any."""

EXAMPLES = """
  vaelib train vae                                      the preset's own data, model and schedule
  vaelib train vae --data portraits --run first         other pictures; the network adapts to their shape
  vaelib train vae --profile smoke                      a few steps, to see that everything works
  vaelib train vae --latent-dimension 32 --likelihood laplace --run laplace
  vaelib train vae --network convolutional:widths=32,64 --likelihood fixed-gaussian:variance=0.02 --run small
  accelerate launch --multi_gpu --num_processes 8 -m vaelib train vae --profile gpu
"""


def add_options(parser: Any, arguments: list[str]) -> None:
    """The options of `vaelib train`: those of the run, of the training and of the preset's model."""
    shown = _preset_in(arguments)
    parser.add_argument("preset", metavar="PRESET", type=one_of(PRESETS), help=f"one of {', '.join(PRESETS)}")
    parser.add_argument(
        "--profile",
        type=one_of(PROFILES),
        metavar="PROFILE",
        help="size of the run: smoke, cpu or gpu (default: VAELIB_PROFILE, else cpu)",
    )
    parser.add_argument(
        "--data", metavar="NAME", help=f"a data set (`vaelib data` lists them), or folder:PATH (default: {shown.data})"
    )
    parser.add_argument(
        "--count", type=at_least_one, metavar="N", help=f"how many training pictures (default: {shown.count or 'all'})"
    )
    parser.add_argument(
        "--size",
        type=at_least_one,
        metavar="N",
        help=f"side in pixels (default: {shown.model.image_shape[-1]} for {shown.data}, else the data's own)",
    )
    own_crop = shown.crop or "the data's own"
    parser.add_argument(
        "--crop",
        metavar="NAME",
        help=f"a published crop, where the data's card lists any (default: {own_crop})",
    )
    parser.add_argument("--run", metavar="NAME", help="name of the run, a folder in runs/ (default: PRESET-DATA)")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on with a run; one that was stopped goes on anyway")
    again.add_argument("--fresh", action="store_true", help="begin again, and throw away an earlier run of this name")
    add_options_of(parser, shown.train, title=f"training (defaults of the preset {shown.name})")
    add_options_of(parser, shown.model, title=f"model, {shown.kind}", skip=("image_shape",))
    parser.usage = "vaelib train PRESET [options]"  # the generated one would list forty
    parser.set_defaults(shown=shown, arguments=arguments)


def run(options: argparse.Namespace) -> int:
    """Load the pictures, fit the model to their shape, train."""
    from vaelib import data

    shown: Preset = options.shown
    if options.preset != shown.name:
        raise UsageError(f"put the preset first: vaelib train {options.preset} …")
    name = options.data or shown.data
    check_data(name)
    try:
        settings = training_settings(shown.train, options)
        changed(shown.model, options)
    except ValueError as error:
        raise UsageError(str(error)) from error
    folder = run_folder(options)
    if storage.is_model(folder / "model") and not (options.fresh or options.resume):
        raise FileExistsError(
            f"{folder} is finished. Draw from it with `vaelib sample {folder.name}`, train another with --run NAME, go "
            "on for more --steps with --resume, or begin again with --fresh"
        )
    # The preset's own data come in the size and crop that the preset was made for, other data in theirs.
    size = shown.model.image_shape[-1] if options.size is None and name == shown.data else options.size
    crop = shown.crop if options.crop is None and name == shown.data else options.crop

    def pictures_of(size: int | None) -> "Pictures":
        asked: dict[str, Any] = {"size": size, "crop": crop}
        if options.count:  # asked for, so exactly so many, or an error
            pictures = data.load(name, "train", count=options.count, **asked)
        else:
            pictures = load_at_most(name, "train", shown.count, **asked)
        return pictures, validation_images(name, settings.validation_images, asked)

    pictures, validation = pictures_of(size)
    if shown.kind == "conditional_vae" and pictures.labels is None:
        raise ValueError(
            f"{name} has no labels, and a conditional_vae is trained with them: choose other data with --data"
        )
    config = fitted(shown.model, pictures.image_shape, options)
    chosen = dataclasses.replace(shown, model=config, train=settings)
    command = shlex.join(argument for argument in options.arguments if argument != "--fresh")
    go_on = f"vaelib train {command}"
    if not train_preset(chosen, (pictures, validation), pictures_of, folder, resume=not options.fresh, go_on=go_on):
        return 130
    if main_process():
        note(f"Finished: {folder / 'model'}. Look at it with `vaelib sample {folder.name}`")
    return 0


def train_preset(
    chosen: "Preset",
    pictures: "Pictures",
    pictures_of: Callable[[int], "Pictures"],
    folder: Path,
    *,
    resume: bool,
    go_on: str,
) -> bool:
    """Train all that a preset describes: what comes before the first step, then the steps.

    Args:
        chosen: its model fits the pictures.
        pictures: those to learn from, and those for validation or None; `pictures_of`: of another side, for stages.
        folder: of the run.
        resume: go on with what the folder holds; else it is thrown away.
        go_on: the command that goes on after Ctrl-C, to be named then.
    Returns:
        Whether the training came to its end; else Ctrl-C stopped it.
    """
    images, validation = pictures
    model = chosen.build()
    if main_process():
        note(f"{folder}: {type(model).__name__} on {len(images):,} {images.name}, {shape_text(images.image_shape)}")
    begins = not resume or find_checkpoint(folder) is None
    try:
        if begins and chosen.pretrain_encoder and isinstance(model, WAE):
            model.pretrain_encoder(images, seed=chosen.train.seed)
        if begins and chosen.stages:
            model = train_stages(chosen.model, chosen.stages, pictures_of, folder, resume=resume)
        train(model, images, chosen.train, validation=validation, run=folder, resume=resume)
    except KeyboardInterrupt:
        if main_process() and not storage.is_model(folder / "model"):
            note(f"\nStopped. To go on: {go_on}")
        return False
    return True


def training_settings(config: "TrainConfig", options: argparse.Namespace) -> "TrainConfig":
    """The preset's training with the user's options. A warm-up that no longer fits a shorter run shrinks with it.

    Raises:
        ValueError: settings that do not fit together.
    """
    steps = getattr(options, "steps", config.steps)
    if config.learning_rate_warmup >= steps and not hasattr(options, "learning_rate_warmup"):
        warmup = config.learning_rate_warmup * steps // config.steps
        config = dataclasses.replace(config, learning_rate_warmup=warmup)
    return changed(config, options)


def validation_images(name: str, count: int, asked: dict[str, Any]) -> "ImageSet | None":
    """The validation split; None for a folder so small that none of its pictures fell into it."""
    try:
        return load_at_most(name, "validation", count or None, **asked)
    except ValueError:
        if not name.startswith("folder:"):
            raise
        note(f"No picture of {name} falls into the validation split: training without validation")
        return None


def run_folder(options: argparse.Namespace) -> Path:
    """runs/NAME; by default the preset, the data and, unless it is cpu, the profile: `vae-faces`, `vae-faces-gpu`."""
    if options.run is not None:
        if not options.run or Path(options.run).name != options.run or options.run == "..":
            raise UsageError(f"--run should be the name of a folder in {RUNS}/, such as first, not {options.run!r}")
        return RUNS / options.run
    name = options.data or options.shown.data
    words = [options.preset, Path(name.partition(":")[2]).name if ":" in name else name]
    words += [options.shown.profile] if options.shown.profile != "cpu" else []
    return RUNS / re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")


def fitted(config: Any, image_shape: tuple[int, int, int], options: argparse.Namespace) -> Any:
    """The preset's model with the user's options, for pictures of this shape.

    A network that the preset made for another size gives way to the one derived from the new size; one that the user
    asked for stays.
    """
    from vaelib.networks import Convolutional, conv64

    size = image_shape[-1]
    network = getattr(config, "network", None)
    if isinstance(network, Convolutional) and size != config.image_shape[-1]:
        config = dataclasses.replace(config, network=conv64 if size == 64 else Convolutional())
    return changed(dataclasses.replace(config, image_shape=image_shape), options)


def main_process() -> bool:
    """Whether this process speaks for all: the only one, or the first of those that `accelerate launch` started."""
    return os.environ.get("RANK", "0") == "0"


def _preset_in(arguments: Sequence[str]) -> "Preset":
    """The preset named among the arguments, whose defaults the options take; the first there is when none is named."""
    scan = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    scan.add_argument("--profile")
    known, rest = scan.parse_known_args(list(arguments))
    name = next((argument for argument in rest if argument in PRESETS), next(iter(PRESETS)))
    size = known.profile if known.profile in PROFILES else profile()
    return preset(name, size)
