"""The contract of a model: what it is given, what it answers, and the verbs that every model speaks.

The trainer, the evaluation and the command line know models only by this file.
"""

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, ParamSpec, TypeVar, cast

import torch
from torch import Tensor, nn

from vaelib.data.image_set import Batch
from vaelib.networks import ImageShape
from vaelib.probability.distributions import Distribution
from vaelib.probability.likelihood import check_unit_range

P = ParamSpec("P")
R = TypeVar("R")


class Progress(NamedTuple):
    """Where training stands; objectives that change over time (KL warm-up, annealed capacity) read it.

    Attributes:
        step: steps done, from 0.
        total_steps: steps of the whole run.
        dataset_size: number of training images (estimators of the aggregate posterior need it).
    """

    step: int
    total_steps: int
    dataset_size: int

    @property
    def fraction(self) -> float:
        """From 0 at the start to 1 at the end."""
        return min(self.step / self.total_steps, 1.0) if self.total_steps else 1.0

    @classmethod
    def finished(cls, dataset_size: int = 1) -> "Progress":
        """The end of training, where every warm-up is over: what validation uses."""
        return cls(1, 1, dataset_size)


@dataclass(frozen=True)
class Loss:
    """What a model answers to a batch.

    Attributes:
        total: the scalar to minimise.
        per_image: named terms (B,), in nats: `distortion`, `rate`, …
        per_batch: named scalars: an MMD², a regulariser.
    """

    total: Tensor
    per_image: dict[str, Tensor] = field(default_factory=dict)
    per_batch: dict[str, Tensor] = field(default_factory=dict)

    def summary(self) -> dict[str, float]:
        """Every term as a number: means over the batch, and `total`."""
        terms = {name: term.detach().float().mean().item() for name, term in self.per_image.items()}
        terms |= {name: term.detach().float().item() for name, term in self.per_batch.items()}
        return terms | {"total": self.total.detach().float().item()}


class Player(NamedTuple):
    """One side of a training game: the parameters that move, and the loss that moves them.

    Most models have one player. A model with an adversary has two; the trainer gives each its own optimiser and lets
    them move in turn.

    Attributes:
        name: of the logs: `model`, `adversary`.
        parameters: what this player may change.
        loss: called with a batch and the progress.
        learning_rate_factor: this player's learning rate over the run's.
    """

    name: str
    parameters: Iterable[nn.Parameter]
    loss: Callable[[Batch, Progress], Loss]
    learning_rate_factor: float = 1.0


def inference(method: Callable[P, R]) -> Callable[P, R]:
    """Run a method of a model in eval mode and without gradients, and put the mode back. It answers plain tensors."""

    @functools.wraps(method)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        model: Any = args[0]
        training = model.training
        model.eval()
        try:
            with torch.inference_mode():
                result = method(*args, **kwargs)
        finally:
            model.train(training)
        # A tensor made under inference_mode can never be part of a gradient; its copy can: `encode(sample(8))` works.
        return cast(R, result.clone()) if isinstance(result, Tensor) else result

    return wrapped


