"""Call an answer, whatever its style: torch or numpy, arguments in any order; and say clearly what went wrong.

An answer is only ever called. Its source is not read, parsed or executed in any other way.
"""

import copy
import inspect
import linecache
import numbers
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaelib.check.compare import Inputs


class Trouble(Exception):
    """What is wrong with an answer before its numbers can be looked at; the message ends without a full stop."""

    def __init__(self, message: str, raised: str = "") -> None:
        super().__init__(message)
        self.raised = raised


@dataclass(frozen=True)
class Form:
    """One way of calling an answer.

    Attributes:
        function: the answer.
        names: its arguments as the task names them, in the task's order.
        by_keyword: whether it knows these names; otherwise they are given in this order.
        as_numpy: whether tensors are given as numpy arrays.
    """

    function: Callable[..., Any]
    names: tuple[str, ...]
    by_keyword: bool = True
    as_numpy: bool = False

    def __call__(self, inputs: Inputs) -> Any:
        """What the answer gives back for these inputs, which it may not change.

        Raises:
            Trouble: it raised, gave nothing back, or changed an array that it was given.
        """
        given = {name: _numpy(value) if self.as_numpy else value for name, value in inputs.items()}
        before = {name: _copied(value) for name, value in given.items()}
        try:
            if self.by_keyword:
                result = self.function(**given)
            else:
                result = self.function(*(given[name] for name in self.names))
        except NotImplementedError as error:
            raise Trouble(
                "the answer is not written yet: it raises NotImplementedError", "NotImplementedError"
            ) from error
        except (Exception, SystemExit) as error:
            kind, said = type(error).__name__, f": {error}" if str(error) else ""
            raise Trouble(f"it raised {kind}{said}{_where(error, self.function)}", kind) from error
        if result is None:
            raise Trouble("it gives back None; is it written yet, with a `return` at its end?", "None")
        for name, value in given.items():
            if _changed(value, before[name]):
                raise Trouble(f"it changes its input `{name}` in place; the caller still needs it")
        return result


def forms(answer: Any, names: tuple[str, ...], *, torch_only: bool) -> Iterator[Form]:
    """The ways in which an answer may be called, the first one first.

    Args:
        answer: anything callable.
        names: the arguments that the task asks for.
        torch_only: whether arrays have to be tensors, since gradients are asked for.
    Raises:
        Trouble: it cannot be called with these arguments.
    """
    if answer is ...:
        raise Trouble("the answer is not written yet: it is still `...`", "NotImplementedError")
    if not callable(answer):
        raise Trouble(
            f"the answer should be a function of ({', '.join(names)}), and this is of type {type(answer).__name__}; "
            "give the function itself, without calling it"
        )
    by_keyword = _takes(answer, names)
    yield Form(answer, names, by_keyword)
    if not torch_only:
        yield Form(answer, names, by_keyword, as_numpy=True)


def _takes(function: Callable[..., Any], names: tuple[str, ...]) -> bool:
    """Whether a function takes the arguments by name; True if it cannot be told.

    Raises:
        Trouble: it takes them neither by name nor in order.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(**dict.fromkeys(names))
        return True
    except TypeError:
        pass
    try:
        signature.bind(*names)
        return False
    except TypeError as error:
        raise Trouble(f"the answer should take the arguments ({', '.join(names)}), and it takes {signature}") from error


def _where(error: BaseException, function: Callable[..., Any]) -> str:
    """The line of the answer's own file or cell at which it raised, if that is known."""
    code = getattr(function, "__code__", None)
    if code is None:
        return ""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == code.co_filename]
    if not frames or frames[-1].lineno is None:
        return ""
    line = linecache.getline(frames[-1].filename, frames[-1].lineno).strip()
    return f", at the line `{line}`" if line else ""


def as_array(result: Any, name: str = "the answer") -> np.ndarray:
    """What an answer gave back, as an array: of a tensor, an array, a number, or lists of these.

    Raises:
        Trouble: it is none of them.
    """
    try:
        array = _array(result)
    except (TypeError, ValueError) as error:
        raise Trouble(f"{name} should be numbers, and it is of type {type(result).__name__}", "type") from error
    if array.dtype == bool:
        return array
    if not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
        raise Trouble(f"{name} should be real numbers, and it has the type {array.dtype}", "type")
    return array.astype(np.float64)


def _array(result: Any) -> np.ndarray:
    if isinstance(result, Tensor):
        return result.detach().cpu().resolve_neg().numpy()
    if isinstance(result, (list, tuple)):
        return np.array([_array(item) for item in result])
    if isinstance(result, (np.ndarray, np.generic, numbers.Real)):
        return np.asarray(result)
    if hasattr(result, "__float__"):  # a sympy number
        return np.asarray(float(result))
    raise TypeError


def fresh(inputs: Inputs) -> Inputs:
    """A copy of inputs for one more call: what the last call did to a module or a gradient is not in it."""
    return {name: _copied(value) for name, value in inputs.items()}


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, (list, tuple)):
        return [_copied(item) for item in value]
    return copy.deepcopy(value) if isinstance(value, torch.nn.Module) else value


def _numpy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().numpy().copy()
    if isinstance(value, (list, tuple)):
        return [_numpy(item) for item in value]
    return value


def _changed(now: Any, before: Any) -> bool:
    if isinstance(now, Tensor):
        return now.shape != before.shape or not torch.equal(now, before)
    if isinstance(now, np.ndarray):
        return not np.array_equal(now, before)
    if isinstance(now, list):
        return len(now) != len(before) or any(map(_changed, now, before))
    return False
