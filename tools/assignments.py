"""The students' exercise notebooks, made from the instructors' sources, and the guard that no answer gets out.

    python -m tools.assignments                       write book/NN_chapter/exercises.ipynb for every chapter
    python -m tools.assignments --check               fail when one is out of date, or when an answer is published
    python -m tools.assignments --check --published _build/html     … in the built book either
    python -m tools.assignments --instructor FOLDER   the notebooks with solutions and hidden tests, for grading

A source is `assignments/source/chNN/exercises.md`, a notebook in nbgrader's form as MyST text. Nbgrader's own steps
take solutions and hidden tests out of it, so that the notebooks it grades are the ones it knows.
"""

import argparse
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearHiddenTests,
    ClearMarkScheme,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    LockCells,
)
from traitlets.config import Config

from tools.pairs import KERNEL, LANGUAGE, ROOT, NotebookError, read_cells, serialised, write
from tools.stamp import Facts, stamped

CANARY = "kanarienvogel7q3x"
"""Stands in every solution and every hidden test, and must stand nowhere that is published.

One word of letters and digits, so that it survives in the search index of the book.
"""

PUBLISHED = ("book", "vaelib", "README.md")
REGION = re.compile(r"### BEGIN (SOLUTION|HIDDEN TESTS)\n(.*?)### END \1", re.DOTALL)
# What a student finds where a solution was. It runs, so that a notebook can be looked through from top to bottom.
STUBS = Config({"ClearSolutions": {"code_stub": {"python": "# YOUR CODE HERE\npass"}, "text_stub": "YOUR ANSWER HERE"}})


def sources(root: Path = ROOT) -> list[Path]:
    """The instructors' texts, one for each chapter."""
    return sorted(root.glob("assignments/source/ch[0-9][0-9]/exercises.md"))


def target(source: Path, root: Path = ROOT) -> Path:
    """Where the students' notebook of a source belongs.

    Raises:
        NotebookError: the book has no such chapter.
    """
    number = source.parent.name.removeprefix("ch")
    chapters = sorted(root.glob(f"book/{number}_*/"))
    if len(chapters) != 1:
        raise NotebookError(f"{source}: the book has {len(chapters)} folders book/{number}_…, and there should be one")
    return chapters[0] / "exercises.ipynb"


def with_solutions(source: Path, root: Path = ROOT) -> NotebookNode:
    """The instructor's notebook: a source as it stands, with the repository's address in it.

    Raises:
        NotebookError: a solution or hidden test without the canary word, or one that is not marked as such.
    """
    text = stamped(source.read_text("utf-8"), Facts.read(root), str(target(source, root).relative_to(root)))
    cells = jupytext.reads(text, fmt="md:myst").cells
    for cell, same in zip(cells, read_cells(source), strict=True):
        # A cell that is graded is known by its name, so that a submission can be matched with its source.
        cell["id"] = cell.metadata.get("nbgrader", {}).get("grade_id", same["id"])
        if cell.cell_type == "code":
            cell["outputs"], cell["execution_count"] = [], None
    if faults := list(source_faults(cells)):
        raise NotebookError("\n".join(f"{source.relative_to(root)}: {fault}" for fault in faults))
    return nbformat.from_dict(
        {
            "cells": cells,
            "metadata": {"kernelspec": KERNEL, "language_info": LANGUAGE},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )


def source_faults(cells: list[NotebookNode]) -> Iterator[str]:
    """What is wrong with the cells of a source, in words for its author."""
    for number, cell in enumerate(cells, 1):
        marks = cell.metadata.get("nbgrader", {})
        where = f"cell {number} ({marks.get('grade_id', 'not nbgrader’s')})"
        regions = REGION.findall(cell.source)
        if cell.source.count("### BEGIN") != len(regions) or cell.source.count("### END") != len(regions):
            yield f"{where} has a region that is not closed"
        for kind, inside in regions:
            if CANARY not in inside:
                yield f"{where}: put the word {CANARY} into its {kind.lower()}, as a comment"
            if kind == "HIDDEN TESTS" and not marks.get("grade"):
                yield f"{where} has hidden tests and is not marked `grade: true`"
        if marks.get("solution") and CANARY not in cell.source:
            yield f"{where} is a solution: put the word {CANARY} into it"
        if not marks and CANARY in cell.source:
            yield f"{where} has the word {CANARY} in it, and students will read it"


def for_students(source: Path, root: Path = ROOT) -> NotebookNode:
    """The students' notebook: solutions replaced by stubs, hidden tests taken out, tests locked."""
    notebook = with_solutions(source, root)
    resources: dict = {}
    # Nbgrader saves its cells in between; that takes its database, and belongs to grading.
    for step in (
        LockCells,
        ClearSolutions,
        ClearOutput,
        CheckCellMetadata,
        ClearHiddenTests,
        ClearMarkScheme,
        ComputeChecksums,
    ):
        made = step(config=STUBS, log=logging.getLogger("vaelib.assignments"))
        notebook, resources = made.preprocess(notebook, resources)
    for cell in notebook.cells:
        cell.source = cell.source.rstrip("\n")
    if CANARY in nbformat.writes(notebook):
        raise NotebookError(f"{source.relative_to(root)}: the word {CANARY} is left in the students' notebook")
    return notebook


def stale(root: Path = ROOT) -> list[str]:
    """The students' notebooks that are not what their sources make, and those without a source."""
    wanted = {target(source, root): source for source in sources(root)}
    found = []
    for path, source in wanted.items():
        if not path.exists() or path.read_text("utf-8") != serialised(for_students(source, root)):
            found.append(f"{path.relative_to(root)} is out of date: run `make assignments`")
    for path in sorted(root.glob("book/[0-9]*/exercises.ipynb")):
        if path not in wanted:
            found.append(f"{path.relative_to(root)} has no source in assignments/source")
    return found


def leaks(places: list[Path]) -> list[str]:
    """The published files in which the canary word stands, whatever their kind."""
    files = [path for place in places for path in (sorted(place.rglob("*")) if place.is_dir() else [place])]
    word = CANARY.encode()
    return [
        f"{path} has something in it that only instructors should see (the word {CANARY})"
        for path in files
        if path.is_file() and "__pycache__" not in path.parts and word in path.read_bytes().lower()
    ]


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.assignments", description="Make the students' notebooks.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when one is stale or an answer leaks")
    parser.add_argument("--published", type=Path, action="append", default=[], help="one more folder to search")
    parser.add_argument("--instructor", type=Path, help="write the notebooks with solutions into this folder")
    options = parser.parse_args(arguments)
    if missing := [str(place) for place in options.published if not place.exists()]:
        parser.error(f"there is no {missing[0]}: build the book first")
    try:
        if options.check:
            return _complain([*stale(), *leaks([*(ROOT / place for place in PUBLISHED), *options.published])])
        for source in sources():
            if options.instructor:
                folder = options.instructor / source.parent.name
                folder.mkdir(parents=True, exist_ok=True)
                write(folder / "exercises.ipynb", with_solutions(source))
                print(f"{folder / 'exercises.ipynb'}: with solutions, for instructors only")
            elif write(target(source), for_students(source)):
                print(f"{target(source).relative_to(ROOT)}: written")
    except NotebookError as error:
        return _complain([str(error)])
    return 0


def _complain(faults: list[str]) -> int:
    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults:
        print(f"{len(sources())} exercise notebook(s): up to date, and no answer in what is published")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
