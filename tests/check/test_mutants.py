"""Change one thing in a right answer, and the check should see it: at least 95 % of the mutants fail.

A mutant that passes is compared with its original on many inputs that know nothing of the check. If it does the same on
all of them, it is the same answer in other words (`sum(dim=1)` for `sum(dim=-1)`) and does not count.
"""

from dataclasses import replace

import pytest

from assignments.answers import rights
from tests.check.mutants import Made, mutants
from tests.check.spaces import equivalent
from vaelib.check import tasks

ENOUGH = 0.95
SECONDS = 3.0
FRESH = 314


@pytest.mark.parametrize("each", tasks(), ids=lambda each: each.id)
def test_nearly_every_mutant_of_a_right_answer_fails(each):
    impatient = replace(each, seconds=SECONDS, mistakes=())  # whether it fails, not why
    failed, equal, survived = 0, 0, []
    for planted in rights():
        if planted.task != each.id:
            continue
        for words, mutant in mutants(planted):
            answer = mutant
            if isinstance(mutant, Made):
                try:
                    answer = mutant.function()
                except Exception:
                    failed += 1  # no formula comes of it
                    continue
            if not impatient.check(answer).passed or not impatient.check(answer, seed=FRESH).passed:
                failed += 1
            elif equivalent(each, answer, planted.answer):
                equal += 1
            else:
                survived.append(f"{planted.words}: {words}")
    rate = failed / (failed + len(survived))
    print(
        f"{each.id}: {failed} failed, {equal} equivalent, {len(survived)} survived: {rate:.1%}", *survived, sep="\n  "
    )
    assert failed > 50
    assert rate >= ENOUGH, survived
