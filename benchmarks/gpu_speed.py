"""How fast do the large presets train on a graphics card, and how much of its memory do they take?

    python -m benchmarks.gpu_speed           on a machine with a card that nothing else uses

Each preset runs a few steps of its own training (`vaelib.train`, with its guard and its logs) on random bytes, at the
batch of one card. The published NVAEs are there too, since their readers will ask. Rates are of the last rows, when the
first steps, which choose algorithms, are over.
"""

import argparse
import dataclasses
import json
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import vaelib
from benchmarks.rounds import ROOT, conditions
from vaelib.models import MODELS
from vaelib.models.nvae import stage
from vaelib.training import TrainConfig, preset
from vaelib.training.published import PUBLISHED_RUNS

RESULT = ROOT / "benchmarks" / "results" / "gpu_speed.json"

Case = tuple[str, str, Any, TrainConfig]


def small_nvaes(batch: int) -> Iterator[Case]:
    """The grown NVAEs, at every side that they pass."""
    for name in ("nvae-nano", "nvae-faces64"):
        chosen = preset(name, "gpu")
        for side in (*(step.side for step in chosen.stages), chosen.model.image_shape[1]):
            train = dataclasses.replace(chosen.train, batch_size=batch)
            yield f"{name} {side}×{side}", "nvae", stage(chosen.model, side), train


def presets_of_one_card() -> Iterator[Case]:
    """The other models in profile gpu, and the published NVAEs at the batch that one card had."""
    for name in ("vae", "wae_gan"):
        chosen = preset(name, "gpu")
        yield name, chosen.kind, chosen.model, chosen.train
    for name, run in PUBLISHED_RUNS.items():
        train = dataclasses.replace(run.train, batch_size=run.batch_per_gpu)
        yield name, "nvae", run.model, train


def measure(case: Case, steps: int, channels_last: bool = True) -> dict[str, Any]:
    """Images per second and the peak of the card's memory in one case."""
    label, kind, model_config, train = case
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    levels = 2 if model_config.likelihood.kind == "bernoulli" else 256
    images = torch.randint(0, levels, (2 * train.batch_size, *model_config.image_shape), dtype=torch.uint8)
    data = vaelib.data.ImageSet(images * (255 // (levels - 1)), "random", "train", "random bytes")
    every = max(steps // 4, 1)
    config = dataclasses.replace(
        train,
        steps=4 * every,
        learning_rate=1e-5,
        final_learning_rate=0.0,
        learning_rate_warmup=0,
        schedule="constant",
        log_every=every,
        validate_every=0,
        checkpoint_every=0,
        deterministic=False,
        channels_last=channels_last,
    )
    model = MODELS[kind](model_config)
    rows = vaelib.train(model, data, config).history.rows
    rate = statistics.median(row["images_per_second"] for row in rows[1:])
    return {
        "case": label,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "batch_size": config.batch_size,
        "images_per_second": round(rate, 1),
        "milliseconds_per_step": round(1000 * config.batch_size / rate, 1),
        "peak_memory_mb": round(torch.cuda.max_memory_allocated() / 1024**2),
        "channels_last": channels_last,
    }


def card() -> dict[str, Any]:
    """What the card is."""
    found = torch.cuda.get_device_properties(0)
    return {**conditions(), "card": found.name, "card_memory_mb": found.total_memory // 1024**2}


def table(result: dict[str, Any]) -> str:
    """The result as a Markdown table with its conditions."""
    lines = [
        "| preset | parameters, M | batch | images/s | ms per step | peak memory, GB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in result["cases"]:
        lines.append(
            f"| {row['case']} | {row['parameters'] / 1e6:.2f} | {row['batch_size']} | {row['images_per_second']:,.0f} "
            f"| {row['milliseconds_per_step']:.0f} | {row['peak_memory_mb'] / 1024:.1f} |"
        )
    return "\n".join(
        [
            *lines,
            "",
            f"{result['card']}, torch {result['torch']}, vaelib {result['vaelib']}, {result['date']}; bfloat16.",
        ]
    )


def main() -> int:
    """Measure, print the table, write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=12, help="steps of each case")
    parser.add_argument("--out", default=str(RESULT), help="where the result goes")
    parser.add_argument("--batch", type=int, default=256, help="of the NVAEs that grow")
    parser.add_argument("--contiguous", action="store_true", help="in the default memory format")
    parser.add_argument("--only", default="", help="cases whose name has this")
    parser.add_argument("--show", action="store_true", help="print the table of the last result and measure nothing")
    options = parser.parse_args()
    out = Path(options.out)
    if not options.show:
        if not torch.cuda.is_available():
            print("there is no graphics card here that torch can use", file=sys.stderr)
            return 1
        result = {**card(), "cases": []}
        for case in (*small_nvaes(options.batch), *presets_of_one_card()):
            if options.only in case[0]:
                result["cases"].append(measure(case, options.steps, not options.contiguous))
                print(json.dumps(result["cases"][-1]), flush=True)
                out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(table(json.loads(out.read_text(encoding="utf-8"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
