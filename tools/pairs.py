"""A notebook in two forms: the MyST text, which is the source, and the .ipynb beside it, which has the outputs.

The text goes one way, into the .ipynb. What the .ipynb adds (outputs, execution counts, the stamp of the run that made
them) is kept for every cell whose program did not change: spaces, line breaks and comments are not part of it.
"""

import ast
import hashlib
import json
import os
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
# No versions here: the notebook should not change because another Python opened it.
LANGUAGE = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python", "pygments_lexer": "ipython3"}

MOST_BYTES = 3_000_000
"""How large one .ipynb may be: every version of it stays in the history of the repository."""

GLUE = re.compile(r"\{glue:[a-z]*\}`([^`]+)`")
MACHINE_PATH = re.compile(
    r"(?<![\w.])(?:/home/\w|/Users/\w|/root/|/tmp/|/private/|/var/folders/|/mnt/|[A-Z]:\\\\?Users)[^\s\"'<>)]*"
    r"|[^\s\"'<>(]*site-packages[^\s\"'<>)]*"
)
"""A path that only means something on the machine where the notebook ran."""


class NotebookError(Exception):
    """Something about a notebook that its author has to mend."""


def texts(root: Path = ROOT) -> list[Path]:
    """The sources: every Markdown file in a chapter's folder (book/NN_*) that has a code cell."""
    return [path for path in sorted(root.glob("book/[0-9]*/*.md")) if "```{code-cell}" in path.read_text("utf-8")]


def twin(text: Path) -> Path:
    """The .ipynb beside a text."""
    return text.with_suffix(".ipynb")


def read_cells(text: Path) -> list[NotebookNode]:
    """The cells of a text, with ids that depend on nothing but what the cells say."""
    cells = jupytext.reads(text.read_text("utf-8"), fmt="md:myst").cells
    seen: Counter[str] = Counter()
    for cell in cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        cell["id"] = f"{digest}-{seen[digest]}" if seen[digest] else digest
        seen[digest] += 1
    return cells


def read_notebook(path: Path) -> NotebookNode:
    """An .ipynb as it stands."""
    try:
        return nbformat.read(path, as_version=4)
    except (ValueError, nbformat.ValidationError) as error:
        raise NotebookError(f"{path} is no notebook ({error}); delete it and run `make sync render`") from error


def tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell."""
    return list(cell.metadata.get("tags", []))


def identity(cell: NotebookNode) -> str:
    """What decides whether a code cell changed.

    The set-up cell does nothing where vaelib is installed, so a new address in it does not make the outputs old.
    """
    return "set-up" if "setup" in tags(cell) else cell.source


def program(cell: NotebookNode) -> str:
    """What a code cell does, whatever its line breaks and comments: what was only formatted need not run again."""
    # A line of IPython's own (`%pip …`, `!vaelib …`) counts letter for letter.
    python = re.sub(r"(?m)^(\s*)([%!].*)$", lambda line: line[1] + repr(line[2]), identity(cell))
    try:
        return ast.dump(ast.parse(python))
    except SyntaxError:
        return identity(cell)


def code_hash(cells: list[NotebookNode]) -> str:
    """A short hash of all code cells in order: outputs made by other cells are out of date."""
    code = [identity(cell) for cell in cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(code).encode()).hexdigest()[:16]


def combined(text: Path) -> NotebookNode:
    """The notebook that belongs to a text: its cells, with the outputs that its .ipynb has for unchanged ones."""
    path = twin(text)
    old = read_notebook(path) if path.exists() else nbformat.v4.new_notebook()
    kept: dict[str, list[NotebookNode]] = defaultdict(list)
    for cell in old.cells:
        if cell.cell_type == "code":
            kept[program(cell)].append(cell)
    cells = read_cells(text)
    for cell in cells:
        if cell.cell_type == "code":
            same = kept[program(cell)]
            before = same.pop(0) if same else None
            cell["outputs"] = before.outputs if before else []
            cell["execution_count"] = before.execution_count if before else None
    metadata: dict[str, Any] = {"kernelspec": KERNEL, "language_info": LANGUAGE}
    if "vaelib" in old.metadata:
        metadata["vaelib"] = dict(old.metadata["vaelib"])
        code = [[program(cell) for cell in some if cell.cell_type == "code"] for some in (old.cells, cells)]
        if metadata["vaelib"].get("cells") == code_hash(old.cells) and code[0] == code[1]:
            metadata["vaelib"]["cells"] = code_hash(cells)
    return nbformat.from_dict({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def serialised(notebook: NotebookNode) -> str:
    """The one way in which a notebook is written to disk."""
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def write(path: Path, notebook: NotebookNode) -> bool:
    """Write a notebook, whole or not at all. Returns whether the file changed."""
    content = serialised(notebook)
    if path.exists() and path.read_text("utf-8") == content:
        return False
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return True


def output_texts(cell: NotebookNode) -> Iterator[str]:
    """Every piece of text in the outputs of a code cell."""
    for output in cell.outputs:
        if "text" in output:
            yield output.text
        for kind, value in output.get("data", {}).items():
            if isinstance(value, str) and not kind.startswith("image/p"):
                yield value


def alternative_text(cell: NotebookNode) -> str:
    """What a reader who cannot see the cell's picture is told instead."""
    return cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")


