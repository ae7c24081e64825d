"""The command line as a user meets it: what it prints, what it writes, and what it says about mistakes."""

import argparse
import dataclasses
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import typing
from pathlib import Path

import pytest
import torch
from PIL import Image

import vaelib
from vaelib import storage
from vaelib.cli import COMMANDS, Parser, main
from vaelib.commands.options import as_text, attribute_help, parse
from vaelib.models import VAE, WAE, Autoencoder, AutoencoderConfig, ConditionalVAE, ConditionalVAEConfig, VAEConfig
from vaelib.networks import Convolutional, FullyConnected, ImageShape, Linear, Network
from vaelib.probability import FixedGaussianLikelihood, Likelihood
from vaelib.training import PRESETS, PUBLISHED_RUNS, TrainConfig
from vaelib.training.randomness import seeded

TINY = ["--network", "linear", "--latent-dimension", "2", "--size", "8", "--batch-size", "8", "--precision", "float32"]


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAELIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VAELIB_PROFILE", raising=False)
    return tmp_path


@pytest.fixture
def pictures(workplace: Path) -> str:
    """The name of a data set of sixty small colour pictures: enough for all three splits."""
    generator = torch.Generator().manual_seed(3)
    (workplace / "pictures").mkdir()
    for index in range(60):
        pixels = torch.randint(0, 256, (12, 10, 3), generator=generator, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(workplace / "pictures" / f"{index}.png")
    return "folder:pictures"


@pytest.fixture
def saved(pictures: str) -> Path:
    """A run with a finished, untrained model."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = VAE(VAEConfig(image_shape=(3, 8, 8), latent_dimension=2, network=Linear()))
    return vaelib.save(model, "runs/first/model", {"dataset": pictures, "steps": 0}).parent


@pytest.fixture
def told(saved: Path) -> Path:
    """A run with an untrained conditional model of four labels."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ConditionalVAE(ConditionalVAEConfig((3, 8, 8), 2, Linear(), label_sizes=(4,)))
    return vaelib.save(model, "runs/told/model", {"dataset": "folder:pictures", "steps": 0}).parent


# Help and mistakes ----------------------------------------------------------------------------------------------------


def test_help_and_version_answer_without_loading_torch() -> None:
    script = (
        "import sys\nfrom vaelib.cli import main\n"
        "for arguments in (['--version'], ['--help'], ['sample', '--help'], ['data', '--help']):\n"
        "    try: main(arguments)\n"
        "    except SystemExit as end: assert end.code == 0\n"
        "assert 'torch' not in sys.modules, 'torch was loaded'\n"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert f"vaelib {vaelib.__version__}" in answer.stdout
    assert all(command in answer.stdout for command in COMMANDS)


def test_no_arguments_print_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "commands:" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_every_command_has_a_help_text_and_every_command_has_examples(command: str) -> None:
    module = importlib.import_module(f"vaelib.commands.{command.replace('-', '_')}")
    presets = [[name, "--profile", next(reversed(sizes))] for name, sizes in PRESETS.items()]
    for arguments in presets if command == "train" else [[]]:
        parser = Parser(f"vaelib {command}", module.__doc__ or "", module.EXAMPLES)
        module.add_options(parser, arguments)
        for action in parser._actions:
            text = action.help or ""
            assert len(text.partition("(default")[0].strip()) > 3, (arguments, action.option_strings)
        assert "%" not in parser.format_help().replace("100%", "")
        assert f"vaelib {command}" in module.EXAMPLES


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tran"], "there is no command 'tran'; there are data, info, train, .* Did you mean 'train'?"),
        (["--vresion"], "there is no option --vresion. Did you mean '--version'?"),
        (["sample", "--temprature", "0.5"], "no option --temprature. Did you mean '--temperature'?"),
        (["sample", "--temp", "0.5"], "no option --temp"),
        (["sample", "--label", "seven"], "--label: should be a whole number, not 'seven'"),
        (["reconstruct", "--lable", "7"], "there is no option --lable. Did you mean '--label'?"),
        (["train", "beta_vae", "--beta", "-1"], "beta should be 0 or more, and finite, not -1"),
        (["train", "beta_tcvae", "--estimator", "stratifed"], "weighted, stratified, not 'stratifed'. .*'stratified'?"),
        (["train", "capacity_vae", "--kl-warmup", "0.5"], "anneals its capacity, so kl_warmup should be 0"),
        (["train", "conditional_vae", "--label-sizes", "10,1"], "label_sizes should be one or more numbers"),
        (["sample", "--count", "many"], "--count: should be a whole number, not 'many'"),
        (["sample", "--count", "0"], "--count: should be at least 1, not 0"),
        (["sample", "--temperature", "-1"], "--temperature: should be a positive number, not -1"),
        (["sample", "one", "two"], "'two' is one argument too many"),
        (["data", "portrait"], "no data set 'portrait'; .* Did you mean 'portraits'?"),
        (["data", "faces", "--split", "tests"], "should be one of train, validation, test, not 'tests'. .*'test'?"),
        (["info", "vae", "--profile", "smok"], "should be one of smoke, cpu, gpu, not 'smok'. Did you mean 'smoke'?"),
        (["train"], "the following arguments are required: PRESET"),
        (["train", "vea"], "PRESET: should be one of .*, not 'vea'. Did you mean 'vae'?"),
        (["train", "vea", "--steps", "5"], "PRESET: should be one of .*, not 'vea'. Did you mean 'vae'?"),
        (["train", "vae", "--data", "face"], "no data set 'face'; .* Did you mean 'faces'?"),
        (["train", "vae", "--learning-rte", "1"], "no option --learning-rte. Did you mean '--learning-rate'?"),
        (["train", "vae", "--learning-rate", "fast"], "--learning-rate: should be a number, not 'fast'"),
        (["train", "vae", "--latent-dimension", "0"], "latent_dimension should be at least 1, not 0"),
        (["train", "vae", "--kl-warmup", "nan"], "kl_warmup should be a fraction of the run"),
        (["train", "vae", "--network", "convolutional:widths=0"], "widths should be one or more numbers"),
        (["train", "vae", "--likelihood", "laplace:scale=inf"], "scale should be positive and finite, not inf"),
        (["train", "vae", "--run", "../elsewhere"], "--run should be the name of a folder in runs/"),
        (["train", "vae", "--run", ".."], "--run should be the name of a folder in runs/"),
        (["train", "vae", "--run", ""], "--run should be the name of a folder in runs/"),
        (["sample", "--seed", "99999999999999999999"], "should be from 0 to 2^63 - 1"),
        (["sample", "--out", "."], "should be a file to write, but . is a folder"),
        (["evaluate", "--json", "/dev/null/out.json"], "/dev/null is a file, not a folder"),
        (["train", "vae", "--learning-rate", "-1"], "learning_rate should be positive"),
        (["train", "vae", "--likelihood", "laplas"], "there is no likelihood 'laplas'; .* Did you mean 'laplace'?"),
        (["train", "vae", "--likelihood", "laplace:scal=1"], "laplace has no option 'scal'; .* Did you mean 'scale'?"),
        (["train", "vae", "--likelihood", "fixed-gaussian:variance=0"], "variance should be positive and finite"),
        (["train", "vae", "--network", "convolutional:32"], "after convolutional: should come option=value, not '32'"),
        (["train", "vae", "--resume", "--fresh"], "not allowed with argument"),
        (["evaluate", "--features", "incepton"], "--features should be .*, inception, none.* Did you mean 'inception'"),
    ],
)
def test_a_mistake_on_the_command_line_is_named_and_exits_with_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("vaelib: ")
    assert "Traceback" not in error
    first = error.splitlines()[0]
    for part in message.split(".*"):
        assert part.strip() in first


