"""The floor that every generative model must beat, and the log that goes into the zoo."""

import json

import pytest
import torch

from vaelib import zoo
from vaelib.zoo.add import log_of
from vaelib.zoo.measure import COMPONENTS, gaussian_of_components, main


def test_the_gaussian_has_the_mean_and_the_leading_covariance_of_its_images():
    torch.manual_seed(0)
    # Rank 3 in 200 dimensions, well inside [0, 1], so that nothing is cut.
    directions, codes = torch.linalg.qr(torch.randn(192, 3))[0], torch.randn(4000, 3) * torch.tensor([0.3, 0.2, 0.1])
    images = (0.5 + codes @ directions.T).unflatten(1, (3, 8, 8))
    drawn = gaussian_of_components(images, 20_000, torch.Generator().manual_seed(0)).flatten(1)
    torch.testing.assert_close(drawn.mean(0), images.flatten(1).mean(0), atol=0.01, rtol=0)
    found = torch.cov((drawn @ directions).T).diagonal().sqrt()
    torch.testing.assert_close(found, torch.tensor([0.3, 0.2, 0.1]), atol=0.01, rtol=0.05)
    assert torch.linalg.matrix_rank(drawn[:500] - drawn.mean(0), rtol=1e-3) <= COMPONENTS


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
