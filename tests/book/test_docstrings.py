"""Docstrings are plain prose; what reStructuredText would misread is escaped on the way into the book."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "book" / "_ext"))
import vaelib_pages


@pytest.mark.parametrize(
    ("prose", "expected"),
    [
        ("log p(x | z) of N(0, I)", r"log p(x \| z) of N(0, I)"),
        ("2 * x and *args", r"2 \* x and \*args"),
        ("a `name` and `log_prob(x)`", "a `name` and ``log_prob(x)``"),
        ("`a <b>` stays code", "``a <b>`` stays code"),
        ("ends in free_ here", r"ends in free\_ here"),
    ],
)
def test_only_backticks_are_markup(prose, expected):
    assert vaelib_pages.escaped(prose) == expected


def test_an_indented_example_becomes_a_literal_block_and_keeps_its_stars():
    lines = ["Draw it.", "", "    grid(*images | x)", "", "Then `go` on."]
    vaelib_pages.prepare_docstring(None, "function", "f", None, None, lines)
    assert lines == ["Draw it.", "", "::", "", "    grid(*images | x)", "", "Then `go` on."]


def test_a_section_of_arguments_is_left_to_napoleon():
    lines = ["Draw it.", "", "Args:", "    images: (B, C, H, W).", "Returns:", "    a figure."]
    before = list(lines)
    vaelib_pages.prepare_docstring(None, "function", "f", None, None, lines)
    assert lines == before
