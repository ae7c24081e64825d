"""Nbgrader itself, on our sources: it makes the assignment, gives a right submission all its points."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from tools.assignments import for_students, sources, with_solutions
from tools.execution import environment
from vaelib.check import tasks

SOURCE = sources()[0]
CHAPTER = SOURCE.parent.name

# In place of the right KL: the ½ is forgotten.
WRONG_KL = "def kl(mean_q, log_variance_q, mean_p, log_variance_p):\n    r = log_variance_q - log_variance_p\n"
WRONG_KL += "    return (r.exp() + (mean_q - mean_p) ** 2 / log_variance_p.exp() - 1 - r).sum(dim=1)"


def nbgrader(folder: Path, *arguments: str) -> None:
    """Run nbgrader's command line in a course's folder."""
    command = [sys.executable, "-m", "nbgrader", *arguments, "--course", str(folder)]
    done = subprocess.run(
        command, cwd=folder, env=environment("smoke", threads=1), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3_000:]


def solved(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The students' notebook with the solutions written into it, as a student would hand it in."""
    right = {cell.id: cell.source for cell in with_solutions(SOURCE).cells}
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("solution") and cell.cell_type == "code":
            cell.source = right[cell.id]
    return notebook


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Path:
    """A course with three submissions: all right, the KL wrong, and nothing written."""
    folder = tmp_path_factory.mktemp("course")
    (folder / "source" / CHAPTER).mkdir(parents=True)
    nbformat.write(with_solutions(SOURCE), folder / "source" / CHAPTER / "exercises.ipynb")
    submissions = {"right": solved(for_students(SOURCE)), "half": solved(for_students(SOURCE))}
    for cell in submissions["half"].cells:
        if cell.id == "kl":
            cell.source = WRONG_KL
    submissions["blank"] = for_students(SOURCE)
    for student, notebook in submissions.items():
        place = folder / "submitted" / student / CHAPTER
        place.mkdir(parents=True)
        nbformat.write(notebook, place / "exercises.ipynb")
    nbgrader(folder, "generate_assignment", CHAPTER)
    nbgrader(folder, "autograde", CHAPTER, "--create")
    return folder


def scores(course: Path, student: str) -> dict[str, float]:
    """What nbgrader gave for each graded code cell."""
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        notebook = gradebook.find_submission_notebook("exercises", CHAPTER, student)
        return {grade.name: grade.auto_score for grade in notebook.grades if grade.auto_score is not None}


def test_a_right_submission_gets_every_point(course):
    points = {f"{task.id.split('.')[1]}-check": task.points for task in tasks(CHAPTER.removeprefix("ch"))}
    given = scores(course, "right")
    assert {name: given[name] for name in points} == points


def test_a_mistake_costs_its_own_task_and_no_other(course):
    right, half = scores(course, "right"), scores(course, "half")
    assert half["kl-check"] == 0
    assert {name: score for name, score in half.items() if name != "kl-check"} == {
        name: score for name, score in right.items() if name != "kl-check"
    }


def test_nothing_written_gets_nothing(course):
    assert sum(scores(course, "blank").values()) == 0


def test_the_release_that_nbgrader_makes_is_the_students_notebook_but_for_the_stub(course):
    released = nbformat.read(course / "release" / CHAPTER / "exercises.ipynb", as_version=4)
    ours = for_students(SOURCE)
    assert [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in released.cells] == [
        cell.metadata.get("nbgrader", {}).get("grade_id") for cell in ours.cells
    ]
    for theirs, mine in zip(released.cells, ours.cells, strict=True):
        if not theirs.metadata.get("nbgrader", {}).get("solution"):
            assert theirs.source.rstrip() == mine.source
            assert theirs.metadata.get("nbgrader") == mine.metadata.get("nbgrader") or theirs.source != mine.source
