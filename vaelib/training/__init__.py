"""The trainer: `vaelib.train(model, data, TrainConfig(...))`, and the presets of the book."""

from vaelib.training.config import TrainConfig
from vaelib.training.guard import NonFiniteError
from vaelib.training.history import History
from vaelib.training.presets import PRESETS, Preset, preset
from vaelib.training.published import PUBLISHED_RUNS, PublishedRun
from vaelib.training.trainer import TrainResult, train

__all__ = [
    "PRESETS",
    "PUBLISHED_RUNS",
    "History",
    "NonFiniteError",
    "Preset",
    "PublishedRun",
    "TrainConfig",
    "TrainResult",
    "preset",
    "train",
]
