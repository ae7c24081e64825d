"""Model cards: what a model of the zoo is, what it took, what was measured of it, and what it may not be used for.

    print(ModelCard.of("vae-faces64"))

A card is made from the files beside the weights whenever it is asked for, so it cannot fall behind them. Where a file
is missing, the card says which.

Source: Mitchell et al., Model Cards for Model Reporting, 2019.
"""

import json
import textwrap
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import safe_open

from vaelib import storage, zoo
from vaelib.config import to_dict
from vaelib.data import DataCard
from vaelib.data import card as data_card
from vaelib.evaluation.floors import FLOORS
from vaelib.models import MODELS
from vaelib.zoo import recipes, records
from vaelib.zoo.records import Budget, Energy, Metric

INTENDED = "Teaching and research on generative models, without commercial use: to study, measure, compare and retrain."
NOT_FOR = (
    "No product or other commercial use. Not to pass pictures off as photographs of people. Not to recognise, judge or "
    "imitate anybody, and not to train systems that do."
)
UNLABELLED = (
    "The model learned from these pictures alone and can be no fairer than they are. They carry no labels, so how it "
    "treats different groups of faces has not been measured and is not known."
)


@dataclass(frozen=True)
class ModelCard:
    """What is known about a model of the zoo.

    Attributes:
        name, title, kind: what to call it, in one line, and of which kind it is.
        image_shape: (C, H, W); `parameters`: learned numbers; `latents`: numbers in the code of one image.
        weights_bytes, weights_type, sha256: of the file of weights.
        licence: what the weights may be used for; `intended`, `not_for`: the same in plainer words.
        data: the images it was trained on, by their key; `data_source`, `consent`: from the card of the data set.
        training: the settings, in one line; `versions`: of what it was trained with.
        seeds: of the shipped weights first, then of the other trainings that were measured.
        budget, energy: what one training took; None where it is not on record.
        metrics: what was measured, each with its protocol.
        limits, bias: what it cannot do, and whom it misrepresents.
        retrain: the command that trains it again; empty where there is no recipe.
        missing: what a card should say and the files do not.
    """

    name: str
    title: str
    kind: str
    image_shape: tuple[int, ...]
    parameters: int
    latents: int
    weights_bytes: int
    weights_type: str
    sha256: str
    licence: str
    intended: str
    not_for: str
    data: str
    data_source: str
    consent: str
    training: str
    versions: tuple[str, ...]
    seeds: tuple[int, ...]
    budget: Budget | None
    energy: Energy | None
    metrics: tuple[Metric, ...]
    limits: tuple[str, ...]
    bias: str
    retrain: str
    missing: tuple[str, ...]

    @classmethod
    def of(cls, name: str) -> "ModelCard":
        """The card of a model, from its files.

        Raises:
            ValueError: the zoo has no such model (the message names the near miss), or a file is damaged.
        """
        card, folder = zoo.card(name), zoo.model_folder(name)
        with torch.device("meta"):  # counted, never filled
            model = storage.build(folder)
        shape = tuple(model.image_shape)
        of_data = _data_card(card)
        budget = records.budget_of(name, card, shape[-1])
        comparison = records.comparison()
        subject = records.subject_of(name, comparison)
        compared = tuple(records.compared(subject, comparison)) if subject and comparison else ()
        metrics = (*compared, *records.measured(name), *records.validated(card))
        own = card.get("train", {}).get("seed")
        others = [run.budget.seed for run in subject.runs if run.budget] if subject else []
        return cls(
            name=name,
            title=card["title"],
            kind=model.kind,
            image_shape=shape,
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            latents=model.config.latent_dimension,
            weights_bytes=(folder / storage.WEIGHTS).stat().st_size,
            weights_type=_type_of_weights(name),
            sha256=card["sha256"],
            licence=card["licence"],
            intended=INTENDED,
            not_for=NOT_FOR,
            data=str(card.get("data", "")),
            data_source=f"{of_data.what} {of_data.source} Its card: `vaelib data {of_data.name}`." if of_data else "",
            consent=of_data.consent if of_data else "",
            training=_training(card, budget),
            versions=tuple(f"{package} {version}" for package, version in card.get("versions", {}).items()),
            seeds=tuple(dict.fromkeys(seed for seed in (own, *others) if seed is not None)),
            budget=budget,
            energy=records.energy_of(budget) if budget else None,
            metrics=metrics,
            limits=tuple(_limits(model.config, model.kind, shape, metrics)),
            bias=" ".join([of_data.bias, *([] if of_data.label else [UNLABELLED])]) if of_data else "",
            retrain=f"vaelib zoo retrain {name}" if name in recipes.names() else "",
            missing=tuple(_missing(name, card, in_comparison=subject is not None)),
        )

    def rows(self) -> dict[str, str]:
        """What the card says, by heading, without the numbers: the one content of its text and of its Markdown."""
        colour = {1: "grey", 3: "colour"}.get(self.image_shape[0], f"{self.image_shape[0]} channels")
        unknown = "Not on record."
        licence = self.licence[0].upper() + self.licence[1:]
        rows = {
            "Model": f"{MODELS[self.kind].__name__}, {self.parameters:,} parameters, {self.latents:,} latent numbers "
            f"for an image of {self.image_shape[1]}×{self.image_shape[2]} pixels in {colour}.",
            "Weights": f"{self.weights_bytes / 1e6:.1f} MB, {self.weights_type}, SHA-256 `{self.sha256[:12]}…`.",
            "Licence": f"{licence}.",
            "Meant for": self.intended,
            "Not for": self.not_for,
            "Data": " ".join(part for part in (f"`{self.data}`." if self.data else unknown, self.data_source) if part),
            "Consent": self.consent or unknown,
            "Bias": self.bias or unknown,
            "Training": f"{self.training}. With {', '.join(self.versions)}." if self.training else unknown,
            "Seeds": self._seeds or unknown,
            "Budget": f"{self.budget}." if self.budget else unknown,
            "Energy": f"{self.energy}." if self.energy else "Not estimated: time or hardware is not known.",
            "Limits": " ".join(self.limits),
            "Beside": self._floors,
            "Retrain": f"`{self.retrain}`, with `--seed K` for another seed."
            if self.retrain
            else "There is no recipe.",
            "Load": f'`vaelib.load("zoo:{self.name}")` in Python, `zoo:{self.name}` in every command.',
            "Missing": f"{'; '.join(self.missing)}." if self.missing else "",
        }
        return {term: text for term, text in rows.items() if text}

    @property
    def _seeds(self) -> str:
        if len(self.seeds) == 1:
            return f"{self.seeds[0]}, one training."
        others = ", ".join(map(str, self.seeds[1:]))
        return f"{self.seeds[0]}, whose weights these are; measured as well: {others}." if others else ""

    @property
    def _floors(self) -> str:
        shown = {name for metric in self.metrics for name in metric.beside}
        text = "; ".join(f"{name}: {what}" for name, what in FLOORS.items() if name in shown)
        return f"{text}." if text else ""

    def text(self, width: int = 80) -> str:
        """The card as plain text, no line longer than `width`."""
        lines = textwrap.wrap(f"{self.name}: {self.title}", width)
        lines.append("=" * max(map(len, lines)))
        for term, value in self.rows().items():
            lines += textwrap.wrap(value, width, initial_indent=f"{term + ':':12}", subsequent_indent=" " * 12)
        lines.append("Measured:" if self.metrics else "Measured:   nothing yet")
        for metric in self.metrics:
            beside = f" Beside it: {metric.others}." if metric.others else ""
            line = f"{metric.name}: {metric.number} ({metric.protocol}).{beside}"
            lines += textwrap.wrap(line, width, initial_indent="  ", subsequent_indent="    ")
        return "\n".join(lines)

    def markdown(self, level: int = 1) -> str:
        """The card as Markdown: a heading of this level, a paragraph for each row, a table of the numbers."""
        lines = [f"{'#' * level} `{self.name}`: {self.title}", ""]
        for term, value in self.rows().items():
            lines += [f"**{term}.** {value}", ""]
        lines += ["**Measured.**" if self.metrics else "**Measured.** Nothing yet.", ""]
        if self.metrics:
            lines += ["| what | number | beside it | how |", "|---|---|---|---|"]
        for metric in self.metrics:
            cells = (metric.name, metric.number, metric.others, metric.protocol)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        return "\n".join(lines).rstrip() + "\n"

    def to_json(self) -> str:
        """The card as JSON, numbers unrounded."""
        return json.dumps(to_dict(self), indent=2, ensure_ascii=False)

    def __str__(self) -> str:
        return self.text()


