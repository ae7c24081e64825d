"""Measure several models with the same images, beside the floors, and group what belongs together.

Example:
    comparison = compare({"vae": vae, "wae": [Entrant(wae, "runs/wae-0", card), …]}, test_faces, training_faces)
    for column in comparison.columns(): …
"""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from vaelib.config import to_dict
from vaelib.console import say
from vaelib.data.image_set import ImageSet
from vaelib.evaluation.compared import MINIMUM_IMAGES
from vaelib.evaluation.comparison import Budget, Comparison, Number, Run, Subject
from vaelib.evaluation.evaluate import evaluate
from vaelib.evaluation.features import feature_network
from vaelib.evaluation.floors import FLOORS, floor_measurements
from vaelib.evaluation.inputs import check_counts, conditions, seeded
from vaelib.evaluation.kept import check_keeping, data_hash, measured_once, model_hash
from vaelib.evaluation.protocol import Measurement, Protocol, current_versions
from vaelib.models.base import Model

TIMED_IMAGES, TIMED_DRAWS = 32, 5


@dataclass(frozen=True)
class Entrant:
    """A trained model that takes part.

    Attributes:
        source: where it came from, in words: a run, a folder, `zoo:NAME`.
        card: what is known of its training; `images_seen`, `seconds`, `hardware` and `train.seed` are shown.
    """

    model: Model
    source: str = ""
    card: Mapping[str, Any] = field(default_factory=dict)


def compare(
    models: Mapping[str, Model | Entrant | Sequence[Model | Entrant]],
    data: ImageSet,
    training: ImageSet,
    *,
    samples: int = 10_000,
    seed: int = 0,
    features: str | None = "efficientnet-lite0",
) -> Comparison:
    """Measure models and floors with the same images.

    What is measured of one model is kept in the cache folder as soon as it is whole, and is not measured again: a
    comparison that was stopped goes on, and one with another model more costs that model.

    Args:
        models: by name, in the order of the table. Under one name, one model or several runs of it with other seeds,
            which then count as one with a spread.
        data: images that no model was trained on. The first `samples` are compared with; `fresh` takes those that
            follow, and training images where there are not as many again.
        training: images that the models were trained on, for the floors.
        samples: how many images to draw from each model; no more than there are in `data`, so that both sides of every
            distance are equally many.
        seed: of every draw.
        features: the feature network (see `FEATURES`), or None to leave out what compares by features.
    Raises:
        ValueError: models or data of different shapes, one model twice, runs of different settings under one name,
            too few images, unknown features.
        DataUnavailable: the cache folder cannot be written, or the weights of the feature network cannot be had.
    """
    entrants = {name: _entrants(given) for name, given in models.items()}
    check_counts(samples=samples)
    hashes = _check(entrants, data, training)
    if features:
        feature_network(features)
    asked, samples = samples, min(samples, len(data))
    if features and samples < MINIMUM_IMAGES:
        raise ValueError(
            f"a comparison takes at least {MINIMUM_IMAGES} samples and test images, better thousands, not {asked} and "
            f"{len(data)}: ask for more, or leave out what compares by features"
        )
    check_keeping()
    real = data.take(samples) if len(data) > samples else data
    notes = [] if samples == asked else [f"There are only {samples:,} test images, so as many samples were drawn."]

    settings = {"samples": samples, "seed": seed, "features": features}
    all_pixels, training_pixels = data_hash(data), data_hash(training)
    subjects = []
    for name, runs in entrants.items():
        measured = []
        for number, (run, weights) in enumerate(zip(runs, hashes[name], strict=True), 1):
            say(f"measuring {name}" + (f", run {number} of {len(runs)}" if len(runs) > 1 else ""))

            numbers = measured_model(run.model, real, samples=samples, seed=seed, features=features)
            timed = sampling_time(run.model, seed=seed)
            if timed:
                numbers = (*numbers, Number("sampling_time", timed))
            measured.append(Run(numbers, run.source, weights, budget(run)))
        subjects.append(Subject(name, "model", described(runs[0].model), tuple(measured)))
    for name, description in FLOORS.items():
        if name == "fresh" and len(data) - samples + len(training) < samples:
            notes.append("There are too few real images for a row of fresh ones.")
            continue
        say(f"measuring {name}: {description}")

        def work_of_floor(name: str = name) -> dict[str, Measurement]:
            return floor_measurements(name, data, training, samples=samples, seed=seed, features=features)

        numbers = measured_once(work_of_floor, floor=name, data=all_pixels, training=training_pixels, **settings)
        subjects.append(Subject(name, "floor", description, (Run(numbers),)))
    return Comparison(
        subjects=tuple(subjects),
        data=real.name,
        split=real.split,
        key=real.key,
        training=training.key,
        samples=samples,
        seed=seed,
        features=features,
        versions=current_versions(),
        notes=tuple(notes),
    )


def measured_model(
    model: Model,
    real: ImageSet,
    *,
    samples: int = 10_000,
    seed: int = 0,
    features: str | None = "efficientnet-lite0",
) -> tuple[Number, ...]:
    """What `evaluate` says of a model, kept in the cache folder, where a second call finds it. Arguments as there."""
    settings = {"samples": samples, "seed": seed, "features": features}
    return measured_once(
        lambda: evaluate(model, real, samples=samples, seed=seed, features=features),
        weights=model_hash(model),
        data=data_hash(real),
        device=model.device.type,
        **settings,
    )


