"""Train as a user's script does, for the tests: training_program.py KIND PRECISION RUN, or FOLDER under a launcher."""

import dataclasses
import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from training_setup import noise, small_model

import vaelib
from vaelib.training import TrainConfig

EXACT = TrainConfig(
    steps=30, batch_size=16, ema_decay=0.99, log_every=4, validate_every=6, checkpoint_every=5, schedule="cosine"
)
SHARED = TrainConfig(steps=6, batch_size=16, precision="float32", epsilon=1.0, ema_decay=0.9, log_every=2)


def train_alone(kind: str, precision: str, run: str) -> None:
    """What the tests kill, interrupt and resume."""
    config = dataclasses.replace(EXACT, precision=precision)
    vaelib.train(small_model(kind), noise(), config, validation=noise(20, seed=2), run=Path(run))


def train_shared(folder: Path) -> None:
    """What the processes of a launcher do, each with its own seed for the initial weights."""
    rank = os.environ["RANK"]
    for kind in ("vae", "linear", "two-players"):
        model = small_model(kind, seed=int(rank))
        vaelib.train(model, noise(), SHARED, validation=noise(20, seed=2), run=folder / kind)
        tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        save_file(tensors, folder / f"{kind}-{rank}")
    # In two sittings.
    for steps in (3, 6):
        config = dataclasses.replace(SHARED, steps=steps)
        vaelib.train(small_model("vae"), noise(), config, run=folder / "sittings")


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) == 2:
        train_shared(Path(sys.argv[1]))
    else:
        train_alone(*sys.argv[1:])
