"""`vaelib compare` as a user meets it: what it prints and writes, which runs it puts together, and what it refuses."""

import json
import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

import vaelib
from vaelib.cli import main
from vaelib.commands.entrants import common_name, open_entrants, short_name
from vaelib.config import to_dict
from vaelib.evaluation import FEATURES, FLOORS, Comparison, FeatureNetwork
from vaelib.models import VAE, Autoencoder, AutoencoderConfig, VAEConfig
from vaelib.networks import Linear
from vaelib.training import TrainConfig

SIDE = 8
DATA = "folder:pictures"
FEW = ["--samples", "4", "--features", "none"]


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder with sixty small pictures, a cache of its own, and features that are cheap."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAELIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "110")
    pixels = FeatureNetwork("pixels", 192, "all", "none", "none", nn.Flatten)
    monkeypatch.setitem(FEATURES, "pixels", pixels)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    generator = torch.Generator().manual_seed(3)
    for index in range(60):
        pixel = torch.randint(0, 256, (12, 10, 3), generator=generator, dtype=torch.uint8)
        Image.fromarray(pixel.numpy()).save(pictures / f"{index}.png")
    return tmp_path


def save(name: str, seed: int = 0, side: int = SIDE, kind: str = "vae", **card: object) -> str:
    """A run with a finished, untrained model."""
    model_class, config = {"vae": (VAE, VAEConfig), "autoencoder": (Autoencoder, AutoencoderConfig)}[kind]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = model_class(config(image_shape=(3, side, side), latent_dimension=2, network=Linear()))
    trained = {"dataset": DATA, "data": "pictures v1", "train": to_dict(TrainConfig(seed=seed)), "images_seen": 640}
    vaelib.save(model, f"runs/{name}/model", {**trained, **card})
    return name


def read(file: str) -> Comparison:
    return Comparison.from_json(Path(file).read_text(encoding="utf-8"))


def names(comparison: Comparison) -> dict[str, int]:
    """Models by name, with how many runs they have."""
    return {subject.name: len(subject.runs) for subject in comparison.subjects if subject.kind == "model"}


# What comes out -------------------------------------------------------------------------------------------------------


def test_it_prints_models_then_floors_and_how_the_numbers_were_made(capsys: pytest.CaptureFixture[str]) -> None:
    save("first"), save("second", kind="autoencoder")
    assert main(["compare", "first", "second", *FEW, "--json", "out/n.json", "--out", "out/r.html"]) == 0
    printed, told = capsys.readouterr()
    comparison = read("out/n.json")
    assert names(comparison) == {"first": 1, "second": 1}
    for column in comparison.columns():
        for subject, cell in zip(comparison.subjects, column.cells, strict=True):
            if cell:
                line = next(line for line in printed.splitlines() if line.startswith(f"{subject.name} "))
                assert line
                assert cell.measurement.number() in printed
    first = printed.index("first ")
    assert first < printed.index("second ") < printed.index("gaussian ") < printed.index("How the numbers were made")
    assert "4 samples of every model and floor, against as many real images" in printed
    assert "folder:pictures, test split" in printed
    for name, words in FLOORS.items():
        assert f"  {name}: {words}" in printed
    assert max(map(len, printed.split("↓ less is better")[0].splitlines())) <= 120
    assert "Written to out/n.json" in told
    assert "Written to out/r.html" in told
    assert sorted(path.name for path in Path("out").iterdir()) == ["n.json", "r.html"], "nothing half-written is left"


def test_the_report_holds_the_numbers_the_pictures_and_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    save("first")
    assert main(["compare", "first", *FEW, "--seed", "3", "--out", "r.html", "--json", "n.json"]) == 0
    page = Path("r.html").read_text(encoding="utf-8")
    for subject in read("n.json").subjects:
        for number in subject.runs[0].numbers:
            assert number.measurement.number() in page
    assert page.count("data:image/png;base64,") == 1 + len(FLOORS) + 2
    assert "vaelib compare first \\\n  --samples 4 \\\n  --features none \\\n  --seed 3 \\\n  --out r.html" in page


