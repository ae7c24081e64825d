"""A run that was killed and resumed ends like one that never was; and nothing else changes the weights either."""

import dataclasses
import random
import signal
import sys
from pathlib import Path

import pytest
import torch
from training_program import EXACT
from training_setup import assert_same_weights, noise, run_program, small_model

import vaelib
from vaelib.models import Model
from vaelib.training import TrainConfig, TrainResult, train


def uninterrupted(kind: str, config: TrainConfig, run: Path) -> TrainResult:
    return train(small_model(kind), noise(), config, validation=noise(20, seed=2), run=run)


def rows(result: TrainResult) -> list[dict[str, float]]:
    """The history without what the clock has to do with."""
    return [{name: value for name, value in row.items() if name != "images_per_second"} for row in result.history]


@pytest.mark.parametrize(("kind", "precision"), [("vae", "float32"), ("vae", "bfloat16"), ("two-players", "float32")])
def test_a_run_killed_at_a_random_step_and_resumed_is_bit_identical(kind: str, precision: str, tmp_path: Path) -> None:
    step = random.randrange(EXACT.steps)
    killed = run_program(kind, precision, str(tmp_path / "killed"), AT=str(step), SIGNAL="SIGKILL")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "killed" / "model").exists()

    config = dataclasses.replace(EXACT, precision=precision)
    resumed = uninterrupted(kind, config, tmp_path / "killed")
    whole = uninterrupted(kind, config, tmp_path / "whole")
    assert_same_weights(resumed.model, whole.model, f"after a kill at step {step}")
    assert rows(resumed) == rows(whole)
    for name in ("weights.safetensors", "training.safetensors"):
        files = [(tmp_path / run / "checkpoint" / name).read_bytes() for run in ("killed", "whole")]
        assert files[0] == files[1], f"{name} differs after a kill at step {step}"


class Crash(Exception):
    pass


def crash_at(step: int):
    def callback(model: Model, row: dict[str, float]) -> None:
        if row["step"] == step:
            raise Crash

    return callback


@pytest.mark.parametrize(
    "settings",
    [
        {"optimiser": "adamax", "precision": "float32", "channels_last": False},
        {"optimiser": "adamw", "weight_decay": 0.1, "accumulate": 2, "batch_size": 8},
        {"schedule": "cosine", "learning_rate_warmup": 4, "final_learning_rate": 1e-5, "gradient_clip": 100.0},
    ],
)
def test_every_setting_resumes_exactly(settings: dict, tmp_path: Path) -> None:
    config = TrainConfig(**{"steps": 14, "batch_size": 20, "log_every": 3, "checkpoint_every": 5, **settings})
    with pytest.raises(Crash):
        train(small_model(), noise(), config, run=tmp_path / "crashed", callback=crash_at(9))
    resumed = train(small_model(), noise(), config, run=tmp_path / "crashed")
    whole = train(small_model(), noise(), config)
    assert_same_weights(resumed.model, whole.model)
    assert rows(resumed) == rows(whole)


def test_a_kill_while_a_checkpoint_was_written_loses_nothing(tmp_path: Path) -> None:
    config = TrainConfig(steps=12, batch_size=16, checkpoint_every=4, log_every=2, ema_decay=0.9)
    whole = train(small_model(), noise(), config)
    for where in ("half-written", "between the renames"):
        run = tmp_path / where
        with pytest.raises(Crash):
            train(small_model(), noise(), config, run=run, callback=crash_at(6))
        partial = run / ".checkpoint.partial"
        partial.mkdir()
        (partial / "weights.safetensors").write_bytes(b"cut off")
        (run / "metrics.jsonl").open("a").write('{"step": 8, "epo')
        if where == "between the renames":
            (run / "checkpoint").rename(run / ".checkpoint.previous")
        resumed = train(small_model(), noise(), config, run=run)
        assert_same_weights(resumed.model, whole.model, where)
        assert rows(resumed) == rows(whole)
        assert sorted(path.name for path in run.iterdir()) == ["checkpoint", "metrics.jsonl", "model", "run.json"]


def test_one_seed_gives_one_result_and_another_seed_another() -> None:
    config = TrainConfig(steps=6, batch_size=16)
    first = train(small_model(), noise(), config).model
    torch.manual_seed(99)  # the caller's generator has no say
    assert_same_weights(first, train(small_model(), noise(), config).model)
    other = train(small_model(), noise(), dataclasses.replace(config, seed=1)).model
    assert not torch.equal(first.encoder[0].weight, other.encoder[0].weight)


def test_watching_a_run_does_not_change_it(tmp_path: Path) -> None:
    config = TrainConfig(steps=8, batch_size=16, log_every=3)
    plain = train(small_model(), noise(), config)

    def look(model: Model, row: dict[str, float]) -> None:
        model.sample(2)
        torch.randn(5)

    watched_config = dataclasses.replace(config, log_every=1, validate_every=2, checkpoint_every=1, tensorboard=True)
    validation = noise(20, seed=2)
    watched = train(
        small_model(), noise(), watched_config, validation=validation, run=tmp_path / "watched", callback=look
    )
    assert_same_weights(plain.model, watched.model)
    assert list((tmp_path / "watched" / "tensorboard").iterdir())


def test_training_leaves_the_callers_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(small_model(), noise(), TrainConfig(steps=2, batch_size=16))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_finished_run_is_given_back_without_training(tmp_path: Path) -> None:
    config = TrainConfig(steps=5, batch_size=16, ema_decay=0.9)
    first = train(small_model(), noise(), config, run=tmp_path / "run")
    again = train(small_model(seed=7), noise(), config, run=tmp_path / "run")
    assert_same_weights(first.model, again.model)
    assert first.history.rows == again.history.rows
    assert again.seconds == first.seconds


