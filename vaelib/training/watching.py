"""For whoever is watching: the progress bar, the throughput, and how long the run will take."""

import time
from typing import Any

from vaelib.console import progress_bar, say
from vaelib.models import Loss
from vaelib.training.config import TrainConfig
from vaelib.training.runs import duration

# Steps between updates of the numbers beside the bar, and after how many to say how long the run will take.
BAR_EVERY, ESTIMATE_AFTER = 10, 20


class Watch:
    """The clock and the voice of a run.

    Attributes:
        seconds: what the run has taken so far, earlier sittings included.
    """

    def __init__(self, config: TrainConfig, step: int, seconds: float, speaks: bool) -> None:
        self.config, self.first, self.speaks = config, step, speaks
        self.earlier, self.started = seconds, time.perf_counter()
        silent: dict[str, Any] = {} if speaks else {"disable": True}
        self.bar = progress_bar(total=config.steps, initial=step, unit="step", **silent)
        self.rest(step)

    @property
    def seconds(self) -> float:
        return self.earlier + time.perf_counter() - self.started

    def rest(self, step: int) -> None:
        """Measure the throughput anew, after anything that is not a training step."""
        self.mark, self.mark_step = time.perf_counter(), step

    def images_per_second(self, step: int) -> float:
        """Throughput since the last rest."""
        return (step - self.mark_step) * self.config.images_per_step / max(time.perf_counter() - self.mark, 1e-9)

    def step_done(self, step: int, loss: Loss) -> None:
        """Move the bar, and now and then the numbers beside it."""
        self.bar.update()
        if step % BAR_EVERY == 0 and not self.bar.disable:
            self.bar.set_postfix_str(self.remark(step, loss), refresh=False)
        if step == self.first + ESTIMATE_AFTER and step < self.config.steps:
            left = (time.perf_counter() - self.started) * (self.config.steps - step) / ESTIMATE_AFTER
            self.say(f"The remaining {self.config.steps - step} steps will take about {duration(left)}.")

    def remark(self, step: int, loss: Loss) -> str:
        """2890.1 nats/image (distortion 2850.0, rate 40.1), 440 images/s."""
        numbers = loss.summary()
        total = numbers.pop("total")
        # A divergence may be a few thousandths, a distortion thousands.
        terms = ", ".join(
            f"{name} {value:.1f}" if abs(value) >= 10 else f"{name} {value:.3g}" for name, value in numbers.items()
        )
        return f"{total:.1f} nats/image ({terms}), {self.images_per_second(step):.0f} images/s"

    def say(self, message: str) -> None:
        """A remark above the bar, by the main process only."""
        if self.speaks:
            say(message)
