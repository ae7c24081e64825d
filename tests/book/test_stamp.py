"""The repository's address stands in one place, and everything that repeats it is made from there."""

import ast
import re

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from tools import stamp

FACTS = stamp.Facts("https://github.com/ada/course", "main", "1.2.3", ("accelerate>=1.2", "tqdm>=4"))


def test_nothing_in_the_repository_is_out_of_date():
    stale = [str(path) for path, content in stamp.wanted_files().items() if path.read_text("utf-8") != content]
    assert stale == [], "run `make stamp`"


def test_a_block_is_replaced_and_stamping_again_changes_nothing():
    content = "before\n<!-- stamp: colab -->\nold\n<!-- /stamp -->\nafter\n"
    once = stamp.stamped(content, FACTS, "book/02_vae/03_faces.md")
    address = "https://colab.research.google.com/github/ada/course/blob/main/book/02_vae/03_faces.ipynb"
    assert once == f"before\n<!-- stamp: colab -->\n[Open this notebook in Colab]({address})\n<!-- /stamp -->\nafter\n"
    assert stamp.stamped(once, FACTS, "book/02_vae/03_faces.md") == once


@pytest.mark.parametrize("header", [":tags: [setup, hide-input]\n\n", "---\ntags: [setup]\n---\n"])
def test_only_the_cell_tagged_setup_is_written(header):
    cells = (
        f"```{{code-cell}} ipython3\n{header}old\n```\n\n```{{code-cell}} ipython3\n:tags: [parameters]\n\nkept\n```\n"
    )
    written = stamp.stamped(cells, FACTS, "book/x.md")
    assert "old" not in written
    assert "kept" in written
    assert written.count("git+https://github.com/ada/course.git") == 1
    assert stamp.stamped(written, FACTS, "book/x.md") == written


def test_an_unknown_block_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"no stamp 'colob'.*colab"):
        stamp.stamped("<!-- stamp: colob -->\n<!-- /stamp -->", FACTS, "book/x.md")


def test_the_set_up_cell_is_valid_and_never_installs_torch_or_numpy():
    facts = stamp.Facts.read()
    cell = stamp.setup_cell(facts)
    ast.parse(TransformerManager().transform_cell(cell))
    installed = {re.split("[<>=]", item)[0] for item in re.findall(r'"([^"]+>=[^"]+)"', cell)}
    assert installed
    assert not installed & {"torch", "torchvision", "numpy"}
    assert "--no-deps git+" in cell
    assert "==" not in cell


def test_the_set_up_cell_does_nothing_where_vaelib_is_installed():
    code = TransformerManager().transform_cell(stamp.setup_cell(FACTS))

    def never():
        raise AssertionError("the set-up cell ran an installation")

    exec(code, {"get_ipython": never})


def test_an_address_that_is_none_is_refused(tmp_path):
    (tmp_path / "_config.yml").write_text("repository: {url: https://example.com/course}")
    with pytest.raises(ValueError, match="should look like"):
        stamp.Facts.read(tmp_path)
