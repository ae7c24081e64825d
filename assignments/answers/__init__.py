"""Answers to the tasks, right ones in several styles and wrong ones with a mistake in each. They test the checks.

A chapter's answers are ordinary functions, marked with a decorator:

    @right("02.kl", "torch, one line")
    def one_line(mean_q, log_variance_q, mean_p, log_variance_p): ...

    @wrong("02.kl", "the ½ is forgotten", named="½ forgotten")
    def no_half(mean_q, log_variance_q, mean_p, log_variance_p): ...

where `named` is the known mistake that the check should recognise; without it, it is enough that the answer fails. A
formula is written as a function of nothing that gives it back, with `made=True`.
"""

import ast
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

CHAPTERS = tuple(sorted(file.stem.removeprefix("ch") for file in Path(__file__).parent.glob("ch[0-9][0-9].py")))


@dataclass(frozen=True)
class Planted:
    """One answer to a task.

    Attributes:
        task: the task's id.
        words: its style, or what is wrong with it.
        function: the function as it is written in the file.
        is_right: whether it should pass.
        named: the known mistake that should be recognised; None if it need not be.
        made: whether the answer is what the function gives back.
    """

    task: str
    words: str
    function: Callable[..., Any]
    is_right: bool
    named: str | None = None
    made: bool = False

    @property
    def answer(self) -> Any:
        """What is handed in."""
        return self.function() if self.made else self.function

    @property
    def definition(self) -> ast.FunctionDef:
        """Its syntax tree, without the mark on it."""
        for node in ast.parse(inspect.getsource(self.module)).body:
            if isinstance(node, ast.FunctionDef) and node.name == self.function.__name__:
                node.decorator_list = [each for each in node.decorator_list if not _is_mark(each)]
                return node
        raise LookupError(f"{self.function.__name__} is not at the top level of {self.module.__name__}")

    @property
    def module(self) -> ModuleType:
        return importlib.import_module(self.function.__module__)


def _is_mark(decorator: ast.expr) -> bool:
    return (
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Name)
        and decorator.func.id in ("right", "wrong")
    )


_planted: list[Planted] = []


def right(task: str, style: str, *, made: bool = False) -> Callable[[Callable], Callable]:
    """Mark a function as a right answer."""

    def mark(function: Callable) -> Callable:
        _planted.append(Planted(task, style, function, is_right=True, made=made))
        return function

    return mark


def wrong(task: str, what: str, *, named: str | None = None, made: bool = False) -> Callable[[Callable], Callable]:
    """Mark a function as a wrong answer."""

    def mark(function: Callable) -> Callable:
        _planted.append(Planted(task, what, function, is_right=False, named=named, made=made))
        return function

    return mark


def planted() -> list[Planted]:
    """All answers of all chapters."""
    for chapter in CHAPTERS:
        importlib.import_module(f"assignments.answers.ch{chapter}")
    return list(_planted)


def rights() -> list[Planted]:
    """The right ones."""
    return [each for each in planted() if each.is_right]


def wrongs() -> list[Planted]:
    """The wrong ones."""
    return [each for each in planted() if not each.is_right]
