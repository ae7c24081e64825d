"""Random inputs, small ones first: the first input on which an answer fails should be one that fits on a line."""

import numpy as np
import torch
from torch import Tensor


class Draw:
    """A source of random inputs, the same for the same key.

    Args:
        key: whole numbers; each property and each repetition has its own.
        growth: from 0 to 1, how much of their range `size` may use.
    """

    def __init__(self, *key: int, growth: float = 1.0) -> None:
        self.random = np.random.default_rng(key)
        self.growth = growth

    def size(self, least: int, most: int) -> int:
        """A whole number from `least` to `most`, or to less than that while inputs should be small."""
        return int(self.random.integers(least, least + round((most - least) * self.growth) + 1))

    def number(self, low: float, high: float) -> float:
        """A number between the two, with three decimals, so that it reads well."""
        return round(float(self.random.uniform(low, high)), 3)

    def normal(self, *shape: int, mean: float = 0.0, scale: float = 1.0, dtype: torch.dtype = torch.float64) -> Tensor:
        """Gaussian numbers with three decimals."""
        drawn = self.random.normal(mean, scale, shape).round(3)
        return torch.tensor(drawn, dtype=dtype)

    def permutation(self, count: int) -> Tensor:
        """The numbers from 0 to count − 1 in random order, never in their own (count ≥ 2)."""
        order = self.random.permutation(count)
        return torch.tensor(np.roll(order, 1) if (order == np.arange(count)).all() else order)
