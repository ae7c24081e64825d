"""`vaelib zoo` as a user meets it: what it lists, shows, copies and trains, and what it says about mistakes."""

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

import vaelib
from vaelib import storage, zoo
from vaelib.cli import main
from vaelib.commands.zoo import finished, train_recipe
from vaelib.models import Autoencoder, AutoencoderConfig
from vaelib.networks import Linear
from vaelib.training import Preset, preset
from vaelib.zoo.add import add
from vaelib.zoo.cards import ModelCard
from vaelib.zoo.recipes import recipe


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def small_recipe(workplace: Path) -> Preset:
    """A recipe that a second is enough for: eight steps on small pictures of our own."""
    generator = torch.Generator().manual_seed(3)
    (workplace / "pictures").mkdir()
    for index in range(60):
        pixels = torch.randint(0, 256, (8, 8, 3), generator=generator, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(workplace / "pictures" / f"{index}.png")
    chosen = preset("vae", "smoke")
    model = dataclasses.replace(chosen.model, image_shape=(3, 8, 8), latent_dimension=2, network=Linear())
    train = dataclasses.replace(chosen.train, batch_size=8, seed=5, precision="float32", ema_decay=0.0)
    return dataclasses.replace(chosen, data="folder:pictures", count=None, model=model, train=train)


def test_the_list_has_every_model_with_shape_parameters_size_and_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo"]) == 0
    listed = capsys.readouterr().out
    assert main(["zoo", "list"]) == 0
    assert capsys.readouterr().out == listed
    rows = {line.split()[0]: line for line in listed.splitlines()[1 : 1 + len(zoo.names())]}
    assert list(rows) == zoo.names()
    row = rows["vae-faces64"]
    for cell in ("vae ", "3×64×64", "2,171,907", "4.4 MB", "non-commercial teaching and research"):
        assert cell in row


def test_a_card_comes_as_text_as_markdown_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    card = ModelCard.of("nvae-nano")
    for name in ("nvae-nano", "zoo:nvae-nano"):
        assert main(["zoo", "card", name]) == 0
        assert capsys.readouterr().out == card.text() + "\n"
    assert main(["zoo", "card", "nvae-nano", "--markdown"]) == 0
    assert capsys.readouterr().out.startswith("# `nvae-nano`: ")
    assert main(["zoo", "card", "--json", "nvae-nano"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["budget"]["legs"][-1]["images"] == zoo.card("nvae-nano")["images_seen"]


def test_a_loaded_model_is_a_folder_that_python_and_the_commands_take(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "load", "nvae-nano", "--out", "deep/mine"]) == 0
    said = capsys.readouterr().out
    assert 'vaelib.load("deep/mine")' in said
    assert "vaelib sample deep/mine" in said
    assert "non-commercial" in said
    mine, original = vaelib.load("deep/mine"), zoo.load("nvae-nano")
    for name, tensor in original.state_dict().items():
        assert torch.equal(mine.state_dict()[name], tensor)
    assert Path("deep/mine/README.md").read_text(encoding="utf-8") == ModelCard.of("nvae-nano").markdown()
    assert main(["sample", "deep/mine", "-n", "1"]) == 0
    assert main(["info", "deep/mine"]) == 0


def test_a_model_without_a_prior_is_not_said_to_draw_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / zoo.MANIFEST).write_text("{}")
    monkeypatch.setattr(zoo, "FOLDER", tmp_path / "zoo")
    model = Autoencoder(AutoencoderConfig(image_shape=(1, 8, 8), latent_dimension=2, network=Linear()))
    add(vaelib.save(model, tmp_path / "model"), "tiny", title="A tiny autoencoder")
    assert main(["zoo", "load", "tiny"]) == 0
    said = capsys.readouterr().out
    assert "vaelib reconstruct tiny" in said
    assert "sample" not in said


def test_load_takes_the_models_name_by_default_and_overwrites_nothing(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "nvae-nano").mkdir()
    (workplace / "nvae-nano" / "thesis.txt").write_text("mine")
    assert main(["zoo", "load", "nvae-nano"]) == 1
    assert "nvae-nano exists already, and nothing is overwritten" in capsys.readouterr().err
    assert [path.name for path in (workplace / "nvae-nano").iterdir()] == ["thesis.txt"]
    shutil.rmtree("nvae-nano")
    assert main(["zoo", "load", "nvae-nano"]) == 0
    assert storage.is_model(workplace / "nvae-nano")
    assert main(["zoo", "load", "nvae-nano"]) == 1, "not even a model"


def test_changed_weights_are_not_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(zoo.FOLDER / "models" / "nvae-nano", tmp_path / "zoo" / "models" / "nvae-nano")
    shutil.copy(zoo.FOLDER / zoo.MANIFEST, tmp_path / "zoo")
    monkeypatch.setattr(zoo, "FOLDER", tmp_path / "zoo")
    weights = zoo.model_folder("nvae-nano") / storage.WEIGHTS
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    assert main(["zoo", "load", "nvae-nano"]) == 1
    assert "install vaelib again" in capsys.readouterr().err
    assert not Path("nvae-nano").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lod", "vae-faces64"], "should be one of list, card, load, retrain, not 'lod'. Did you mean 'load'?"),
        (["vae-faces64"], "ACTION: should be one of list, card, load, retrain"),
        (["card"], "the following arguments are required: NAME"),
        (["card", "vae-face64"], "the zoo has no model 'vae-face64'; .* Did you mean 'vae-faces64'?"),
        (["load", "vae-face64"], "the zoo has no model 'vae-face64'; .* Did you mean 'vae-faces64'?"),
        (["retrain", "nvae-nanno"], "there is no recipe for 'nvae-nanno'; .* Did you mean 'nvae-nano'?"),
        (["card", "vae-faces64", "--seed", "3"], "there is no option --seed"),
        (["load", "vae-faces64", "--ot", "x"], "there is no option --ot. Did you mean '--out'?"),
        (["card", "vae-faces64", "--json", "--markdown"], "not allowed with argument --json"),
        (["retrain", "vae-faces64", "--seed", "-1"], "--seed: should be from 0"),
        (["retrain", "vae-faces64", "--run", ".."], "--run should be the name of a folder in runs/"),
        (["list", "vae-faces64"], "'vae-faces64' is one argument too many"),
        (["--seed=3"], "there is no option --seed"),
    ],
)
def test_mistakes_on_the_command_line_are_named(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["zoo", *arguments]) == 2
    error = capsys.readouterr().err
    for part in message.split(".*"):
        assert part.strip() in error
    assert "Traceback" not in error


