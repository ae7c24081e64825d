"""The exponential moving average of a model: its weights and its batch-norm statistics."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def decay_at(decay: float, updates: int) -> float:
    """The decay of an update after `updates` earlier ones: min(decay, (1 + n) / (10 + n)).

    A decay of 0.999 remembers a thousand steps, mostly random weights when a run has only made five hundred. So the
    memory starts short and always covers about the last ninth of the run, until it reaches the decay asked for.
    """
    return min(decay, (1 + updates) / (10 + updates))


class ExponentialMovingAverage:
    """Averages every float parameter and buffer of a model.

    Attributes:
        values: the averages, by their names in the model's state dict.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._current = {
            name: tensor for name, tensor in model.state_dict(keep_vars=True).items() if tensor.is_floating_point()
        }
        self.values: dict[str, Tensor] = {name: tensor.detach().clone() for name, tensor in self._current.items()}

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """Move the averages towards the model's present state; `updates` is how often that was done before."""
        weight = 1.0 - decay_at(self.decay, updates)
        torch._foreach_lerp_(list(self.values.values()), [tensor.detach() for tensor in self._current.values()], weight)

    @torch.no_grad()
    def restore(self, values: Mapping[str, Tensor]) -> None:
        """Go on from the averages of a checkpoint."""
        for name, average in self.values.items():
            average.copy_(values[name])

    @torch.no_grad()
    def copy_to_model(self) -> None:
        """Make the averages the model's state."""
        for name, tensor in self._current.items():
            tensor.copy_(self.values[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the model has the averages; afterwards its own state again, bit for bit."""
        own = [tensor.detach().clone() for tensor in self._current.values()]
        self.copy_to_model()
        try:
            yield
        finally:
            with torch.no_grad():
                for tensor, value in zip(self._current.values(), own, strict=True):
                    tensor.copy_(value)