def sampling_time(
    model: Model, *, images: int = TIMED_IMAGES, repeats: int = TIMED_DRAWS, seed: int = 0
) -> Measurement | None:
    """How long this machine takes to draw one image, in milliseconds; None for a model that cannot draw.

    The median of several draws after one to warm up, which a short disturbance leaves alone. The protocol states the
    machine and the number of threads, so times of two machines refuse to be compared. The error is that of a median of
    normal values, 1.25 times that of their mean.

    Raises:
        ValueError: counts below 1.
    """
    from vaelib.training.runs import hardware  # which imports the trainer

    check_counts(images=images, repeats=repeats)
    try:
        model.check_sampling()
    except TypeError:
        return None
    seconds = []
    with seeded(model.device, seed):
        for _ in range(repeats + 1):
            start = time.perf_counter()
            # To the CPU, where a GPU's work has ended.
            model.sample(images, generator=torch.Generator().manual_seed(seed), chunk=images).cpu()
            seconds.append(time.perf_counter() - start)
    per_image = [1000 * each / images for each in seconds[1:]]
    error = 1.2533 * statistics.stdev(per_image) / repeats**0.5 if repeats > 1 else None
    protocol = Protocol(
        metric="sampling time",
        unit="ms per image",
        definition=f"median of {repeats} draws of {images} images after one, on {hardware(model.device)}",
        image_shape=tuple(model.image_shape),
        samples=images * repeats,
        subject="samples",
        seed=seed,
    )
    return Measurement(statistics.median(per_image), protocol, error)


@dataclass(frozen=True)
class Gallery:
    """Pictures of one model to look at.

    Attributes:
        samples: (N, C, H, W) in [0, 1]; None for a model that cannot draw.
        originals, reconstructions: (M, C, H, W) in [0, 1].
    """

    samples: torch.Tensor | None
    originals: torch.Tensor
    reconstructions: torch.Tensor


def gallery(model: Model, data: ImageSet, *, samples: int = 32, originals: int = 8, seed: int = 0) -> Gallery:
    """The first samples of a model by this seed, not chosen, and the first images with what the model makes of them."""
    batch = data.batch(slice(0, originals))
    rebuilt = model.reconstruct(batch.images, *conditions(model, batch)).float().cpu()
    try:
        model.check_sampling()
    except TypeError:
        return Gallery(None, batch.images, rebuilt)
    with seeded(model.device, seed):
        drawn = model.sample(samples, generator=torch.Generator().manual_seed(seed)).float().cpu()
    return Gallery(drawn, batch.images, rebuilt)


def _entrants(given: Model | Entrant | Sequence[Model | Entrant]) -> tuple[Entrant, ...]:
    runs = [given] if isinstance(given, (Model, Entrant)) else list(given)
    return tuple(run if isinstance(run, Entrant) else Entrant(run) for run in runs)


def _check(
    entrants: Mapping[str, tuple[Entrant, ...]], data: ImageSet, training: ImageSet
) -> dict[str, tuple[str, ...]]:
    """The hashes of all models by name, if these may be compared."""
    if not entrants:
        raise ValueError("there are no models to compare")
    hashes: dict[str, tuple[str, ...]] = {}
    seen: dict[str, str] = {}
    first: tuple[str, tuple[int, ...]] | None = None
    for name, runs in entrants.items():
        if not name.strip() or name in FLOORS or not runs:
            reserved = f"no name of a floor ({', '.join(FLOORS)})"
            raise ValueError(
                f"{name!r} is no name for a model with runs: it takes one that is not empty and {reserved}"
            )
        for run in runs:
            shape, called = tuple(run.model.image_shape), run.source or name
            first = first or (called, shape)
            if shape != first[1]:
                raise ValueError(
                    f"{called} makes images {_by(shape)}, but {first[0]} {_by(first[1])}: compare models of one "
                    "resolution"
                )
            if to_dict(run.model.config) != to_dict(runs[0].model.config) or run.model.kind != runs[0].model.kind:
                raise ValueError(
                    f"{called} and {runs[0].source or name} have different settings, so they are no runs of one model "
                    f"{name!r}: give them names of their own"
                )
            weights = model_hash(run.model)
            if weights in seen:
                raise ValueError(f"{called} and {seen[weights]} are the same checkpoint: leave one out")
            seen[weights] = called
            hashes[name] = (*hashes.get(name, ()), weights)
    assert first is not None
    for images in (data, training):
        if images.image_shape != first[1]:
            raise ValueError(
                f"{images.name} ({images.split}) has images {_by(images.image_shape)}, but {first[0]} makes "
                f"{_by(first[1])}: choose images of the models' resolution"
            )
    return hashes


def budget(run: Entrant) -> Budget:
    def number(value: Any, kind: type) -> Any:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
        return kind(value) if fits else None

    train, hardware = run.card.get("train"), run.card.get("hardware")
    return Budget(
        parameters=sum(parameter.numel() for parameter in run.model.parameters()),
        images_seen=number(run.card.get("images_seen"), int),
        seconds=number(run.card.get("seconds"), float),
        hardware=hardware if isinstance(hardware, str) else None,
        seed=number(train.get("seed"), int) if isinstance(train, Mapping) else None,
    )


def described(model: Model) -> str:
    likelihood = getattr(model.config, "likelihood", None)
    return type(model).__name__ + (f", {likelihood.kind} likelihood" if likelihood is not None else "")


def _by(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))