def glued_name(output: NotebookNode) -> str | None:
    """The name under which an output can be quoted in the text, if it can."""
    return output.get("metadata", {}).get("scrapbook", {}).get("name")


def faults(text: Path) -> list[str]:
    """What is wrong with a pair, in words for its author; nothing when all is well."""
    found: list[str] = []
    expected = combined(text)
    code = [(number, cell) for number, cell in enumerate(expected.cells, 1) if cell.cell_type == "code"]
    parameters = [cell for _, cell in code if "parameters" in tags(cell)]
    if len(parameters) != 1 or "profile = vaelib.profile()" not in parameters[0].source:
        found.append("it needs exactly one code cell tagged `parameters`, with the line `profile = vaelib.profile()`")
    if not code or "setup" not in tags(code[0][1]):
        found.append(
            "its first code cell should be the set-up cell, tagged `setup` (`make stamp` writes what is in it)"
        )
    for number, cell in code:
        if "raises-exception" in tags(cell):
            found.append(f"cell {number} is tagged raises-exception, which papermill ignores: catch the error instead")
    path = twin(text)
    if not path.exists():
        return [*found, "it has no .ipynb: run `make sync render`"]
    if path.read_text("utf-8") != serialised(expected):
        found.append(f"{path.name} and {text.name} have different cells: run `make sync`")
    stamp = expected.metadata.get("vaelib")
    if stamp is None:
        return [*found, "it has never been run: run `make render`"]
    if stamp["cells"] != code_hash(expected.cells):
        found.append("its code changed after its outputs were made: run `make render`")
    elif any(cell.execution_count is None for _, cell in code):
        found.append("a code cell has not been run: run `make render`")
    for number, cell in code:
        for output in cell.outputs:
            if output.output_type == "error":
                found.append(f"cell {number} shows an error: {output.ename}: {output.evalue}")
            elif output.output_type == "stream" and output.name == "stderr":
                found.append(
                    f"cell {number} wrote to stderr, which a reader should not see: {output.text.strip()[:200]}"
                )
        pictured = any("image/png" in output.get("data", {}) for output in cell.outputs)
        if pictured and len(alternative_text(cell)) < 20:
            found.append(f"cell {number} shows a picture without alternative text (mystnb: image: alt)")
        for match in {match.group() for text in output_texts(cell) for match in MACHINE_PATH.finditer(text)}:
            found.append(f"cell {number} shows a path of the machine that ran it: {match}")
    glued = {name for _, cell in code for output in cell.outputs if (name := glued_name(output))}
    quoted = {name for cell in expected.cells if cell.cell_type == "markdown" for name in GLUE.findall(cell.source)}
    if missing := sorted(quoted - glued):
        found.append(f"its text quotes numbers that no cell reports: {', '.join(missing)}")
    if path.stat().st_size > MOST_BYTES:
        sizes = f"{path.stat().st_size / 1e6:.1f} MB, more than {MOST_BYTES / 1e6:.0f} MB"
        found.append(f"it has {sizes}: show fewer or smaller pictures")
    return found
