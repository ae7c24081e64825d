"""Text and notebook: one way, keeping what did not change, and saying what is out of date."""

import json
from pathlib import Path

import nbformat
import pytest

from tools import notebooks, pairs


def give_outputs(text: Path) -> nbformat.NotebookNode:
    """Write the .ipynb of a text as if it had been rendered: every code cell prints its own number."""
    notebook = pairs.combined(text)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, 1):
        cell["execution_count"] = number
        cell["outputs"] = [nbformat.v4.new_output("stream", name="stdout", text=f"output {number}\n")]
    notebook.metadata["vaelib"] = {"profile": "cpu", "cells": pairs.code_hash(notebook.cells), "modules": {}}
    pairs.write(pairs.twin(text), notebook)
    return notebook


def edit(text: Path, old: str, new: str) -> None:
    content = text.read_text("utf-8")
    assert old in content
    text.write_text(content.replace(old, new), encoding="utf-8")


def outputs(text: Path) -> dict[str, list]:
    notebook = json.loads(pairs.twin(text).read_text("utf-8"))
    return {"".join(cell["source"]): cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"}


def test_a_rendered_pair_has_no_faults(text):
    give_outputs(text)
    assert pairs.faults(text) == []


def test_writing_the_same_notebook_twice_changes_nothing(text):
    assert pairs.write(pairs.twin(text), pairs.combined(text)) is True
    before = pairs.twin(text).read_bytes()
    assert pairs.write(pairs.twin(text), pairs.combined(text)) is False
    assert pairs.twin(text).read_bytes() == before


def test_sync_keeps_the_outputs_of_cells_that_did_not_change_and_drops_the_others(text):
    give_outputs(text)
    edit(text, "print(6 * 7)", "print(7 * 6)")
    edit(text, "Some words.", "Other words.")
    pairs.write(pairs.twin(text), pairs.combined(text))
    kept = outputs(text)
    assert kept['print("the profile is", profile)'][0]["text"] == ["output 4\n"]
    assert kept["print(7 * 6)"] == []


def test_equal_cells_keep_their_own_outputs_in_order(text):
    text.write_text(text.read_text("utf-8") + "\n```{code-cell} ipython3\nprint(6 * 7)\n```\n", encoding="utf-8")
    rendered = give_outputs(text)
    again = pairs.combined(text)
    assert [cell.get("outputs") for cell in again.cells] == [cell.get("outputs") for cell in rendered.cells]
    ids = [cell.id for cell in again.cells]
    assert len(set(ids)) == len(ids)


def test_ids_depend_on_what_a_cell_says_and_not_on_where_it_stands(text):
    before = {cell.source: cell.id for cell in pairs.read_cells(text)}
    edit(text, "# A small notebook\n", "# A small notebook\n\n```{code-cell} ipython3\n1 + 1\n```\n")
    after = {cell.source: cell.id for cell in pairs.read_cells(text)}
    assert {source: after[source] for source in before} == before


def test_a_changed_word_is_a_fault_until_it_is_synced_but_needs_no_rendering(text):
    give_outputs(text)
    edit(text, "Some words.", "Other words.")
    assert any("make sync" in fault for fault in pairs.faults(text))
    pairs.write(pairs.twin(text), pairs.combined(text))
    assert pairs.faults(text) == []


def test_code_that_was_only_formatted_keeps_its_outputs(text):
    give_outputs(text)
    edit(text, "print(6 * 7)", "print(\n    6\n    * 7\n)  # the answer")
    pairs.write(pairs.twin(text), pairs.combined(text))
    assert pairs.faults(text) == []
    assert any("# the answer" in source and kept for source, kept in outputs(text).items())
    edit(text, "6\n    * 7", "6\n    * 8")
    pairs.write(pairs.twin(text), pairs.combined(text))
    assert any("its code changed" in fault for fault in pairs.faults(text))


def test_a_command_in_a_cell_counts_letter_for_letter():
    first, same, other = (
        nbformat.v4.new_code_cell(f"if True:\n    !vaelib sample --label {label}\n{call}")
        for label, call in ((7, "f(1, 2)"), (7, "f(1,  2)"), (8, "f(1, 2)"))
    )
    assert pairs.program(first) == pairs.program(same) != pairs.program(other)


def test_changed_code_is_a_fault_until_it_is_rendered(text):
    give_outputs(text)
    edit(text, "print(6 * 7)", "print(7 * 6)")
    pairs.write(pairs.twin(text), pairs.combined(text))
    assert pairs.faults(text) == ["its code changed after its outputs were made: run `make render`"]


def test_a_new_address_in_the_set_up_cell_leaves_the_outputs_fresh(text):
    give_outputs(text)
    edit(text, "pass\n", "pass  # another address\n")
    pairs.write(pairs.twin(text), pairs.combined(text))
    assert pairs.faults(text) == []


def test_a_notebook_that_was_edited_by_hand_is_a_fault(text):
    give_outputs(text)
    twin = pairs.twin(text)
    twin.write_text(twin.read_text("utf-8").replace("Some words.", "My words."), encoding="utf-8")
    assert any("different cells" in fault for fault in pairs.faults(text))


@pytest.mark.parametrize(
    ("output", "complaint"),
    [
        (nbformat.v4.new_output("stream", name="stdout", text="/home/ada/course/run\n"), "/home/ada/course/run"),
        (nbformat.v4.new_output("stream", name="stdout", text="saved to /tmp/xyz/model\n"), "/tmp/xyz/model"),
        (nbformat.v4.new_output("execute_result", {"text/plain": "'C:\\\\Users\\\\ada'"}), "C:"),
        (nbformat.v4.new_output("stream", name="stderr", text="a warning\n"), "a warning"),
        (nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[]), "ValueError: no"),
    ],
)
def test_outputs_that_a_reader_should_not_see_are_faults(text, output, complaint):
    notebook = give_outputs(text)
    notebook.cells[-1]["outputs"] = [output]
    pairs.write(pairs.twin(text), notebook)
    assert len(pairs.faults(text)) == 1
    assert complaint in pairs.faults(text)[0]


