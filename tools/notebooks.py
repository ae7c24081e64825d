"""The notebooks of the book: `sync`, `render`, `format`, `check` and `run`. The Makefile has a target for each.

python -m tools.notebooks sync              text → .ipynb, keeping outputs of unchanged cells
python -m tools.notebooks render [--all]    run what changed, and keep the outputs; nothing else writes outputs
python -m tools.notebooks format            format the code cells of the texts with ruff
python -m tools.notebooks check             fail when a pair disagrees or its outputs are old
python -m tools.notebooks run               run every notebook alone in an empty folder; write nothing
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.execution import changed_modules, compare_alone, render, run_alone
from tools.pairs import ROOT, NotebookError, combined, faults, read_cells, read_notebook, texts, twin, write


def chosen(only: Path | None) -> list[Path]:
    """The sources, or those of them at or below `only` (the .ipynb may be named too)."""
    if only is None:
        return texts()
    only = only.resolve().with_suffix("" if only.suffix in (".md", ".ipynb") else only.suffix)
    found = [text for text in texts() if only in (text.with_suffix(""), *text.parents)]
    if not found:
        raise NotebookError(f"there is no notebook at {only}; there are {', '.join(map(name, texts())) or 'none'}")
    return found


def name(text: Path) -> str:
    """How a notebook is called on the terminal."""
    return str(text.relative_to(ROOT).with_suffix(""))


def sync_all() -> None:
    """Carry every text over to its .ipynb."""
    for text in texts():
        if write(twin(text), combined(text)):
            print(f"{name(text)}: synced")


def format_all() -> None:
    """Format the code of every text as ruff formats a notebook's cells."""
    for text in texts():
        cells = [cell for cell in read_cells(text) if cell.cell_type == "code"]
        with tempfile.TemporaryDirectory(prefix="vaelib-format-") as folder:
            copy = Path(folder) / "notebook.ipynb"
            write(copy, combined(text))
            subprocess.run(
                [sys.executable, "-m", "ruff", "format", "--quiet", "--config", ROOT / "book/ruff.toml", copy],
                check=True,
            )
            formatted = [cell for cell in read_notebook(copy).cells if cell.cell_type == "code"]
        content = text.read_text("utf-8")
        for before, after in zip(cells, formatted, strict=True):
            content = content.replace(f"\n{before.source}\n```", f"\n{after.source}\n```", 1)
        if content != text.read_text("utf-8"):
            text.write_text(content, encoding="utf-8")
            print(f"{name(text)}: formatted")


def render_all(only: Path | None, anyway: bool) -> None:
    """Run what changed, one notebook at a time: their timings are part of the book."""
    for text in chosen(only):
        print(f"{name(text)}: …", flush=True)
        try:
            ran = render(text, anyway=anyway)
        except NotebookError as error:
            raise NotebookError(f"{name(text)}: {error}") from error
        print(f"{name(text)}: {'rendered' if ran else 'up to date'}", flush=True)


def check_all() -> None:
    """Fail when a pair has a fault; mention, without failing, notebooks older than the code they use."""
    wrong = [f"{name(text)}: {fault}" for text in texts() for fault in faults(text)]
    for path in sorted(ROOT.glob("book/[0-9]*/*.ipynb")):
        # The exercises have their source elsewhere; `make assignments` writes them.
        if path.stem != "exercises" and path.with_suffix(".md") not in texts():
            wrong.append(f"{name(path)}: there is an .ipynb but no text with code cells beside it")
    if wrong:
        raise NotebookError("\n".join(wrong))
    for text in texts():
        if changed := changed_modules(combined(text).metadata["vaelib"]):
            print(
                f"note: {name(text)} was rendered before {', '.join(changed)} changed (`make render ALL=1` refreshes)"
            )
    print(f"{len(texts())} notebook(s): text and .ipynb agree, outputs are up to date")


def run_all(only: Path | None, profile: str) -> None:
    """Run every notebook twice, by papermill and by nbval, each alone in an empty folder."""
    for text in chosen(only):
        for run in (run_alone, compare_alone):
            with tempfile.TemporaryDirectory(prefix="vaelib-notebook-") as folder:
                run(twin(text), Path(folder), profile)
        print(f"{name(text)}: runs in the {profile} profile", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.notebooks", description="Keep the book's notebooks in order."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("sync", help="carry the text over to the .ipynb, keeping outputs of unchanged cells")
    commands.add_parser("format", help="format the code cells of the texts with ruff")
    commands.add_parser("check", help="fail when text and .ipynb disagree or outputs are old")
    rendering = commands.add_parser("render", help="run the notebooks whose cells changed and keep their outputs")
    rendering.add_argument("--all", action="store_true", help="run every notebook, changed or not")
    running = commands.add_parser("run", help="run every notebook alone in an empty folder, writing nothing")
    running.add_argument("--profile", choices=("smoke", "cpu", "gpu"), default="smoke")
    for command in (rendering, running):
        command.add_argument("--only", type=Path, help="a notebook, or a folder of the book")
    options = parser.parse_args(arguments)
    try:
        match options.command:
            case "sync":
                sync_all()
            case "check":
                check_all()
            case "format":
                format_all()
            case "render":
                render_all(options.only, options.all)
            case "run":
                run_all(options.only, options.profile)
    except NotebookError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; no notebook is half-written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
