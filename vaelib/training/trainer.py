"""The trainer: one loop, for every model.

It stands on Hugging Face accelerate, which finds the device and joins the processes: `accelerate launch --multi_gpu
--num_processes 8 train.py` runs this loop on eight GPUs, or, where there is none, in eight processes of the CPU.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from vaelib.config import to_dict
from vaelib.data.image_set import ImageSet
from vaelib.models import Loss, Model, Progress
from vaelib.training import runs
from vaelib.training.checkpoint import TrainingState, find_checkpoint, identity, read_checkpoint, write_checkpoint
from vaelib.training.config import TrainConfig
from vaelib.training.ema import ExponentialMovingAverage
from vaelib.training.guard import NonFiniteError, explain
from vaelib.training.history import History, Row, RunningMeans
from vaelib.training.interrupts import StopWishes
from vaelib.training.machine import Machine
from vaelib.training.players import TrainedPlayer, check_players
from vaelib.training.preflight import check_arguments, check_processes
from vaelib.training.randomness import ImageOrder, own_randomness, seed_noise
from vaelib.training.schedules import learning_rate_at
from vaelib.training.validation import validate
from vaelib.training.watching import Watch


@dataclass(frozen=True)
class TrainResult:
    """What `train` gives back.

    Attributes:
        model: the model that was given, trained, in eval mode and on the device it came from; with the averaged weights
            where `ema_decay` is set.
        history: the metrics, by step.
        run: the run's folder, or None.
        steps, images_seen: of the whole run; `seconds`: all the time it took, earlier sittings included.
    """

    model: Model
    history: History
    run: Path | None
    steps: int
    images_seen: int
    seconds: float


def train(
    model: Model,
    data: ImageSet,
    config: TrainConfig | None = None,
    *,
    validation: ImageSet | None = None,
    run: str | Path | None = None,
    resume: bool = True,
    callback: Callable[[Model, Row], None] | None = None,
) -> TrainResult:
    """Train a model on images.

        result = vaelib.train(model, faces, TrainConfig(steps=800, ema_decay=0.999), run="first")

    With a `run`, everything is written to `runs/first/`: metrics as they come, checkpoints, the final model. Call it
    again after an interruption, with the same arguments, and it ends with the same weights, to the bit, as if nothing
    had happened (on the same machine); call it again after the end, and it gives the result without training.

    Args:
        model: trained in place, from the weights it has, on the fastest device there is; it comes back to its own.
        data: the images to learn from. `validation`: others, to compute the same objective on.
        config: see `TrainConfig`; its defaults when None.
        run: a name below `runs/`, or a path. None writes nothing, and an interruption loses everything.
        resume: go on from the run's checkpoint, if there is one. False deletes what an earlier run left there.
        callback: called with the model and each row of the history, by the main process. It may use the model's verbs;
            it cannot disturb the training's randomness.
    Raises:
        ValueError, TypeError: the arguments do not fit together, or not with the checkpoint; before the first step.
        NonFiniteError: a loss or gradient was not finite; the message names the layer. The weights are unharmed.
        KeyboardInterrupt: after Ctrl-C, when the step is finished and the checkpoint written. SIGTERM: SystemExit.
    """
    config = config or TrainConfig()
    folder = runs.run_folder(run)
    check_arguments(model, data, config, validation, folder is not None)
    machine = Machine(config)
    check_processes(config, machine.processes)
    with own_randomness(machine.device), machine.convolutions(config.deterministic), prepared(model, config, machine):
        return Trainer(model, data, config, machine, validation, folder, resume, callback).train()


@contextmanager
def prepared(model: Model, config: TrainConfig, machine: Machine) -> Iterator[None]:
    """Inside, the model is on the device, in the memory layout of the run and in training mode; afterwards plain again,
    in eval mode, and on the device it came from: what follows a training in a notebook need not know where it ran."""
    home = model.device
    trainable = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    model.to(machine.device)
    model.to(memory_format=machine.layout)
    model.train()
    checkpointing = model.checkpoint_activations
    if config.checkpoint_activations:
        model.checkpoint_activations = True
    # The networks are compiled one by one: what joins them, and the loss, changes from step to step.
    networks = model.networks()
    for network in networks if config.compile else ():
        network.compile()
    try:
        yield
    finally:
        model.checkpoint_activations = checkpointing
        for network in networks:
            network._compiled_call_impl = None
        for parameter, flag in trainable:
            parameter.requires_grad_(flag)
        model.zero_grad(set_to_none=True)
        model.to(memory_format=torch.contiguous_format)
        model.to(home)
        model.eval()


class Trainer:
    """One run: what it is made of, the loop, and the few things that the loop does."""

    def __init__(
        self,
        model: Model,
        data: ImageSet,
        config: TrainConfig,
        machine: Machine,
        validation: ImageSet | None,
        folder: Path | None,
        resume: bool,
        callback: Callable[[Model, Row], None] | None,
    ) -> None:
        self.model, self.config, self.machine, self.callback = model, config, machine, callback
        self.players = [TrainedPlayer(model, index, config, machine.precision) for index in range(len(model.players()))]
        check_players(self.players)
        self.ema = ExponentialMovingAverage(model, config.ema_decay) if config.ema_decay else None
        self.state = TrainingState(model, self.players, self.ema)
        self.parameters, self.buffers = dict(model.named_parameters()), list(model.buffers())
        self.kept_buffers = [buffer.clone() for buffer in self.buffers]
        self.images, self.order = len(data), ImageOrder(len(data), config.seed)
        self.identity = identity(model, data, config, machine.precision, machine.processes)
        self.data, self.validation = machine.place(data), validation
        self.wrapped = machine.wrap(model)
        # Where the run lives, and where it stands. All processes read the checkpoint, the main one writes.
        self.folder = folder
        if folder is not None and machine.is_main and not resume:
            runs.clear(folder)
        machine.wait()
        checkpoint = find_checkpoint(folder) if folder is not None else None
        if checkpoint is not None:
            read_checkpoint(checkpoint, self.state, self.identity)
        machine.wait()
        self.run: runs.RunFolder | None = None
        if folder is not None and machine.is_main:
            description = {
                "model": self.identity["model"],
                "dataset": data.name,
                **({"crop": data.crop} if data.crop else {}),
                "data": data.key,
                "train": to_dict(config) | {"precision": machine.precision},
                "processes": machine.processes,
                "hardware": runs.hardware(machine.device),
                "versions": runs.versions(),
            }
            self.run = runs.RunFolder(folder, description, self.state.step, config.tensorboard)
        self.history = History(self.run.rows if self.run is not None else None)
        self.watch = Watch(config, self.state.step, self.state.seconds, machine.is_main)
        if checkpoint is not None:
            self.watch.say(f"Going on from step {self.state.step} of {config.steps}, with {checkpoint}.")

    def train(self) -> TrainResult:
        """The loop, and what has to happen around it."""
        with StopWishes(second_interrupts=self.machine.processes == 1) as wishes, self.watch.bar:
            try:
                self.loop(wishes)
                result = self.finish()
            finally:
                if self.run is not None:
                    self.run.close()
            if wishes.signal is not None:
                raise wishes.exception("interrupted when training had just finished")
        return result

    def loop(self, wishes: StopWishes) -> None:
        """Step after step, until the last or until somebody wishes to stop."""
        config, state = self.config, self.state
        while state.step < config.steps:
            learning_rate = learning_rate_at(config, state.step)
            if self.buffers:
                torch._foreach_copy_(self.kept_buffers, self.buffers)
            for player in self.players:
                player.set_learning_rate(learning_rate)
            losses = [self.move(player) for player in self.players]
            if self.ema is not None:
                self.ema.update(state.step)
            state.step += 1

            self.watch.step_done(state.step, losses[0])
            finished = state.step == config.steps
            validating = self.validation is not None and (finished or divides(config.validate_every, state.step))
            if finished or validating or divides(config.log_every, state.step):
                self.write_row(learning_rate, validating)
            stopping = self.machine.anywhere(wishes.signal is not None)
            if finished or stopping or divides(config.checkpoint_every, state.step):
                self.save_checkpoint()
            if stopping and not finished:
                raise wishes.exception(self.say_stopped())

    def move(self, player: TrainedPlayer) -> Loss:
        """One update of a player's parameters, and of no others; its loss on the (last) batch."""
        for name, parameter in self.parameters.items():
            parameter.requires_grad_(name in player.parameters)
        config, means, prefix = self.config, self.state.means, f"train/{player.prefix}"
        totals = torch.zeros((), device=self.machine.device)
        for part in range(config.accumulate):
            last = part == config.accumulate - 1
            with nullcontext() if last else self.machine.unsynchronised(self.wrapped):
                loss = self.forward(self.wrapped, player, part)
                player.backward(loss.total / config.accumulate)
            totals += loss.total.detach()
            means.add_loss(prefix, loss)
        norm = player.gradient_norm(config.gradient_clip)
        # The one number that every step looks at. A GPU is waited for here, and no bad step ever reaches the weights.
        finite = math.isfinite(totals + norm) or (player.overflow_is_harmless() and math.isfinite(totals))
        if self.machine.anywhere(not finite):
            raise self.bad_step(player)
        if math.isfinite(norm):
            means.add(prefix + "gradient_norm", norm)
        player.step()
        return loss

    def forward(self, model: nn.Module, player: TrainedPlayer, part: int) -> Loss:
        """A player's loss on one of the step's batches. It follows from weights and step, so it can be repeated."""
        config, machine, step = self.config, self.machine, self.state.step
        share = config.batch_size // machine.processes
        start = step * config.images_per_step + part * config.batch_size + machine.process * share
        batch = machine.batch(self.data, self.order.between(start, start + share))
        seed_noise(machine.device, config.seed, "noise", step, part, player.index, machine.process)
        with machine.autocast():
            return model(batch, Progress(step, config.steps, self.images), player.index)

    def bad_step(self, player: TrainedPlayer) -> NonFiniteError:
        """The error that names where a number stopped being one. The model stays as the step before left it."""
        parts = range(self.config.accumulate)
        cause = explain(self.model, [partial(self.forward, self.model, player, part) for part in parts])
        for buffer, kept in zip(self.buffers, self.kept_buffers, strict=True):
            buffer.copy_(kept)
        checkpoint = find_checkpoint(self.folder) if self.folder is not None else None
        intact = f" and {checkpoint} is intact" if checkpoint is not None else ""
        return NonFiniteError(
            f"step {self.state.step} of player {player.name!r} made a number that is not finite: {cause}. The model is "
            f"as the step before left it{intact}. A lower learning rate, a longer warm-up of it, gradient_clip or "
            "precision='float32' may help; resuming with the same settings comes to the same step."
        )

    def write_row(self, learning_rate: float, validating: bool) -> None:
        """One row of the history: the means since the last, and what validation says."""
        config, state, machine = self.config, self.state, self.machine
        seen = state.step * config.images_per_step
        row: Row = {
            "step": state.step,
            "epoch": seen / self.images,
            "images_seen": seen,
            "learning_rate": learning_rate,
            "images_per_second": self.watch.images_per_second(state.step),
            **machine.mean(state.means.means()),
        }
        state.means = RunningMeans()
        if validating and machine.is_main:
            row |= self.validate("validation/")
            if self.ema is not None:
                with self.ema.applied():
                    row |= self.validate("validation/ema/")
        self.history.rows.append(row)
        if self.run is not None:
            self.run.add(row)
        if self.callback is not None and machine.is_main:
            self.callback(self.model, row)
        self.watch.rest(state.step)

    def validate(self, prefix: str) -> Row:
        """The terms of the loss on the validation images, named with this prefix."""
        assert self.validation is not None
        terms = validate(self.model, self.players, self.validation, self.config, self.machine, self.images)
        return {prefix + name: value for name, value in terms.items()}

    def save_checkpoint(self) -> None:
        """Write all that the next step depends on."""
        state, machine = self.state, self.machine
        state.seconds = self.watch.seconds
        if machine.processes > 1:
            state.means.restore(machine.mean(state.means.totals()), state.means.counts, machine.device)
        if self.run is not None:
            write_checkpoint(self.run.path / "checkpoint", state, self.identity)
        self.watch.rest(state.step)

    def finish(self) -> TrainResult:
        """Put the averaged weights into the model, and save it."""
        state, images_seen = self.state, self.state.step * self.config.images_per_step
        if self.ema is not None:
            self.ema.copy_to_model()
        self.machine.share(self.model.state_dict().values())
        if self.run is not None:
            outcome = {
                "steps": state.step,
                "images_seen": images_seen,
                "seconds": round(state.seconds, 1),
                "weights": "averaged" if self.ema is not None else "raw",
                "metrics": {name: value for name, value in self.history.last().items() if math.isfinite(value)},
            }
            self.run.finish(self.model, outcome)
        self.machine.wait()
        return TrainResult(self.model, self.history, self.folder, state.step, images_seen, state.seconds)

    def say_stopped(self) -> str:
        """What to do after an interruption."""
        message = f"Stopped after step {self.state.step} of {self.config.steps}. "
        if self.folder is None:
            message += "Nothing was saved, for want of a run folder: train(…, run='NAME') can be resumed."
        else:
            message += f"Train again with the same settings and run={str(self.folder)!r} to go on from here."
        self.watch.say(message)
        return message


def divides(every: int, step: int) -> bool:
    """Whether something that happens every so many steps (0: never) happens at this one."""
    return every > 0 and step % every == 0
