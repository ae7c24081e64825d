"""The comparison that the book publishes: `python -m vaelib.zoo.comparison measure|time|collect`.

    measure NAME:SEED …   the numbers of these runs, each into a file beside its weights; `floors`: of the floors
    time NAME …           how fast these train and draw on this machine, which should have nothing else to do
    collect               all that was measured, as one `Comparison`, into `comparison.json` of the zoo

The runs are those of `vaelib zoo retrain NAME --seed K`, in `runs/comparison/NAME-seed-K`. The zoo holds the weights of
seed 0 in half precision, and it is in half precision that every run is measured. 10,000 samples of each are compared
with the 10,000 test faces.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vaelib import storage, zoo
from vaelib.config import from_dict, to_dict
from vaelib.console import say
from vaelib.data import load
from vaelib.evaluation import FLOORS, Measurement, evaluate, floor_measurements
from vaelib.evaluation.compare import Entrant, budget, described, sampling_time
from vaelib.evaluation.comparison import Comparison, Number, Run, Subject
from vaelib.evaluation.kept import model_hash
from vaelib.evaluation.protocol import Protocol, current_versions
from vaelib.models import Model
from vaelib.training import train
from vaelib.zoo import recipes, records

RUNS = Path("runs/comparison")
RESULT = zoo.FOLDER / "comparison.json"
NAMES = (*recipes.KINDS, "nvae-faces64")
SAMPLES, SEED, FEATURES = 10_000, 0, "efficientnet-lite0"
TIMED_STEPS, ROUNDS = 40, 3


def run_folder(name: str, seed: int) -> Path:
    """Where a run of the comparison lies."""
    return RUNS / f"{name}-seed-{seed}"


def run_model(name: str, seed: int) -> tuple[Model, dict[str, Any]]:
    """The model of a run and its card: seed 0 out of the zoo, where it is there.

    Raises:
        ValueError, FileNotFoundError: there is no such run.
    """
    if seed == 0 and name in zoo.names():
        return zoo.load(name), zoo.card(name)
    folder = run_folder(name, seed)
    model = storage.load(folder / "model")
    # As the zoo would keep it: rounded to half precision.
    model.load_state_dict(
        {
            key: value.half().to(value.dtype) if value.is_floating_point() else value
            for key, value in model.state_dict().items()
        }
    )
    return model, storage.read_card(folder / "model")


def measure(names: Iterable[str]) -> None:
    """Measure runs, `NAME:SEED` or `floors`; what has its file already is left alone."""
    real = load("faces", "test")
    for one in names:
        if one == "floors":
            for floor in FLOORS:
                file = RUNS / f"floor-{floor.replace(' ', '-')}.json"
                if not file.exists():
                    training = load("faces", "train")
                    _write(
                        file, floor_measurements(floor, real, training, samples=SAMPLES, seed=SEED, features=FEATURES)
                    )
                    say(f"{floor}: measured")
            continue
        name, seed = one.split(":")
        file = run_folder(name, int(seed)) / "numbers.json"
        if not file.exists():
            model, _ = run_model(name, int(seed))
            _write(file, evaluate(model, real, samples=SAMPLES, seed=SEED, features=FEATURES))
            say(f"{one}: measured")


def time(names: Sequence[str]) -> None:
    """Time the training and the sampling of models on this machine, in turns, so that a disturbance meets all alike."""
    from vaelib.training.runs import hardware

    faces = load("faces", "train", count=TIMED_STEPS * 32)
    rates: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name in names:
            chosen = recipes.recipe(name)
            settings = replace(
                chosen.train, steps=TIMED_STEPS, learning_rate_warmup=0, log_every=TIMED_STEPS // 4, validate_every=0
            )
            rows = train(chosen.build(), faces, settings).history.rows
            # The first row pays for what happens once.
            rates[name].append(statistics.median(row["images_per_second"] for row in rows[1:]))
    for name in names:
        model, _ = run_model(name, 0)
        protocol = Protocol(
            metric="training speed",
            unit="images per second",
            definition=f"median of {ROUNDS} rounds of {TIMED_STEPS} steps of 32, on {hardware(model.device)}",
            image_shape=tuple(model.image_shape),
            subject="training",
        )
        numbers = {"training_speed": Measurement(statistics.median(rates[name]), protocol)}
        if timed := sampling_time(model):
            numbers["sampling_time"] = timed
        _write(run_folder(name, 0) / "times.json", numbers)
        say(f"{name}: {', '.join(f'{rate:.0f}' for rate in rates[name])} images a second")


def collect() -> Comparison:
    """All runs and floors that were measured, in one comparison."""
    subjects = []
    for name in NAMES:
        runs, kind = [], None
        for seed in recipes.seeds(name):
            file = run_folder(name, seed) / "numbers.json"
            if file.exists():
                model, card = run_model(name, seed)
                kind = described(model)
                source = f"zoo:{name}" if seed == 0 else f"vaelib zoo retrain {name} --seed {seed}"
                numbers = (*_read(file), *_times(name, seed))
                whole = records.all_stages(name, card, model.image_shape[-1]) if seed == 0 else card
                spent = replace(budget(Entrant(model, source, whole)), seed=seed)
                runs.append(Run(numbers, source, model_hash(model), spent))
        if kind is not None:
            subjects.append(Subject(name, "model", kind, tuple(runs)))
    for floor, words in FLOORS.items():
        file = RUNS / f"floor-{floor.replace(' ', '-')}.json"
        if file.exists():
            subjects.append(Subject(floor, "floor", words, (Run(_read(file)),)))
    real, training = load("faces", "test"), load("faces", "train")
    return Comparison(
        subjects=tuple(subjects),
        data=real.name,
        split=real.split,
        key=real.key,
        training=training.key,
        samples=SAMPLES,
        seed=SEED,
        features=FEATURES,
        versions=current_versions(),
    )


def published() -> Comparison:
    """The comparison that the zoo ships."""
    return Comparison.from_json(RESULT.read_text(encoding="utf-8"))


def _write(file: Path, numbers: dict[str, Measurement]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    values = [to_dict(Number(name, number)) for name, number in numbers.items()]
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(values, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    partial.replace(file)


def _times(name: str, seed: int) -> tuple[Number, ...]:
    """How fast a model trains and draws; where nobody timed it, nothing."""
    file = run_folder(name, seed) / "times.json"
    return _read(file) if file.exists() else ()


def _read(file: Path) -> tuple[Number, ...]:
    return tuple(from_dict(Number, values) for values in json.loads(file.read_text(encoding="utf-8")))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m vaelib.zoo.comparison", description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("verb", choices=("measure", "time", "collect"))
    parser.add_argument(
        "runs", nargs="*", metavar="NAME:SEED", help="to measure, or floors; to time, without seeds (default: all)"
    )
    options = parser.parse_args(arguments)
    try:
        if options.verb == "measure":
            every = [f"{name}:{seed}" for name in NAMES for seed in recipes.seeds(name)]
            measure(options.runs or ["floors", *every])
        elif options.verb == "time":
            time(options.runs or NAMES)
        else:
            partial = RESULT.with_suffix(".partial")
            partial.write_text(collect().to_json() + "\n", encoding="utf-8")
            partial.replace(RESULT)
    except (ValueError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
