"""Run notebooks: to keep their outputs (`render`), or only to see that they run (`run_alone`, `compare_alone`)."""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

import vaelib
from tools.pairs import ROOT, NotebookError, code_hash, combined, twin, write

SECONDS_PER_CELL = 1800
WIDGET = "application/vnd.jupyter.widget-view+json"
# Run after the last cell, in the same kernel, and dropped: which of our modules did the notebook use?
WHICH_MODULES = (
    "import json, sys\nprint(json.dumps(sorted(name for name in sys.modules if name.split('.')[0] == 'vaelib')))"
)


def environment(profile: str, threads: int | None = None) -> dict[str, str]:
    """The environment variables of a kernel: the profile, no progress bars, this environment's own kernel."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV_"))}
    variables |= {
        "VAELIB_PROFILE": profile,
        "VAELIB_CI": "1",
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        # `!vaelib …` in a notebook means the one of this environment, also where the environment is not activated.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
    }
    # A shell's own choice of drawing would change the pictures.
    variables.pop("MPLBACKEND", None)
    return variables | ({"OMP_NUM_THREADS": str(threads)} if threads else {})


def module_hash(name: str) -> str | None:
    """A short hash of a module's source; None when there is no such module any more."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
    if spec is None or spec.origin is None:
        return None
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()[:12]


def changed_modules(stamp: dict) -> list[str]:
    """The modules of vaelib that a notebook used and that changed since its outputs were made."""
    return [name for name, digest in stamp.get("modules", {}).items() if module_hash(name) != digest]


def without_machine(text: str, folder: str) -> str:
    """A text in which paths of this machine are shortened to what a reader can use."""
    places = {folder: ".", str(ROOT): ".", sys.prefix: "PYTHON", tempfile.gettempdir(): "TMP", str(Path.home()): "~"}
    for place in sorted(places, key=len, reverse=True):
        text = text.replace(place + os.sep, places[place] + "/").replace(place, places[place])
    return text


def cleaned(outputs: list[NotebookNode], folder: str) -> list[NotebookNode]:
    """Outputs as they are kept: without widgets, which would need a kernel, and without our paths."""
    kept = []
    for output in outputs:
        if "text" in output:
            output["text"] = without_machine(output.text, folder)
        if "data" in output:
            if WIDGET in output.data:
                # What is left of a widget is its name; the picture that stands in for it is an output of its own.
                continue
            for kind, value in output.data.items():
                if isinstance(value, str) and not kind.startswith("image/p"):
                    output.data[kind] = without_machine(value, folder)
        kept.append(output)
    return kept


def executed(notebook: NotebookNode, profile: str) -> NotebookNode:
    """A copy of the notebook after running it from top to bottom in an empty folder of its own.

    Raises:
        NotebookError: a cell raised, or ran for more than half an hour.
    """
    copy = nbformat.from_dict(notebook)
    for cell in copy.cells:
        cell.metadata.pop("execution", None)
    copy.cells.append(nbformat.v4.new_code_cell(WHICH_MODULES))
    with tempfile.TemporaryDirectory(prefix="vaelib-render-") as folder:
        client = NotebookClient(
            copy,
            timeout=SECONDS_PER_CELL,
            kernel_name="python3",
            record_timing=False,
            store_widget_state=False,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        )
        try:
            client.execute(env=environment(profile))
        except CellExecutionError as error:
            raise NotebookError(f"a cell raised, so nothing was written:\n{error}") from error
        except TimeoutError as error:
            raise NotebookError(f"a cell ran for more than {SECONDS_PER_CELL} s, so nothing was written") from error
        modules = json.loads(copy.cells.pop().outputs[0].text)
        for cell in copy.cells:
            if cell.cell_type == "code":
                cell["outputs"] = cleaned(cell.outputs, folder)
    # The kernel has written its own version into the metadata; the notebook's stays as it was.
    copy["metadata"] = nbformat.from_dict(notebook.metadata)
    copy.metadata["vaelib"] = {
        "profile": profile,
        "version": vaelib.__version__,
        "date": datetime.now(UTC).date().isoformat(),
        "cells": code_hash(copy.cells),
        "modules": {name: module_hash(name) for name in modules},
    }
    return copy


def is_fresh(notebook: NotebookNode) -> bool:
    """Whether the outputs were made in the `cpu` profile by the cells that the notebook has now."""
    stamp = notebook.metadata.get("vaelib", {})
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return (
        stamp.get("profile") == "cpu"
        and stamp.get("cells") == code_hash(notebook.cells)
        and all(cell.execution_count is not None for cell in code)
    )


def render(text: Path, *, anyway: bool = False) -> bool:
    """Run the notebook of a text in the `cpu` profile if its code changed, and keep its outputs.

    Returns:
        whether it ran.
    Raises:
        NotebookError: it failed; the .ipynb is as it was.
    """
    notebook = combined(text)
    if is_fresh(notebook) and not anyway:
        write(twin(text), notebook)
        return False
    outcome = executed(notebook, "cpu")
    for cell, source in zip(outcome.cells, notebook.cells, strict=True):
        cell["metadata"] = source.metadata
    write(twin(text), outcome)
    return True


def run_alone(notebook: Path, folder: Path, profile: str = "smoke", threads: int | None = None) -> None:
    """Run a copy of a notebook with papermill in a folder that holds nothing else.

    Raises:
        NotebookError: it failed; the message ends with what papermill said.
    """
    work, out = folder / "work", folder / "executed.ipynb"
    work.mkdir()
    source = folder / notebook.name
    nbformat.write(strict_about_commands(nbformat.read(notebook, as_version=4)), source)
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "papermill",
        source,
        out,
        "-p",
        "profile",
        profile,
        "-k",
        "python3",
    ]
    command += ["--cwd", work, "--no-progress-bar", "--execution-timeout", str(SECONDS_PER_CELL)]
    _run(command, folder, profile, threads, f"papermill could not run {notebook.name} in the {profile} profile")


def strict_about_commands(notebook: NotebookNode) -> NotebookNode:
    """The notebook with a check after every `!command`: IPython itself goes on as if nothing were wrong."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = re.sub(
                r"^!(?:.*\\\n)*.*",
                r"\g<0>\nassert not _exit_code, 'the command failed'",
                cell.source,
                flags=re.MULTILINE,
            )
    return notebook


def compare_alone(notebook: Path, folder: Path, profile: str = "smoke", threads: int | None = None) -> None:
    """Run a copy of a notebook with nbval in a folder that holds nothing else, comparing the cells that are marked.

    Raises:
        NotebookError: a cell failed, or an output tagged `nbval-check-output` is another one now.
    """
    source = shutil.copy(notebook, folder / notebook.name)
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval-lax",
        "--nbval-current-env",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    command += [f"--nbval-cell-timeout={SECONDS_PER_CELL}", "-c", os.devnull, f"--rootdir={folder}", source]
    _run(command, folder, profile, threads, f"nbval found {notebook.name} different in the {profile} profile")


def _run(command: list[str | Path], folder: Path, profile: str, threads: int | None, complaint: str) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment(profile, threads),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        said = "\n".join(done.stdout.splitlines()[-60:])
        raise NotebookError(f"{complaint}:\n{said}")
