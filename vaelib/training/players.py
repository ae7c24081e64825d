"""A player of the training game with what the trainer keeps for it: an optimiser, and in float16 a loss scaler."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from vaelib.models import Model
from vaelib.training.config import TrainConfig


class TrainedPlayer:
    """One of `model.players()` in training.

    Attributes:
        name: as the model calls it; `index`: its place among the players, which `model.forward` wants.
        prefix: of its metrics. The first player's have none, so a VAE's distortion is `train/distortion`.
        parameters: those that it moves, by name.
        learning_rate_factor: its learning rate over the run's.
        optimiser, scaler: its own; the scaler is None unless the run is in float16.
    """

    def __init__(self, model: Model, index: int, config: TrainConfig, precision: str) -> None:
        player = model.players()[index]
        names = {parameter: name for name, parameter in model.named_parameters()}
        self.name, self.index = player.name, index
        self.prefix = f"{player.name}/" if index else ""
        own = [parameter for parameter in player.parameters if parameter.requires_grad]
        foreign = [tuple(parameter.shape) for parameter in own if parameter not in names]
        if foreign or not own:
            trouble = f"parameters {foreign} that the model does not have" if foreign else "nothing to train"
            raise ValueError(f"player {self.name!r} of this {type(model).__name__} has {trouble}")
        self.parameters: dict[str, nn.Parameter] = {names[parameter]: parameter for parameter in own}
        self.learning_rate_factor = player.learning_rate_factor
        self.optimiser = make_optimiser(config, own)
        self.scaler = torch.amp.GradScaler(own[0].device.type) if precision == "float16" else None

    def set_learning_rate(self, learning_rate: float) -> None:
        """Take this learning rate of the run, times the player's own factor."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate * self.learning_rate_factor

    def backward(self, total: Tensor) -> None:
        """Add the gradient of `total` to that of the parameters; in float16, scaled so that it does not vanish."""
        (total if self.scaler is None else self.scaler.scale(total)).backward()

    def gradient_norm(self, clip: float | None) -> Tensor:
        """The norm of the gradient, which is then scaled down to `clip` where it is larger."""
        if self.scaler is not None:
            self.scaler.unscale_(self.optimiser)
        gradients = [parameter.grad for parameter in self.parameters.values() if parameter.grad is not None]
        if clip is not None:
            return torch.nn.utils.clip_grad_norm_(self.parameters.values(), clip)
        return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))) if gradients else torch.zeros(())

    def overflow_is_harmless(self) -> bool:
        """Whether an infinite gradient only means that float16 was scaled too much, which the scaler will mend."""
        return self.scaler is not None and self.scaler.get_scale() > 1.0

    def step(self) -> None:
        """Move, and forget the gradient. A scaler skips the move and halves its scale when a gradient overflowed."""
        if self.scaler is None:
            self.optimiser.step()
        else:
            self.scaler.step(self.optimiser)
            self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, Tensor]:
        """The optimiser's moments, by `name of the parameter/name of the moment`."""
        return {
            f"{name}/{key}": value
            for name, parameter in self.parameters.items()
            for key, value in self.optimiser.state.get(parameter, {}).items()
        }

    def restore(self, tensors: dict[str, Tensor], scaler: dict[str, Any] | None) -> None:
        """Go on from the moments of a checkpoint."""
        state: dict[int, dict[str, Tensor]] = {}
        for index, (name, parameter) in enumerate(self.parameters.items()):
            moments = {
                key.rpartition("/")[2]: value for key, value in tensors.items() if key.rpartition("/")[0] == name
            }
            if moments:
                # In the parameter's own memory layout: fused optimisers walk over both in step.
                state[index] = {
                    key: torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
                    for key, value in moments.items()
                }
        self.optimiser.load_state_dict({"state": state, "param_groups": self.optimiser.state_dict()["param_groups"]})
        if self.scaler is not None and scaler is not None:
            self.scaler.load_state_dict(scaler)


def make_optimiser(config: TrainConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser that the settings name, fused into one kernel where torch has that."""
    parameters = list(parameters)
    settings: dict[str, Any] = {
        "lr": config.learning_rate,
        "betas": config.betas,
        "eps": config.epsilon,
        "weight_decay": config.weight_decay,
    }
    if config.optimiser == "adamax":  # torch has no fused one
        return torch.optim.Adamax(parameters, **settings)
    fused = parameters[0].device.type in ("cpu", "cuda")
    kind = torch.optim.Adam if config.optimiser == "adam" else torch.optim.AdamW
    return kind(parameters, fused=fused, **settings)


def check_players(players: list[TrainedPlayer]) -> None:
    """Raise a ValueError unless every player has a name and parameters of its own."""
    for index, player in enumerate(players):
        for other in players[:index]:
            shared = player.parameters.keys() & other.parameters.keys()
            if shared or player.name == other.name:
                what = f"both move {sorted(shared)[0]!r}" if shared else "have one name"
                raise ValueError(f"players {other.name!r} and {player.name!r} {what}: each needs its own")
