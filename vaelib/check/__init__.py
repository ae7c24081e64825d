"""The oracles behind the exercises: each task tells right from wrong by what an answer does, and says what it saw.

Example:
    from vaelib.check import check

    check("02.kl", kl)
"""

from vaelib.check.catalogue import check, fresh_seed, task, tasks
from vaelib.check.formula import FormulaTask
from vaelib.check.task import Broken, Mistake, Property, Task
from vaelib.check.verdict import CheckFailed, Verdict

__all__ = [
    "Broken",
    "CheckFailed",
    "FormulaTask",
    "Mistake",
    "Property",
    "Task",
    "Verdict",
    "check",
    "fresh_seed",
    "task",
    "tasks",
]
