"""A comparison of models: the numbers of every one beside each other, and what may be concluded from them.

A table invites to read off a winner. Here a column holds numbers of one protocol only, so that a density never stands
above a probability; and its best is named only where it is farther from every other than their errors reach.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from vaelib.config import from_dict, to_dict
from vaelib.evaluation.protocol import Measurement, Protocol, average

ERRORS = 2.0
"""How many standard errors of a difference it takes to call it one: about 95 % of a normal distribution lie within."""

BETTER: dict[str, Literal["lower", "higher"]] = {
    "negative_elbo": "lower",
    "bits_per_dimension": "lower",
    "reconstruction_mse": "lower",
    "reconstruction_psnr": "higher",
    "reconstruction_ssim": "higher",
    "frechet_samples": "lower",
    "kernel_samples": "lower",
    "precision": "higher",
    "recall": "higher",
    "coverage": "higher",
    "frechet_reconstructions": "lower",
    "kernel_reconstructions": "lower",
    "sharpness_closeness_samples": "higher",
    "sharpness_closeness_reconstructions": "higher",
    "sampling_time": "lower",
    "training_speed": "higher",
}
"""Which numbers have a better end. Distortion and rate are traded for each other, more sharpness than the data's is
noise, and density has no upper end that a perfect model would reach: these are shown and not ranked."""


SPEEDS = ("training_speed", "sampling_time")
"""Numbers that belong to a machine and its other work: shown, and not asked for again where numbers are reproduced."""


@dataclass(frozen=True)
class Number:
    """A measurement by its name in `evaluate`."""

    name: str
    measurement: Measurement


@dataclass(frozen=True)
class Budget:
    """What a model took to make, as far as its card says.

    Attributes:
        parameters: of the model, an adversary included.
        images_seen: in training, counted as often as they were seen.
        seconds: of training; `hardware`: on what. Seconds on different hardware do not compare.
        seed: of the training.
    """

    parameters: int
    images_seen: int | None = None
    seconds: float | None = None
    hardware: str | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Run:
    """One trained model, or one floor, and what was measured of it.

    Attributes:
        source: where the model came from; empty for a floor.
        weights: SHA-256 of its settings and weights; empty for a floor.
    """

    numbers: tuple[Number, ...]
    source: str = ""
    weights: str = ""
    budget: Budget | None = None


@dataclass(frozen=True)
class Subject:
    """A row of the comparison: a model with its runs, or a floor.

    Attributes:
        description: what it is, in words.
        runs: of one model, trained with other seeds; a floor has one.
    """

    name: str
    kind: Literal["model", "floor"]
    description: str
    runs: tuple[Run, ...]

    def __post_init__(self) -> None:
        if not self.runs:
            raise ValueError(f"{self.name!r} has no runs, so there is nothing to compare")

    def metrics(self) -> tuple[str, ...]:
        """The names of all that was measured of it."""
        return tuple(dict.fromkeys(number.name for run in self.runs for number in run.numbers))

    def cell(self, metric: str) -> "Cell | None":
        """What this metric is over all runs that have it; None when none has.

        Raises:
            ValueError: the runs were measured by different protocols.
        """
        found = tuple(number.measurement for run in self.runs for number in run.numbers if number.name == metric)
        return Cell(found) if found else None


@dataclass(frozen=True)
class Cell:
    """One metric of one subject, in all its runs."""

    repetitions: tuple[Measurement, ...]

    @property
    def measurement(self) -> Measurement:
        """The number of one run; of several, their mean. Its error is then the larger of two: that of the mean, by the
        spread of the runs, and that of a single run over its images, which the runs share and no further run reduces.
        """
        if len(self.repetitions) == 1:
            return self.repetitions[0]
        mean = average(self.repetitions)
        within = [each.standard_error for each in self.repetitions if each.standard_error is not None]
        return replace(mean, standard_error=max([mean.standard_error or 0.0, *within]))

    @property
    def lowest(self) -> float:
        """Of all runs."""
        return min(each.value for each in self.repetitions)

    @property
    def highest(self) -> float:
        """Of all runs."""
        return max(each.value for each in self.repetitions)


@dataclass(frozen=True)
class Column:
    """One metric by one protocol, in all subjects.

    Attributes:
        metric: its name in `evaluate`.
        cells: one for each subject of the comparison, None where it has no such number.
        best: the place of the subject that is better than every other model, beyond doubt of the errors; else None.
    """

    metric: str
    cells: tuple[Cell | None, ...]
    best: int | None

    @property
    def protocol(self) -> Protocol:
        """Of all numbers in this column."""
        return next(cell.measurement.protocol for cell in self.cells if cell)


@dataclass(frozen=True)
class Difference:
    """A number that two comparisons do not agree on.

    Attributes:
        mine, theirs: None where only the other has it.
        reason: why they count as different.
    """

    subject: str
    metric: str
    mine: Measurement | None
    theirs: Measurement | None
    reason: str

    def __str__(self) -> str:
        numbers = " and ".join(each.number() if each else "nothing" for each in (self.mine, self.theirs))
        return f"{self.subject}, {self.metric}: {numbers} ({self.reason})"


@dataclass(frozen=True)
class Comparison:
    """Models and floors, measured with the same images.

    Attributes:
        subjects: the models in the order they were given, then the floors.
        data, split, key: the real images; `training`: the key of those that the floors were made from.
        samples: drawn from every model, and real images compared with.
        seed: of every draw.
        features: the network that distances compare by, None where there are none.
        versions: of what computed the numbers.
        notes: what a reader has to know besides.
    """

    subjects: tuple[Subject, ...]
    data: str
    split: str
    key: str
    training: str
    samples: int
    seed: int
    features: str | None
    versions: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def columns(self) -> tuple[Column, ...]:
        """All numbers, one protocol to a column, in the order of `evaluate`."""
        grouped: list[tuple[str, Protocol, dict[int, Cell]]] = []
        for place, subject in enumerate(self.subjects):
            for metric in subject.metrics():
                cell = subject.cell(metric)
                assert cell is not None
                protocol = cell.measurement.protocol
                for name, other, cells in grouped:
                    if name == metric and not other.differences(protocol):
                        cells[place] = cell
                        break
                else:
                    grouped.append((metric, protocol, {place: cell}))
        order = list(dict.fromkeys(name for name, _, _ in grouped))
        grouped.sort(key=lambda group: order.index(group[0]))
        return tuple(
            Column(name, tuple(cells.get(place) for place in range(len(self.subjects))), self._best(name, cells))
            for name, _, cells in grouped
        )

    def _best(self, metric: str, cells: Mapping[int, Cell]) -> int | None:
        models = [place for place in cells if self.subjects[place].kind == "model"]
        if metric not in BETTER or len(models) < 2:
            return None
        sign = 1 if BETTER[metric] == "lower" else -1
        best = min(models, key=lambda place: sign * cells[place].measurement.value)
        others = [cells[place] for place in models if place != best]
        return best if all(_apart(cells[best], other) for other in others) else None

    def differences(self, other: "Comparison", *, tolerance: float = 0.01) -> tuple[Difference, ...]:
        """Which numbers of two comparisons differ by more than their errors, or were not made alike.

        Speeds are left out: they belong to a machine and its other work.

        Args:
            other: the same models, measured again.
            tolerance: how far, relative to the larger, two numbers without errors may lie apart.
        Returns:
            What differs by more than `ERRORS` standard errors of the difference, what has other protocols, and what
            only one of the two has.
        """
        return tuple(self._differences(other, tolerance))

    def _differences(self, other: "Comparison", tolerance: float) -> Iterator[Difference]:
        mine, theirs = ({subject.name: subject for subject in each.subjects} for each in (self, other))
        for name in dict.fromkeys([*mine, *theirs]):
            pair = mine.get(name), theirs.get(name)
            metrics = dict.fromkeys(metric for subject in pair if subject for metric in subject.metrics())
            for metric in metrics:
                if metric in SPEEDS:
                    continue
                cells = [subject.cell(metric) if subject else None for subject in pair]
                first, second = (cell.measurement if cell else None for cell in cells)
                if first is None or second is None:
                    yield Difference(name, metric, first, second, "only one of the comparisons has it")
                    continue
                if reason := _reason(first, second, tolerance):
                    yield Difference(name, metric, first, second, reason)

    def to_json(self) -> str:
        """The whole comparison as JSON."""
        return json.dumps(to_dict(self), indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, source: str | Mapping[str, Any]) -> "Comparison":
        """The comparison that `to_json` wrote, as text or already parsed.

        Raises:
            ValueError: not a comparison.
        """
        values = json.loads(source) if isinstance(source, str) else source
        if not isinstance(values, Mapping):
            raise ValueError(f"a comparison holds names and values, not {values!r:.40}")
        return from_dict(cls, values)


def _apart(one: Cell, other: Cell) -> bool:
    """Whether two numbers differ by more than their errors, and no run of the one lies among those of the other."""
    difference = one.measurement - other.measurement
    if difference.standard_error is None or not math.isfinite(difference.value):
        return False
    overlap = one.lowest <= other.highest and other.lowest <= one.highest
    return not overlap and abs(difference.value) > ERRORS * difference.standard_error


def _reason(mine: Measurement, theirs: Measurement, tolerance: float) -> str:
    """Why two numbers count as different; empty when they do not."""
    protocols = mine.protocol.differences(theirs.protocol)
    if protocols:
        return f"other protocols: {', '.join(protocols)}"
    if mine.value == theirs.value or (math.isnan(mine.value) and math.isnan(theirs.value)):
        return ""
    difference = mine - theirs
    if difference.standard_error is None:
        largest = max(abs(mine.value), abs(theirs.value))
        return "" if abs(difference.value) <= tolerance * largest else f"more than {tolerance:.3g} of the larger apart"
    allowed = ERRORS * difference.standard_error
    return "" if abs(difference.value) <= allowed else f"more than {ERRORS:g} standard errors apart"