class Model(nn.Module):
    """The base of every model. A subclass gives `Config`, `kind`, `encode`, `decode` and `loss`; the verbs follow.

    Attributes:
        kind: its name in saved folders and on the command line.
        Config: the frozen dataclass of its settings; `config.image_shape` and `config.latent_dimension` always exist.
        smallest_batch: images that a loss takes at least; two where it compares the images of a batch.
        checkpoint_activations: whether a training step computes part of the forward pass twice, to save memory; None
            for a model that cannot.
    """

    kind: ClassVar[str]
    Config: ClassVar[type]
    config: Any
    smallest_batch: int = 1
    checkpoint_activations: bool | None = None

    def encode(self, images: Tensor) -> Distribution:
        """Images (B, C, H, W) in [0, 1] → a distribution over latents (B, D)."""
        raise NotImplementedError

    def decode(self, latents: Tensor) -> Distribution:
        """Latents (B, D) → a distribution over images (B, C, H, W)."""
        raise NotImplementedError

    def loss(self, batch: Batch, progress: Progress) -> Loss:
        """The objective on a batch, with every term by name."""
        raise NotImplementedError

    def prior(self, count: int) -> Distribution:
        """The distribution over latents (count, D) that `sample` draws from.

        Raises:
            TypeError: the model has none.
        """
        raise TypeError(f"{type(self).__name__} has no prior, so there is nothing to sample from; see notebook 1.2")

    def players(self) -> tuple[Player, ...]:
        """Who trains: one player with all parameters, unless a model says otherwise."""
        return (Player("model", self.parameters(), self.loss),)

    def networks(self) -> tuple[nn.Module, ...]:
        """The parts that torch.compile compiles, each by itself: those of which the model is made."""
        return tuple(self.children())

    def forward(self, batch: Batch, progress: Progress, player: int = 0) -> Loss:
        """The loss of one player. This exists so that distributed training can wrap the model; call `loss` yourself."""
        return self.players()[player].loss(batch, progress)

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return next(self.parameters()).device

    @property
    def image_shape(self) -> ImageShape:
        """(C, H, W) of the images the model was built for."""
        return self.config.image_shape

    def check_images(self, images: Tensor) -> None:
        """Raise a ValueError unless images are (B, C, H, W) of the model's shape and type, in [0, 1].

        The range is looked at in eval mode only: in training, the likelihood does it. A likelihood with
        `unit_range=False` takes any.
        """
        if images.dim() != 4 or tuple(images.shape[1:]) != tuple(self.image_shape):
            raise ValueError(
                f"this {type(self).__name__} takes images (B, {', '.join(map(str, self.image_shape))}), not "
                f"{tuple(images.shape)}"
            )
        if not images.is_floating_point():
            raise ValueError(f"images should be float32 in [0, 1], not {images.dtype}: divide bytes by 255")
        self.check_type(images, "images")
        if not self.training and len(images) and getattr(getattr(self.config, "likelihood", None), "unit_range", True):
            check_unit_range(images)

    def check_latents(self, latents: Tensor) -> None:
        """Raise a ValueError unless latents are (B, D) of the model's dimension."""
        if latents.dim() != 2 or latents.shape[1] != self.config.latent_dimension:
            raise ValueError(
                f"this {type(self).__name__} takes latents (B, {self.config.latent_dimension}), "
                f"not {tuple(latents.shape)}"
            )
        self.check_type(latents, "latents")

    def check_type(self, numbers: Tensor, what: str) -> None:
        """Raise a ValueError unless these numbers are of the type of the weights."""
        expected = next(self.parameters()).dtype
        if numbers.dtype != expected:
            raise ValueError(f"{what} should be {expected}, like the weights, not {numbers.dtype}: use .to({expected})")

    def check_sampling(self) -> None:
        """Raise a TypeError if there is nothing to sample from, as in a plain autoencoder."""
        self.prior(1)

    @inference
    def sample(
        self, count: int, *, temperature: float = 1.0, generator: torch.Generator | None = None, chunk: int = 256
    ) -> Tensor:
        """Images drawn from the model: z from the prior, then the mean of p(x | z).

        Args:
            count: how many.
            temperature: factor on the prior's standard deviation, 0 or more; below 1, samples are safer and less
                varied.
            generator: for reproducible draws.
            chunk: how many at a time, to bound memory.
        Returns:
            (count, C, H, W) in [0, 1], on the model's device.
        """
        latents = self._drawn(count, temperature, generator, chunk)
        return torch.cat([self.decode(some).mean.clamp(0, 1) for some in latents])

    def _drawn(
        self, count: int, temperature: float, generator: torch.Generator | None, chunk: int
    ) -> tuple[Tensor, ...]:
        """The latents that `sample` decodes, `chunk` at a time; drawn at once, so that they do not depend on it."""
        if count < 1 or chunk < 1:
            raise ValueError(f"count and chunk should be at least 1, not {count} and {chunk}")
        if not 0 <= temperature < math.inf:
            raise ValueError(f"temperature should be 0 or more, and finite, not {temperature}")
        prior = self.prior(count)
        return (prior.mean + temperature * (prior.sample(generator) - prior.mean)).split(chunk)

    @inference
    def reconstruct(self, images: Tensor, *, chunk: int = 256) -> Tensor:
        """Encode to the posterior mean and decode to the likelihood's mean: (B, C, H, W) → the same, in [0, 1]."""
        self.check_images(images)
        if chunk < 1:
            raise ValueError(f"chunk should be at least 1, not {chunk}")
        parts = images.to(self.device).split(chunk)
        return torch.cat([self.decode(self.encode(part).mean).mean.clamp(0, 1) for part in parts])

    @inference
    def interpolate(self, start: Tensor, end: Tensor, steps: int = 8) -> Tensor:
        """The straight line between the codes of two sets of images, decoded.

        Args:
            start, end: (B, C, H, W).
            steps: pictures on the way, both ends included.
        Returns:
            (B, steps, C, H, W) in [0, 1].
        """
        if start.shape != end.shape:
            raise ValueError(f"start and end should have one shape, not {tuple(start.shape)} and {tuple(end.shape)}")
        if steps < 1:
            raise ValueError(f"steps should be at least 1, better 2 or more, not {steps}")
        self.check_images(start)
        first, last = self.encode(start.to(self.device)).mean, self.encode(end.to(self.device)).mean
        weights = torch.linspace(0, 1, steps, device=self.device)
        path = torch.stack([torch.lerp(first, last, weight) for weight in weights], dim=1)
        images = self.decode(path.flatten(0, 1)).mean.clamp(0, 1)
        return images.unflatten(0, (len(start), steps))

    @inference
    def traverse(self, latent: Tensor, dimensions: Iterable[int], values: Tensor) -> Tensor:
        """Vary one latent at a time and hold the others.

        Args:
            latent: (D,) or (1, D), where to start.
            dimensions: which latents to vary, one row of pictures each.
            values: (V,), the values they take.
        Returns:
            (rows, V, C, H, W) in [0, 1].
        """
        latent = latent.reshape(1, -1).to(self.device)
        self.check_latents(latent)
        dimensions, values = list(dimensions), torch.as_tensor(values)
        if not dimensions or values.dim() != 1:
            raise ValueError(
                f"traverse takes at least one dimension and values (V,), not {len(dimensions)} dimensions and values "
                f"{tuple(values.shape)}"
            )
        rows = []
        for dimension in dimensions:
            if not -latent.shape[1] <= dimension < latent.shape[1]:
                raise IndexError(f"there is no latent {dimension}: the model has {latent.shape[1]}")
            row = latent.repeat(len(values), 1)
            row[:, dimension] = values.to(row)
            rows.append(self.decode(row).mean.clamp(0, 1))
        return torch.stack(rows)
