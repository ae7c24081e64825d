"""What the files of a zoo model say in numbers: what it took to train it, and what was measured of it.

The files are those of a run (`card.json`, `log.json`), of `vaelib.zoo.measure` (`results.json`), and the comparison of
all models (`comparison.json` beside the manifest). What a file does not say is left out; nothing is made up for it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from vaelib import storage, zoo
from vaelib.evaluation.comparison import Comparison, Subject
from vaelib.evaluation.costs import CostAssumptions
from vaelib.evaluation.protocol import Measurement, Protocol

COMPARISON = "comparison.json"

# A run's card names the machine of its last stage alone; where the stages before it ran is told in notebook 5.4.
EARLIER_HARDWARE = {
    "nvae-faces64": "one NVIDIA H200 that nine trainings shared",
    "nvae-nano": "cpu, AMD EPYC, 1 threads",
}

THREAD_WATTS = 10.0
"""Assumed of one busy thread of a server processor, its share of memory and board included."""
CARD_WATTS = {"H200": 700.0, "H100": 700.0, "V100": CostAssumptions().watts}
"""The most that a graphics card may draw, by its maker."""
OVERHEAD = CostAssumptions().overhead
"""What cooling and the rest of the machine draw, as a factor."""


@dataclass(frozen=True)
class Leg:
    """A part of a training on one size of pictures.

    Attributes:
        side: of the pictures, in pixels; `images`: how many were seen, counted as often as they were.
        seconds: what it took; of the last leg with validations, of those before without.
        hardware: on what, in words; None where no file says it.
    """

    side: int
    images: int
    seconds: float | None
    hardware: str | None

    @property
    def threads(self) -> int | None:
        """Of a processor; None on anything else."""
        found = re.search(r"(\d+) threads?$", self.hardware or "")
        return int(found[1]) if found else None

    @property
    def watts(self) -> float | None:
        """What the hardware is assumed to draw; None for hardware that nothing is assumed of."""
        if self.threads:
            return self.threads * THREAD_WATTS
        return next((watts for card, watts in CARD_WATTS.items() if card in (self.hardware or "")), None)


@dataclass(frozen=True)
class Budget:
    """What a training took: one leg, or several where the model grew."""

    legs: tuple[Leg, ...]

    @property
    def images(self) -> int:
        """Images seen in all legs."""
        return sum(leg.images for leg in self.legs)

    @property
    def seconds(self) -> float | None:
        """Of all legs; None where one does not say."""
        known = [leg.seconds for leg in self.legs if leg.seconds is not None]
        return sum(known) if len(known) == len(self.legs) else None

    def __str__(self) -> str:
        parts = []
        for hardware, group in groupby(self.legs, key=lambda leg: leg.hardware):
            legs = list(group)
            images = ", ".join(f"{leg.images:,} images of {leg.side}×{leg.side}" for leg in legs)
            took = Budget(tuple(legs)).seconds
            where = f"on {hardware}" if hardware else "on hardware that is not on record"
            parts.append(f"{images}, in {duration(took) if took is not None else 'unknown time'} {where}")
        together = [f"together {self.images:,} images"] if len(self.legs) > 1 else []
        if self.seconds is not None:
            together += [f"{hours:.2g} {unit}" for unit, hours in self.hours().items()]
        text = "; then ".join(parts).replace(" 1 threads", " 1 thread")
        return "; ".join([text, ", ".join(together)] if together else [text])

    def hours(self) -> dict[str, float]:
        """Seconds × threads of processors as core-hours, seconds on anything else as GPU-hours; legs without either are
        left out."""
        found: dict[str, float] = {}
        for leg in self.legs:
            if leg.seconds is not None and leg.hardware:
                unit = "core-hours" if leg.threads else "GPU-hours"
                found[unit] = found.get(unit, 0.0) + leg.seconds * (leg.threads or 1) / 3600
        return found


@dataclass(frozen=True)
class Energy:
    """An estimate, never a measurement.

    Attributes:
        kilowatt_hours: of one training; `assumptions`: what was multiplied.
    """

    kilowatt_hours: float
    assumptions: str

    def __str__(self) -> str:
        return f"About {self.kilowatt_hours:.2g} kWh, an estimate: {self.assumptions}"


@dataclass(frozen=True)
class Metric:
    """One number and how it came about.

    Attributes:
        name: what was measured, of what, in which unit.
        value: the number; `standard_error`: of it, where there is one.
        protocol: with which images, how many, by which features.
        source: the file that holds it.
        beside: the same number of floors and rivals, by name.
    """

    name: str
    value: float
    protocol: str
    source: str
    standard_error: float | None = None
    beside: Mapping[str, float] = field(default_factory=dict)

    @property
    def number(self) -> str:
        """With the digits that mean something."""
        return Measurement(self.value, Protocol(self.name), self.standard_error).number()

    @property
    def others(self) -> str:
        """What stands beside it: "fresh 7.456, gaussian 68.17"; empty when nothing does."""
        return ", ".join(f"{name} {Measurement(value, Protocol('')).number()}" for name, value in self.beside.items())


def duration(seconds: float) -> str:
    """In words: "45 s", "19 minutes", "3.2 hours"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def budget_of(name: str, card: Mapping[str, Any], side: int) -> Budget | None:
    """The budget of a model's training; None where its card does not say how many images it saw.

    Args:
        name: of the model.
        card: what its training left beside the weights; of a model that grew it counts the last stage alone.
        side: of its pictures.
    """
    if "images_seen" not in card:
        return None
    legs, images, seconds = [], 0, 0.0
    for stage, rows in groupby(_log(name), key=lambda row: str(row["stage"])):
        if found := re.fullmatch(r"stage-\d+-side-(\d+)", stage):
            last = list(rows)[-1]
            legs.append(
                Leg(int(found[1]), last["images_seen"] - images, last["seconds"] - seconds, EARLIER_HARDWARE.get(name))
            )
            images, seconds = last["images_seen"], last["seconds"]
    return Budget((*legs, Leg(side, card["images_seen"], card.get("seconds"), card.get("hardware"))))