def test_the_same_command_gives_the_same_numbers_and_another_seed_others() -> None:
    save("first")
    for file, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        assert main(["compare", "first", *FEW, "--seed", seed, "--json", f"{file}.json"]) == 0
    one, same, other = (read(f"{file}.json") for file in "abc")
    assert one.differences(same) == ()

    def value(comparison: Comparison) -> float:
        return comparison.subjects[0].cell("sharpness_samples").measurement.value

    assert value(one) == value(same) != value(other)


def test_distances_have_the_names_of_their_features(capsys: pytest.CaptureFixture[str]) -> None:
    # Twice as many pictures of each: the smallest test split has a tenth of them.
    for index in range(400):
        Image.new("RGB", (8, 8), (index % 256, index // 2, 7)).save(f"pictures/more{index}.png")
    save("first")
    assert main(["compare", "first", "--samples", "40", "--features", "pixels", "--json", "n.json"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Fréchet distance of" in printed
    assert "FID" not in printed.replace("compare with no FID", "")
    columns = {column.metric: column for column in read("n.json").columns()}
    assert all(columns["frechet_samples"].cells), "models and floors stand in one column"


# Which runs belong together -------------------------------------------------------------------------------------------


def test_runs_of_one_recipe_with_other_seeds_are_put_together_and_this_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    save("vae-seed-0", 0), save("vae-seed-1", 1), save("other", 2, data="pictures v2"), save("vae-seed-0b", 0)
    assert main(["compare", "vae-seed-0", "other", "vae-seed-1", *FEW, "--json", "n.json"]) == 0
    assert names(read("n.json")) == {"vae": 2, "other": 1}
    printed, told = capsys.readouterr()
    assert "vae: runs/vae-seed-0, runs/vae-seed-1 are one recipe with other seeds" in told
    assert re.search(r" to .*, 2 runs", printed)


def test_cards_that_say_too_little_or_the_same_seed_put_nothing_together() -> None:
    save("told", 0), save("again", 1, train=to_dict(TrainConfig(seed=0)))
    save("silent", 2, train=None), save("odd", 3, train={"seed": 3, "unknown": 1})
    assert list(open_entrants(["told", "again", "silent", "odd"])) == ["told", "again", "silent", "odd"]


def test_the_user_names_groups() -> None:
    save("a", 0, data="one"), save("b", 1, data="two"), save("c", 2)
    assert main(["compare", "mine=a,b", "theirs=runs/c/model", *FEW, "--json", "n.json"]) == 0
    assert names(read("n.json")) == {"mine": 2, "theirs": 1}


def test_a_folder_may_have_an_equals_sign() -> None:
    save("lr=1,steps=2")
    assert [run.source for run in open_entrants(["runs/lr=1,steps=2"])["lr=1,steps=2"]] == ["runs/lr=1,steps=2"]


@pytest.mark.parametrize(
    ("sources", "name"),
    [
        (["vae-faces64-seed-0", "vae-faces64-seed-1"], "vae-faces64"),
        (["vae-faces64", "vae-faces64-seed-1", "vae-faces64-seed-2"], "vae-faces64"),
        (["vae_0", "vae_1"], "vae"),
        (["one", "two"], "one"),
        (["seed-0", "seed-1"], "seed-0"),
        (["alone-seed-3"], "alone-seed-3"),
    ],
)
def test_runs_are_called_what_their_names_share(sources: list[str], name: str) -> None:
    assert common_name(sources) == name


@pytest.mark.parametrize(
    ("source", "name"),
    [("zoo:vae-faces64", "vae-faces64"), ("runs/first", "first"), ("runs/first/model", "first"), ("a/b/", "b")],
)
def test_a_model_is_called_by_its_run(source: str, name: str) -> None:
    assert short_name(source) == name


def test_the_budget_of_a_zoo_model_that_grew_counts_all_its_stages() -> None:
    from vaelib.commands.entrants import whole_card
    from vaelib.zoo import training_log

    (trained,) = open_entrants(["zoo:nvae-faces64"])["nvae-faces64"]
    card = whole_card(trained)
    assert card["images_seen"] > trained.card["images_seen"]
    assert card["images_seen"] >= training_log("nvae-faces64")[-1]["images_seen"]
    assert "; then " in card["hardware"]
    save("first")
    assert whole_card(open_entrants(["first"])["first"][0])["images_seen"] == 640


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "the following arguments are required: CKPT"),
        (
            ["first", "--features", "pixel"],
            2,
            "--features should be one of .*, none, not 'pixel'. Did you mean 'pixels'",
        ),
        (["first", "--samples", "0"], 2, "--samples: should be at least 1, not 0"),
        (["mine=first,"], 2, "several runs of one model are written NAME=CKPT,CKPT, without gaps, not 'mine=first,'"),
        (["=first"], 2, "are written NAME=CKPT,CKPT"),
        (["first", "x=first"], 1, "runs/first and runs/first are the same checkpoint: leave one out"),
        (["first", "first=other"], 2, "two models are called 'first': give one another name"),
        (["frist"], 1, "there is no run and no folder 'frist' here. Did you mean 'first'"),
        (["zoo:vae-faces"], 1, "the zoo has no model 'vae-faces'; .* Did you mean 'vae-faces64'"),
        (["first", "large"], 1, "large makes images 3×16×16, but runs/first 3×8×8: compare models of one resolution"),
        (
            ["first", "--features", "pixels"],
            1,
            "at least 32 samples and test images, .*, not 10000 and [0-9]+: ask for",
        ),
        (
            ["first", "foreign"],
            1,
            "runs/first was trained on dataset folder:pictures and runs/foreign on faces: choose",
        ),
        (["first", "--data", "face"], 2, "no data set 'face'.* Did you mean 'faces'"),
        (["first", "noise=other"], 1, "'noise' is no name for a model"),
        (["first", "--out", "pictures"], 2, "--out: should be a file to write, but pictures is a folder"),
        (["first", "--out", "runs/first/model/card.json/r.html"], 2, "card.json is a file, not a folder"),
        (["first", "--json", "broken/n.json"], 2, "broken/n.json cannot be written"),
        (["first", "--out", "x", "--json", "./x"], 2, "--out and --json both name x: give each a file of its own"),
    ],
)
def test_what_cannot_work_is_said_in_one_sentence_before_the_work(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    save("first", 0), save("other", 1, data="others"), save("large", 2, side=16), save("foreign", 3, dataset="faces")
    Path("broken").symlink_to("nowhere/at/all")
    assert main(["compare", *arguments]) == code
    printed, told = capsys.readouterr()
    assert re.search(message, told), told
    assert "Traceback" not in told
    assert not printed
    assert not Path("cache/comparisons").exists(), "no number was measured"


def test_missing_weights_of_the_standard_features_are_named_before_any_model_is_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(400):
        Image.new("RGB", (8, 8), (index % 256, index // 2, 7)).save(f"pictures/more{index}.png")
    monkeypatch.delenv("VAELIB_INCEPTION", raising=False)
    save("first")
    assert main(["compare", "first", "--features", "inception"]) == 1
    assert "the features 'inception' take weights that do not come with vaelib" in capsys.readouterr().err
    assert not list(Path("cache/comparisons").iterdir())


def test_json_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    save("first")
    assert main(["compare", "first", *FEW, "--json", "n.json"]) == 0
    values = json.loads(Path("n.json").read_text(encoding="utf-8"))
    assert {"subjects", "data", "samples", "seed", "versions"} <= values.keys()
