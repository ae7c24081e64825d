"""What speed benchmarks share: contenders in processes of their own, in turns, and the machine they ran on."""

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

import vaelib

ROOT = Path(__file__).resolve().parent.parent

Runs = dict[str, list[dict[str, float]]]


def in_a_process(module: str, arguments: Iterable[str], python: Path | str = sys.executable) -> dict[str, float]:
    """Run `python -m module …`, whose last line is JSON, in a fresh process.

    Raises:
        RuntimeError: it failed, with the end of what it said.
    """
    run = subprocess.run(
        [python, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "VAELIB_CI": "1"},
        capture_output=True,
        text=True,
    )
    if run.returncode:
        raise RuntimeError(f"{module} {' '.join(arguments)} failed:\n{run.stderr[-2000:]}")
    numbers: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return numbers


def in_turns(names: Iterable[str], measure: Callable[[str], dict[str, float]], rounds: int) -> Runs:
    """Each contender once a round, so that a slow minute of the machine hits all of them."""
    runs: Runs = {name: [] for name in names}
    for number in range(rounds):
        for name, results in runs.items():
            results.append(measure(name))
        print(f"round {number + 1}: " + ", ".join(f"{n} {r[-1]['images_per_second']:.1f}" for n, r in runs.items()))
    return runs


def ratios(runs: Runs, ours: str, theirs: str) -> list[float]:
    """How many times as fast one contender is as another, round by round."""
    speeds = [[run["images_per_second"] for run in runs[name]] for name in (ours, theirs)]
    return [one / other for one, other in zip(*speeds, strict=True)]


def middle(runs: Runs, name: str, key: str) -> float:
    """The median of a contender's numbers."""
    return statistics.median(run[key] for run in runs[name])


def conditions() -> dict[str, Any]:
    """What has to be known about the machine. Call it before measuring: it warns when something else is running."""
    # Here, so that a contender's own memory is not that of the trainer.
    from vaelib.training.precision import fast_bfloat16

    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"warning: the load average is {load:.1f}. Something else is running, and the figures will be wrong.")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "fast_bfloat16": fast_bfloat16(torch.device("cpu")),
        "torch": torch.__version__,
        "vaelib": vaelib.__version__,
        "load_average_at_start": load,
    }


def processor() -> str:
    """The processor's own name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def peak_memory_mb() -> float:
    """The most memory that this process ever held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kB on Linux, bytes on macOS
    return peak / (1024**2 if sys.platform == "darwin" else 1024)
