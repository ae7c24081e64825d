"""The zoo: what is listed is there, is what was added, and says what it may be used for."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import vaelib
from vaelib import storage, zoo
from vaelib.models import VAE, Progress, VAEConfig
from vaelib.networks import Linear
from vaelib.zoo.add import add, main


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A small model with a card, as a run leaves it."""
    model = VAE(VAEConfig(image_shape=(1, 8, 8), latent_dimension=2, network=Linear()))
    return vaelib.save(model, tmp_path / "run" / "model", {"data": "faces", "steps": 5}).parent


@pytest.fixture
def empty_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zoo of our own, so that no test writes into the package."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    (folder / zoo.MANIFEST).write_text("{}")
    monkeypatch.setattr(zoo, "FOLDER", folder)
    return folder


def test_every_model_of_the_zoo_loads_and_has_a_card() -> None:
    manifest = json.loads((zoo.FOLDER / zoo.MANIFEST).read_text())
    assert zoo.names() == sorted(manifest)
    for name in zoo.names():
        model, card = zoo.load(name), zoo.card(name)
        assert model.kind == card["kind"]
        assert card["title"]
        assert "non-commercial" in card["licence"]
        for file, size in card["files"].items():
            assert (zoo.model_folder(name) / file).stat().st_size == size


def test_no_folder_of_the_zoo_is_missing_from_its_manifest() -> None:
    folders = (path.name for path in (zoo.FOLDER / "models").glob("*") if path.is_dir())
    assert sorted(folders) == zoo.names()


def test_an_added_model_is_listed_and_loads_in_both_ways(saved: Path, empty_zoo: Path) -> None:
    folder = add(saved, "vae-tiny", title="A tiny VAE")
    assert folder == empty_zoo / "models" / "vae-tiny"
    assert zoo.names() == ["vae-tiny"]
    original = vaelib.load(saved).state_dict()
    for loaded in (zoo.load("vae-tiny"), vaelib.load("zoo:vae-tiny")):
        assert not loaded.training
        for name, tensor in loaded.state_dict().items():
            torch.testing.assert_close(tensor, original[name], rtol=1e-3, atol=1e-3)
            assert tensor.dtype == torch.float32
    card = zoo.card("vae-tiny")
    assert card["title"] == "A tiny VAE"
    assert card["steps"] == 5
    assert card["licence"] == "non-commercial teaching and research"
    assert [path.name for path in empty_zoo.iterdir() if path.suffix == ".partial"] == []


def test_weights_are_stored_in_half_precision(saved: Path, empty_zoo: Path) -> None:
    folder = add(saved, "vae-tiny", title="A tiny VAE")
    weights = storage.read_tensors(folder / "weights.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}


def test_an_unknown_name_names_the_near_miss(saved: Path, empty_zoo: Path) -> None:
    with pytest.raises(ValueError, match=r"no model 'vae-tiny'; it is empty"):
        zoo.load("vae-tiny")
    add(saved, "vae-tiny", title="A tiny VAE")
    for ask in (zoo.load, zoo.card):
        with pytest.raises(ValueError, match=r"no model 'vae-tinny'; it has vae-tiny\. Did you mean 'vae-tiny'\?"):
            ask("vae-tinny")


def test_changed_weights_are_refused(saved: Path, empty_zoo: Path) -> None:
    folder = add(saved, "vae-tiny", title="A tiny VAE")
    weights = folder / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ValueError, match=r"has SHA-256 .* where the manifest says .*: install vaelib again"):
        zoo.load("vae-tiny")
    shutil.rmtree(folder)
    with pytest.raises(FileNotFoundError, match="is missing: install vaelib again"):
        zoo.load("vae-tiny")


def test_names_that_would_leave_the_zoo_are_refused(saved: Path, empty_zoo: Path) -> None:
    for name in ("../elsewhere", "VAE faces", "", "-"):
        with pytest.raises(ValueError, match="lower-case letters, digits and hyphens"):
            add(saved, name, title="A tiny VAE")


def test_weights_trained_on_portraits_are_not_handed_out(tmp_path: Path, empty_zoo: Path) -> None:
    model = VAE(VAEConfig(image_shape=(1, 8, 8), latent_dimension=2, network=Linear()))
    folder = vaelib.save(model, tmp_path / "model", {"data": "portraits train person split"})
    with pytest.raises(ValueError, match="photographs of real people"):
        add(folder, "vae-portraits", title="Not to be shipped")
    assert zoo.names() == []


def test_the_command_adds_a_model_or_says_why_not(
    saved: Path, empty_zoo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(saved), "--name", "vae-tiny", "--title", "A tiny VAE"]) == 0
    assert "vae-tiny: 0.0 MB" in capsys.readouterr().out
    assert zoo.names() == ["vae-tiny"]
    assert main([str(saved.parent / "rum"), "--name", "x", "--title", "x"]) == 1
    assert "Did you mean 'run'?" in capsys.readouterr().err


# Those that were trained without a validation are measured in test_published_comparison.
VALIDATED = [name for name in zoo.names() if any(key.startswith("validation") for key in zoo.card(name)["metrics"])]


@pytest.mark.parametrize("name", VALIDATED)
def test_the_shipped_weights_give_the_distortion_that_their_card_states(name: str) -> None:
    # The card's number is that of the training run: the same images, bfloat16 and weights of full precision. One draw
    # of z for each of 1,000 images has a standard error of about 7 nats where the card says −6,677.
    card, model = zoo.card(name), zoo.load(name)
    count = card["train"]["validation_images"]
    faces = vaelib.data.load(card["dataset"], "validation", count=count, size=model.image_shape[-1])
    torch.manual_seed(0)
    with torch.inference_mode():
        losses = [model.loss(faces.batch(some), Progress.finished()) for some in torch.arange(count).split(250)]
    distortion = torch.cat([loss.per_image["distortion"] for loss in losses])
    error = distortion.std().item() / len(distortion) ** 0.5
    # Where weights were averaged, the average is what is shipped.
    averaged = card["weights"] == "averaged"
    stated = card["metrics"]["validation/ema/distortion" if averaged else "validation/distortion"]
    assert abs(distortion.mean().item() - stated) < error
