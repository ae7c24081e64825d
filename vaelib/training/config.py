"""The settings of a training run: one frozen dataclass that is checked when it is made."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from vaelib.config import check_types, near_miss

Optimiser = Literal["adam", "adamw", "adamax"]
Schedule = Literal["constant", "cosine", "exponential"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class TrainConfig:
    """How to train; what is trained and on what are the other arguments of `train`.

    Attributes:
        steps: updates of the weights. A step sees `batch_size × accumulate` images, whatever the number of processes.
            A run can be resumed with more steps where its schedule is `constant`.
        batch_size: images per forward pass, over all processes together.
        learning_rate: of the optimiser, once warmed up. A player's `learning_rate_factor` multiplies it.
        optimiser: `adam`, `adamw` (weight decay apart from the gradient) or `adamax`.
        betas: decay of the first and second moment; `epsilon`: added to the root of the second.
        weight_decay: L2 for `adam` and `adamax`, decoupled for `adamw`.
        learning_rate_warmup: steps over which the learning rate grows from 0.
        schedule: what the learning rate does afterwards: stay, or fall on a cosine or exponentially;
            `final_learning_rate`: its end.
        gradient_clip: largest norm of a player's gradient; None does not clip.
        accumulate: forward passes per step, for batches that do not fit into memory. With no batch norm, accumulating
            twice B images is the same as one batch of 2B.
        precision: `auto` is bfloat16 where the hardware multiplies in it, CPUs included, and float32 elsewhere.
            Weights and likelihoods are float32 in every case.
        channels_last: memory layout of images and convolutions; faster for nearly every convolutional network.
        compile: compile the model's networks with torch.compile; the first steps then take a minute.
        checkpoint_activations: keep less of the forward pass in memory and compute it again in the backward pass: the
            same gradients for about a third more time. For an NVAE; other models here are too small to need it.
        ema_decay: of the exponential moving average of the weights and batch-norm statistics, which is the model that
            `train` gives back; 0 keeps none. Early on the average is shorter (see `vaelib.training.ema`).
        seed: of the order of the images and of the noise. The initial weights are the model's own affair.
        deterministic: on CUDA, take only convolution algorithms that give the same bits every time. Resuming exactly
            needs it; without it cuDNN may be faster.
        log_every: steps between rows of the history. Each row averages the steps since the last.
        validate_every: steps between validations, when `train` is given validation images; 0 validates at the end only.
        validation_images: how many of them to use, from the first; 0 uses all.
        checkpoint_every: steps between checkpoints, when there is a run folder; 0 writes one at the end only.
        tensorboard: also log to `tensorboard/` in the run folder.
    """

    steps: int = 1000
    batch_size: int = 128
    learning_rate: float = 1e-3
    optimiser: Optimiser = "adam"
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    learning_rate_warmup: int = 0
    schedule: Schedule = "constant"
    final_learning_rate: float = 0.0
    gradient_clip: float | None = None
    accumulate: int = 1
    precision: Precision = "auto"
    channels_last: bool = True
    compile: bool = False
    checkpoint_activations: bool = False
    ema_decay: float = 0.0
    seed: int = 0
    deterministic: bool = True
    log_every: int = 20
    validate_every: int = 0
    validation_images: int = 1000
    checkpoint_every: int = 500
    tensorboard: bool = False

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("steps", "batch_size", "accumulate", "log_every"):
            _check(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        for name in ("learning_rate_warmup", "validate_every", "validation_images", "checkpoint_every", "seed"):
            _check(getattr(self, name) >= 0, name, "0 or more", getattr(self, name))
        for name in ("learning_rate", "epsilon"):
            _check(0 < getattr(self, name) < math.inf, name, "positive and finite", getattr(self, name))
        for name in ("weight_decay", "final_learning_rate"):
            _check(0 <= getattr(self, name) < math.inf, name, "0 or more, and finite", getattr(self, name))
        for name, kinds in (("optimiser", Optimiser), ("schedule", Schedule), ("precision", Precision)):
            value, known = getattr(self, name), get_args(kinds)
            _check(value in known, name, f"one of {', '.join(known)}", value, near_miss(str(value), known))
        _check(len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas), "betas", "two in [0, 1)", self.betas)
        _check(0 <= self.ema_decay < 1, "ema_decay", "in [0, 1)", self.ema_decay)
        clip = self.gradient_clip
        _check(clip is None or 0 < clip < math.inf, "gradient_clip", "positive and finite, or None", clip)
        warmup = self.learning_rate_warmup
        _check(warmup < self.steps, "learning_rate_warmup", f"less than the {self.steps} steps of the run", warmup)
        final = self.final_learning_rate
        _check(
            final <= self.learning_rate, "final_learning_rate", f"at most learning_rate, {self.learning_rate}", final
        )
        if self.schedule == "constant":
            _check(final == 0, "final_learning_rate", "0 where the schedule is 'constant'; 'cosine' has an end", final)
        if self.schedule == "exponential":
            _check(final > 0, "final_learning_rate", "above 0, which no exponential reaches", final)

    @property
    def images_per_step(self) -> int:
        """How many images one update of the weights sees."""
        return self.batch_size * self.accumulate


def _check(right: bool, name: str, expected: str, value: object, hint: str = "") -> None:
    if not right:
        raise ValueError(f"TrainConfig.{name} should be {expected}, not {value!r}.{hint}")
