"""The students' notebooks: made from the sources, nothing of an answer in them, and they run where only vaelib is."""

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tools import assignments
from tools.assignments import CANARY, for_students, leaks, main, sources, stale, target, with_solutions
from tools.execution import environment
from tools.pairs import ROOT, NotebookError
from vaelib.check import tasks

SOURCES = sources()


def by_name(path: Path) -> str:
    return path.parent.name


def marks(cell: nbformat.NotebookNode) -> dict:
    return cell.metadata.get("nbgrader", {})


def executed(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """The notebook after a run from top to bottom in an empty folder, errors and all."""
    notebook = nbformat.from_dict(notebook)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": str(folder)}}
    )
    client.execute(env=environment("smoke", threads=1))
    return notebook


def errors(cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for output in cell.get("outputs", []) if output.output_type == "error"]


def test_there_are_sources():
    assert SOURCES


def test_every_notebook_is_up_to_date_and_nothing_of_an_answer_is_published(capsys):
    assert main(["--check"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("source", SOURCES, ids=by_name)
def test_every_task_of_the_chapter_has_a_graded_cell_worth_its_points(source):
    chapter = source.parent.name.removeprefix("ch")
    cells = {marks(cell).get("grade_id"): cell for cell in with_solutions(source).cells}
    for task in tasks(chapter):
        cell = cells[f"{task.id.split('.')[1]}-check"]
        assert f'check("{task.id}", ' in cell.source
        assert marks(cell)["points"] == task.points
        assert f'check("{task.id}", ' in cell.source.split("### BEGIN HIDDEN TESTS")[1]
        assert "seed=fresh_seed()" in cell.source


@pytest.mark.parametrize("source", SOURCES, ids=by_name)
def test_students_get_stubs_locked_tests_and_unfolding_hints(source):
    notebook = for_students(source)
    text = nbformat.writes(notebook)
    assert "BEGIN SOLUTION" not in text
    assert "HIDDEN" not in text
    assert "Rubric" not in text
    graded = [cell for cell in notebook.cells if marks(cell).get("grade")]
    assert len(graded) >= 6
    assert all(cell.metadata.get("editable") is False for cell in graded if not marks(cell)["solution"])
    assert text.count("YOUR CODE HERE") >= 4
    assert text.count("YOUR ANSWER HERE") >= 1
    assert text.count("<details>") >= 6
    assert text.count("<details>") == text.count("</details>")


@pytest.mark.parametrize("source", SOURCES, ids=by_name)
def test_the_solutions_earn_every_point(source, tmp_path):
    for cell in executed(with_solutions(source), tmp_path).cells:
        assert not errors(cell), cell.source
        # Nbgrader takes a word on stderr for an error.
        assert not [output for output in cell.get("outputs", []) if output.get("name") == "stderr"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("source", SOURCES, ids=by_name)
def test_the_students_notebook_runs_in_an_empty_folder_and_every_check_says_what_is_missing(source, tmp_path):
    notebook = nbformat.read(target(source), as_version=4)
    checks = 0
    for cell in executed(notebook, tmp_path).cells:
        if marks(cell).get("grade") and cell.cell_type == "code":
            (error,) = errors(cell)
            assert error.ename == "CheckFailed"
            assert "written yet" in error.evalue
            assert not any("Traceback" in line for line in error.traceback)
            checks += 1
        elif "raises-exception" not in cell.metadata.get("tags", []):
            assert not errors(cell), cell.source
    assert checks == len(tasks(source.parent.name.removeprefix("ch")))


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A copy of what the tool reads, to spoil."""
    for name in ("assignments/source", "_config.yml", "pyproject.toml", "vaelib/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name)
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    for source in SOURCES:
        place = tmp_path / target(source).relative_to(ROOT)
        place.parent.mkdir(parents=True)
        shutil.copy(target(source), place)
    return tmp_path


def test_a_changed_source_makes_its_notebook_stale(course):
    assert stale(course) == []
    source = sources(course)[0]
    source.write_text(source.read_text("utf-8").replace("# Exercises for", "# More exercises for"), encoding="utf-8")
    assert "out of date: run `make assignments`" in stale(course)[0]


def test_a_changed_notebook_is_stale_and_one_without_a_source_is_no_exercise(course):
    path = target(sources(course)[0], course)
    path.write_text(path.read_text("utf-8").replace("points", "marks"), encoding="utf-8")
    assert "out of date" in stale(course)[0]
    orphan = course / "book/09_nothing/exercises.ipynb"
    orphan.parent.mkdir()
    orphan.write_text("{}")
    assert "has no source" in stale(course)[-1]


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        (f"    # {CANARY}\n    log_ratio", "    log_ratio", "into its solution"),
        (f"# {CANARY}\nfrom vaelib.check", "from vaelib.check", "into its hidden tests"),
        ("### END HIDDEN TESTS\n", "", "not closed"),
        ("**A model answer** (" + CANARY + ")", "**A model answer**", "into it"),
        ("## 1 · Derive", f"## {CANARY} 1 · Derive", "students will read it"),
    ],
)
def test_a_source_in_which_an_answer_is_not_marked_is_refused(course, before, after, complaint):
    source = sources(course)[0]
    text = source.read_text("utf-8")
    assert before in text
    source.write_text(text.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(NotebookError, match=complaint):
        for_students(source, course)


def test_a_source_of_a_chapter_that_the_book_does_not_have_is_refused(course):
    shutil.move(course / "assignments/source/ch02", course / "assignments/source/ch99")
    with pytest.raises(NotebookError, match="99"):
        target(sources(course)[0], course)


@pytest.mark.parametrize("name", ["book.html", "_sources/page.txt", "searchindex.js", "picture.bin"])
def test_a_leak_is_found_whatever_the_file(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"\xff\x00 harmless")
    assert leaks([tmp_path]) == []
    path.write_bytes(b"\xff\x00 terms:{" + CANARY.capitalize().encode() + b":3}")
    assert name in leaks([tmp_path])[0]


def test_the_check_searches_what_it_is_told_to(tmp_path, capsys):
    (tmp_path / "page.html").write_text(f"<p>{CANARY}</p>")
    assert main(["--check", "--published", str(tmp_path)]) == 1
    assert "page.html" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--check", "--published", str(tmp_path / "nowhere")])


def test_the_instructors_notebooks_have_solutions_and_hidden_tests(tmp_path):
    assert main(["--instructor", str(tmp_path)]) == 0
    written = list(tmp_path.rglob("*.ipynb"))
    assert len(written) == len(SOURCES)
    assert "BEGIN HIDDEN TESTS" in written[0].read_text("utf-8")


def test_the_wheel_and_the_source_distribution_leave_the_answers_out():
    settings = (ROOT / "pyproject.toml").read_text("utf-8")
    assert 'packages = ["vaelib"]' in settings
    assert 'exclude = ["/assignments"]' in settings
    assert assignments.PUBLISHED[:2] == ("book", "vaelib")
