"""Many inputs for the tasks of chapter 2, made without the checks."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch


def kl_space(random: np.random.Generator) -> dict[str, Any]:
    shape = tuple(random.integers(1, 9, 2))
    means = [torch.tensor(random.normal(0, random.uniform(0.1, 4), shape)) for _ in range(2)]
    logs = [torch.tensor(random.normal(random.uniform(-6, 1), random.uniform(0.1, 2), shape)) for _ in range(2)]
    return {"mean_q": means[0], "log_variance_q": logs[0], "mean_p": means[1], "log_variance_p": logs[1]}


def baseline_space(random: np.random.Generator) -> dict[str, Any]:
    mu, c = random.normal(0, 5, 2)
    return {"mu": float(mu), "sigma": float(random.lognormal(0, 1)), "c": float(c)}


class Bent(torch.nn.Module):
    """A decoder that differs from the one in the check."""

    def __init__(self, latents: int, pixels: int, random: np.random.Generator) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(random.normal(0, 1, (latents, pixels))))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.tanh(z @ self.weight) + 0.1 * (z**2).sum(dim=1, keepdim=True)


def loss_space(random: np.random.Generator) -> dict[str, Any]:
    images, pixels, latents = (int(size) for size in random.integers(1, 9, 3))
    coded = torch.tensor(random.normal(0, 1.5, (3, images, latents)))
    return {
        "x": torch.tensor(random.uniform(0, 1, (images, pixels))),
        "mean": coded[0].clone().requires_grad_(),
        "log_variance": (coded[1] - 1).clone().requires_grad_(),
        "epsilon": coded[2],
        "decode": Bent(latents, pixels, random),
        "variance_x": float(random.lognormal(-2, 1)),
        "beta": float(random.lognormal(0, 1)),
    }


def bound_space(random: np.random.Generator) -> dict[str, Any]:
    draws, images = (int(size) for size in random.integers(1, 40, 2))
    height = random.choice([-20_000.0, -1_000.0, -5.0, 0.0, 3_000.0])
    one, two, three = torch.tensor(random.normal(0, random.uniform(0.1, 30), (3, draws, images)))
    return {"log_likelihood": one + height, "log_prior": two, "log_posterior": three}


class Normed(torch.nn.Module):
    """A model with batch norm and dropout that differs from the one in the check."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.BatchNorm1d(pixels), torch.nn.Dropout(0.3), torch.nn.Linear(pixels, 3)
        )
        self.double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x).square().sum(dim=1) + 3


def evaluate_space(random: np.random.Generator) -> dict[str, Any]:
    pixels = int(random.integers(1, 6))
    model = Normed(pixels).train(bool(random.integers(2)))
    sizes = random.integers(2 if model.training else 1, 9, int(random.integers(1, 6)))
    return {
        "model": model,
        "batches": [torch.tensor(random.normal(i, 2, (int(size), pixels))) for i, size in enumerate(sizes)],
    }


def units_space(random: np.random.Generator) -> dict[str, Any]:
    return {
        "weight": float(random.lognormal(-2, 2)),
        "pixels": int(random.integers(1, 60_000)),
        "width": float(random.lognormal(0, 1)),
    }


SPACES: dict[str, Callable[[np.random.Generator], dict[str, Any]]] = {
    "02.kl": kl_space,
    "02.baseline": baseline_space,
    "02.loss": loss_space,
    "02.evaluate": evaluate_space,
    "02.bound": bound_space,
    "02.units": units_space,
}
