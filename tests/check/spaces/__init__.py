"""Many inputs for each task, made without the checks: on these, a mutant that passed is compared with its original.

A mutant that does the same as the answer it came from on all of them is another way to write that answer. Each chapter
has a module here with its `SPACES`: from a task's id to a function that draws the task's inputs.
"""

import importlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from vaelib.check.answer import Form, Trouble, as_array, forms
from vaelib.check.task import Task, undisturbed

MANY = 120


def space(task: Task) -> Callable[[np.random.Generator], dict[str, Any]]:
    """The function that draws inputs of a task."""
    chapter = task.id.split(".")[0]
    return importlib.import_module(f"tests.check.spaces.ch{chapter}").SPACES[task.id]


def seen(form: Form, inputs: dict[str, Any]) -> list[np.ndarray]:
    """What an answer gives back, the gradients that hang on it, and what it did to a model."""
    model = inputs.get("model")
    result = form(inputs)
    found = [as_array(result)]
    leaves = [leaf for leaf in inputs.values() if isinstance(leaf, torch.Tensor) and leaf.requires_grad]
    if "decode" in inputs:
        leaves += list(inputs["decode"].parameters())
    if isinstance(result, torch.Tensor) and leaves and result.requires_grad:
        found += [slope.numpy() for slope in torch.autograd.grad(result.sum(), leaves, materialize_grads=True)]
    if model is not None:
        found += [np.array(model.training), np.array(isinstance(result, torch.Tensor) and result.requires_grad)]
        found += [value.numpy() for value in model.state_dict().values()]
    return found


def equivalent(task: Task, mutant: Any, original: Any) -> bool:
    """Whether a mutant does what its original does, on many inputs."""

    def behaviours(answer: Any) -> Iterator[list[np.ndarray] | str]:
        random, draw = np.random.default_rng(20261126), space(task)
        ways = list(forms(task.prepared(answer), task.arguments, torch_only=task.torch_only))
        for number in range(MANY):
            with undisturbed(number):
                state = random.bit_generator.state
                outcome: list[np.ndarray] | str = "raised"
                for form in ways:
                    random.bit_generator.state = state
                    try:
                        outcome = seen(form, draw(random))
                        break
                    except (Trouble, ArithmeticError, RuntimeError):
                        continue
                yield outcome

    for one, other in itertools.zip_longest(behaviours(mutant), behaviours(original)):
        if isinstance(one, str) or isinstance(other, str) or len(one) != len(other):
            return False
        for a, b in zip(one, other, strict=True):
            scale = max(1.0, float(np.abs(b).max(initial=0.0))) if b.dtype != bool else 1.0
            if a.shape != b.shape or not np.allclose(a, b, rtol=1e-6, atol=1e-7 * scale, equal_nan=True):
                return False
    return True
