"""How fast does one training step of the same NVAE go, as a straight transcription of the paper and as `vaelib.train`?

    python -m benchmarks.nvae_speed          on an idle machine; `make bench` runs it too

The transcription is plain eager PyTorch in float32 and the default memory format, with spectral norms batched by shape
as published. It is this library's model with everything taken out that was done for speed: the depthwise convolutions
are the framework's in both directions, the likelihood takes the whole batch at once. It passes the same parity fixtures
(`--parity` shows it). The contenders take turns, each in a process of its own; ratios are what to read.
"""

import argparse
import json
import statistics
import sys
import time
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

import vaelib
from benchmarks.rounds import ROOT, conditions, in_a_process, in_turns, middle, peak_memory_mb, ratios
from vaelib.models import Batch, Progress
from vaelib.models.nvae import NVAE, NVAEConfig, import_checkpoint
from vaelib.models.nvae.regularisation import batch_norm_scales, convolutions, stacked_filters
from vaelib.probability.logistic_mixture import DiscretisedLogisticMixture

RESULT = ROOT / "benchmarks" / "results" / "nvae_speed.json"
FIXTURE = ROOT / "tests" / "models" / "nvae" / "fixtures" / "celeba64-small"
TARGET, LARGEST_SHARE = 3.0, 0.10
BATCH_SIZE, WARM_UP_STEPS = 16, 3

# Of the size for which the public code is on record: 16 channels, 8 groups, 64×64 pictures, batches of 16.
CONFIG = NVAEConfig(encoder_width=16, decoder_width=16, groups=(2, 6))


