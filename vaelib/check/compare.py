"""When two behaviours agree, and how to say on what input they did not."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

Inputs = dict[str, Any]
Behaviour = dict[str, np.ndarray]
"""What was seen when an answer was called: its value, perhaps gradients, by name."""

# Whatever is computed in float64 may contain a constant in float32, such as torch.tensor(math.pi).
EXACT, ROUGH = 1e-6, 1e-3
MOST_NUMBERS = 12


def tolerance(inputs: Mapping[str, Any]) -> float:
    """How far numbers may be apart, relative to the largest: by the least precise input."""
    flat = [item for value in inputs.values() for item in (value if isinstance(value, (list, tuple)) else [value])]
    rough = any(isinstance(item, torch.Tensor) and item.dtype == torch.float32 for item in flat)
    return ROUGH if rough else EXACT


def agree(one: np.ndarray, other: np.ndarray, within: float) -> bool:
    """Whether two arrays have one shape and the same numbers; infinite and undefined ones in the same places."""
    if one.shape != other.shape:
        return False
    if one.dtype == bool or other.dtype == bool:
        return np.array_equal(one, other)
    finite = np.isfinite(other)
    if not np.array_equal(finite, np.isfinite(one)):
        return False
    if not np.array_equal(one[~finite], other[~finite], equal_nan=True):
        return False
    if not finite.any():
        return True
    scale = max(1.0, float(np.abs(other[finite]).max()))
    return bool(np.all(np.abs(one[finite] - other[finite]) <= within * scale))


def difference(seen: Behaviour, expected: Behaviour, within: float) -> str | None:
    """In what two behaviours differ, in words; None where they agree."""
    for name, wanted in expected.items():
        got = seen[name]
        if got.shape != wanted.shape:
            return f"{name} has the shape {got.shape}, and {wanted.shape} is asked for"
        if not np.isfinite(got).all() and np.isfinite(wanted).all():
            return f"{name} is {numbers(got)}, which is not finite; it should be {numbers(wanted)}"
        if not agree(got, wanted, within):
            return f"{name} is {numbers(got)} and should be {numbers(wanted)}"
    return None


def same_behaviour(seen: Behaviour, expected: Behaviour, within: float) -> bool:
    """Whether nothing differs, what was raised included."""
    return seen.keys() == expected.keys() and all(agree(seen[name], expected[name], within) for name in expected)


def numbers(values: np.ndarray | torch.Tensor) -> str:
    """A short array in one line, a long one by its shape and its first numbers."""
    array = np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values)
    if array.size > MOST_NUMBERS:
        first = ", ".join(_number(value) for value in array.flatten()[:3])
        return f"{array.shape}-array [{first}, …]"
    if array.dtype == bool:
        return str(array.tolist())
    return _nested(array.tolist())


def _nested(values: Any) -> str:
    return f"[{', '.join(map(_nested, values))}]" if isinstance(values, list) else _number(values)


def _number(value: float) -> str:
    return f"{value:.6g}"


def shown(inputs: Mapping[str, Any]) -> str:
    """The inputs, one on a line."""
    return "\n".join(f"{name} = {_shown(value)}" for name, value in inputs.items())


def _shown(value: Any) -> str:
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return numbers(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, float):
        return _number(value)
    return str(value)