def test_a_preset_hidden_behind_another_is_asked_to_come_first(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = list(PRESETS)[:2]
    assert main(["train", "--run", first, second]) == 2
    assert f"put the preset first: vaelib train {second}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample"], "there is no run in runs/ here: train one with `vaelib train vae`"),
        (["sample", "nowhere"], "there is no run and no folder 'nowhere' here"),
        (["sample", "some/where"], "there is no folder some/where"),
        (["sample", "zoo:nothing"], "the zoo has no model 'nothing'"),
        (["reconstruct", "."], "neither a saved model nor a run"),
        (["info", "va"], "there is no preset, run or folder 'va'"),
        (["train", "vae", "--data", "folder:nowhere"], "there is no folder nowhere"),
    ],
)
def test_what_goes_wrong_later_is_one_line_and_exits_with_1(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert len(error.splitlines()) == 1
    assert not Path("runs").exists(), "nothing is left behind"


def test_the_traceback_is_shown_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "nowhere", "--traceback"]) == 1
    error = capsys.readouterr().err
    assert "Traceback (most recent call last)" in error
    assert "FileNotFoundError" in error


def test_a_missing_run_names_its_near_miss(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["sample", "frist"], ["info", "frist"], ["evaluate", "runs/frist"]):
        assert main(arguments) == 1
        assert "Did you mean 'first'?" in capsys.readouterr().err


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_pipe_is_no_error(unbuffered: str) -> None:
    read, write = os.pipe()
    os.close(read)
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, "-m", "vaelib", "data"]
    answer = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, env=environment, text=True, check=False)
    os.close(write)
    assert (answer.returncode, answer.stderr) == (0, "")


