"""How many rows does a disentanglement score need before it stays where it is?

    python -m benchmarks.disentanglement_samples            measure (a few minutes of one core) and print the tables
    python -m benchmarks.disentanglement_samples --show     print those of the last result

Codes of known structure, 10 latents, for random factors of the sizes of `sprites`: noise that knows nothing; each
factor in a latent of its own with noise on top; partly entangled; and entangled all round. Each score at each number
of rows gets several sets of rows, each with its own draws inside the score. A score is stable from the first number of
rows on from which both the spread (standard deviation over the sets) and the distance of the mean from that at most
rows stay below 0.01. The result is written to benchmarks/results/disentanglement_samples.json.

Found: 10,000 rows bring every spread below 0.01. 2,000 rows are enough for the beta-VAE score, 5,000 for the gap of
mutual information (2,000 with its correction), 10,000 for SAP. The FactorVAE score (5,000) and DCI (2,000) settle for
codes that are clear or know nothing. At entangled codes neither has settled at 20,000: scores of different numbers of
rows do not compare. The docstrings of the scores quote these numbers.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sklearn
import torch
from torch import Tensor

import vaelib
from vaelib.evaluation import beta_vae_score, dci, factor_vae_score, mutual_information_gap, sap_score

RESULT = Path(__file__).resolve().parent / "results" / "disentanglement_samples.json"
SIZES = (3, 6, 40, 32, 32)
LATENTS = 10
COUNTS = (500, 1000, 2000, 5000, 10_000, 20_000)
TOLERANCE = 0.01


def positions(factors: Tensor) -> Tensor:
    """Each factor with mean 0 and about unit variance."""
    return ((factors + 0.5) / torch.tensor(SIZES) - 0.5) * 12**0.5


def noise(factors: Tensor, normal: Tensor) -> Tensor:
    """Codes that know nothing."""
    return normal


def separate(factors: Tensor, normal: Tensor) -> Tensor:
    """Latents 0 to 4 hold one factor each, with a noise of 0.2; the others nothing."""
    return torch.cat([positions(factors) + 0.2 * normal[:, :5], normal[:, 5:]], dim=1)


def partly(factors: Tensor, normal: Tensor) -> Tensor:
    """As a β-VAE might: positions apart, shape and scale mixed, angle as sine and cosine; noise 0.1, 4 latents idle."""
    shape, scale, angle, x, y = positions(factors).T
    turn = angle / 12**0.5 * 2 * torch.pi
    held = [x, y, 0.8 * scale + 0.6 * shape, 0.8 * shape - 0.6 * scale, 2**0.5 * turn.sin(), 2**0.5 * turn.cos()]
    return torch.cat([torch.stack(held, dim=1) + 0.1 * normal[:, :6], 0.01 * normal[:, 6:]], dim=1)


def entangled(factors: Tensor, normal: Tensor) -> Tensor:
    """Latents 0 to 4 hold one factor each and nine tenths of the next; noise 0.3; the others idle."""
    held = positions(factors)
    mixed = held + 0.9 * held.roll(-1, dims=1) + 0.3 * normal[:, :5]
    return torch.cat([mixed, 0.01 * normal[:, 5:]], dim=1)


CODES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "noise": noise,
    "separate": separate,
    "partly": partly,
    "entangled": entangled,
}


def scores(codes: Tensor, factors: Tensor, seed: int) -> dict[str, float]:
    """All scores of one set of rows."""
    random = torch.Generator().manual_seed(seed)
    three = dci(codes, factors, generator=random)
    return {
        "beta-VAE": float(beta_vae_score(codes, factors, generator=random)),
        "FactorVAE": float(factor_vae_score(codes, factors, generator=random)),
        "MIG": float(mutual_information_gap(codes, factors)),
        "MIG corrected": float(mutual_information_gap(codes, factors, bias_correction=True)),
        "DCI disentanglement": three.disentanglement,
        "DCI completeness": three.completeness,
        "DCI informativeness": three.informativeness,
        "SAP": float(sap_score(codes, factors, generator=random)),
    }


def measured(sets: int) -> dict[str, Any]:
    """For each kind of code, score and number of rows, the value of each set."""
    values: dict[str, dict[str, dict[str, list[float]]]] = {}
    for kind, make in CODES.items():
        values[kind] = {}
        for count in COUNTS:
            for seed in range(sets):
                random = torch.Generator().manual_seed(1000 * count + seed)
                factors = torch.stack([torch.randint(size, (count,), generator=random) for size in SIZES], dim=1)
                normal = torch.randn(count, LATENTS, generator=random, dtype=torch.float64)
                for name, value in scores(make(factors, normal), factors, seed).items():
                    values[kind].setdefault(name, {}).setdefault(str(count), []).append(round(value, 5))
            print(f"{kind}, {count:,} rows: done", flush=True)
    return {
        "date": time.strftime("%Y-%m-%d"),
        "torch": torch.__version__,
        "scikit-learn": sklearn.__version__,
        "vaelib": vaelib.__version__,
        "sizes": SIZES,
        "latents": LATENTS,
        "sets": sets,
        "tolerance": TOLERANCE,
        "values": values,
        "enough_rows": {kind: {name: enough(by) for name, by in named.items()} for kind, named in values.items()},
    }


def enough(by_count: dict[str, list[float]]) -> int | None:
    """The first number of rows from which on spread and bias stay within the tolerance; None if not before the last."""
    final, found = statistics.mean(by_count[str(COUNTS[-1])]), None
    for count in reversed(COUNTS):
        some = by_count[str(count)]
        if statistics.stdev(some) >= TOLERANCE or abs(statistics.mean(some) - final) >= TOLERANCE:
            break
        found = count
    # The last compares with itself: alone, it shows nothing.
    return found if found != COUNTS[-1] else None


def tables(result: dict[str, Any]) -> str:
    """Mean ± spread of each score at each number of rows, and how many rows are enough."""
    parts = []
    for kind, named in result["values"].items():
        parts += [f"\n## {CODES[kind].__name__}: {CODES[kind].__doc__}\n"]
        parts += ["| rows | " + " | ".join(f"{count:,}" for count in COUNTS) + " | enough |"]
        parts += ["|---|" + "---:|" * (len(COUNTS) + 1)]
        for name, by in named.items():
            cells = [f"{statistics.mean(by[str(n)]):.3f} ± {statistics.stdev(by[str(n)]):.3f}" for n in COUNTS]
            rows = result["enough_rows"][kind][name]
            parts += [f"| {name} | " + " | ".join(cells) + f" | {f'{rows:,}' if rows else 'more'} |"]
    about = (
        f"Mean ± standard deviation over {result['sets']} sets of rows; {result['latents']} latents, factors of "
        f"{', '.join(map(str, result['sizes']))} classes. Enough: from here on, spread and bias are below "
        f"{result['tolerance']}. torch {result['torch']}, scikit-learn {result['scikit-learn']}, {result['date']}."
    )
    return "\n".join(["# How many rows does a disentanglement score need?\n", about, *parts])


def main() -> None:
    """Measure, write the result, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=6, help="sets of rows at each number of them")
    parser.add_argument("--show", action="store_true", help="print the tables of the last result and measure nothing")
    options = parser.parse_args()
    if not options.show:
        torch.set_num_threads(1)
        result = measured(options.sets)
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
    text = tables(json.loads(RESULT.read_text()))
    RESULT.with_suffix(".md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
