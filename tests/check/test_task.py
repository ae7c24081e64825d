"""What a check does with answers of every style, with answers that are none, and with the notebook around it."""

import math
import random
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import sympy
import torch

from vaelib.check import CheckFailed, check, fresh_seed, task, tasks
from vaelib.check.answer import as_array
from vaelib.check.watchdog import TimeUp, time_limit

KL = task("02.kl")


def right(mean_q, log_variance_q, mean_p, log_variance_p):
    ratio = log_variance_q - log_variance_p
    return 0.5 * (ratio.exp() + (mean_q - mean_p) ** 2 * (-log_variance_p).exp() - 1 - ratio).sum(dim=1)


class Callable:
    def __call__(self, mean_q, log_variance_q, mean_p, log_variance_p, unused=None):
        return right(mean_q, log_variance_q, mean_p, log_variance_p)


def in_numpy(*, log_variance_p, mean_p, log_variance_q, mean_q):
    r = log_variance_q - log_variance_p
    return 0.5 * np.einsum("bd->b", np.exp(r) + (mean_q - mean_p) ** 2 * np.exp(-log_variance_p) - 1 - r)


@pytest.mark.parametrize(
    "answer",
    [
        right,
        Callable(),
        in_numpy,
        lambda a, b, c, d: right(a, b, c, d),
        lambda **given: right(**given).tolist(),
        lambda *given: [price.item() for price in right(*given)],
        lambda *given: list(right(*given)),
        lambda *given: right(*given).detach().numpy(),
    ],
)
def test_style_does_not_matter(answer):
    assert KL.check(answer).passed


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (3, "give the function itself"),
        (right(*torch.ones(4, 2, 2)), "give the function itself"),
        (..., "not written yet"),
        (lambda mean_q: 0, "should take the arguments (mean_q, log_variance_q, mean_p, log_variance_p)"),
        (lambda *given: None, "`return`"),
        (lambda *given: "0.5", "should be numbers"),
        (lambda *given: 1 / 0, "ZeroDivisionError"),
        (lambda *given: sys.exit("bye"), "SystemExit"),
        (lambda *given: right(*given) * torch.nan, "nan"),
        (lambda *given: [[1.0], [1.0, 2.0]], "should be numbers"),
    ],
)
def test_what_is_no_answer_is_told_why(answer, words):
    verdict = KL.check(answer)
    assert not verdict.passed
    assert words in str(verdict)


def not_written(mean_q, log_variance_q, mean_p, log_variance_p):
    raise NotImplementedError


def test_an_answer_that_is_not_written_yet_is_told_so_and_nothing_else():
    verdict = KL.check(not_written)
    assert "not written yet" in verdict.message
    assert not verdict.property
    assert not verdict.hint


def test_an_answer_that_raises_is_shown_its_own_line():
    def careless(mean_q, log_variance_q, mean_p, log_variance_p):
        return mean_q.no_such_method()

    assert "`return mean_q.no_such_method()`" in KL.check(careless).message


def test_an_answer_may_not_change_its_inputs():
    def careless(mean_q, log_variance_q, mean_p, log_variance_p):
        mean_q -= mean_p
        return right(mean_q, log_variance_q, torch.zeros_like(mean_p), log_variance_p)

    assert "changes its input `mean_q`" in KL.check(careless).message


def test_a_failing_check_shows_property_input_and_hint():
    verdict = KL.check(lambda *given: 2 * right(*given))
    for text in (str(verdict), repr(verdict), verdict._repr_html_()):
        assert verdict.property.split(",")[0] in text
        assert "log_variance_p = [[" in text
        assert verdict.hint.split("?")[0].replace("'", "&#x27;") in text or verdict.hint in text
    assert len(verdict.inputs) < 200


def test_what_an_answer_says_cannot_become_part_of_the_page():
    def rude(*given):
        raise ValueError("<script>alert(1)</script>")

    assert "<script>" not in KL.check(rude)._repr_html_()


def test_check_raises_an_assertion_error_with_the_words_of_the_verdict():
    assert check("02.kl", right).passed
    with pytest.raises(CheckFailed, match="Which factor stands before every term") as failure:
        check("02.kl", lambda *given: 2 * right(*given))
    assert isinstance(failure.value, AssertionError)
    assert failure.value._render_traceback_() == str(failure.value).splitlines()


def test_an_unknown_task_is_an_error_that_names_the_near_miss():
    with pytest.raises(ValueError, match=r"Did you mean '02\.kl'"):
        task("02.k")
    with pytest.raises(ValueError, match="chapter"):
        tasks("77")