@contextmanager
def transcription() -> Any:
    """Inside, NVAE is computed as it is written in the paper, without what was done here for speed."""

    def plain_depthwise(x: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(x, weight, padding=weight.shape[-1] // 2, groups=len(weight))

    def whole_batch(self: DiscretisedLogisticMixture, x: Tensor) -> Tensor:
        self._check_images(x)
        return self._log_prob((2 * x - 1).unsqueeze(2))

    with (
        patch("vaelib.models.nvae.cells.depthwise_conv2d", plain_depthwise),
        patch.object(DiscretisedLogisticMixture, "log_prob", whole_batch),
    ):
        yield


def random_images(count: int) -> Tensor:
    """Bytes: what they show does not change the speed."""
    return torch.randint(0, 256, (count, *CONFIG.image_shape), dtype=torch.uint8)


def eager(steps: int) -> dict[str, float]:
    """The transcription in a plain loop."""
    model = NVAE(CONFIG).train()
    optimiser = torch.optim.Adamax(model.parameters(), lr=1e-3)
    images = random_images(8 * BATCH_SIZE)

    def step(number: int) -> None:
        start = number % 8 * BATCH_SIZE
        batch = Batch(images[start : start + BATCH_SIZE].float() / 255)
        loss = model.loss(batch, Progress(number, 1000, 1000)).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss.item()

    with transcription():
        for number in range(WARM_UP_STEPS):
            step(number)
        began = time.perf_counter()
        for number in range(steps):
            step(number)
    return {"images_per_second": steps * BATCH_SIZE / (time.perf_counter() - began)}


def ours(steps: int) -> dict[str, float]:
    """`vaelib.train`, with its bar, its guard and its logs; then the regularisers by themselves, as a share."""
    model = NVAE(CONFIG)
    data = vaelib.data.ImageSet(random_images(8 * BATCH_SIZE), "random", "train", "random bytes")
    config = vaelib.training.TrainConfig(
        steps=WARM_UP_STEPS + steps, batch_size=BATCH_SIZE, optimiser="adamax", log_every=WARM_UP_STEPS
    )
    ends: list[float] = []
    vaelib.train(model, data, config, callback=lambda *_: ends.append(time.perf_counter()))
    seconds = (ends[-1] - ends[0]) / steps
    model.train()
    assert model.spectral_norms is not None
    times = []
    for _ in range(9):
        began = time.perf_counter()
        (model.spectral_norms(stacked_filters(convolutions(model))).sum() + batch_norm_scales(model).sum()).backward()
        times.append(time.perf_counter() - began)
    return {"images_per_second": BATCH_SIZE / seconds, "regularisers_share": statistics.median(times) / seconds}


CONTENDERS = {"eager": eager, "vaelib": ours}


def parity() -> dict[str, float]:
    """How far the transcription is from the published implementation's answers: relative errors."""
    expected, model = load_file(FIXTURE / "expected.safetensors"), import_checkpoint(FIXTURE / "checkpoint.pt")
    with transcription(), torch.enable_grad():
        found = model.deterministic(expected["x"])
    keys = ("logits", "log_q", "log_p", "kl_per_group", "reconstruction_nats")
    return {key: ((getattr(found, key) - expected[key]).norm() / expected[key].norm()).item() for key in keys}


def measured(rounds: int, steps: int) -> dict[str, Any]:
    """Both contenders, in turns, with what has to be known about the machine."""

    def measure(name: str) -> dict[str, float]:
        return in_a_process("benchmarks.nvae_speed", ["--contender", name, "--steps", str(steps)])

    return {
        **conditions(),
        "parameters": sum(parameter.numel() for parameter in NVAE(CONFIG).parameters()),
        "parity_of_the_transcription": parity(),
        "runs": in_turns(CONTENDERS, measure, rounds),
    }


def table(result: dict[str, Any]) -> str:
    """The result as a Markdown table with its conditions."""
    runs = result["runs"]
    lines = ["| | images/s | × eager | peak memory, MB |", "|---|---:|---:|---:|"]
    for name in CONTENDERS:
        speed = middle(runs, name, "images_per_second")
        gain = speed / middle(runs, "eager", "images_per_second")
        lines.append(f"| {name} | {speed:.1f} | {gain:.2f} | {middle(runs, name, 'peak_memory_mb'):.0f} |")
    found, share = ratios(runs, "vaelib", "eager"), middle(runs, "vaelib", "regularisers_share")
    gain, bits = statistics.median(found), "with" if result["fast_bfloat16"] else "without"
    return "\n".join(
        [
            *lines,
            "",
            f"One training step of the same NVAE ({result['parameters'] / 1e6:.2f} M parameters, 16 channels, 8 "
            f"groups, 64×64), batch {BATCH_SIZE}; medians of {len(found)} rounds. {result['processor']}, "
            f"{result['threads']} threads, torch {result['torch']}, vaelib {result['vaelib']}, {result['date']}; "
            f"load average at the start {result['load_average_at_start']:.1f}.",
            f"vaelib over the transcription: median {gain:.2f}, from {min(found):.2f} to {max(found):.2f}; target "
            f"{TARGET} {'met' if gain >= TARGET else 'missed'} ({bits} bf16 hardware).",
            f"Regularisers, by themselves, over a step: {share:.0%}; limit {LARGEST_SHARE:.0%} "
            f"{'met' if share <= LARGEST_SHARE else 'missed'}.",
            "The transcription's largest relative error against the published implementation: "
            f"{max(result['parity_of_the_transcription'].values()):.0e}.",
        ]
    )


def main() -> int:
    """Measure, print the table, write the result; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each contender runs")
    parser.add_argument("--steps", type=int, default=8, help="timed steps of each run")
    parser.add_argument("--show", action="store_true", help="print the table of the last result and measure nothing")
    parser.add_argument("--parity", action="store_true", help="print the transcription's errors and measure nothing")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.parity:
        print(json.dumps(parity()))
        return 0
    if options.contender:
        torch.manual_seed(0)
        numbers = CONTENDERS[options.contender](options.steps)
        print(json.dumps(numbers | {"peak_memory_mb": peak_memory_mb()}))
        return 0
    if not options.show:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(measured(options.rounds, options.steps), indent=1) + "\n")
    result = json.loads(RESULT.read_text())
    RESULT.with_suffix(".md").write_text(f"# How fast is one training step of an NVAE?\n\n{table(result)}\n")
    print(table(result))
    return 0 if statistics.median(ratios(result["runs"], "vaelib", "eager")) >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
