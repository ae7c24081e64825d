"""The tasks of chapter 2, in the order of its exercises."""

from vaelib.check.chapter_02 import baseline, bound, evaluate, kl, loss, units

TASKS = (kl.TASK, baseline.TASK, loss.TASK, evaluate.TASK, bound.TASK, units.TASK)
