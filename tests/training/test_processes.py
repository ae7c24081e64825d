"""Several processes train one model: `accelerate launch` with two of them, on the CPU."""

import socket
from pathlib import Path

import torch
from safetensors.torch import load_file
from training_program import SHARED
from training_setup import assert_same_weights, noise, run_program, small_model

import vaelib
from vaelib.training import train


def test_two_processes_end_with_the_same_weights_as_each_other_and_as_one_process(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2", f"--main_process_port={port}")
    done = run_program(str(tmp_path), launcher=launcher, ACCELERATE_USE_CPU="1")
    assert done.returncode == 0, done.stderr[-3000:]

    for kind in ("vae", "linear", "two-players"):
        first, second = (load_file(tmp_path / f"{kind}-{rank}") for rank in (0, 1))
        assert all(torch.equal(first[name], second[name]) for name in first), kind
    # One process wrote the runs, and wrote them once.
    assert len((tmp_path / "linear" / "metrics.jsonl").read_text().splitlines()) == 3

    # Resuming is exact here too.
    assert_same_weights(vaelib.load(tmp_path / "sittings"), vaelib.load(tmp_path / "vae"))

    # Without noise and batch norm, the mean of the processes' gradients is the gradient of the whole batch.
    alone = train(small_model("linear"), noise(), SHARED, validation=noise(20, seed=2))
    for name, value in load_file(tmp_path / "linear-0").items():
        torch.testing.assert_close(value, alone.model.state_dict()[name].cpu(), rtol=1e-4, atol=1e-6)
    shared = vaelib.training.history.MetricsFile(tmp_path / "linear" / "metrics.jsonl").read_until(6)
    for name in ("train/distortion", "train/gradient_norm", "validation/distortion", "validation/ema/distortion"):
        expected = [row.get(name) for row in alone.history if name in row]
        torch.testing.assert_close([row[name] for row in shared if name in row], expected, rtol=1e-4, atol=1e-4)