def all_stages(name: str, card: Mapping[str, Any], side: int) -> dict[str, Any]:
    """The card of a model of the zoo, with the images, the time and the hardware of all stages that it grew in."""
    budget = budget_of(name, card, side)
    if budget is None:
        return dict(card)
    hardware = "; then ".join(dict.fromkeys(leg.hardware for leg in budget.legs if leg.hardware))
    return {**card, "images_seen": budget.images, "seconds": budget.seconds, "hardware": hardware or None}


def energy_of(budget: Budget) -> Energy | None:
    """Seconds × watts × what is around the machine; None where the time or the hardware of a leg is not known."""
    joules, assumed = 0.0, dict[str, float]()
    for leg in budget.legs:
        if leg.seconds is None or leg.watts is None:
            return None
        joules += leg.seconds * leg.watts * OVERHEAD
        assumed |= {"each busy thread": THREAD_WATTS} if leg.threads else {f"{leg.hardware}, counted whole": leg.watts}
    watts = " and ".join(f"{watts:.0f} W for {what}" for what, watts in assumed.items())
    text = f"{watts}; times the time, times {OVERHEAD:g} for cooling and the rest of the machine. No meter was read"
    return Energy(joules / 3.6e6, text)


def comparison() -> Comparison | None:
    """The measured comparison of the zoo's models; None in a version that comes without.

    Raises:
        ValueError: the file is damaged.
    """
    file = zoo.FOLDER / COMPARISON
    if not file.is_file():
        return None
    try:
        return Comparison.from_json(storage.read_object(file))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file} holds no comparison of this vaelib: {error}") from error


def subject_of(name: str, found: Comparison | None) -> Subject | None:
    """The row of a model in the comparison; None where it has none."""
    rows = found.subjects if found else ()
    return next((subject for subject in rows if subject.kind == "model" and subject.name == name), None)


