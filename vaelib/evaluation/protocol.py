"""A number that carries how it was made, and that refuses to be compared with numbers made otherwise.

Two Fréchet distances from other features, another crop or another count of images differ for reasons that have nothing
to do with the models. Papers print them side by side all the same; a `Measurement` does not let you.
"""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from vaelib.config import from_dict, to_dict


def current_versions() -> tuple[str, ...]:
    """The versions that a measurement records: of vaelib, torch and torchmetrics."""
    from vaelib import __version__

    return (f"vaelib {__version__}", *(f"{name} {metadata.version(name)}" for name in ("torch", "torchmetrics")))


@dataclass(frozen=True)
class Protocol:
    """How a number was made. The first fields must agree before two numbers may be compared; the rest is on record.

    Attributes:
        metric: what is measured: "Fréchet distance", "sharpness".
        unit: "nats per image", "bits per dimension"; empty for a number without one.
        definition: what else fixes the meaning of the number: a kernel, the measure of a probability.
        image_shape: (C, H, W); the same picture is sharper at 28 × 28 than at 64 × 64.
        features, layer, resize: the feature network, which of its layers, and how images reach its input size.
        weights: which weights exactly: a package and the start of its hash.
        data, split, key: the real images that took part, and exactly which (source, hash, crop, size).
        samples: how many images were measured. Compared only where `depends_on_samples`.
        reference_samples: how many real images they were compared with.
        depends_on_samples: whether the value itself, and not only its error, shifts with the number of images.
        subject: whose number it is: "samples", "reconstructions", "data". Not compared.
        seed: of every draw behind the number. Not compared: another seed is a repetition.
        warning: what a reader of the number has to know, printed with it. Not compared.
        notes: how its error was found, and the like. Not compared.
        versions: of vaelib, torch and torchmetrics. Not compared.
    """

    metric: str
    unit: str = ""
    definition: str = ""
    image_shape: tuple[int, ...] | None = None
    features: str | None = None
    layer: str | None = None
    resize: str | None = None
    weights: str | None = None
    data: str | None = None
    split: str | None = None
    key: str | None = None
    samples: int = 0
    reference_samples: int | None = None
    depends_on_samples: bool = False
    subject: str = field(default="", compare=False)
    seed: int | None = field(default=None, compare=False)
    warning: str = field(default="", compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
    versions: tuple[str, ...] = field(default_factory=current_versions, compare=False)

    def differences(self, other: "Protocol") -> dict[str, tuple[Any, Any]]:
        """The fields that forbid a comparison, each with both values; empty when the two are comparable."""
        names = [item.name for item in dataclasses.fields(self) if item.compare]
        if not (self.depends_on_samples or other.depends_on_samples):
            names = [name for name in names if name not in ("samples", "reference_samples")]
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in names}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    def __str__(self) -> str:
        images = f"{self.samples:,} image{'s' if self.samples != 1 else ''}"
        return ", ".join(part for part in (self.metric, self.unit, self.features, images, self.warning) if part)


@dataclass(frozen=True)
class Measurement:
    """A value, its standard error where there is one, and its protocol.

    `a < b`, `a - b` and `sorted([...])` work between measurements of one protocol and raise a ValueError that names the
    differing fields otherwise. `==` asks whether two records are identical and never raises. `float(a)` is the bare
    number, for plots.

    Attributes:
        value: in the unit of the protocol.
        protocol: how it was made.
        standard_error: of the value as an estimate, in the same unit; None where one run does not tell.
    """

    value: float
    protocol: Protocol
    standard_error: float | None = None

    def _check_comparable(self, other: object) -> "Measurement":
        if not isinstance(other, Measurement):
            raise TypeError(
                f"{other!r} carries no protocol, so it cannot be compared with {self}; use .value if you must"
            )
        differences = self.protocol.differences(other.protocol)
        if differences:
            listed = "; ".join(f"{name}: {mine!r} and {theirs!r}" for name, (mine, theirs) in differences.items())
            raise ValueError(f"these numbers were made by different protocols and do not compare. {listed}")
        return other

    def __lt__(self, other: object) -> bool:
        return self.value < self._check_comparable(other).value

    def __le__(self, other: object) -> bool:
        return self.value <= self._check_comparable(other).value

    def __gt__(self, other: object) -> bool:
        return self.value > self._check_comparable(other).value

    def __ge__(self, other: object) -> bool:
        return self.value >= self._check_comparable(other).value

    def __sub__(self, other: object) -> "Measurement":
        """The difference. Its error takes the two numbers as independent, which is cautious where they share images."""
        other = self._check_comparable(other)
        errors = (self.standard_error, other.standard_error)
        error = None if None in errors else math.hypot(*(each for each in errors if each is not None))
        subject = f"{self.protocol.subject} − {other.protocol.subject}" if self.protocol.subject else ""
        protocol = dataclasses.replace(
            self.protocol, metric=f"difference in {self.protocol.metric}", subject=subject, seed=None
        )
        return Measurement(self.value - other.value, protocol, error)

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return f"{self.number()} ({self.protocol})"

    def number(self) -> str:
        """The value and its error with the digits that mean something: "31.2 ± 0.4"; four digits without an error."""
        if self.standard_error is None or not math.isfinite(self.standard_error) or self.standard_error <= 0:
            return _digits(self.value, 3 - _exponent(self.value))
        # One digit of the error, two where it starts with a 1, as physicists do.
        exponent = _exponent(self.standard_error)
        leading = round(self.standard_error / 10.0**exponent, 6)
        decimals = (1 if leading < 2 else 0) - exponent
        power = _exponent(self.value)
        if decimals > 6 and power < -3:
            scaled = (_digits(number / 10.0**power, decimals + power) for number in (self.value, self.standard_error))
            return f"({' ± '.join(scaled)})e{power}"
        return f"{_digits(self.value, decimals)} ± {_digits(self.standard_error, decimals)}"

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(to_dict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, source: str | Mapping[str, Any]) -> "Measurement":
        """The measurement that `to_json` wrote, as text or already parsed.

        Raises:
            ValueError: not a measurement.
        """
        return from_dict(cls, json.loads(source) if isinstance(source, str) else source)


def average(measurements: Iterable[Measurement]) -> Measurement:
    """The mean of repetitions of one measurement (other seeds), with the standard error that their spread shows.

    Raises:
        ValueError: fewer than two, or of different protocols.
    """
    repeated = list(measurements)
    if len(repeated) < 2:
        raise ValueError(f"a spread needs at least two repetitions, not {len(repeated)}: measure with several seeds")
    for other in repeated[1:]:
        repeated[0]._check_comparable(other)
    values = [each.value for each in repeated]
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    protocol = repeated[0].protocol
    notes = (*protocol.notes, f"mean of {len(values)} repetitions")
    protocol = dataclasses.replace(protocol, seed=None, notes=notes)
    return Measurement(mean, protocol, math.sqrt(variance / len(values)))


def _exponent(value: float) -> int:
    return math.floor(math.log10(abs(value))) if value and math.isfinite(value) else 0


def _digits(value: float, decimals: int) -> str:
    if value and math.isfinite(value) and decimals > 6:
        return f"{value:.2e}"
    return f"{round(value, decimals):,.{max(decimals, 0)}f}"
