"""Checkpoints: a saved model, and beside it all that the next step depends on, as safetensors and JSON.

    checkpoint/config.json, weights.safetensors, card.json    the model, as `vaelib.load` reads it
    checkpoint/training.safetensors                           the optimisers' moments, the averaged weights
    checkpoint/training.json                                  the step, the running means, what is trained on what

There is no generator state: see `vaelib.training.randomness`. The folder is written whole and then renamed, so whoever
kills the run while it writes finds the checkpoint before.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from vaelib import storage
from vaelib.config import to_dict
from vaelib.data.image_set import ImageSet
from vaelib.models import Model
from vaelib.training.config import TrainConfig
from vaelib.training.ema import ExponentialMovingAverage
from vaelib.training.history import RunningMeans
from vaelib.training.players import TrainedPlayer

TENSORS, STATE = "training.safetensors", "training.json"

# Settings that do not touch the weights, so a resumed run may change them.
FREE_SETTINGS = (
    "checkpoint_activations",
    "checkpoint_every",
    "log_every",
    "tensorboard",
    "validate_every",
    "validation_images",
)


@dataclass
class TrainingState:
    """What a step reads and writes."""

    model: Model
    players: list[TrainedPlayer]
    ema: ExponentialMovingAverage | None
    means: RunningMeans = field(default_factory=RunningMeans)
    step: int = 0
    seconds: float = 0.0


def identity(model: Model, data: ImageSet, config: TrainConfig, precision: str, processes: int) -> dict[str, Any]:
    """What has to be the same for a resumed run to end like one that was never stopped."""
    settings = {name: value for name, value in to_dict(config).items() if name not in FREE_SETTINGS}
    return {
        "model": {"kind": model.kind, **to_dict(model.config)},
        "data": {"key": data.key, "images": len(data), "shape": list(data.image_shape)},
        "train": {**settings, "precision": precision},
        "processes": processes,
    }


def write_checkpoint(folder: Path, state: TrainingState, identity: dict[str, Any]) -> None:
    """Replace the checkpoint in this folder, all or nothing."""
    tensors: dict[str, Tensor] = {}
    for player in state.players:
        tensors |= {f"optimiser/{player.name}/{name}": tensor for name, tensor in player.tensors().items()}
    if state.ema is not None:
        tensors |= {f"ema/{name}": tensor for name, tensor in state.ema.values.items()}
    values = {
        "step": state.step,
        "seconds": state.seconds,
        "means": {"totals": state.means.totals(), "counts": state.means.counts},
        "scalers": {player.name: player.scaler.state_dict() for player in state.players if player.scaler is not None},
        "identity": identity,
    }
    with storage.written_whole(folder) as partial:
        storage.write_tensors(tensors, partial / TENSORS)
        (partial / STATE).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        storage.write_model(state.model, partial, {"checkpoint": f"the raw weights after {state.step} steps"})


def find_checkpoint(run: Path) -> Path | None:
    """The checkpoint of a run; the one before, if the last was cut off; None where there is none."""
    try:
        folder = storage.find(run / "checkpoint")
    except FileNotFoundError:
        return None
    return folder if (folder / STATE).is_file() else None


def read_checkpoint(folder: Path, state: TrainingState, identity: dict[str, Any]) -> None:
    """Put the training where the checkpoint left it.

    Raises:
        ValueError: it belongs to another model, data set or configuration (all differences are named), or is damaged.
    """
    values = storage.read_json(folder / STATE)
    check_identity(folder, values["identity"], identity, values["step"])
    tensors = storage.read_tensors(folder / TENSORS)
    state.model.load_state_dict(storage.read_tensors(folder / storage.WEIGHTS))
    for player in state.players:
        player.restore(_below(tensors, f"optimiser/{player.name}/"), values["scalers"].get(player.name))
    if state.ema is not None:
        state.ema.restore(_below(tensors, "ema/"))
    state.means.restore(values["means"]["totals"], values["means"]["counts"], state.model.device)
    state.step, state.seconds = values["step"], values["seconds"]


def check_identity(folder: Path, saved: dict[str, Any], now: dict[str, Any], step: int) -> None:
    """Raise a ValueError that names all differences between the run that was saved and the one that is asked for.

    One is allowed: more steps, where the learning rate is constant and so does not follow from their number. (A model
    that follows `Progress.fraction`, as with a KL warm-up, has followed the shorter run so far.)
    """
    before, after = _flat(saved), _flat(now)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    if names == ["train.steps"] and now["train"]["schedule"] == "constant" and now["train"]["steps"] >= step:
        return
    if names:
        lines = [f"  {name}: {before.get(name)!r} in the checkpoint, {after.get(name)!r} now" for name in names]
        steps = "\n'steps' can be changed alone, not below those done, and where the schedule is 'constant'."
        raise ValueError(
            f"{folder} cannot be resumed, step {step} was made with other settings:\n"
            + "\n".join(lines)
            + (steps if "train.steps" in names else "")
            + "\nUse the settings of the checkpoint, another run name, or begin again with --fresh (in Python: "
            "resume=False), which deletes the old run."
        )


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"train": {"steps": 5}} → {"train.steps": 5}."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
