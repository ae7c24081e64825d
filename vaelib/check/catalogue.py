"""The tasks by their ids, and the one function that a notebook needs: `check("02.kl", kl)`."""

import importlib
import os
import secrets
from pathlib import Path
from typing import Any

from vaelib.check.task import Task
from vaelib.check.verdict import Verdict
from vaelib.config import near_miss

CHAPTERS = tuple(
    sorted(path.name.removeprefix("chapter_") for path in Path(__file__).parent.glob("chapter_[0-9][0-9]"))
)
SEED = "VAELIB_CHECK_SEED"


def tasks(chapter: str | None = None) -> tuple[Task, ...]:
    """The tasks of a chapter such as "02", or all of them, in the order of their exercises.

    Raises:
        ValueError: no such chapter.
    """
    if chapter is None:
        return tuple(task for each in CHAPTERS for task in tasks(each))
    if chapter not in CHAPTERS:
        raise ValueError(f"there are no tasks of a chapter {chapter!r}; there are those of {', '.join(CHAPTERS)}")
    return importlib.import_module(f"vaelib.check.chapter_{chapter}").TASKS


def task(id: str) -> Task:
    """The task with this id, such as "02.kl".

    Raises:
        ValueError: no such task; the message names the near miss.
    """
    known = {each.id: each for each in tasks()}
    if id not in known:
        raise ValueError(f"there is no task {id!r}; there are {', '.join(known)}.{near_miss(id, known)}")
    return known[id]


def check(id: str, answer: Any, *, seed: int = 0) -> Verdict:
    """Test an answer, in a graded cell or while you work.

    Example:
        check("02.kl", kl)

    Args:
        id: which task.
        answer: the function or formula that the task asks for.
        seed: of the random inputs; another one tests the same properties on other inputs.
    Returns:
        The verdict of a right answer.
    Raises:
        CheckFailed: the answer is not right; the message says which property does not hold, on which input, and names
            the mistake if it is a known one.
    """
    return task(id).require(answer, seed=seed)


def fresh_seed() -> int:
    """The seed of hidden tests: that of the environment variable VAELIB_CHECK_SEED, else one that nobody knows.

    Grading sets the variable, so that all submissions of a class meet the same inputs, and meet them again when graded
    again.

    Raises:
        ValueError: the variable holds no whole number from 0 on.
    """
    value = os.environ.get(SEED)
    if value is None:
        return 1 + secrets.randbelow(2**31)
    if not value.isdecimal():
        raise ValueError(f"{SEED} should be a whole number from 0 on, not {value!r}")
    return int(value)
