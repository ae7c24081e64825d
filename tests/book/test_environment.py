"""The list of what gets installed says the same thing in both places where it stands."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def lines_of_requirements() -> set[str]:
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}


def test_requirements_are_the_dependencies_with_the_extras_for_reading_building_grading_and_testing():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = {*project["dependencies"], *extras["full"], *extras["book"], *extras["grading"], *extras["test"]}
    assert lines_of_requirements() == wanted


def test_every_dependency_of_the_library_has_a_lower_bound_and_no_other():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for requirement in project["dependencies"]:
        assert re.fullmatch(r"[\w-]+>=[\d.]+", requirement), requirement


def test_jupyter_book_stays_below_version_2_which_cannot_build_this_book():
    assert any(re.fullmatch(r"jupyter-book>=1\.0\.4\.post1,<2", line) for line in lines_of_requirements())
