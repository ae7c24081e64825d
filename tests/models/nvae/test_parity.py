"""The same weights give the same numbers as the published implementation, and bad files are refused with the reason."""

import argparse
import os
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vaelib.models.nvae import import_checkpoint

FIXTURES = Path(__file__).parent / "fixtures"
FOLDERS = ("celeba64-small", "normal-decoder")


@pytest.fixture
def stored():
    """A checkpoint to damage."""
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(FIXTURES / "normal-decoder" / "checkpoint.pt", weights_only=True)


def save(stored, tmp_path):
    path = tmp_path / "checkpoint.pt"
    torch.save(stored, path)
    return path


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_number_agrees_with_the_published_implementation(folder):
    expected = load_file(FIXTURES / folder / "expected.safetensors")
    model = import_checkpoint(FIXTURES / folder / "checkpoint.pt")
    assert not model.training
    x = expected.pop("x")
    answer = vars(model.deterministic(x)) | {"generated_logits": model.deterministic_prior(len(x))}
    for key, value in expected.items():
        assert answer[key].shape == value.shape, key
        assert ((answer[key] - value).norm() / value.norm()).item() <= 1e-5, key


def test_batch_norm_may_have_another_level_in_its_name(stored, tmp_path):
    weights = stored["state_dict"]
    for name in [name for name in weights if "_ops.0.conv.0." in name and "tower" in name]:
        weights[name.replace("conv.0.", "conv.0.bn.")] = weights.pop(name)
    import_checkpoint(save(stored, tmp_path))


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        import_checkpoint(tmp_path / "nothing.pt")


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_a_truncated_file(tmp_path, keep):
    whole = (FIXTURES / "normal-decoder" / "checkpoint.pt").read_bytes()
    path = tmp_path / "short.pt"
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(ValueError, match="cut short"):
        import_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"hello, I am no checkpoint", b"\x89PNG\r\n\x1a\n" + bytes(100)])
def test_a_file_of_another_kind(tmp_path, content):
    path = tmp_path / "picture.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="no PyTorch file"):
        import_checkpoint(path)


@pytest.mark.parametrize("content", [{"weight": torch.zeros(2)}, [1, 2], torch.zeros(3), OrderedDict()])
def test_a_checkpoint_of_another_model(tmp_path, content):
    with pytest.raises(ValueError, match="no NVAE checkpoint"):
        import_checkpoint(save(content, tmp_path))


class Shell:
    """What a hostile file would bring along."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_the_pickle_is_refused_and_not_run(stored, tmp_path, legacy):
    stored["optimizer"] = Shell(tmp_path / "owned")
    path = tmp_path / "checkpoint.pt"
    torch.save(stored, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ValueError, match="code in its pickle"):
        import_checkpoint(path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda stored: vars(stored["args"]).pop("num_nf"), "num_nf"),
        (lambda stored: vars(stored["args"]).update(num_latent_scales="two"), "num_latent_scales"),
        (lambda stored: stored["arch_instance"].update(normal_dec=["conv_7x7"]), "conv_7x7"),
        (lambda stored: stored["arch_instance"].update(ar_nn=["wavenet"]), "wavenet"),
        (lambda stored: stored.update(arch_instance=None) or vars(stored["args"]).update(arch_instance="x"), "'x'"),
        (lambda stored: vars(stored["args"]).update(use_se=True), "se.se.0.weight is missing"),
        (lambda stored: vars(stored["args"]).update(num_channels_dec=16), "should be"),
        (lambda stored: stored["state_dict"].pop("stem.bias"), "stem.bias is missing"),
        (lambda stored: stored["state_dict"].update(spare=torch.zeros(1)), "spare has no place"),
    ],
)
def test_options_and_weights_that_do_not_fit(stored, tmp_path, change, reason):
    change(stored)
    with pytest.raises(ValueError, match=reason):
        import_checkpoint(save(stored, tmp_path))