def test_a_recipe_is_trained_as_it_says_and_its_run_is_then_known_as_finished(small_recipe: Preset) -> None:
    folder = Path("runs/again")
    assert not finished(small_recipe, folder)
    assert train_recipe(small_recipe, folder, go_on="")
    card = storage.read_card(folder / "model")
    assert (card["dataset"], card["steps"], card["train"]["seed"]) == ("folder:pictures", 8, 5)
    assert finished(small_recipe, folder)
    longer = dataclasses.replace(small_recipe, train=dataclasses.replace(small_recipe.train, steps=9))
    wider = dataclasses.replace(small_recipe, model=dataclasses.replace(small_recipe.model, latent_dimension=3))
    for other in (longer, wider):
        with pytest.raises(FileExistsError, match="finished run of another training"):
            finished(other, folder)


def test_an_nvae_is_trained_through_its_stages(small_recipe: Preset) -> None:
    chosen = preset("nvae-nano", "smoke")
    stages = tuple(
        dataclasses.replace(one, side=8, train=dataclasses.replace(one.train, steps=2, batch_size=8))
        for one in chosen.stages
    )
    model = dataclasses.replace(chosen.model, image_shape=(3, 16, 16), groups=(1, 1))
    train = dataclasses.replace(chosen.train, steps=2, batch_size=8, learning_rate_warmup=0)
    chosen = dataclasses.replace(chosen, data="folder:pictures", count=None, model=model, train=train, stages=stages)
    assert train_recipe(chosen, Path("runs/grown"), go_on="")
    assert storage.is_model(Path("runs/grown/stage-1-side-8/model"))
    assert vaelib.load("runs/grown").image_shape == (3, 16, 16)


def test_a_finished_run_is_recognised_and_another_one_is_not_taken_for_it(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The shipped VAE is what a finished retraining with seed 0 leaves.
    shutil.copytree(zoo.model_folder("vae-faces64"), workplace / "runs" / "vae-faces64-seed-0" / "model")
    weights = workplace / "runs" / "vae-faces64-seed-0" / "model" / storage.WEIGHTS
    before = weights.read_bytes()
    assert main(["zoo", "retrain", "vae-faces64"]) == 0
    error = capsys.readouterr().err
    assert "runs/vae-faces64-seed-0 is finished, and is not trained again" in error
    assert "`vaelib sample vae-faces64-seed-0`" in error
    assert weights.read_bytes() == before
    for other in (["vae-faces64", "--seed", "1"], ["vae-mixture-faces64"], ["nvae-nano"]):
        assert main(["zoo", "retrain", *other, "--run", "vae-faces64-seed-0"]) == 1
        assert "holds a finished run of another training" in capsys.readouterr().err


def test_retraining_says_how_long_and_where_before_it_starts_and_goes_on_after_ctrl_c(workplace: Path) -> None:
    command = [sys.executable, "-m", "vaelib", "zoo", "retrain", "nvae-nano", "--seed", "1"]
    folder = workplace / "runs" / "nvae-nano-seed-1"
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        # Until the training of the first stage has begun; the loop ends when the process does.
        while not (folder / "stage-1-side-8" / "run.json").exists() and process.poll() is None:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 130, error
    first = error.splitlines()[0]
    assert first.startswith(
        "nvae-nano, seed 1, into runs/nvae-nano-seed-1. By its card this took: 64,000 images of 8×8"
    )
    assert "52 minutes on cpu, AMD EPYC, 1 thread" in first
    assert "Stopped. To go on: vaelib zoo retrain nvae-nano --seed 1" in error
    assert "Traceback" not in error
    settings = json.loads((folder / "stage-1-side-8" / "run.json").read_text())
    assert settings["train"]["seed"] == recipe("nvae-nano", 1).stages[0].train.seed == 1


def test_a_recipe_whose_model_the_zoo_does_not_have_yet_says_that_the_time_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vaelib.commands.zoo import expected_time

    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / zoo.MANIFEST).write_text("{}")
    monkeypatch.setattr(zoo, "FOLDER", tmp_path / "zoo")
    assert expected_time("wae-mmd-faces64").startswith("How long it takes is not known")
