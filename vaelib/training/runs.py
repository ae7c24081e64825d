"""The folder of a run, `runs/NAME/`: metrics, checkpoint, final model, and `run.json`, which says what was run."""

import json
import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import vaelib
from vaelib import storage
from vaelib.models import Model
from vaelib.training.history import MetricsFile, Row

# All that a run writes; starting anew deletes these and nothing else.
FILES = ("metrics.jsonl", "checkpoint", ".checkpoint.previous", "model", "tensorboard", "run.json")


def run_folder(run: str | Path | None) -> Path | None:
    """`first` → runs/first; a Path, or text with a slash, is taken as it is."""
    if run is None or run == "":
        return None
    return Path("runs") / run if isinstance(run, str) and Path(run).name == run else Path(run).expanduser()


def clear(folder: Path) -> None:
    """Delete what an earlier run wrote here.

    Raises:
        FileExistsError: the folder holds such files but no `run.json`, so they are probably somebody else's.
    """
    found = [path for path in (folder / name for name in FILES) if path.exists()]
    if found and not (folder / "run.json").is_file():
        names = " and ".join(path.name for path in found)
        raise FileExistsError(
            f"{folder} has {names} but no run.json, so it is no run to start anew: choose another name"
        )
    for path in found:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write, then rename: the file is whole or not there."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def hardware(device: torch.device) -> str:
    """What it ran on, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    processor = capabilities.get("cpu_name") or platform.processor()
    return f"{device.type}, {processor or platform.machine()}, {torch.get_num_threads()} threads"


def versions() -> dict[str, str]:
    """Of everything that the numbers of a run may depend on."""
    return {
        "vaelib": vaelib.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "accelerate": version("accelerate"),
    }


def duration(seconds: float) -> str:
    """90 → '1.5 minutes'."""
    for unit, length in (("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= length * 1.2:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} seconds"


def tensorboard_writer(folder: Path, step: int) -> Any:
    """A TensorBoard writer that goes on at this step.

    Raises:
        ImportError: TensorBoard is not installed; the message says how to.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError(
            "TrainConfig.tensorboard needs TensorBoard: run `pip install tensorboard`, or leave the option off; "
            "metrics.jsonl has the same numbers"
        ) from error
    return SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)


class RunFolder:
    """What the main process writes of a run, from its start to its end."""

    def __init__(self, path: Path, description: dict[str, Any], step: int, tensorboard: bool) -> None:
        """Make the folder, and go on with what it holds up to this step.

        Args:
            description: what is run, on what: for `run.json` and the card of the final model.
        """
        path.mkdir(parents=True, exist_ok=True)
        self.path, self.description = path, description
        self.metrics = MetricsFile(path / "metrics.jsonl")
        self.rows: list[Row] = self.metrics.read_until(step)
        self.board = tensorboard_writer(path, step) if tensorboard else None
        write_json(path / "run.json", description)

    def add(self, row: Row) -> None:
        """One more row of metrics."""
        self.metrics.append(row)
        if self.board is not None:
            for name, value in row.items():
                self.board.add_scalar(name, value, int(row["step"]))

    def finish(self, model: Model, outcome: dict[str, Any]) -> None:
        """Save the final model, with a card of what was run and what came of it."""
        card = {**self.description, **outcome}
        storage.save(model, self.path / "model", card)
        write_json(self.path / "run.json", card)

    def close(self) -> None:
        """Nothing more is coming, or not now."""
        if self.board is not None:
            self.board.close()