def compared(subject: Subject, found: Comparison) -> Iterator[Metric]:
    """What the comparison says of one model: of several seeds the mean, beside the floors."""
    floors = [other for other in found.subjects if other.kind == "floor"]
    for name in subject.metrics():
        cell = subject.cell(name)
        assert cell is not None
        protocol = cell.measurement.protocol
        beside = {
            floor.name: other.measurement.value
            for floor in floors
            if (other := floor.cell(name)) and not other.measurement.protocol.differences(protocol)
        }
        runs = len(cell.repetitions) if protocol.subject != "data" else 1
        how = protocol_text(protocol) + (f"; mean of {runs} trainings with other seeds" if runs > 1 else "")
        of = f" of {protocol.subject}" if protocol.subject not in ("", "model") else ""
        title = ", ".join(part for part in (f"{protocol.metric}{of}", protocol.unit) if part)
        yield Metric(title, cell.measurement.value, how, COMPARISON, cell.measurement.standard_error, beside)


def protocol_text(protocol: Protocol) -> str:
    """How a number was made, in words."""
    images = f"{protocol.samples:,} images" if protocol.samples else ""
    if protocol.reference_samples:
        images += f" against {protocol.reference_samples:,}"
    data = " ".join(part for part in (protocol.data, protocol.split) if part)
    seed = f"seed {protocol.seed}" if protocol.seed is not None else ""
    parts = (protocol.definition, protocol.features, data, images, seed, protocol.warning)
    return ", ".join(part for part in parts if part)


SUBJECTS = {
    "samples": "samples",
    "reconstructions": "reconstructions",
    "recalibrated": "samples, batch norms recalibrated on samples",
    "recalibrated_cool": "samples at temperature 0.5, batch norms recalibrated on such",
}
"""The pictures that `vaelib.zoo.measure` compares, in words."""


def measured(name: str) -> Iterator[Metric]:
    """What `python -m vaelib.zoo.measure` found, where it was called for this model."""
    if not (zoo.model_folder(name) / zoo.RESULTS).is_file():
        return
    found = zoo.results(name)
    images = f"{found['images']:,} test images, seed 0"
    for kind, title, how in (
        ("frechet", "Fréchet distance", f"{found['features']}; against {images}"),
        ("sharpness", "sharpness", f"mean variance of the grey Laplacian, {images}"),
    ):
        values = found.get(kind, {})
        for subject, words in SUBJECTS.items():
            if subject in values:
                # A reconstruction is compared with a set that holds its original, so samples are no rivals of it.
                rival = "vae_reconstructions" if subject == "reconstructions" else "vae"
                names = {"data": "test images", "fresh": "fresh", "gaussian": "gaussian", rival: "vae-faces64"}
                others = {shown: values[other] for other, shown in names.items() if other in values}
                yield Metric(f"{title} of {words}", values[subject], how, zoo.RESULTS, beside=others)
    if "squared_error" in found:
        others = {"vae-faces64": found["vae_squared_error"]} if "vae_squared_error" in found else {}
        how = f"per pixel and channel, images in [0, 1], {images}"
        yield Metric("squared error of reconstructions", found["squared_error"], how, zoo.RESULTS, beside=others)
    nats = found.get("nats", {})
    for term, unit in (("distortion", "nats per image"), ("rate", "nats per image")):
        if term in nats:
            yield Metric(f"{term}, {unit}", nats[term], f"one draw of z per image, {images}", zoo.RESULTS)
    if "bits_per_dimension" in nats:
        how = f"negative ELBO of pixels with {nats['levels']} levels, {images}"
        yield Metric("bits per dimension", nats["bits_per_dimension"], how, zoo.RESULTS)


def validated(card: Mapping[str, Any]) -> Iterator[Metric]:
    """The terms of the loss on validation images at the end of the training, of the weights that are shipped."""
    metrics, train = card.get("metrics", {}), card.get("train", {})
    prefix = "validation/ema/" if card.get("weights") == "averaged" else "validation/"
    for term in ("distortion", "rate"):
        if prefix + term in metrics:
            count = train.get("validation_images")
            how = (
                f"{f'{count:,}' if count else 'all'} validation images, one draw of z each, at the end of the training"
            )
            yield Metric(f"{term}, nats per image", metrics[prefix + term], how, storage.CARD)


def _log(name: str) -> list[dict[str, Any]]:
    return zoo.training_log(name) if (zoo.model_folder(name) / zoo.LOG).is_file() else []
