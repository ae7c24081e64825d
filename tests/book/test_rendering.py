"""Rendering runs a notebook and keeps what a reader should see; a failure keeps nothing."""

import json

import pytest

import vaelib
from tools import execution, pairs


def plain(text) -> dict:
    return json.loads(pairs.twin(text).read_text("utf-8"))


def test_render_keeps_outputs_and_says_how_they_were_made_and_then_has_nothing_to_do(text):
    assert execution.render(text) is True
    assert pairs.faults(text) == []
    notebook = plain(text)
    assert notebook["cells"][-2]["outputs"][0]["text"] == ["the profile is cpu\n"]
    stamp = notebook["metadata"]["vaelib"]
    assert stamp["profile"] == "cpu"
    assert stamp["version"] == vaelib.__version__
    assert "vaelib.profiles" in stamp["modules"]
    assert execution.changed_modules(stamp) == []
    assert execution.changed_modules({"modules": {"vaelib.profiles": "other", "vaelib.gone": "other"}}) == [
        "vaelib.profiles",
        "vaelib.gone",
    ]
    before = pairs.twin(text).read_bytes()
    assert execution.render(text) is False
    assert pairs.twin(text).read_bytes() == before

    # The same notebook again, in smoke, as CI runs it: alone, by papermill.
    folder = text.parent / "alone"
    folder.mkdir()
    execution.run_alone(pairs.twin(text), folder)
    assert "the profile is smoke" in (folder / "executed.ipynb").read_text("utf-8")
    assert list((folder / "work").iterdir()) == []


def test_paths_of_the_machine_and_widgets_are_not_kept(text):
    content = text.read_text("utf-8").replace(
        "print(6 * 7)", 'import os, tempfile\nprint(os.getcwd(), os.path.expanduser("~/faces"), tempfile.gettempdir())'
    )
    content += "\n```{code-cell} ipython3\nfrom ipywidgets import IntSlider\n\nIntSlider()\n```\n"
    text.write_text(content, encoding="utf-8")
    execution.render(text)
    assert pairs.faults(text) == []
    notebook = plain(text)
    assert notebook["cells"][-2]["outputs"][0]["text"] == [". ~/faces TMP\n"]
    assert notebook["cells"][-1]["outputs"] == []
    assert "widgets" not in notebook["metadata"]


def test_a_cell_that_raises_is_reported_and_nothing_is_written(text):
    pairs.write(pairs.twin(text), pairs.combined(text))
    before = pairs.twin(text).read_bytes()
    text.write_text(text.read_text("utf-8").replace("print(6 * 7)", 'raise ValueError("seven")'), encoding="utf-8")
    with pytest.raises(pairs.NotebookError, match="seven"):
        execution.render(text)
    assert pairs.twin(text).read_bytes() == before


def test_nbval_notices_a_marked_output_that_is_another_one_now(text):
    execution.render(text)
    twin = pairs.twin(text)
    twin.write_text(twin.read_text("utf-8").replace('"42\\n"', '"41\\n"'), encoding="utf-8")
    folder = text.parent / "compared"
    folder.mkdir()
    with pytest.raises(pairs.NotebookError, match="41"):
        execution.compare_alone(twin, folder)


def test_a_command_that_fails_stops_the_notebook_in_ci(text):
    content = text.read_text("utf-8") + "\n```{code-cell} ipython3\n!vaelib info vae\n!vaelib inform \\\n  vae\n```\n"
    text.write_text(content, encoding="utf-8")
    pairs.write(pairs.twin(text), pairs.combined(text))
    folder = text.parent / "alone"
    folder.mkdir()
    with pytest.raises(pairs.NotebookError, match="the command failed"):
        execution.run_alone(pairs.twin(text), folder)