# Options from dataclasses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("3e-4", float, 3e-4),
        ("none", float | None, None),
        ("0.5", float | None, 0.5),
        ("1,28,28", ImageShape, (1, 28, 28)),
        ("32,64", tuple[int, ...] | None, (32, 64)),
        ("true", bool, True),
        ("linear", Network, Linear()),
        ("convolutional", Network, Convolutional()),
        ("convolutional:widths=32,64", Network, Convolutional(widths=(32, 64))),
        ("convolutional:widths=none", Network, Convolutional()),
        ("fully_connected:widths=32,64", Network, FullyConnected(widths=(32, 64))),
        ("weighted", typing.Literal["weighted", "stratified"], "weighted"),
        ("fixed-gaussian:variance=0.02", Likelihood, FixedGaussianLikelihood(variance=0.02)),
    ],
)
def test_a_value_is_read_as_its_type_and_written_as_it_is_typed(text: str, hint: object, value: object) -> None:
    assert parse(text, hint) == value
    assert parse(as_text(value), hint) == value


def test_every_setting_of_every_preset_can_be_typed() -> None:
    for name in PRESETS:
        preset = vaelib.training.preset(name, "gpu" if name in PUBLISHED_RUNS else "cpu")
        for config in (preset.train, preset.model):
            hints = typing.get_type_hints(type(config))
            for field in dataclasses.fields(config):
                value = getattr(config, field.name)
                assert parse(as_text(value), hints[field.name]) == value, field.name


def test_help_comes_from_the_attributes_of_the_docstring_and_of_its_bases() -> None:
    texts = attribute_help(VAEConfig)
    assert texts["latent_dimension"] == "width of the bottleneck."
    assert texts["kl_warmup"].startswith("fraction of the run over which the weight of the rate grows")
    assert "added to the root" in attribute_help(TrainConfig)["epsilon"], "written behind the text of betas"


# data and info --------------------------------------------------------------------------------------------------------


def test_data_lists_the_catalogue_and_shows_a_card(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in vaelib.data.cards())
    assert main(["data", "faces"]) == 0
    card = capsys.readouterr().out
    assert "DigiFace-1M" in card
    assert "Licence" in card


def test_data_draws_a_grid(pictures: str) -> None:
    assert main(["data", pictures, "--grid", "deep/down/grid.png", "-n", "9", "--size", "8"]) == 0
    with Image.open("deep/down/grid.png") as grid:
        assert grid.size == (3 * (8 + 2) + 2, 3 * (8 + 2) + 2)
    assert [path.name for path in Path("deep/down").iterdir()] == ["grid.png"]


