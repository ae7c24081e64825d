"""A number in the built pages is, character by character, the one that a cell of the notebook reported."""

import html
import os
import re
from pathlib import Path

import nbformat
import pytest

from tools import pairs

HTML = Path(os.environ.get("VAELIB_BOOK", pairs.ROOT / "_build" / "html"))
PASTED = re.compile(r'<span class="pasted-text">(.*?)</span>', re.DOTALL)


@pytest.mark.skipif(not (HTML / "index.html").exists(), reason=f"there is no built book in {HTML} (run `make book`)")
@pytest.mark.parametrize("text", pairs.texts(), ids=lambda text: text.stem)
def test_quoted_numbers_are_the_reported_ones(text):
    notebook = nbformat.read(pairs.twin(text), as_version=4)
    reported = {
        name: output.data["application/papermill.record/text/plain"]
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if (name := pairs.glued_name(output))
    }
    quoted = [
        reported[name]
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for name in pairs.GLUE.findall(cell.source)
    ]
    page = (HTML / text.relative_to(pairs.ROOT).with_suffix(".html")).read_text("utf-8")
    # The book sets a straight apostrophe as a curly one.
    assert [html.unescape(shown).replace("’", "'") for shown in PASTED.findall(page)] == quoted
