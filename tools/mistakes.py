"""The table of tasks × mistakes for instructors: which planted mistakes the checks catch, and what they say.

    python -m tools.mistakes                 write build/instructor/mistakes.md and mistakes.html
    python -m tools.mistakes --out FOLDER    write them elsewhere

The exit status is 1 when a right answer fails, a wrong one passes, or one is called by another name than it should be.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

from assignments.answers import Planted, planted
from tools.pairs import ROOT
from vaelib.check import Verdict, task, tasks

OUT = ROOT / "build/instructor"
COLUMNS = ("answer", "verdict", "property that does not hold", "recognised as", "hint that a student reads")


@dataclass(frozen=True)
class Row:
    """One planted answer and what its check says."""

    planted: Planted
    verdict: Verdict

    @property
    def fault(self) -> str:
        """What is wrong with the check, in words; empty if nothing is."""
        what = f"{self.planted.task}: the answer “{self.planted.words}”"
        if self.planted.is_right != self.verdict.passed:
            return f"{what} {'is right and fails' if self.planted.is_right else 'is wrong and passes'}"
        if (self.planted.named or "") != self.verdict.mistake:
            return f"{what} is recognised as {self.verdict.mistake!r}, not as {self.planted.named!r}"
        return ""

    @property
    def cells(self) -> tuple[str, ...]:
        """What stands in the table, in the order of `COLUMNS`."""
        if self.verdict.passed:
            return self.planted.words, "right", "", "", ""
        return (
            self.planted.words,
            "wrong",
            self.verdict.property or self.verdict.message,
            self.verdict.mistake,
            self.verdict.hint,
        )


def rows(seed: int = 0) -> list[Row]:
    """Every planted answer, checked."""
    return [Row(each, task(each.task).check(each.answer, seed=seed)) for each in planted()]


def summary(some: list[Row]) -> str:
    """The counts of one task in a sentence."""
    right = sum(row.planted.is_right for row in some)
    caught = [row for row in some if not row.planted.is_right and not row.verdict.passed]
    named = sum(bool(row.verdict.mistake) for row in caught)
    wrong = len(some) - right
    return f"{right} right answers; {len(caught)} of {wrong} mistakes caught, {named} of them by name."


def by_task(table: list[Row]) -> Iterator[tuple[str, list[Row]]]:
    """The rows of each task under its heading."""
    for each in tasks():
        some = [row for row in table if row.planted.task == each.id]
        yield f"{each.id} · {each.title} ({each.points} points)", some


def markdown(table: list[Row]) -> str:
    """The tables as Markdown."""

    def line(cells: tuple[str, ...]) -> str:
        return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"

    parts = ["# Tasks and mistakes\n"]
    for heading, some in by_task(table):
        parts += [f"## {heading}\n", f"{summary(some)}\n", line(COLUMNS), "|" + " --- |" * len(COLUMNS)]
        parts += [line(row.cells) for row in some] + [""]
    return "\n".join(parts)


def html(table: list[Row]) -> str:
    """The tables as one page that needs nothing else."""

    def line(cells: tuple[str, ...], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    parts = []
    for heading, some in by_task(table):
        parts += [f"<h2>{escape(heading)}</h2>", f"<p>{escape(summary(some))}</p>", "<table>", line(COLUMNS, "th")]
        parts += [line(row.cells, "td") for row in some] + ["</table>"]
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Tasks and mistakes</title>\n'
        "<style>body { font: 16px/1.5 sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em }\n"
        "table { border-collapse: collapse } td, th { border: 1px solid; padding: 0.3em 0.6em; text-align: left; "
        "vertical-align: top }</style>\n<h1>Tasks and mistakes</h1>\n" + "\n".join(parts) + "\n</html>\n"
    )


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.mistakes", description="Write the table of mistakes.")
    parser.add_argument("--out", type=Path, default=OUT, help="the folder to write it to")
    out = parser.parse_args(arguments).out
    table = rows()
    out.mkdir(parents=True, exist_ok=True)
    for name, content in (("mistakes.md", markdown(table)), ("mistakes.html", html(table))):
        (out / name).write_text(content, encoding="utf-8")
    for heading, some in by_task(table):
        print(f"{heading}: {summary(some)}")
    faults = [row.fault for row in table if row.fault]
    print(*faults, sep="\n", file=sys.stderr, end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
