"""Saving and loading: what goes in comes out, and nothing half-written is ever taken for a model."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import vaelib
from vaelib import storage
from vaelib.data import Batch
from vaelib.models import MODELS, VAE, Autoencoder, AutoencoderConfig, Progress, VAEConfig
from vaelib.networks import Convolutional, Linear

TINY = VAEConfig(image_shape=(1, 12, 12), latent_dimension=3, network=Convolutional(widths=(4, 8)))


@pytest.fixture
def model() -> VAE:
    """A small model whose batch-norm statistics have moved away from their start."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = VAE(TINY)
        model.loss(Batch(torch.rand(8, 1, 12, 12)), Progress(0, 1, 8))
    return model


def assert_same_weights(one: torch.nn.Module, other: torch.nn.Module, tolerance: float = 0.0) -> None:
    first, second = one.state_dict(), other.state_dict()
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype, name
        torch.testing.assert_close(tensor, second[name], rtol=tolerance, atol=tolerance, msg=name)


# Those with several layers of latents have other settings, and tests of their own.
@pytest.mark.parametrize("kind", sorted(MODELS.keys() - {"ladder_vae", "nvae"}))
def test_every_kind_of_model_comes_back_as_it_was(kind: str, tmp_path: Path) -> None:
    config = MODELS[kind].Config(image_shape=(1, 12, 12), latent_dimension=3, network=Convolutional(widths=(4, 8)))
    model = MODELS[kind](config)
    loaded = vaelib.load(vaelib.save(model, tmp_path / "model"))
    assert type(loaded) is MODELS[kind]
    assert loaded.config == config
    assert_same_weights(model, loaded)


def test_batch_norm_statistics_and_counters_come_back(model: VAE, tmp_path: Path) -> None:
    loaded = vaelib.load(vaelib.save(model, tmp_path / "model"))
    counters = [value for name, value in loaded.state_dict().items() if name.endswith("num_batches_tracked")]
    assert counters
    assert all(counter.dtype == torch.int64 and counter.item() == 1 for counter in counters)
    assert_same_weights(model, loaded)
    assert not loaded.training
    assert model.training, "saving must not change the mode of the model"


def test_loaded_models_give_the_same_pictures(model: VAE, tmp_path: Path) -> None:
    images = torch.rand(2, 1, 12, 12)
    loaded = vaelib.load(vaelib.save(model, tmp_path / "model"))
    assert torch.equal(loaded.reconstruct(images), model.reconstruct(images))


def test_half_precision_halves_the_file_and_comes_back_as_float32(tmp_path: Path) -> None:
    model = Autoencoder(AutoencoderConfig(image_shape=(3, 16, 16), latent_dimension=32, network=Linear()))
    full, half = storage.save(model, tmp_path / "full"), storage.save(model, tmp_path / "half", half=True)
    sizes = [(folder / "weights.safetensors").stat().st_size for folder in (full, half)]
    assert 0.49 < sizes[1] / sizes[0] < 0.52
    loaded = vaelib.load(half)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert_same_weights(model, loaded, tolerance=1e-3)


def test_weights_too_large_for_half_precision_are_refused(model: VAE, tmp_path: Path) -> None:
    with torch.no_grad():
        model.encoder[0].weight[0] = 1e6
    with pytest.raises(ValueError, match=r"encoder.* too large for float16"):
        storage.save(model, tmp_path / "model", half=True)
    assert list(tmp_path.iterdir()) == []


def test_channels_last_and_shared_tensors_are_stored(model: VAE, tmp_path: Path) -> None:
    expected = model.state_dict()
    model = model.to(memory_format=torch.channels_last)
    vaelib.save(model, tmp_path / "model")
    tensors = {"one": torch.ones(3), "view": expected["likelihood_free"]}
    tensors["two"] = tensors["one"][1:]
    storage.write_tensors(tensors, tmp_path / "shared.safetensors")
    stored = storage.read_tensors(tmp_path / "shared.safetensors")
    assert torch.equal(stored["two"], torch.ones(2))
    for name, tensor in vaelib.load(tmp_path / "model").state_dict().items():
        assert torch.equal(tensor, expected[name])


