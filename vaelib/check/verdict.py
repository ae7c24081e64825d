"""What a check answers: a verdict that reads well on a terminal and in a notebook, and the exception made of one."""

from dataclasses import dataclass
from html import escape
from textwrap import indent

# Blue and orange: told apart by the colour-blind, on a light page and on a dark one.
COLOURS = {True: "#0072b2", False: "#d55e00"}


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and if not, what it was caught at.

    Attributes:
        task: the task's id, such as "02.kl".
        title: its title.
        passed: whether every property held.
        seed: of the random inputs.
        seconds: what the check took.
        property: the first property that did not hold, as a sentence about the answer; empty if all did.
        message: what was seen instead.
        inputs: the input on which it was seen, one argument on a line; empty where there was none.
        mistake: the name of the known mistake that behaves exactly like this; empty where none does.
        hint: kind words about that mistake.
        printed: the last lines that the answer printed.
    """

    task: str
    title: str
    passed: bool
    seed: int
    seconds: float = 0.0
    property: str = ""
    message: str = ""
    inputs: str = ""
    mistake: str = ""
    hint: str = ""
    printed: str = ""

    def __str__(self) -> str:
        if self.passed:
            return f"{self.task} · {self.title}: right. Every property held."
        parts = [f"{self.task} · {self.title}: not yet."]
        if self.property:
            parts.append(f"A property that does not hold: {self.property}.")
        if self.inputs:
            parts.append(f"Seen on this input:\n{indent(self.inputs, '    ')}")
        if self.message:
            parts.append(f"What was seen: {_sentence(self.message)}")
        if self.hint:
            parts.append(f"Hint: {self.hint}")
        if self.printed:
            parts.append(f"Your code printed, at the end:\n{indent(self.printed, '    ')}")
        if self.seed:
            parts.append(f"(seed {self.seed})")
        return "\n".join(parts)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The same for a notebook: words in the page's own colours beside a coloured bar."""
        colour = COLOURS[self.passed]
        mark = "✓" if self.passed else "✗"
        first = "right. Every property held." if self.passed else "not yet."
        parts = [f'<strong style="color: {colour}">{mark} {escape(f"{self.task} · {self.title}: {first}")}</strong>']
        if self.property:
            parts.append(f"A property that does not hold: <em>{escape(self.property)}</em>.")
        if self.inputs:
            parts.append(f"Seen on this input:<pre>{escape(self.inputs)}</pre>")
        if self.message:
            parts.append(f"What was seen: {escape(_sentence(self.message))}")
        if self.hint:
            parts.append(f"<strong>Hint.</strong> {escape(self.hint)}")
        if self.printed:
            parts.append(f"Your code printed, at the end:<pre>{escape(self.printed)}</pre>")
        inside = "".join(f'<div style="margin: 0.3em 0">{part}</div>' for part in parts)
        return (
            f'<div role="status" style="border-left: 4px solid {colour}; padding: 0.2em 0.8em; max-width: 46em">'
            f"{inside}</div>"
        )


def _sentence(words: str) -> str:
    return words if words.endswith((".", "?", "!")) else f"{words}."


class CheckFailed(AssertionError):
    """An answer is not right yet; the message says why.

    Attributes:
        verdict: the whole verdict.
    """

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(str(verdict))
        self.verdict = verdict

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback: the way into the checker is of no use to a reader."""
        return str(self).splitlines()
