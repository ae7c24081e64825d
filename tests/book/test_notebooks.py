"""Every notebook of the book runs in the smoke profile, alone in an empty folder, by papermill and by nbval."""

from pathlib import Path
from typing import ClassVar

from tools import pairs
from tools.execution import compare_alone, run_alone

TEXTS = pairs.texts()


def test_the_book_has_notebooks():
    assert TEXTS


class RunsInSmoke:
    """What is asked of each notebook."""

    notebook: ClassVar[Path]

    def test_papermill_runs_it(self, tmp_path):
        run_alone(self.notebook, tmp_path, "smoke", threads=1)

    def test_nbval_finds_its_marked_outputs_unchanged(self, tmp_path):
        compare_alone(self.notebook, tmp_path, "smoke", threads=1)


# One class for each notebook: pytest-xdist's loadscope hands out whole classes, so that notebooks run side by side.
for _text in TEXTS:
    _name = f"TestNotebook_{_text.parent.name}_{_text.stem}"
    globals()[_name] = type(_name, (RunsInSmoke,), {"notebook": pairs.twin(_text)})
