"""How fast does one training step of the same VAE go, by a plain loop, by pythae and by vaelib?

    make bench            or, on an idle machine,    python -m benchmarks.training_speed

The contenders take turns, round after round, so that a slow minute of the machine hits all of them; medians and
ratios are what to read. pythae gets an environment of its own, which borrows torch from this one: the same torch for
everybody. The result is written to benchmarks/results/training_speed.json, with the machine it was measured on.
"""

import argparse
import json
import statistics
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

import vaelib
from benchmarks.contenders import BATCH_SIZE, CONTENDERS, LATENTS, SHAPE
from benchmarks.rounds import ROOT, conditions, in_a_process, in_turns, middle, ratios

RESULT = ROOT / "benchmarks" / "results" / "training_speed.json"
PYTHAE = "pythae==0.1.2"
TARGET = 1.6


def pythae_environment() -> Path:
    """The Python of an environment with pythae; made on the first call."""
    folder = ROOT / ".venv-pythae"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"making {folder.name} with {PYTHAE} …", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        inside = subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        # Its own packages come first; what it lacks (torch) is found here.
        (Path(inside) / "zz_borrow.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        subprocess.run([python, "-m", "pip", "install", "--quiet", PYTHAE], check=True)
        (folder / "ready").touch()
    return python


def measure(name: str, steps: int) -> dict[str, float]:
    """One run of one contender in a fresh process."""
    python = pythae_environment() if name == "pythae" else Path(sys.executable)
    return in_a_process("benchmarks.contenders", [name, "--steps", str(steps)], python)


def machine_peak(dtype: torch.dtype, size: int = 4096, repeats: int = 5) -> float:
    """GFLOP/s of one large matrix product, the most that this machine gives; the median of several."""
    a, b = torch.rand(size, size).to(dtype), torch.rand(size, size).to(dtype)
    a @ b
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / statistics.median(seconds) / 1e9


def flops_per_image() -> float:
    """Floating-point operations of one training step, per image: forward and backward."""
    model = vaelib.models.VAE(
        vaelib.models.VAEConfig(network=vaelib.networks.conv64, latent_dimension=LATENTS, image_shape=SHAPE)
    )
    with FlopCounterMode(display=False) as counter:
        model.loss(vaelib.Batch(torch.rand(2, *SHAPE)), vaelib.models.Progress(0, 1, 2)).total.backward()
    return counter.get_total_flops() / 2


def measured(rounds: int, steps: int) -> dict[str, Any]:
    """All contenders, in turns, with what has to be known about the machine."""
    machine = conditions()
    runs = in_turns(CONTENDERS, lambda name: measure(name, steps), rounds)
    return {
        **machine,
        "pythae": PYTHAE,
        "batch_size": BATCH_SIZE,
        "gflop_per_image_and_step": flops_per_image() / 1e9,
        "machine_peak_gflop_per_second": {
            "float32": machine_peak(torch.float32),
            "bfloat16": machine_peak(torch.bfloat16),
        },
        "runs": runs,
    }


def target(result: dict[str, Any]) -> float:
    """The ratio to reach: 1.6 where the processor multiplies in bfloat16, and never below 1."""
    return TARGET if result["fast_bfloat16"] else 1.0


def table(result: dict[str, Any]) -> str:
    """The result as a Markdown table with its conditions."""
    runs, gflops, peaks = result["runs"], result["gflop_per_image_and_step"], result["machine_peak_gflop_per_second"]
    speed = {name: middle(runs, name, "images_per_second") for name in runs}
    memory = {name: middle(runs, name, "peak_memory_mb") for name in runs}
    lines = [
        "| | images/s | × pythae | × eager | peak memory, MB | GFLOP/s | of the machine's peak |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in runs:
        peak = peaks["bfloat16" if name == "vaelib" and result["fast_bfloat16"] else "float32"]
        lines.append(
            f"| {name} | {speed[name]:.0f} | {speed[name] / speed['pythae']:.2f} | {speed[name] / speed['eager']:.2f} "
            f"| {memory[name]:.0f} | {speed[name] * gflops:.0f} | {speed[name] * gflops / peak:.0%} |"
        )
    found = ratios(runs, "vaelib", "pythae")
    gain, wanted = statistics.median(found), target(result)
    return "\n".join(
        [
            *lines,
            "",
            f"One training step of the same VAE (`conv64`, 64 latents), batch {result['batch_size']}, "
            f"{gflops:.2f} GFLOP per image; medians of {len(found)} rounds.",
            f"{result['processor']}, {result['threads']} threads, torch {result['torch']}, vaelib {result['vaelib']}, "
            f"{result['pythae']}, {result['date']}. Peak: one 4096 × 4096 matrix product, "
            f"{peaks['float32']:.0f} GFLOP/s in float32 and {peaks['bfloat16']:.0f} in bfloat16.",
            f"vaelib over pythae, round by round: median {gain:.2f}, from {min(found):.2f} to {max(found):.2f}; "
            f"target {wanted} {'met' if gain >= wanted else 'missed'} "
            f"({'with' if result['fast_bfloat16'] else 'without'} bf16 hardware).",
        ]
    )


def main() -> int:
    """Measure, print the table, write the result; 1 when the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each contender runs")
    parser.add_argument("--steps", type=int, default=24, help="timed steps of each run")
    parser.add_argument("--show", action="store_true", help="print the table of the last result and measure nothing")
    options = parser.parse_args()
    if not options.show:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(measured(options.rounds, options.steps), indent=1) + "\n")
    result = json.loads(RESULT.read_text())
    RESULT.with_suffix(".md").write_text(f"# How fast is one training step?\n\n{table(result)}\n")
    print(table(result))
    return 0 if statistics.median(ratios(result["runs"], "vaelib", "pythae")) >= target(result) else 1


if __name__ == "__main__":
    sys.exit(main())
