"""A task: what is asked for, the properties of every right answer, and the mistakes that are known."""

import io
import random
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from vaelib.check.answer import Form, Trouble, as_array, forms, fresh
from vaelib.check.compare import Behaviour, Inputs, difference, same_behaviour, shown, tolerance
from vaelib.check.draw import Draw
from vaelib.check.verdict import CheckFailed, Verdict
from vaelib.check.watchdog import SECONDS, TimeUp, time_limit

Answer = Callable[..., Any]
Observe = Callable[[Form, Inputs], Behaviour]
Seen = tuple[Inputs, Behaviour, Behaviour]
# A mistake is recognised when an answer behaves like it on this many fresh inputs.
RECOGNISED_ON = 4
RAISED = "raised"


class Broken(Exception):
    """A property does not hold; the message says what was seen instead, without a full stop at its end."""


def value(form: Form, inputs: Inputs) -> Behaviour:
    """The plainest behaviour: what the answer gives back."""
    return {"the answer": as_array(form(fresh(inputs)))}


@dataclass(frozen=True)
class Property:
    """Something that is true of every right answer.

    Attributes:
        says: a sentence about the answer without a full stop, such as "two equal Gaussians are at distance zero".
        inputs: random inputs on which it is tested.
        holds: raises `Broken` where it does not hold. None: the answer should behave like the oracle.
        repeats: on how many inputs, small ones first.
    """

    says: str
    inputs: Callable[[Draw], Inputs]
    holds: Callable[[Form, Inputs], None] | None = None
    repeats: int = 4


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that people give, recognised by what it does.

    Attributes:
        name: a few words, such as "½ forgotten"; what the instructor's tables show.
        answer: a function that makes this mistake, with the task's arguments.
        hint: one or two kind sentences that name it and do not give the answer.
        inputs: where it shows, if not on the task's usual inputs.
    """

    name: str
    answer: Answer
    hint: str
    inputs: Callable[[Draw], Inputs] | None = None


@dataclass(frozen=True)
class Task:
    """One exercise that checks itself.

    Attributes:
        id: chapter and name, such as "02.kl".
        title: a few words.
        points: what it is worth.
        arguments: what the answer takes, in order.
        oracle: another way to the same numbers, a function of the same arguments. It should not be the textbook answer:
            a library's own, an integral, a brute-force search.
        usual: random inputs of the usual kind.
        properties: what is tested, the plain ones first.
        mistakes: what is recognised.
        observe: what is compared: the value alone, or also gradients and what was done to the inputs.
        torch_only: whether the answer has to be in torch, since gradients are asked for.
        seconds: how long a check may take.
    """

    id: str
    title: str
    points: int
    arguments: tuple[str, ...]
    oracle: Answer
    usual: Callable[[Draw], Inputs]
    properties: tuple[Property, ...]
    mistakes: tuple[Mistake, ...]
    observe: Observe = value
    torch_only: bool = False
    seconds: float = SECONDS

    def check(self, answer: Any, *, seed: int = 0) -> Verdict:
        """Test an answer, and never raise because of it.

        Args:
            answer: what the task asks for; a function is called with random inputs and in no other way looked into.
            seed: of the inputs. Another seed tests the same properties on other inputs.
        Returns:
            A verdict, which a notebook shows as a few sentences. It is reached within about `seconds`.
        """
        started = time.monotonic()
        verdict = Verdict(self.id, self.title, passed=False, seed=seed)
        tail = Tail()
        try:
            with time_limit(self.seconds), undisturbed(seed), redirect_stdout(tail):
                verdict = self._examined(answer, verdict)
        except TimeUp:
            verdict = replace(
                verdict,
                message=f"it took longer than {self.seconds:.3g} s and was stopped; is there a loop that does not end, "
                "or one over every number where an operation on the whole array would do?",
            )
        printed = "" if verdict.passed else tail.last_lines()
        return replace(verdict, seconds=time.monotonic() - started, printed=printed)

    def require(self, answer: Any, *, seed: int = 0) -> Verdict:
        """The same for a graded cell.

        Raises:
            CheckFailed: the answer is not right; an AssertionError whose message is the verdict.
        """
        verdict = self.check(answer, seed=seed)
        if not verdict.passed:
            raise CheckFailed(verdict)
        return verdict

    def prepared(self, answer: Any) -> Any:
        """The answer as something that can be called."""
        return answer

    def _examined(self, answer: Any, verdict: Verdict) -> Verdict:
        try:
            ways = list(forms(self.prepared(answer), self.arguments, torch_only=self.torch_only))
        except Trouble as trouble:
            return replace(verdict, message=str(trouble))
        failures = []
        for form in ways:
            failure = self._failure(form, verdict)
            if failure is None:
                return replace(verdict, passed=True)
            failures.append((form, failure))
        # An answer that cannot take tensors is judged by what it does with arrays.
        form, failure = next((pair for pair in failures if pair[1].property), failures[0])
        mistake = self._recognised(form, verdict.seed)
        return replace(failure, mistake=mistake.name, hint=mistake.hint) if mistake else failure

    def _failure(self, form: Form, verdict: Verdict) -> Verdict | None:
        """The first property that does not hold."""
        for index, each in enumerate(self.properties):
            for inputs in self._inputs(each.inputs, each.repeats, verdict.seed, index):
                seen = replace(verdict, property=each.says, inputs=shown(inputs))
                try:
                    if each.holds is None:
                        self._compare(form, inputs)
                    else:
                        each.holds(form, inputs)
                except Broken as broken:
                    return replace(seen, message=str(broken))
                except Trouble as trouble:
                    if trouble.raised == "NotImplementedError" or (trouble.raised == "None" and index == 0):
                        return replace(verdict, message=str(trouble))
                    # What raises on the very first input has not been shown to break this property.
                    return replace(seen, message=str(trouble), property="" if index == 0 else each.says)
                except (ValueError, TypeError, IndexError) as error:
                    return replace(seen, message=f"the answer cannot be compared with what it should be ({error})")
        return None

    def _compare(self, form: Form, inputs: Inputs) -> None:
        wrong = difference(self.observe(form, inputs), self._expected(inputs), tolerance(inputs))
        if wrong:
            raise Broken(wrong)

    def _expected(self, inputs: Inputs) -> Behaviour:
        return self.observe(Form(self.oracle, self.arguments), inputs)

    def _recognised(self, form: Form, seed: int) -> Mistake | None:
        """The known mistake that behaves like this answer wherever it differs from the oracle, if there is one."""
        usual = self._seen(form, self.usual, seed, 1_000)
        for index, mistake in enumerate(self.mistakes):
            telling = usual if mistake.inputs is None else self._seen(form, mistake.inputs, seed, 1_001 + index)
            if self._is_made(mistake, telling) and (mistake.inputs is None or self._like(mistake, usual)):
                return mistake
        return None

    def _seen(self, form: Form, generate: Callable[[Draw], Inputs], seed: int, index: int) -> list[Seen]:
        """What an answer does on a few fresh inputs, beside what the oracle does."""
        return [
            (inputs, self._attempt(form, inputs), self._expected(inputs))
            for inputs in self._inputs(generate, RECOGNISED_ON, seed, index)
        ]

    def _is_made(self, mistake: Mistake, telling: list[Seen]) -> bool:
        """Whether an answer does what a mistake does, and the mistake is none by chance on any of the inputs."""
        made = [self._attempt(Form(mistake.answer, self.arguments), inputs) for inputs, _, _ in telling]
        # That both raise something, and nothing else, does not make two answers one.
        if all(name.startswith(RAISED) for behaviour in made for name in behaviour):
            return False
        return all(
            same_behaviour(got, behaviour, tolerance(inputs))
            and not same_behaviour(expected, behaviour, tolerance(inputs))
            for (inputs, got, expected), behaviour in zip(telling, made, strict=True)
        )

    def _like(self, mistake: Mistake, usual: list[Seen]) -> bool:
        """Whether an answer is like a mistake on the usual inputs too, where that mistake may not show."""
        made = Form(mistake.answer, self.arguments)
        return all(same_behaviour(got, self._attempt(made, inputs), tolerance(inputs)) for inputs, got, _ in usual)

    def _attempt(self, form: Form, inputs: Inputs) -> Behaviour:
        """What an answer does, with what it raises as one more kind of behaviour."""
        try:
            return self.observe(form, inputs)
        except (Trouble, ValueError, TypeError, IndexError) as error:
            trouble = error if isinstance(error, Trouble) else Trouble(str(error), type(error).__name__)
            return {f"{RAISED} {trouble.raised or trouble}": np.zeros(0)}

    def _inputs(self, generate: Callable[[Draw], Inputs], repeats: int, seed: int, index: int) -> Iterator[Inputs]:
        for repeat in range(repeats):
            growth = repeat / max(repeats - 1, 1)
            yield generate(Draw(abs(seed), zlib.crc32(self.id.encode()), index, repeat, growth=growth))


@contextmanager
def undisturbed(seed: int) -> Iterator[None]:
    """Gradients on and every global source of randomness set for the block, and all of it restored afterwards."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  (an answer may use the global one)
    with (
        torch.random.fork_rng(devices=[]),
        torch.inference_mode(False),
        torch.enable_grad(),
        warnings.catch_warnings(action="ignore"),
    ):
        try:
            random.seed(seed)
            np.random.seed(abs(seed) % 2**32)  # noqa: NPY002
            torch.manual_seed(seed)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


class Tail(io.TextIOBase):
    """Where an answer's prints go: it is called many times, so only the end is kept."""

    def __init__(self, most: int = 2_000) -> None:
        self.most = most
        self.text = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text = (self.text + text[-self.most :])[-self.most :]
        return len(text)

    def last_lines(self, count: int = 5) -> str:
        """The last lines, without empty ones."""
        return "\n".join([line for line in self.text.splitlines() if line.strip()][-count:])
