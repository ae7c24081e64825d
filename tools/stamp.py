"""Write the repository's address into every place that needs it. It stands once, in `_config.yml`.

    python -m tools.stamp            write
    python -m tools.stamp --check    fail when a place is out of date

In Markdown, a place is a block between `<!-- stamp: NAME -->` and `<!-- /stamp -->`; in a notebook's text it is also
the code cell tagged `setup`. CITATION.cff is written as a whole.
"""

import argparse
import difflib
import re
import sys
import textwrap
import tomllib
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- stamp: (?P<name>[a-z-]+) -->\n).*?(<!-- /stamp -->)", re.DOTALL)
SETUP = re.compile(
    r"(^```\{code-cell\}[^\n]*\n(?:---\n(?:[^\n]*\n)*?---\n|(?::[^\n]*\n)+)\n*)(?P<code>.*?)(^```$)",
    re.DOTALL | re.MULTILINE,
)
# Colab has these, and a running kernel must not have them swapped under its feet.
NEVER_REINSTALL = ("torch", "torchvision", "numpy", "scipy", "scikit-learn")


@dataclass(frozen=True)
class Facts:
    """What gets stamped: the address, the branch, the library's version and the dependencies that Colab may lack."""

    url: str
    branch: str
    version: str
    dependencies: tuple[str, ...]

    @classmethod
    def read(cls, root: Path = ROOT) -> "Facts":
        """From _config.yml, pyproject.toml and vaelib/__init__.py.

        Raises:
            ValueError: the address is no GitHub address.
        """
        repository = yaml.safe_load((root / "_config.yml").read_text("utf-8"))["repository"]
        url = repository["url"].rstrip("/")
        if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", url):
            raise ValueError(
                f"repository.url in _config.yml should look like https://github.com/NAME/PROJECT, not {url!r}"
            )
        project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
        wanted = [item for item in project["dependencies"] if re.split(r"[^\w-]", item)[0] not in NEVER_REINSTALL]
        version = re.search(r'^__version__ = "(.+)"$', (root / "vaelib/__init__.py").read_text("utf-8"), re.MULTILINE)
        if version is None:
            raise ValueError('vaelib/__init__.py has no line `__version__ = "…"`')
        return cls(url, repository.get("branch", "main"), version.group(1), tuple(wanted))

    def colab(self, notebook: str) -> str:
        """The address that opens a notebook in Colab."""
        return f"https://colab.research.google.com/github/{self.url.removeprefix('https://github.com/')}/blob/{self.branch}/{notebook}"


def setup_cell(facts: Facts) -> str:
    """The first code cell of a notebook: nothing where vaelib is installed, an installation where it is not."""
    dependencies = textwrap.wrap(
        " ".join(f'"{item}"' for item in facts.dependencies), width=72, break_long_words=False, break_on_hyphens=False
    )
    return (
        "# On Colab this installs vaelib and leaves torch and numpy alone.\n"
        "# Elsewhere it does nothing.\n"
        "import importlib.util\n"
        "\n"
        'if importlib.util.find_spec("vaelib") is None:\n'
        f"    %pip install --quiet --no-deps git+{facts.url}.git\n"
        "    %pip install --quiet \\\n        " + " \\\n        ".join(dependencies) + "\n"
    )


def block(name: str, facts: Facts, path: str) -> str:
    """The text of one block.

    Args:
        name: which block.
        path: the file that holds it, relative to the root; the Colab link of a notebook depends on it.
    Raises:
        ValueError: no such block.
    """
    if name == "colab":
        return f"[Open this notebook in Colab]({facts.colab(str(Path(path).with_suffix('.ipynb')))})\n"
    if name == "clone":
        folder = facts.url.rsplit("/", 1)[1]
        return f"```bash\ngit clone {facts.url}.git\ncd {folder}\n```\n"
    if name == "install":
        return f"```bash\npip install git+{facts.url}.git\n```\n"
    if name == "repository":
        return f"<{facts.url}>\n"
    if name == "badges":
        return (
            f"[![tests]({facts.url}/actions/workflows/tests.yml/badge.svg)]({facts.url}/actions/workflows/tests.yml)\n"
            f"[![book]({facts.url}/actions/workflows/book.yml/badge.svg)]({facts.url}/actions/workflows/book.yml)\n"
        )
    raise ValueError(f"{path}: there is no stamp {name!r}; there are badges, clone, colab, install and repository")


def stamped(content: str, facts: Facts, path: str) -> str:
    """A Markdown file with its blocks and its set-up cell up to date."""

    def setup(match: re.Match) -> str:
        tagged = re.search(r"^:?tags: \[[^\]]*\bsetup\b", match.group(1), re.MULTILINE)
        return f"{match.group(1)}{setup_cell(facts)}{match.group(3)}" if tagged else match.group()

    content = BLOCK.sub(lambda match: f"{match.group(1)}{block(match['name'], facts, path)}{match.group(3)}", content)
    return SETUP.sub(setup, content)


def citation(facts: Facts) -> str:
    """CITATION.cff."""
    return f"""\
cff-version: 1.2.0
message: If this book or its library helps your work, please cite it.
title: "From Autoencoders to NVAE: a book that runs, and vaelib, its library"
type: software
authors:
  - name: The vaelib developers
version: {facts.version}
license: MIT
repository-code: {facts.url}
keywords: [variational autoencoder, generative models, representation learning, teaching]
"""


def wanted_files(root: Path = ROOT) -> dict[Path, str]:
    """Every stamped file with the content that it should have."""
    facts = Facts.read(root)
    sources = [root / "README.md", root / "CONTRIBUTING.md", *sorted(root.glob("book/**/*.md"))]
    wanted = {
        path: stamped(path.read_text("utf-8"), facts, str(path.relative_to(root))) for path in sources if path.exists()
    }
    return wanted | {root / "CITATION.cff": citation(facts)}


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.stamp", description="Write the repository's address where it belongs."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a place is out of date")
    check = parser.parse_args(arguments).check
    stale = 0
    for path, content in wanted_files().items():
        present = path.read_text("utf-8") if path.exists() else ""
        if present == content:
            continue
        stale += 1
        if check:
            changes = difflib.unified_diff(
                present.splitlines(), content.splitlines(), "as it is", "as it should be", lineterm=""
            )
            print(f"{path.relative_to(ROOT)} is out of date: run `make stamp`", *changes, sep="\n", file=sys.stderr)
        else:
            path.write_text(content, encoding="utf-8")
            print(f"{path.relative_to(ROOT)}: stamped")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
