"""The checks tell right from wrong: answers in several styles pass, every planted mistake fails, most by name."""

from collections import Counter

import pytest

from assignments.answers import Planted, planted, rights, wrongs
from vaelib.check import task, tasks

SEEDS = (0, 1, 123_456_789)


def words(each: Planted) -> str:
    return f"{each.task}: {each.words}"


@pytest.mark.parametrize("each", rights(), ids=words)
def test_a_right_answer_passes_whatever_the_seed(each):
    for seed in SEEDS:
        verdict = task(each.task).check(each.answer, seed=seed)
        assert verdict.passed, verdict


@pytest.mark.parametrize("each", wrongs(), ids=words)
def test_a_wrong_answer_fails_and_is_called_by_its_name_whatever_the_seed(each):
    for seed in SEEDS:
        verdict = task(each.task).check(each.answer, seed=seed)
        assert not verdict.passed, f"passes with seed {seed}"
        assert verdict.mistake == (each.named or ""), verdict
        assert verdict.message


@pytest.mark.parametrize("each", tasks(), ids=lambda each: each.id)
def test_a_task_has_three_right_answers_and_eight_wrong_ones_of_which_most_are_named(each):
    answers = [answer for answer in planted() if answer.task == each.id]
    wrong = [answer for answer in answers if not answer.is_right]
    assert len(answers) - len(wrong) >= 3
    assert len(wrong) >= 8
    assert sum(answer.named is not None for answer in wrong) >= 0.7 * len(wrong)


@pytest.mark.parametrize("each", tasks(), ids=lambda each: each.id)
def test_the_oracle_is_right_and_every_known_mistake_recognises_itself(each):
    assert each.check(each.oracle, seed=5).passed
    for mistake in each.mistakes:
        verdict = each.check(mistake.answer, seed=5)
        assert not verdict.passed, f"{mistake.name} passes"
        assert verdict.mistake == mistake.name, f"{mistake.name} is taken for {verdict.mistake!r}"


@pytest.mark.parametrize("each", tasks(), ids=lambda each: each.id)
def test_hints_are_sentences_and_names_differ(each):
    names = Counter(mistake.name for mistake in each.mistakes)
    assert max(names.values()) == 1
    for mistake in each.mistakes:
        assert mistake.hint[-1] in ".?!", mistake.name
        assert 20 < len(mistake.hint) < 300, mistake.name


def test_named_mistakes_exist():
    known = {(each.id, mistake.name) for each in tasks() for mistake in each.mistakes}
    assert {(each.task, each.named) for each in planted() if each.named} <= known
