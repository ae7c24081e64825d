"""Training that begins with smaller pictures, as people run it: through, interrupted, with pictures of their own."""

import json

import pytest
import torch

from vaelib.cli import main
from vaelib.data import ImageSet
from vaelib.models.nvae import NVAEConfig
from vaelib.training import TrainConfig
from vaelib.training.growing import Stage, train_stages

FINAL = NVAEConfig(
    image_shape=(3, 32, 32), encoder_width=4, decoder_width=4, latent_channels=3, groups=(1, 1, 1), blocks=1
)
SHORT = TrainConfig(steps=3, batch_size=4, learning_rate=1e-3, optimiser="adamax", ema_decay=0.9, checkpoint_every=1)
STAGES = (Stage(8, SHORT, kl_warmup=0.5), Stage(16, SHORT, finest_tax=4.0))


def pictures(side):
    drawn = torch.randint(0, 256, (8, 3, side, side), generator=torch.Generator().manual_seed(side), dtype=torch.uint8)
    return ImageSet(drawn, "random", "train", f"random {side}"), None


def test_a_training_that_was_stopped_between_stages_ends_with_the_same_weights(tmp_path):
    whole = train_stages(FINAL, STAGES, pictures, tmp_path / "whole")

    def interrupted(side):
        if side == 16:
            raise KeyboardInterrupt
        return pictures(side)

    with pytest.raises(KeyboardInterrupt):
        train_stages(FINAL, STAGES, interrupted, tmp_path / "stopped")
    first = tmp_path / "stopped" / "stage-1-side-8" / "metrics.jsonl"
    logged = first.read_bytes()
    resumed = train_stages(FINAL, STAGES, pictures, tmp_path / "stopped")
    assert first.read_bytes() == logged, "a finished stage is not trained again"
    assert resumed.config == FINAL
    for (name, one), other in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


def test_a_finished_stage_of_other_settings_is_refused(tmp_path):
    train_stages(FINAL, STAGES[:1], pictures, tmp_path)
    other = (Stage(8, SHORT, kl_warmup=0.2),)
    with pytest.raises(ValueError, match="kl_warmup"):
        train_stages(FINAL, other, pictures, tmp_path)
    train_stages(FINAL, other, pictures, tmp_path, resume=False)


def test_the_stages_see_the_pictures_that_were_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "nvae-nano", "--profile", "smoke", "--count", "48", "--run", "tiny"]) == 0
    for folder, side in (("runs/tiny/stage-1-side-16", 16), ("runs/tiny", 32)):
        assert (tmp_path / folder / "model" / "weights.safetensors").is_file()
        description = json.loads((tmp_path / folder / "run.json").read_text())
        assert description["model"]["image_shape"] == [3, side, side]
        assert "0:48" in description["data"]