def test_another_seed_means_other_inputs_and_one_seed_the_same():
    def first_input(seed):
        seen = []
        KL.check(lambda *given: seen.append(given[0].clone()) or right(*given), seed=seed)
        return seen[0]

    assert torch.equal(first_input(1), first_input(1))
    assert not torch.equal(first_input(1), first_input(2))


def test_a_check_leaves_the_notebook_as_it_was(capsys):
    torch.manual_seed(3), random.seed(3), np.random.seed(3)  # noqa: NPY002
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    with torch.no_grad():
        assert task("02.loss").check(task("02.loss").oracle).passed
        assert not torch.is_grad_enabled()
    KL.check(lambda *given: print("noise") or torch.randn(3) or random.random())
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    assert capsys.readouterr().out == ""


def test_what_a_wrong_answer_printed_last_is_shown():
    def talkative(*given):
        print("shape", tuple(given[0].shape))
        return 2 * right(*given)

    assert "shape (1, 1)" in str(KL.check(talkative))


def stubborn(*given, **named):
    while True:
        try:  # noqa: SIM105  (as a student may write)
            math.sqrt(2)
        except:  # noqa: E722
            pass


@pytest.mark.parametrize("each", tasks(), ids=lambda each: each.id)
def test_an_endless_loop_is_stopped(each):
    verdict = replace(each, seconds=0.3).check(stubborn)
    assert "does not end" in verdict.message
    assert not verdict.passed


def test_an_endless_loop_is_stopped_on_another_thread_too():
    verdicts = []
    thread = threading.Thread(target=lambda: verdicts.append(replace(KL, seconds=0.3).check(stubborn)))
    thread.start()
    thread.join(timeout=20)
    assert "does not end" in verdicts[0].message


def test_a_limit_that_is_not_reached_does_nothing():
    with time_limit(0.2):
        pass
    time.sleep(0.3)
    with pytest.raises(TimeUp), time_limit(0.1):
        time.sleep(5)
    with pytest.raises(ValueError, match="positive"), time_limit(0):
        pass


@pytest.mark.parametrize("each", tasks(), ids=lambda each: each.id)
def test_a_check_asks_for_less_than_a_thousand_calls(each):
    """What makes a check quick on any machine: it calls an answer a few hundred times, on small inputs."""
    calls = []

    def counted(**given):
        calls.append(sum(value.numel() for value in given.values() if isinstance(value, torch.Tensor)))
        return each.oracle(**given)

    assert each.check(counted).passed
    assert len(calls) < 1_000
    assert max(calls) < 100_000


def test_fresh_seeds_come_from_the_grader_or_from_nowhere(monkeypatch):
    monkeypatch.setenv("VAELIB_CHECK_SEED", "17")
    assert fresh_seed() == 17
    monkeypatch.setenv("VAELIB_CHECK_SEED", "seventeen")
    with pytest.raises(ValueError, match="whole number"):
        fresh_seed()
    monkeypatch.delenv("VAELIB_CHECK_SEED")
    assert fresh_seed() != fresh_seed()


FORMULA = task("02.baseline")


@pytest.mark.parametrize(
    "answer", ["(mu - c)**2 + 3*sigma**2", "3*σ**2 + (c - μ)**2", "exp(log(sigma**2))*3 + (mu-c)**2"]
)
def test_a_formula_may_be_a_string(answer):
    assert FORMULA.check(answer).passed


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("mu^2", "two stars"),
        ("(mu - c", "cannot be read"),
        ("x**2", "may use mu, sigma, c"),
        ("__import__('os').system('true')", "numbers, names"),
        ("(lambda: 3)()", "numbers, names"),
        ("mu if c else sigma", "numbers, names"),
        ("9**9**9", "power"),
        ("1+" * 2_000 + "1", "characters"),
        ("sqrt(-1 - mu**2)", "no real number"),
        ("1/(mu - mu)", "no real number"),
        (sympy.Symbol("theta") ** 2, "may use mu, sigma, c"),
        (sympy.Eq(sympy.Symbol("mu"), 1), "expression for a number"),
        ("", "cannot be read"),
    ],
)
def test_what_is_no_formula_is_told_why_and_never_run(answer, words):
    verdict = FORMULA.check(answer)
    assert not verdict.passed
    assert words in verdict.message


@pytest.mark.parametrize("value", [torch.tensor([1.0, 2.0]), [1, 2.0], (torch.tensor(1.0), 2), np.array([1, 2])])
def test_numbers_of_every_kind_are_numbers(value):
    np.testing.assert_array_equal(as_array(value), [1.0, 2.0])