def test_loading_leaves_the_random_numbers_of_the_user_alone(model: VAE, tmp_path: Path) -> None:
    vaelib.save(model, tmp_path / "model")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    vaelib.load(tmp_path / "model")
    assert torch.equal(torch.rand(3), expected)


def test_the_card_and_the_version_are_stored_as_plain_json(model: VAE, tmp_path: Path) -> None:
    folder = vaelib.save(model, tmp_path / "model", {"data": "faces", "steps": 12})
    assert storage.read_card(folder) == {"data": "faces", "steps": 12}
    stored = json.loads((folder / "config.json").read_text())
    assert stored["kind"] == "vae"
    assert stored["vaelib"] == vaelib.__version__
    assert stored["config"]["network"] == {"kind": "convolutional", "widths": [4, 8]}
    assert sorted(file.name for file in folder.iterdir()) == ["card.json", "config.json", "weights.safetensors"]


def test_a_card_that_is_no_json_leaves_the_earlier_model_in_place(model: VAE, tmp_path: Path) -> None:
    vaelib.save(model, tmp_path / "model", {"steps": 1})
    for card in ({"steps": torch.ones(1)}, {"loss": float("nan")}):
        with pytest.raises((TypeError, ValueError), match=r"card\.json holds plain JSON values"):
            vaelib.save(model, tmp_path / "model", card)
    assert storage.read_card(tmp_path / "model") == {"steps": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_saving_again_replaces_the_model_and_leaves_nothing_else_behind(model: VAE, tmp_path: Path) -> None:
    vaelib.save(VAE(TINY), tmp_path / "model", {"steps": 1})
    vaelib.save(model, tmp_path / "model", {"steps": 2})
    assert storage.read_card(tmp_path / "model") == {"steps": 2}
    assert_same_weights(model, vaelib.load(tmp_path / "model"))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_folder_of_something_else_is_never_overwritten(model: VAE, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("three years of work")
    with pytest.raises(FileExistsError, match="thesis is not empty and holds no model"):
        vaelib.save(model, tmp_path / "thesis")
    (tmp_path / "notes.txt").write_text("more work")
    with pytest.raises(FileExistsError, match=r"notes\.txt is a file"):
        vaelib.save(model, tmp_path / "notes.txt")
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "three years of work"
    assert (tmp_path / "notes.txt").read_text() == "more work"


def test_an_empty_folder_is_a_fine_place(model: VAE, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    vaelib.save(model, tmp_path / "empty")
    vaelib.save(model, tmp_path / "new" / "and" / "deep")
    assert_same_weights(vaelib.load(tmp_path / "empty"), vaelib.load(tmp_path / "new" / "and" / "deep"))


def test_only_models_are_saved(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="a vaelib model, not a Linear"):
        vaelib.save(torch.nn.Linear(2, 2), tmp_path / "model")  # type: ignore[arg-type]


def test_a_block_that_fails_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    with storage.written_whole(tmp_path / "state") as partial:
        (partial / "step").write_text("1")

    def interrupted() -> None:
        with storage.written_whole(tmp_path / "state") as partial:
            (partial / "step").write_text("2")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / "state" / "step").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_save_that_is_killed_half_way_is_not_a_model(model: VAE, tmp_path: Path) -> None:
    vaelib.save(model, tmp_path / "model", {"steps": 1})
    script = (
        "import os, signal\nfrom vaelib import storage\n"
        f"with storage.written_whole({str(tmp_path / 'model')!r}) as partial:\n"
        "    (partial / 'weights.safetensors').write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script], env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert_same_weights(model, vaelib.load(tmp_path / "model"))
    vaelib.save(model, tmp_path / "model", {"steps": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["model"], "the next save tidies up"


def test_a_save_killed_between_its_two_renames_loses_nothing(model: VAE, tmp_path: Path) -> None:
    vaelib.save(model, tmp_path / "model")
    (tmp_path / "model").rename(tmp_path / ".model.previous")
    assert_same_weights(model, vaelib.load(tmp_path / "model"))
    vaelib.save(model, tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_folder_of_a_run_gives_its_model_or_else_its_checkpoint(
    model: VAE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VAELIB_CI", "0")
    vaelib.save(VAE(TINY), tmp_path / "run" / "checkpoint")
    vaelib.load(tmp_path / "run")
    assert "holds no finished model: taking the weights of its last checkpoint" in "".join(capsys.readouterr())
    vaelib.save(model, tmp_path / "run" / "model")
    assert_same_weights(model, vaelib.load(tmp_path / "run"))
    assert "checkpoint" not in "".join(capsys.readouterr())


def test_a_missing_folder_names_its_near_miss(model: VAE, tmp_path: Path) -> None:
    vaelib.save(model, tmp_path / "vae-faces")
    with pytest.raises(FileNotFoundError, match=r"no folder .*vae-face\. Did you mean 'vae-faces'\?"):
        vaelib.load(tmp_path / "vae-face")
    with pytest.raises(FileNotFoundError, match="no folder"):
        vaelib.load(tmp_path / "nowhere" / "at" / "all")


def test_folders_and_files_that_are_no_models_say_so(model: VAE, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"neither a saved model nor a run: it has no config\.json and weights"):
        vaelib.load(tmp_path)
    folder = vaelib.save(model, tmp_path / "model")
    with pytest.raises(ValueError, match="is a file: give the folder"):
        vaelib.load(folder / "weights.safetensors")
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ValueError, match=r"it has no weights\.safetensors"):
        vaelib.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "veo"}, r"of kind 'veo'; this vaelib knows .*Did you mean 'vae'\?"),
        ({"vaelib": "99.1.0"}, r"saved by vaelib 99\.1\.0, newer than this one .* upgrade"),
        ({"config": {"latent_dimensions": 3}}, r"no option 'latent_dimensions'.*Did you mean 'latent_dimension'\?"),
        ({"config": {"latent_dimension": "three"}}, r"VAEConfig\.latent_dimension should be int, not 'three'"),
        ({"config": {"network": {"kind": "convolution"}}}, r"no network 'convolution'.*Did you mean 'convolutional'\?"),
    ],
)
def test_a_configuration_that_does_not_fit_says_what_is_wrong(
    change: dict[str, object], message: str, model: VAE, tmp_path: Path
) -> None:
    folder = vaelib.save(model, tmp_path / "model")
    stored = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(stored | change))
    with pytest.raises(ValueError, match=message):
        vaelib.load(folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"kind": "vae"}'])
def test_a_damaged_configuration_says_so(text: str, model: VAE, tmp_path: Path) -> None:
    folder = vaelib.save(model, tmp_path / "model")
    (folder / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config\.json (is damaged, not JSON|should hold 'kind')"):
        vaelib.load(folder)


def test_an_older_version_and_a_development_version_are_read(model: VAE, tmp_path: Path) -> None:
    folder = vaelib.save(model, tmp_path / "model")
    stored = json.loads((folder / "config.json").read_text())
    for version in ("0.0.9", f"{vaelib.__version__}.dev3"):
        (folder / "config.json").write_text(json.dumps(stored | {"vaelib": version}))
        assert_same_weights(model, vaelib.load(folder))


def test_weights_that_do_not_fit_are_named(model: VAE, tmp_path: Path) -> None:
    folder = vaelib.save(model, tmp_path / "model")
    file = folder / "weights.safetensors"
    weights = load_file(file)
    weights["surprise"] = weights.pop("encoder.0.weight")
    weights["encoder.1.bias"] = torch.zeros(7)
    save_file(weights, file)
    with pytest.raises(ValueError, match="do not fit") as error:
        vaelib.load(folder)
    assert "missing: encoder.0.weight" in str(error.value)
    assert "not expected: surprise" in str(error.value)
    assert "encoder.1.bias (7,) instead of (4,)" in str(error.value)


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.999])
def test_truncated_weights_say_so(kept: float, model: VAE, tmp_path: Path) -> None:
    folder = vaelib.save(model, tmp_path / "model")
    file = folder / "weights.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(ValueError, match=r"weights\.safetensors is damaged or was cut short"):
        vaelib.load(folder)


def test_pickles_are_never_read(model: VAE, tmp_path: Path) -> None:
    folder = vaelib.save(model, tmp_path / "model")
    torch.save(model.state_dict(), folder / "weights.safetensors")
    with pytest.raises(ValueError, match="damaged"):
        vaelib.load(folder)
