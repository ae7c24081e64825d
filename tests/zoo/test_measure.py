"""The log that goes into the zoo, and what is said where nothing was measured."""

import json

import pytest

from vaelib import zoo
from vaelib.zoo.add import log_of
from vaelib.zoo.measure import main


def test_the_log_counts_over_all_stages(tmp_path):
    for folder, images in (("stage-1-side-8", 100), ("stage-2-side-16", 200), (".", 300)):
        (tmp_path / folder).mkdir(exist_ok=True)
        rows = [
            {"step": step, "images_seen": step * images, "images_per_second": 50.0, "train/total": 1 / 3}
            for step in (1, 2)
        ]
        (tmp_path / folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    rows = log_of(tmp_path)
    assert [row["stage"] for row in rows] == ["stage-1-side-8"] * 2 + ["stage-2-side-16"] * 2 + ["last"] * 2
    assert [row["images_seen"] for row in rows] == [100, 200, 400, 600, 900, 1200]
    assert rows[-1]["seconds"] == 24.0
    assert rows[0]["train/total"] == 0.3333
    assert log_of(tmp_path / "stage-1-side-8")[0]["stage"] == "last"
    assert log_of(tmp_path / "nothing") == []


def test_a_model_without_results_says_so():
    with pytest.raises(ValueError, match="no log of its training for 'vae-faces64'"):
        zoo.training_log("vae-faces64")
    with pytest.raises(ValueError, match="vae-faces64"):
        zoo.results("vae-faces65")


def test_a_misspelt_name_is_named(capsys):
    assert main(["vae-faces65"]) == 1
    assert "vae-faces64" in capsys.readouterr().err
