"""The instructors' table of tasks × mistakes."""

from dataclasses import replace

import pytest

from tools import mistakes
from vaelib.check import tasks


@pytest.fixture(scope="module")
def table():
    return mistakes.rows(seed=3)


def test_the_checks_say_what_the_answers_promise(table):
    assert [row.fault for row in table if row.fault] == []


def test_both_forms_show_every_answer_and_every_hint(table):
    markdown, html = mistakes.markdown(table), mistakes.html(table)
    for task in tasks():
        assert f"{task.id} · {task.title}" in markdown
        assert f"{task.id} · {task.title}" in html
    for row in table:
        assert row.planted.words.replace("|", r"\|") in markdown
        if row.verdict.hint:
            assert row.verdict.hint.replace("|", r"\|") in markdown
    assert html.count("<tr>") == len(table) + len(tasks())


def test_rows_of_markdown_have_as_many_cells_as_the_heading(table):
    for line in mistakes.markdown(table).splitlines():
        if line.startswith("|"):
            assert line.replace(r"\|", "").count("|") == len(mistakes.COLUMNS) + 1


def test_a_check_that_is_wrong_about_an_answer_is_a_fault(table):
    wrong = next(row for row in table if row.planted.named)
    assert "passes" in replace(wrong, verdict=replace(wrong.verdict, passed=True)).fault
    assert "not as" in replace(wrong, verdict=replace(wrong.verdict, mistake="something else")).fault
    right = next(row for row in table if row.planted.is_right)
    assert "fails" in replace(right, verdict=replace(right.verdict, passed=False)).fault


def test_the_files_are_written_where_they_should_be(tmp_path, monkeypatch, capsys, table):
    monkeypatch.setattr(mistakes, "rows", lambda: table)
    assert mistakes.main(["--out", str(tmp_path / "new")]) == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["mistakes.html", "mistakes.md"]
    assert "mistakes caught" in capsys.readouterr().out