def test_a_division_and_a_relative_path_are_no_machine_paths(text):
    notebook = give_outputs(text)
    notebook.cells[-1]["outputs"] = [
        nbformat.v4.new_output("stream", name="stdout", text="3/tmp runs/vae ~/.cache a/b\n")
    ]
    pairs.write(pairs.twin(text), notebook)
    assert pairs.faults(text) == []


def test_a_notebook_that_is_too_large_is_a_fault(text):
    notebook = give_outputs(text)
    picture = "A" * (pairs.MOST_BYTES + 1)
    notebook.cells[-1]["outputs"] = [nbformat.v4.new_output("display_data", {"image/png": picture})]
    pairs.write(pairs.twin(text), notebook)
    assert "MB" in pairs.faults(text)[-1]


@pytest.mark.parametrize(
    ("metadata", "faulty"),
    [("", True), ("---\nmystnb:\n  image:\n    alt: Two curves that cross in the middle.\n---\n", False)],
)
def test_a_picture_needs_words_for_those_who_cannot_see_it(text, metadata, faulty):
    edit(text, ":tags: [nbval-check-output]\n\n", metadata)
    notebook = give_outputs(text)
    notebook.cells[-1]["outputs"] = [nbformat.v4.new_output("display_data", {"image/png": "AAAA"})]
    pairs.write(pairs.twin(text), notebook)
    assert any("without alternative text" in fault for fault in pairs.faults(text)) is faulty


def test_a_number_quoted_in_the_text_has_to_be_reported_by_a_cell(text):
    edit(text, "Some words.", "The error is {glue:text}`error`, printed above.")
    notebook = give_outputs(text)
    pairs.write(pairs.twin(text), notebook)
    assert pairs.faults(text) == ["its text quotes numbers that no cell reports: error"]
    glued = nbformat.v4.new_output("display_data", {"application/papermill.record/text/plain": "0.1"})
    glued["metadata"] = {"scrapbook": {"name": "error"}}
    notebook.cells[-1]["outputs"] = [glued]
    pairs.write(pairs.twin(text), notebook)
    assert pairs.faults(text) == []


def test_the_parameters_cell_and_the_set_up_cell_have_to_be_there(text):
    edit(text, ":tags: [parameters]\n", "")
    edit(text, ":tags: [setup, hide-input]\n", "")
    found = " ".join(pairs.faults(text))
    assert "tagged `parameters`" in found
    assert "tagged `setup`" in found


def test_a_tag_that_only_one_of_the_runners_honours_is_a_fault(text):
    edit(text, ":tags: [nbval-check-output]", ":tags: [raises-exception]")
    give_outputs(text)
    assert any("raises-exception" in fault for fault in pairs.faults(text))


def test_a_broken_notebook_is_named_with_what_to_do(text):
    pairs.twin(text).write_text("{", encoding="utf-8")
    with pytest.raises(pairs.NotebookError, match="delete it"):
        pairs.combined(text)


def test_a_write_that_is_interrupted_leaves_the_old_notebook_and_no_litter(text, monkeypatch):
    give_outputs(text)
    before = pairs.twin(text).read_bytes()
    edit(text, "Some words.", "Other words.")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pairs.write(pairs.twin(text), pairs.combined(text))
    assert pairs.twin(text).read_bytes() == before
    assert sorted(path.name for path in text.parent.iterdir()) == ["01_small.ipynb", "01_small.md"]


def test_formatting_changes_the_code_in_the_text_and_no_word(text, monkeypatch):
    edit(text, "print(6 * 7)", "print( 6*7 )")
    monkeypatch.setattr(notebooks, "texts", lambda: [text])
    monkeypatch.setattr(notebooks, "name", str)
    notebooks.format_all()
    content = text.read_text("utf-8")
    assert "\nprint(6 * 7)\n```" in content
    edit(text, "print(6 * 7)", "print( 6*7 )")
    assert text.read_text("utf-8") == content.replace("print(6 * 7)", "print( 6*7 )")
