"""What the book's reference pages take from the code: docstrings, data and model cards, the command line's help.

vaelib's docstrings are plain prose with single backticks and indented examples, written for people who read the source.
Sphinx reads them as reStructuredText, where `|z|`, `*` and a trailing underscore mean something else; here they are
escaped.
"""

import os
import re
import subprocess
import sys
from typing import Any, ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.domains.python import PyClasslike
from sphinx.util.docutils import SphinxDirective
from vaelib.data import DataCard, cards
from vaelib.zoo.cards import cards as model_cards

LITERAL = re.compile(r"(``.+?``|`[^`\n]*`)")
MARKUP = re.compile(r"[*|]|(?<=\w)_(?!\w)")


def escaped(line: str) -> str:
    """A line in which nothing but backticks is markup. What stands between backticks is code."""
    parts = LITERAL.split(line)
    for index, part in enumerate(parts):
        if index % 2:
            name = part.strip("`")
            # A name may become a link; an expression cannot, and its brackets would be read as a link's target.
            parts[index] = f"`{name}`" if re.fullmatch(r"[\w.]+", name) else f"``{name}``"
        else:
            parts[index] = MARKUP.sub(lambda match: "\\" + match.group(), part.replace("\\", "\\\\"))
    return "".join(parts)


def indent(line: str) -> int:
    """How far a line is indented."""
    return len(line) - len(line.lstrip())


def prepare_docstring(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Turn a docstring's prose into reStructuredText, and its indented examples into literal blocks."""
    prepared: list[str] = []
    literal: int | None = None
    for number, line in enumerate(lines):
        if literal is not None and line.strip() and indent(line) <= literal:
            literal = None
        if literal is not None:
            prepared.append(line)
            continue
        following = lines[number + 1 : number + 3]
        # An example: after a paragraph and an empty line, something that is indented further.
        starts_example = (
            len(following) == 2 and line.strip() and not following[0].strip() and indent(following[1]) > indent(line)
        )
        if starts_example and not line.lstrip().startswith(("-", "*")):
            literal = indent(line)
            prepared += [escaped(line), "", f"{' ' * literal}::"]
        elif re.match(r"\s*(Source|Raises|Returns):\s*\S", line):
            # A closing remark of one line is a paragraph of its own, not the end of the list above it.
            prepared += ["", escaped(line)]
        else:
            prepared.append(escaped(line))
    lines[:] = prepared


def skip_aliases(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out the fields of named tuples ("Alias for field number 0"): the class's docstring describes them."""
    return True if type(obj).__name__ == "_tuplegetter" else None


class DataCards(SphinxDirective):
    """`{data-cards}`: one section for each data set of the catalogue, from `vaelib.data.cards()`."""

    def run(self) -> list[nodes.Node]:
        source = StringList()
        for name, card in cards().items():
            for line in [f"(data-{name})=", f"## `{name}`: {card.title}", "", *card_markdown(card), ""]:
                source.append(line, f"the data card of {name}")
        container = nodes.Element()
        self.state.nested_parse(source, self.content_offset, container, match_titles=True)
        return container.children


def card_markdown(card: DataCard) -> list[str]:
    """A data card as Markdown lines, a definition list."""
    return [line for term, value in card.rows().items() for line in (term, f": {value}", "")]


class ZooTable(SphinxDirective):
    """`{zoo-table}`: the models of the zoo, one a row, each with a link to its card."""

    def run(self) -> list[nodes.Node]:
        source = StringList()
        lines = ["| name | kind | images | parameters | weights | licence |", "|---|---|---|---|---|---|"]
        for name, card in model_cards().items():
            shape = "×".join(map(str, card.image_shape))
            size = f"{card.weights_bytes / 1e6:.1f} MB"
            link = f"[`{name}`](model-{name})"
            lines.append(f"| {link} | {card.kind} | {shape} | {card.parameters:,} | {size} | {card.licence} |")
        for line in lines:
            source.append(line, "the list of the zoo")
        container = nodes.Element()
        self.state.nested_parse(source, self.content_offset, container)
        return container.children


class ModelCards(SphinxDirective):
    """`{model-cards}`: one section for each model of the zoo, from `vaelib.zoo.cards`."""

    def run(self) -> list[nodes.Node]:
        source = StringList()
        for name, card in model_cards().items():
            for line in [f"(model-{name})=", *card.markdown(level=3).splitlines(), ""]:
                source.append(line, f"the model card of {name}")
        container = nodes.Element()
        self.state.nested_parse(source, self.content_offset, container, match_titles=True)
        return container.children


class CommandHelp(SphinxDirective):
    """`{command-help}`: what `vaelib …` prints with `--help`, asked at build time."""

    has_content = False
    optional_arguments = 1
    final_argument_whitespace = True
    width: ClassVar[int] = 88

    def run(self) -> list[nodes.Node]:
        words = self.arguments[0].split() if self.arguments else []
        done = subprocess.run(
            [sys.executable, "-m", "vaelib", *words, "--help"],
            env=os.environ | {"COLUMNS": str(self.width), "NO_COLOR": "1", "VAELIB_CI": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not done.stdout:
            raise self.error(f"`vaelib {' '.join(words)} --help` failed: {done.stderr[-500:]}")
        block = nodes.literal_block(done.stdout, done.stdout, language="text")
        block["classes"].append("command-help")
        return [block]


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx's entry point."""
    # Before napoleon, which has priority 500.
    app.connect("autodoc-process-docstring", prepare_docstring, priority=400)
    app.connect("autodoc-skip-member", skip_aliases)
    # vaelib's docstrings call them attributes, and so should the page.
    for kind in PyClasslike.doc_field_types:
        if kind.name == "variable":
            kind.label = "Attributes"
    app.add_directive("data-cards", DataCards)
    app.add_directive("zoo-table", ZooTable)
    app.add_directive("model-cards", ModelCards)
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
