"""`vaelib import-nvae`, and options of a published file that nobody here knows."""

import argparse
import json
from pathlib import Path

import pytest
import torch

import vaelib
from vaelib.cli import main
from vaelib.models.nvae import import_checkpoint

FILE = Path(__file__).parent / "fixtures" / "celeba64-small" / "checkpoint.pt"


def changed(folder: Path, **options: object) -> Path:
    with torch.serialization.safe_globals([argparse.Namespace]):
        stored = torch.load(FILE, weights_only=True)
    vars(stored["args"]).update(options)
    torch.save(stored, folder / "changed.pt")
    return folder / "changed.pt"


def test_an_unknown_option_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not known here: use_attention"):
        import_checkpoint(changed(tmp_path, use_attention=False))


def test_options_of_the_script_are_ignored(tmp_path: Path) -> None:
    import_checkpoint(changed(tmp_path, root="/elsewhere", seed=7, epochs=3, local_rank=5))


def test_the_command_saves_a_model_that_answers_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "model"
    assert main(["import-nvae", str(FILE), "--out", str(out)]) == 0
    assert "3 groups" in capsys.readouterr().out
    ours, loaded = import_checkpoint(FILE), vaelib.load(out)
    assert torch.equal(loaded.deterministic_prior(1), ours.deterministic_prior(1))
    card = json.loads((out / "card.json").read_text())
    assert card["imported_from"]["file"] == "checkpoint.pt"
    assert len(card["imported_from"]["sha256"]) == 64
    assert card["published_settings"]["num_nf"] == 1

    assert main(["import-nvae", str(FILE), "--out", str(out)]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main(["import-nvae", str(FILE), "--out", str(out), "--overwrite"]) == 0


def test_a_bad_file_is_one_line_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.pt").write_text("hello")
    for file in ("bad.pt", "missing.pt"):
        assert main(["import-nvae", str(tmp_path / file), "--out", str(tmp_path / "model")]) == 1
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1
        assert "Traceback" not in error
    assert not (tmp_path / "model").exists()