def cards() -> dict[str, ModelCard]:
    """The cards of all models of the zoo, by name."""
    return {name: ModelCard.of(name) for name in zoo.names()}


def _data_card(card: dict[str, Any]) -> DataCard | None:
    try:
        return data_card(card["dataset"])
    except (KeyError, ValueError):
        return None


def _type_of_weights(name: str) -> str:
    """The number formats of the floating-point weights, "16-bit" for the zoo's own."""
    with safe_open(zoo.model_folder(name) / storage.WEIGHTS, "pt") as file:
        types = {file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118  # not a dictionary
    known = {"F16": "16-bit floats", "F32": "32-bit floats"}
    return " and ".join(text for kind, text in known.items() if kind in types)


def _training(card: dict[str, Any], budget: Budget | None) -> str:
    train = card.get("train")
    if not train:
        return ""
    images = train["batch_size"] * train.get("accumulate", 1)
    rate = f"learning rate {train['learning_rate']:g}"
    if train.get("schedule") not in (None, "constant"):
        rate += f" falling to {train['final_learning_rate']:g} ({train['schedule']})"
    averages = {"averaged": "moving average of the weights", "raw": "last weights, no average"}
    stage = "Last stage: " if len(budget.legs if budget else ()) > 1 else ""
    steps = f"{stage}{train['steps']:,} steps of {images} images"
    parts = (steps, train["optimiser"], rate, train["precision"], averages.get(str(card.get("weights")), ""))
    return ", ".join(part for part in parts if part)


def _limits(config: Any, kind: str, shape: tuple[int, ...], metrics: tuple[Metric, ...]) -> list[str]:
    """What follows from the kind of the model, and what was measured against it."""
    of_kind = {
        "autoencoder": "It has no prior, so there is nothing to draw new pictures from.",
        "vae": "Its pictures are blurred: they are means of all that a short code leaves open (notebook 2.4).",
        "beta_vae": f"It was trained with the rate weighed by {getattr(config, 'beta', 1):g}, not to maximise the "
        "bound on the likelihood (notebook 3.1).",
        "wae": "It gives no bound on the likelihood: nothing says in nats how probable a picture is.",
    }
    limits = [of_kind[kind]] if kind in of_kind else []
    levels = getattr(getattr(config, "likelihood", None), "levels", None)
    if levels is not None and levels < 256:
        limits.append(f"It knows {levels} levels of each colour, not 256.")
    if levels is None:
        limits.append("Its nats are of a density, and compare only with those of the same likelihood.")
    for metric in metrics:
        floor = metric.beside.get("gaussian")
        if metric.name == "Fréchet distance of samples" and floor is not None and metric.value > floor:
            limits.append(
                f"Its samples are farther from the data than those of a Gaussian on principal components "
                f"({metric.value:.3g} against {floor:.3g}, {metric.source}): reconstruct with it, study it, and do not "
                "take it for a good source of faces."
            )
    return [
        *limits,
        f"It draws {shape[1]}×{shape[2]} pixels in the framing of its data. On photographs it is untested.",
    ]


def _missing(name: str, card: dict[str, Any], *, in_comparison: bool) -> list[str]:
    folder = zoo.model_folder(name)
    sought = {
        "what data it was trained on": _data_card(card) is not None,
        "the settings of its training": bool(card.get("train")),
        f"the log of its training ({zoo.LOG})": (folder / zoo.LOG).is_file(),
        f"results of vaelib.zoo.measure ({zoo.RESULTS})": (folder / zoo.RESULTS).is_file(),
        f"a row in the comparison of the zoo ({records.COMPARISON})": in_comparison,
    }
    return [what for what, there in sought.items() if not there]
