"""What every measurement of a model's likelihood begins with: checked images, a seed, and what a probability means."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from vaelib.data.image_set import Batch, ImageSet
from vaelib.data.pixels import dequantise
from vaelib.evaluation.protocol import Protocol as MeasurementProtocol
from vaelib.models.base import Model
from vaelib.probability import DiagonalGaussian, Distribution, PointMass, kl_sampled

# Far from any seed that somebody would choose, also in the 32 bits that torch's generator of the CPU looks at.
APART = 0x9E3779B9


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Inside, torch's global generators follow from the seed; afterwards they are where they were.

    They do not start *from* the seed, as the generator does that a measurement draws its z with: two generators of one
    seed give the same bits, and the coins that make pixels black or white would be those that made z.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed + APART)
        if device.type == "cuda":
            torch.cuda.manual_seed(seed + APART)
        yield


@dataclass(frozen=True)
class Counted:
    """What a model's likelihood assigns probability to: `levels` grey levels, or (None) a density over [0, 1]."""

    levels: int | None
    known: bool

    @classmethod
    def by(cls, model: Model) -> "Counted":
        likelihood: Any = getattr(model.config, "likelihood", None)
        return cls(getattr(likelihood, "levels", None), known=likelihood is not None)

    @property
    def is_density(self) -> bool:
        """Whether bits per dimension take dequantised images."""
        return self.known and self.levels is None

    @property
    def measure(self) -> str:
        if not self.known:
            return "of a likelihood that does not say"
        return "density on [0, 1]" if self.levels is None else f"probability of {self.levels} grey levels"


def check_data(model: Model, data: ImageSet | Tensor) -> None:
    """Raise a ValueError unless these are images for this model: one at least, of its shape, all finite."""
    if isinstance(data, ImageSet):
        if data.image_shape != tuple(model.image_shape):
            raise ValueError(
                f"{data.name} has images {data.image_shape}, but the model was built for {tuple(model.image_shape)}"
            )
    else:
        if data.is_floating_point() and not data.isfinite().all():
            raise ValueError("the images hold NaN or infinity: look at where they come from before measuring a model")
        model.check_images(data)
    if not len(data):
        raise ValueError("there are no images to measure")


def prepared_batches(
    model: Model, data: ImageSet | Tensor, size: int, dequantisation: torch.Generator | None = None
) -> Iterator[Batch]:
    """The images as the likelihood counts them, as in the model's loss, `size` at a time, on the model's device.

    What `prepare` draws comes from torch's global generator of the CPU: call this inside `seeded`.

    Args:
        dequantisation: where the noise between the levels of 8-bit images comes from; None adds none.
    """
    likelihood: Any = getattr(model.config, "likelihood", None)
    for start in range(0, len(data), size):
        rows = slice(start, start + size)
        images, labels = data.batch(rows) if isinstance(data, ImageSet) else Batch(data[rows].cpu())
        if dequantisation is not None:
            images = dequantise(images, dequantisation)
        elif likelihood is not None:
            images = likelihood.prepare(images)
        yield Batch(images.to(model.device), None if labels is None else labels.to(model.device))


def conditions(model: Model, batch: Batch) -> tuple[Tensor, ...]:
    """What `encode` and `decode` take besides images and latents: the labels for a conditional model, else nothing.

    Raises:
        ValueError: a conditional model, and no labels.
    """
    if "labels" not in inspect.signature(model.encode).parameters:
        return ()
    if batch.labels is None:
        raise ValueError(f"{type(model).__name__} is conditional: give an ImageSet with labels, not images alone")
    return (batch.labels,)


class Hierarchy(Protocol):
    """What a model with several layers of latents encodes images to: a draw of all of them, and how likely it is."""

    @property
    def latents(self) -> tuple[Tensor, ...]: ...

    @property
    def rate(self) -> Tensor: ...

    @property
    def log_q(self) -> Tensor: ...

    @property
    def log_p(self) -> Tensor: ...


def is_hierarchical(model: Model) -> bool:
    """Whether a model has several layers of latents, as an NVAE or a ladder VAE: then `encode` draws them in turn, and
    no single distribution describes their posterior or their prior."""
    return "mean_path" in inspect.signature(model.encode).parameters


def drawn(model: Model, batch: Batch, generator: torch.Generator) -> Hierarchy:
    """All latents of a hierarchical model, drawn from the posterior of images."""
    encoding: Any = model.encode(batch.images, *conditions(model, batch), generator=generator)  # type: ignore[call-arg]
    hierarchy: Hierarchy = encoding
    return hierarchy


def code_of(model: Model, batch: Batch) -> Distribution:
    """What an image is encoded as, one code (B, D).

    Raises:
        TypeError: the model has several layers of latents.
    """
    if is_hierarchical(model):
        raise TypeError(
            f"this measures single codes (B, D), but {type(model).__name__} encodes an image as several layers of "
            "latents, each given the ones drawn before: encode(images, mean_path=True).latents has them, and "
            "rate_distortion and importance_weighted_bound work for it"
        )
    return model.encode(batch.images, *conditions(model, batch))


def posterior_of(model: Model, batch: Batch) -> Distribution:
    """q(z | x) of one code (B, D), with a density.

    Raises:
        TypeError: the model's code is a point, or no single distribution.
    """
    posterior = code_of(model, batch)
    if isinstance(posterior, PointMass) or not isinstance(posterior, Distribution):
        what = "a point" if isinstance(posterior, PointMass) else f"a {type(posterior).__name__}"
        raise TypeError(
            f"{type(model).__name__} encodes an image as {what}, which has no density over its latents, so it has "
            "neither a rate nor a bound on the likelihood: take a model with a stochastic encoder, such as a VAE"
        )
    return posterior


def rate_of(posterior: Distribution, prior: Distribution, latents: Tensor) -> Tensor:
    """KL(q || p) of each item in nats, (B,): in closed form between Gaussians, else by these samples of z."""
    if isinstance(posterior, DiagonalGaussian) and isinstance(prior, DiagonalGaussian):
        return posterior.kl(prior)
    return kl_sampled(posterior, prior, latents)


def model_protocol(model: Model, data: ImageSet | Tensor, metric: str, **fields: Any) -> MeasurementProtocol:
    """The protocol of a number that was measured of a model on these images."""
    if isinstance(data, ImageSet):
        fields = {"data": data.name, "split": data.split, "key": data.key, **fields}
    return MeasurementProtocol(
        metric=metric, image_shape=tuple(model.image_shape), samples=len(data), **{"subject": "model", **fields}
    )


def check_counts(**counts: int) -> None:
    """Raise a ValueError unless each of these whole numbers is at least 1."""
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ValueError(f"{name} should be a whole number of at least 1, not {count!r}")
