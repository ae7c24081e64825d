"""The link checker finds what a reader would stumble over, and nothing else."""

import pytest

from tools import check_book

GOOD = """<html><head><title>One</title><link rel="stylesheet" href="_static/a.css">
<script src="https://cdn.jsdelivr.net/npm/mathjax@3/es5/tex-mml-chtml.js"></script></head><body>
<h1 id="top-of-page">One</h1><a href="two.html#here">two</a> <a href="#top-of-page">up</a> <a href="https://example.org">out</a>
<img src="_static/p.png" alt="A face."></body></html>"""
TWO = '<html><head><title>Two</title></head><body><p id="here">here</p><a href="sub/">sub</a></body></html>'


@pytest.fixture
def html(tmp_path):
    (tmp_path / "_static").mkdir()
    (tmp_path / "sub").mkdir()
    (tmp_path / "_static/a.css").write_text("")
    (tmp_path / "_static/p.png").write_bytes(b"")
    (tmp_path / "one.html").write_text(GOOD)
    (tmp_path / "two.html").write_text(TWO)
    (tmp_path / "sub/index.html").write_text("<title>Sub</title><a href='../one.html'>one</a>")
    return tmp_path


def test_a_book_in_order_has_no_faults(html):
    assert check_book.faults(html, ["one.html", "two.html"]) == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("two.html#here", "three.html", "leads nowhere"),
        ("two.html#here", "two.html#there", "a place that two.html does not have"),
        ("#top-of-page", "#gone", "a place that one.html does not have"),
        ("_static/p.png", "_static/q.png", "leads nowhere"),
        (' alt="A face."', "", "no alternative text"),
        ('alt="A face."', 'alt="../_images/0f.png"', "no alternative text"),
        ("https://cdn.jsdelivr.net/npm/mathjax@3/es5/tex-mml-chtml.js", "https://cdn.example/x.js", "from elsewhere"),
        ("<h1 id", "<p>/home/ada/book</p><h1 id", "/home/ada/book"),
        ("<title>One</title>", "", "no title"),
    ],
)
def test_each_thing_that_is_wrong_is_named_once(html, old, new, complaint):
    assert old in GOOD
    (html / "one.html").write_text(GOOD.replace(old, new))
    found = check_book.faults(html, ["one.html"])
    assert len(found) == 1
    assert complaint in found[0]


def test_a_page_that_was_not_built_is_a_fault(html):
    assert check_book.faults(html, ["four.html"]) == ["four.html is in the table of contents but was not built"]


def test_the_pages_that_are_expected_come_from_the_table_of_contents(tmp_path):
    toc = tmp_path / "_toc.yml"
    toc.write_text(
        "format: jb-book\nroot: book/index\nparts:\n- caption: A\n  chapters:\n  - file: book/one.md\n"
        "    sections:\n    - file: book/sub/two.ipynb\n"
    )
    assert check_book.expected_pages(toc)[:3] == ["book/index.html", "book/one.html", "book/sub/two.html"]