def test_a_run_of_constant_learning_rate_can_be_extended_and_no_other(tmp_path: Path) -> None:
    config = TrainConfig(steps=5, batch_size=16)
    train(small_model(), noise(), config, run=tmp_path / "run")
    longer = dataclasses.replace(config, steps=9)
    extended = train(small_model(), noise(), longer, run=tmp_path / "run")
    assert_same_weights(extended.model, train(small_model(), noise(), longer).model)
    with pytest.raises(ValueError, match=r"train.steps: 9 in the checkpoint, 7 now"):
        train(small_model(), noise(), dataclasses.replace(config, steps=7), run=tmp_path / "run")

    train(small_model(), noise(), dataclasses.replace(config, schedule="cosine"), run=tmp_path / "cosine")
    with pytest.raises(ValueError, match="where the schedule is 'constant'"):
        train(small_model(), noise(), dataclasses.replace(longer, schedule="cosine"), run=tmp_path / "cosine")


def test_resuming_something_else_names_every_difference(tmp_path: Path) -> None:
    config = TrainConfig(steps=4, batch_size=16)
    train(small_model(), noise(), config, run=tmp_path / "run")
    other = dataclasses.replace(config, learning_rate=0.01, log_every=3)
    with pytest.raises(ValueError, match="cannot be resumed") as raised:
        train(small_model("autoencoder"), noise(seed=3), other, run=tmp_path / "run")
    message = str(raised.value)
    assert "train.learning_rate: 0.001 in the checkpoint, 0.01 now" in message
    assert "model.kind: 'vae' in the checkpoint, 'autoencoder' now" in message
    assert "data.key: 'noise 48 (3, 16, 16) seed 1' in the checkpoint" in message
    assert "begin again with --fresh (in Python: resume=False)" in message
    assert "log_every" not in message  # it does not touch the weights, so it may change


def test_resume_false_starts_anew(tmp_path: Path) -> None:
    config = TrainConfig(steps=4, batch_size=16)
    train(small_model(), noise(), config, run=tmp_path / "run")
    other = dataclasses.replace(config, learning_rate=0.01)
    anew = train(small_model(), noise(), other, run=tmp_path / "run", resume=False)
    assert_same_weights(anew.model, train(small_model(), noise(), other).model)
    assert len(anew.history) == 1


def test_resume_false_deletes_no_folder_that_is_not_a_run(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"has model but no run\.json"):
        train(small_model(), noise(), TrainConfig(steps=1, batch_size=16), run=tmp_path, resume=False)
    assert (tmp_path / "model" / "thesis.txt").exists()


def test_a_checkpoint_is_a_model_that_loads_and_holds_the_raw_weights(tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = train(small_model(), noise(), TrainConfig(steps=4, batch_size=16, ema_decay=0.9), run=run)
    averaged, raw = vaelib.load(run), vaelib.load(run / "checkpoint")
    assert_same_weights(averaged, result.model)
    assert not torch.equal(raw.encoder[0].weight, averaged.encoder[0].weight)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to a single process")
def test_ctrl_c_says_how_to_go_on_and_resumes_exactly(tmp_path: Path) -> None:
    run = tmp_path / "run"
    stopped = run_program("vae", "float32", str(run), AT="12", SIGNAL="SIGINT")
    assert stopped.returncode != 0
    assert "KeyboardInterrupt" in stopped.stderr
    assert "Stopped after step 13 of 30" in stopped.stdout
    assert f"run='{run}' to go on" in stopped.stdout
    assert "after 13 steps" in (run / "checkpoint" / "card.json").read_text()

    config = dataclasses.replace(EXACT, precision="float32")
    resumed = uninterrupted("vae", config, run)
    assert_same_weights(resumed.model, uninterrupted("vae", config, tmp_path / "whole").model)


@pytest.mark.parametrize(("name", "exception"), [("SIGTERM", SystemExit), ("SIGINT", KeyboardInterrupt)])
def test_a_signal_ends_the_run_after_its_step(
    name: str, exception: type[BaseException], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AT", "2")
    monkeypatch.setenv("SIGNAL", name)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    config = TrainConfig(steps=6, batch_size=16)
    with pytest.raises(exception) as raised:
        train(small_model(), noise(), config, run=tmp_path / "run")
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    if name == "SIGTERM":
        assert raised.value.code == 143  # as a shell reports it
    assert "after 3 steps" in (tmp_path / "run" / "checkpoint" / "card.json").read_text()
    resumed = train(small_model(), noise(), config, run=tmp_path / "run")
    assert_same_weights(resumed.model, train(small_model(), noise(), config).model)


def test_an_interrupt_without_a_run_folder_says_that_nothing_was_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AT", "2")
    monkeypatch.setenv("SIGNAL", "SIGINT")
    with pytest.raises(KeyboardInterrupt, match="Nothing was saved, for want of a run folder"):
        train(small_model(), noise(), TrainConfig(steps=6, batch_size=16))


def test_an_interrupt_in_the_last_step_is_not_swallowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AT", "5")
    monkeypatch.setenv("SIGNAL", "SIGINT")
    with pytest.raises(KeyboardInterrupt, match="when training had just finished"):
        train(small_model(), noise(), TrainConfig(steps=6, batch_size=16), run=tmp_path / "run")
    assert vaelib.load(tmp_path / "run" / "model").config == small_model().config