def test_info_counts_the_parameters_and_operations_of_a_model(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "first"]) == 0
    answer = capsys.readouterr().out
    encoder, decoder = 4 * 3 * 8 * 8 + 4, 2 * 192 + 192
    for part, count in (("encoder", encoder), ("decoder", decoder), ("all", encoder + decoder)):
        row = next(line for line in answer.splitlines() if line.split()[:1] == [part])
        assert row.split()[1] == f"{count:,}"
    assert "latent_dimension  2" in answer
    assert "folder:pictures" in answer, "the card is shown"


def test_the_operations_of_a_linear_model_are_those_of_its_matrices() -> None:
    from vaelib.commands.info import forward_flops

    model = Autoencoder(AutoencoderConfig(image_shape=(3, 8, 8), latent_dimension=5, network=Linear()))
    assert forward_flops(model) == {"encoding": 2 * 5 * 192, "decoding": 2 * 5 * 192}


@pytest.mark.parametrize("name", [name for name in PRESETS if name not in PUBLISHED_RUNS])
def test_info_describes_every_preset(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", name, "--profile", "smoke"]) == 0
    assert "parameters" in capsys.readouterr().out


# sample, reconstruct, evaluate ----------------------------------------------------------------------------------------


def test_sample_draws_a_grid_from_the_newest_run_and_says_which(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older = vaelib.save(vaelib.load(saved), "runs/older/model")
    os.utime(older / "config.json", (0, 0))
    assert main(["sample", "-n", "6"]) == 0
    assert f"The newest run: {Path('runs/first')}" in capsys.readouterr().err
    with Image.open("samples.png") as grid:
        assert grid.size == (3 * (8 + 2) + 2, 2 * (8 + 2) + 2)


def test_the_seed_decides_the_samples_and_single_pictures_are_the_models(saved: Path) -> None:
    assert main(["sample", "first", "-n", "12", "--seed", "4", "--folder", "some"]) == 0
    assert main(["sample", str(saved), "-n", "12", "--seed", "4", "--folder", "same"]) == 0
    assert main(["sample", "runs/first/model", "-n", "12", "--seed", "5", "--folder", "other"]) == 0
    names = [f"{index:02d}.png" for index in range(12)]
    some, same, other = ([Path(folder, name).read_bytes() for name in names] for folder in ("some", "same", "other"))
    assert some == same
    assert some != other
    assert not Path("samples.png").exists(), "--folder alone writes no grid"

    expected = vaelib.load(saved).sample(12, generator=torch.Generator().manual_seed(4))
    with Image.open("some/11.png") as picture:
        value = picture.getpixel((7, 0))
    assert value == tuple((expected[11, :, 0, 7] * 255).round().int().tolist())


def test_a_model_without_a_prior_says_that_there_is_nothing_to_sample(capsys: pytest.CaptureFixture[str]) -> None:
    config = AutoencoderConfig(image_shape=(1, 8, 8), latent_dimension=2, network=Linear())
    vaelib.save(Autoencoder(config), "runs/plain/model")
    assert main(["sample"]) == 1
    assert "Autoencoder has no prior, so there is nothing to sample from" in capsys.readouterr().err


def test_reconstruct_shows_originals_above_reconstructions(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reconstruct", "first", "-n", "3"]) == 0
    assert "root mean squared error" in capsys.readouterr().err
    original = vaelib.data.load("folder:pictures", "test", count=3, size=8).images[0]
    with Image.open("reconstructions.png") as picture:
        assert picture.size == (3 * 10 + 2, 2 * 10 + 2)
        assert picture.getpixel((2, 2)) == tuple(original[:, 0, 0].tolist())


def test_a_label_is_what_a_conditional_model_draws(told: Path) -> None:
    model = vaelib.load(told)
    assert isinstance(model, ConditionalVAE)
    assert main(["sample", "told", "-n", "2", "--label", "3", "--seed", "4", "--folder", "threes"]) == 0
    assert main(["sample", "told", "-n", "2", "--seed", "4", "--folder", "any"]) == 0
    threes = torch.full((2,), 3)
    for folder, labels in (("threes", threes), ("any", None)):
        expected = model.sample(2, labels=labels, generator=torch.Generator().manual_seed(4))
        with Image.open(f"{folder}/1.png") as picture:
            value = picture.getpixel((7, 0))
        assert value == tuple((expected[1, :, 0, 7] * 255).round().int().tolist())


def test_a_label_is_what_a_conditional_model_is_told_of_a_picture(
    told: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    errors = {}
    for label in ("1", "2"):
        assert main(["reconstruct", "told", "--label", label, "-n", "3"]) == 0
        errors[label] = capsys.readouterr().err.rpartition("error ")[2]
    model, images = vaelib.load(told), vaelib.data.load("folder:pictures", "test", count=3, size=8).batch(slice(None))
    for label, said in errors.items():
        expected = model.reconstruct(images.images, torch.full((3,), int(label))) - images.images
        assert said == f"{255 * expected.square().mean().sqrt():.1f} grey levels of 255\n"
    assert main(["reconstruct", "told", "--image", "pictures/1.png", "--label", "3"]) == 0


def test_labels_that_are_missing_wrong_or_for_nobody_are_named(told: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["sample", "told", "--label", "4"], "--label 4 does not fit runs/told, whose labels are 0 to 3"),
        (["reconstruct", "told", "--label", "1,2"], "--label 1,2 does not fit runs/told, whose labels are 0 to 3"),
        (["sample", "first", "--label", "1"], "runs/first is a VAE, which takes no --label; a ConditionalVAE does"),
        (["reconstruct", "first", "--label", "1"], "runs/first is a VAE, which takes no --label"),
        (["reconstruct", "told"], "runs/told is conditional, and these pictures have no labels"),
        (["reconstruct", "told", "--image", "pictures/1.png"], "no labels: say what they show with --label"),
        (["evaluate", "told", "--features", "none", "--samples", "4"], "with labels, and this data set has none"),
    ):
        assert main(arguments) == 1
        error = capsys.readouterr().err
        assert message in error
        assert "Traceback" not in error
    assert not Path("samples.png").exists()
    assert not Path("reconstructions.png").exists()


def test_the_labels_of_the_data_are_told_unless_the_user_says_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ConditionalVAE(ConditionalVAEConfig((1, 8, 8), 2, Linear(), label_sizes=(3, 6, 40, 32, 32)))
    vaelib.save(model, "runs/drawn/model", {"dataset": "sprites"})
    test = vaelib.data.load("sprites", "test", count=3, size=8).batch(slice(None))
    for arguments, labels in (([], test.labels), (["--label", "2,5,0,9,9"], torch.tensor([[2, 5, 0, 9, 9]] * 3))):
        assert main(["reconstruct", "drawn", "-n", "3", *arguments]) == 0
        error = (vaelib.load("runs/drawn").reconstruct(test.images, labels) - test.images).square().mean().sqrt()
        assert f"error {255 * error:.1f} grey levels" in capsys.readouterr().err
    assert main(["evaluate", "drawn", "--features", "none", "--samples", "4"]) == 0
    assert main(["info", "drawn"]) == 0
    assert "label_map" in capsys.readouterr().out


def test_a_conditional_model_says_that_it_is_trained_with_labels(
    pictures: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "conditional_vae", "--data", pictures, *TINY, "--steps", "2"]
    assert main(command) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "conditional_vae" in error
    assert "folder:pictures has no labels" in error
    assert not Path("runs").exists(), "nothing is left behind"


def test_the_presets_own_data_come_in_its_size_and_other_data_in_theirs(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["--steps", "2", "--count", "16", "--batch-size", "8", "--network", "linear", "--validation-images", "2"]
    assert main(["train", "capacity_vae", "--profile", "smoke", *settings, "--run", "own"]) == 0
    assert vaelib.load("runs/own").config.image_shape == (1, 32, 32)
    asked = [*settings, "--size", "16", "--run", "smaller"]
    assert main(["train", "beta_tcvae", "--profile", "smoke", *asked]) == 0
    assert vaelib.load("runs/smaller").config.image_shape == (1, 16, 16)
    assert main(["train", "capacity_vae", "--profile", "smoke", *settings, "--data", "digits", "--run", "other"]) == 0
    assert vaelib.load("runs/other").config.image_shape == (1, 28, 28)


def test_reconstruct_takes_pictures_of_the_users_own(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("L", (40, 30), 200).save("grey.jpg")
    assert main(["reconstruct", "first", "--image", "grey.jpg", "pictures/1.png", "--out", "out.png"]) == 0
    with Image.open("out.png") as picture:
        assert picture.size == (2 * 10 + 2, 2 * 10 + 2)
        assert picture.getpixel((5, 5)) == pytest.approx((200, 200, 200), abs=2)
    Path("notes.txt").write_text("no picture")
    assert main(["reconstruct", "first", "--image", "notes.txt"]) == 1
    assert "notes.txt cannot be read as a picture" in capsys.readouterr().err


def test_data_of_another_shape_is_refused_by_name(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("grey").mkdir()
    for index in range(30):
        Image.new("L", (8, 8), 8 * index).save(f"grey/{index}.png")
    assert main(["evaluate", "first", "--data", "folder:grey", "--features", "none"]) == 1
    assert "takes images of shape 3×8×8, but folder:grey has 1×8×8" in capsys.readouterr().err


def test_a_model_that_does_not_know_its_data_asks_for_it(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vaelib.save(vaelib.load(saved), "elsewhere")
    assert main(["evaluate", "elsewhere"]) == 1
    assert "elsewhere does not say what it was trained on: name the data with --data" in capsys.readouterr().err


def test_evaluate_prints_every_number_with_its_protocol_and_writes_json(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "first", "--features", "none", "--samples", "4", "--json", "out/numbers.json"]) == 0
    printed = capsys.readouterr().out
    written = json.loads(Path("out/numbers.json").read_text())["measurements"]
    direct = vaelib.evaluation.evaluate(
        vaelib.load(saved), vaelib.data.load("folder:pictures", "test", count=4, size=8), samples=4, features=None
    )
    assert written.keys() == direct.keys()
    for name, measurement in direct.items():
        assert written[name]["value"] == pytest.approx(measurement.value)
        line = next(line for line in printed.splitlines() if line.startswith(f"{name} "))
        assert measurement.number() in line
        assert str(measurement.protocol) in line
    assert "folder:pictures (test), seed 0" in printed


# train ----------------------------------------------------------------------------------------------------------------


def test_train_makes_a_run_that_the_other_commands_find(pictures: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "vae", "--data", pictures, *TINY, "--steps", "3", "--learning-rate", "1e-4"]) == 0
    assert "runs/vae-pictures/model" in capsys.readouterr().err
    model = vaelib.load("runs/vae-pictures")
    assert model.config.image_shape == (3, 8, 8)
    assert model.config.latent_dimension == 2
    assert model.config.network == Linear()
    assert main(["sample", "-n", "4"]) == 0
    assert main(["reconstruct", "-n", "2"]) == 0
    assert main(["info"]) == 0
    assert main(["evaluate", "--features", "none", "--samples", "4"]) == 0
    assert "runs/vae-pictures" in capsys.readouterr().out


def test_a_finished_run_is_not_overwritten_unless_asked(pictures: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "vae", "--data", pictures, *TINY, "--steps", "2", "--run", "mine"]
    assert main(command) == 0
    weights = Path("runs/mine/model/weights.safetensors")
    before = weights.read_bytes()
    capsys.readouterr()
    assert main([*command, "--latent-dimension", "3"]) == 1
    error = capsys.readouterr().err
    assert "runs/mine is finished" in error
    assert "--run NAME" in error
    assert "--fresh" in error
    assert weights.read_bytes() == before
    assert main([*command, "--latent-dimension", "3", "--fresh"]) == 0
    assert vaelib.load("runs/mine").config.latent_dimension == 3


def test_the_same_command_gives_the_same_weights(pictures: str) -> None:
    for run in ("one", "two"):
        assert main(["train", "vae", "--data", pictures, *TINY, "--steps", "2", "--run", run]) == 0
    one, two = (storage.read_tensors(Path(f"runs/{run}/model/weights.safetensors")) for run in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_network_adapts_to_pictures_of_another_size() -> None:
    from vaelib.commands.train import fitted
    from vaelib.networks import conv64

    faces = VAEConfig()
    nothing = argparse.Namespace()
    assert fitted(faces, (1, 28, 28), nothing).network == Convolutional()
    assert fitted(faces, (1, 28, 28), nothing).image_shape == (1, 28, 28)
    assert fitted(faces, (1, 64, 64), nothing).network == conv64
    digits = VAEConfig(image_shape=(1, 28, 28), network=Convolutional(widths=(32, 64)))
    assert fitted(digits, (3, 64, 64), nothing).network == conv64
    asked = argparse.Namespace(network=Convolutional(widths=(4, 8)), latent_dimension=7)
    assert fitted(faces, (1, 28, 28), asked).network == Convolutional(widths=(4, 8))
    assert fitted(faces, (1, 28, 28), asked).latent_dimension == 7


def test_runs_are_named_after_preset_data_and_profile() -> None:
    from vaelib.commands.train import run_folder

    def named(**options: object) -> str:
        shown = vaelib.training.preset("vae", str(options.pop("profile", "cpu")))
        given = {"preset": "vae", "data": None, "run": None, "shown": shown, **options}
        return run_folder(argparse.Namespace(**given)).as_posix()

    assert named() == "runs/vae-faces"
    assert named(profile="smoke") == "runs/vae-faces-smoke"
    assert named(data="folder:/home/me/My Pictures") == "runs/vae-my-pictures"
    assert named(data="fashion_mnist") == "runs/vae-fashion-mnist"
    assert named(run="first") == "runs/first"


def test_ctrl_c_leaves_a_checkpoint_and_the_command_that_goes_on(pictures: str) -> None:
    constant = ["--schedule", "constant", "--final-learning-rate", "0", "--learning-rate-warmup", "0"]
    settings = ["--data", pictures, *TINY, *constant, "--steps", "100000", "--checkpoint-every", "20", "--run", "long"]
    command = [sys.executable, "-m", "vaelib", "train", "vae", *settings]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        # Until the first checkpoint is there; the loop ends when the process does, whatever the machine's speed.
        while not Path("runs/long/checkpoint/config.json").exists() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 130, error
    assert "Traceback" not in error
    assert "Stopped. To go on: vaelib train vae --data folder:pictures" in error
    stopped_at = json.loads(Path("runs/long/checkpoint/training.json").read_text())["step"]
    assert stopped_at >= 20
    assert not Path("runs/long/model").exists()

    assert main(["sample", "long", "-n", "1"]) == 0, "a run that was stopped can be looked at"
    settings[settings.index("100000")] = str(stopped_at + 5)
    assert main(["train", "vae", *settings]) == 0
    rows = [json.loads(line) for line in Path("runs/long/metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == stopped_at + 5
    assert storage.is_model(Path("runs/long/model"))


def test_an_unfinished_run_with_other_settings_is_not_mixed_up(
    pictures: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "vae", "--data", pictures, *TINY, "--steps", "2", "--run", "mine"]
    assert main(command) == 0
    shutil.rmtree("runs/mine/model")
    assert main([*command, "--latent-dimension", "3"]) == 1
    error = capsys.readouterr().err
    assert "latent_dimension" in error
    assert "Traceback" not in error


def test_a_runs_folder_that_cannot_be_made_is_named_without_an_error_number(
    pictures: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("runs").write_text("in the way")
    assert main(["train", "vae", "--profile", "smoke", "--data", pictures, *TINY, "--run", "first"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "vaelib: runs/first: Not a directory"


def test_an_edited_card_is_named(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (saved / "model" / "card.json").write_text("[]")
    assert main(["info", "first"]) == 1
    assert "card.json should hold names and values, not []" in capsys.readouterr().err
    (saved / "model" / "card.json").write_text('{"metrics": 3, "dataset": 7}')
    assert main(["info", "first"]) == 0
    assert main(["reconstruct", "first"]) == 1
    assert "says it was trained on 7, which is no name: give it with --data" in capsys.readouterr().err


def test_the_crop_of_the_training_data_is_that_of_the_test_images(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Faces have no crops, and say so when they are asked for one: so the card's was used, and can be overruled.
    vaelib.save(vaelib.load(saved), saved / "model", {"dataset": "faces", "crop": "tight"})
    assert main(["reconstruct", "first"]) == 1
    assert "faces comes with no crops" in capsys.readouterr().err
    assert main(["reconstruct", "first", "--data", "folder:pictures"]) == 0


@pytest.mark.parametrize("name", ["wae_mmd", "wae_gan"])
def test_a_wae_goes_through_every_command(name: str, pictures: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["--steps", "2", "--encoder", "deterministic", "--penalty-weight", "20", "--adversary-widths", "8,4"]
    command = ["train", name, "--profile", "smoke", "--data", pictures, *TINY, *settings, "--run", "wae"]
    assert main(command) == 0
    config = json.loads(Path("runs/wae/model/config.json").read_text())
    assert (config["kind"], config["config"]["penalty"]) == ("wae", name.removeprefix("wae_"))
    assert config["config"]["adversary_widths"] == [8, 4]
    row = json.loads(Path("runs/wae/metrics.jsonl").read_text().splitlines()[-1])
    expected = {"wae_mmd": "train/mmd_squared", "wae_gan": "train/adversary/accuracy"}[name]
    assert {expected, expected.replace("train", "validation"), "train/distortion"} <= row.keys()
    assert main(["sample", "wae", "-n", "2"]) == 0
    assert main(["reconstruct", "wae", "-n", "2"]) == 0
    assert main(["evaluate", "wae", "--features", "none", "--samples", "4"]) == 0
    assert "reconstruction_mse" in capsys.readouterr().out
    assert main(["info", "wae"]) == 0
    told = capsys.readouterr().out
    assert "penalty_weight           20.0" in told
    # The adversary: 2 · 8 + 8, 8 · 4 + 4 and 4 + 1.
    assert bool(re.search(r"^  penalty +65$", told, re.MULTILINE)) == (name == "wae_gan")


def test_a_preset_trains_on_the_crop_that_it_was_made_for(workplace: Path) -> None:
    folder = workplace / "cache" / "downloads" / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{number:06}.jpg" for number in range(1, 43)]
    for number, name in enumerate(names):
        Image.new("RGB", (178, 218), (6 * number, 100, 200)).save(folder / "img_align_celeba" / name)
    parts = "".join(f"{name} {part}\n" for name, part in zip(names, [0] * 40 + [1, 1], strict=True))
    (folder / "list_eval_partition.txt").write_text(parts)
    few = ["--count", "3", "--batch-size", "2", "--steps", "1", "--validation-images", "2", "--run", "cropped"]
    command = ["train", "wae_mmd", "--profile", "gpu", "--network", "linear", "--size", "8", *few]
    for options, crop in (([], "wae-140"), (["--crop", "nvae-148", "--fresh"], "nvae-148")):
        assert main([*command, *options]) == 0
        assert json.loads(Path("runs/cropped/run.json").read_text())["crop"] == crop

    # The published encoder learns the moments of the prior first; steps this small move nothing.
    still = ["--learning-rate", "1e-12", "--final-learning-rate", "1e-13", "--latent-dimension", "2"]
    assert main([*command, *still, "--count", "40", "--fresh"]) == 0
    model = vaelib.load("runs/cropped/model")
    with seeded(0, "weights"):
        untrained = WAE(model.config)
    assert not torch.allclose(model.encoder[1].weight, untrained.encoder[1].weight, atol=1e-4)
    torch.testing.assert_close(model.decoder[0].weight, untrained.decoder[0].weight, rtol=0, atol=1e-6)
