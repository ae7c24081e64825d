"""Model cards: every number is that of a file, whatever is missing is called missing, whatever arrives appears."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import vaelib
from vaelib import storage, zoo
from vaelib.data import card as data_card
from vaelib.evaluation.comparison import Budget as ComparedBudget
from vaelib.evaluation.comparison import Comparison, Number, Run, Subject
from vaelib.evaluation.protocol import Measurement, Protocol
from vaelib.models import VAE, VAEConfig
from vaelib.networks import Linear
from vaelib.zoo.add import add
from vaelib.zoo.cards import ModelCard, cards
from vaelib.zoo.records import COMPARISON, OVERHEAD, THREAD_WATTS, Budget, Leg, duration, energy_of

DISTANCE = Protocol("Fréchet distance", features="some network", data="faces", split="test", samples=50)


@pytest.fixture
def copied_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the zoo's models, to take away from and to add to."""
    folder = tmp_path / "zoo"
    shutil.copytree(zoo.FOLDER / "models", folder / "models")
    shutil.copy(zoo.FOLDER / zoo.MANIFEST, folder)
    monkeypatch.setattr(zoo, "FOLDER", folder)
    return folder


def comparison(**distances: tuple[float, ...]) -> Comparison:
    """A comparison in which every model has one distance for each seed, and stands beside one floor."""

    def run(value: float, seed: int) -> Run:
        number = Number("frechet_samples", Measurement(value, replace(DISTANCE, subject="samples", seed=0)))
        return Run((number,), budget=ComparedBudget(1, seed=seed))

    def runs(values: tuple[float, ...]) -> tuple[Run, ...]:
        return tuple(run(value, seed) for seed, value in enumerate(values))

    models = {name.replace("_", "-"): runs(values) for name, values in distances.items()}
    subjects = [Subject(name, "model", "a model", found) for name, found in models.items()]
    subjects.append(Subject("gaussian", "floor", "a floor", (run(4.0, 0),)))
    return Comparison(tuple(subjects), "faces", "test", "key", "key", 50, 0, "some network", ())


@pytest.mark.parametrize("name", zoo.names())
def test_the_card_of_every_model_agrees_with_the_model_and_its_files(name: str) -> None:
    card, stored, model = ModelCard.of(name), zoo.card(name), zoo.load(name)
    assert card.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert (card.kind, card.image_shape, card.sha256) == (model.kind, tuple(model.image_shape), stored["sha256"])
    assert card.weights_type == "16-bit floats"
    assert "non-commercial" in card.licence
    assert data_card("faces").bias in card.bias
    assert card.seeds[0] == stored["train"]["seed"]
    assert card.budget is not None
    # Images of the last stage by the card, of all stages by the log, where the log has them.
    assert card.budget.legs[-1].images == stored["images_seen"]
    if (zoo.model_folder(name) / zoo.LOG).is_file():
        assert card.budget.images == zoo.training_log(name)[-1]["images_seen"]
    averaged = stored["weights"] == "averaged"
    # Runs without a validation have been measured in the comparison instead.
    if distortion := stored["metrics"].get("validation/ema/distortion" if averaged else "validation/distortion"):
        assert distortion in [metric.value for metric in card.metrics if metric.source == storage.CARD]
    assert card.metrics
    assert all(metric.protocol for metric in card.metrics)


@pytest.mark.parametrize(("name", "images"), [("nvae-faces64", 485_888), ("nvae-nano", 416_000)])
def test_images_of_the_earlier_stages_count(name: str, images: int) -> None:
    card = ModelCard.of(name)
    assert card.budget is not None
    assert card.budget.images == images > zoo.card(name)["images_seen"]
    assert f"together {images:,} images" in card.text(200)
    assert card.budget.seconds == pytest.approx(sum(leg.seconds or 0 for leg in card.budget.legs))


@pytest.mark.parametrize("name", zoo.names())
def test_text_markdown_and_json_say_the_same(name: str) -> None:
    card = ModelCard.of(name)
    assert max(map(len, card.text(80).splitlines())) <= 80
    words = " ".join(card.text(80).split())
    markdown, values = card.markdown(level=2), json.loads(card.to_json())
    assert markdown.startswith(f"## `{name}`: {card.title}\n")
    for term, value in card.rows().items():
        assert f"{term}: {' '.join(value.split())}".replace("-", "") in words.replace("- ", "").replace("-", "")
        assert f"**{term}.** {value}" in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + len(card.metrics)  # and the heading
    assert {len(line.replace("\\|", "").split("|")) for line in rows} == {6}
    assert [metric["value"] for metric in values["metrics"]] == [metric.value for metric in card.metrics]
    assert all(metric.number in markdown for metric in card.metrics)


def test_every_measured_number_of_the_results_is_on_the_card() -> None:
    found = {metric.value for metric in ModelCard.of("nvae-faces64").metrics}
    results = zoo.results("nvae-faces64")
    for kind in ("frechet", "sharpness"):
        for subject in ("samples", "reconstructions", "recalibrated", "recalibrated_cool"):
            assert results[kind][subject] in found
    assert {results["squared_error"], results["nats"]["bits_per_dimension"]} <= found


def test_reconstructions_stand_beside_reconstructions() -> None:
    results = zoo.results("nvae-faces64")["frechet"]
    metrics = ModelCard.of("nvae-faces64").metrics
    beside = {metric.name: metric.beside["vae-faces64"] for metric in metrics if "vae-faces64" in metric.beside}
    assert beside["Fréchet distance of samples"] == results["vae"]
    assert beside["Fréchet distance of reconstructions"] == results["vae_reconstructions"]


def test_what_is_missing_is_called_missing_and_not_made_up(copied_zoo: Path) -> None:
    folder = zoo.model_folder("nvae-nano")
    whole = ModelCard.of("nvae-nano")
    (folder / zoo.LOG).unlink()
    (folder / zoo.RESULTS).unlink()
    card = ModelCard.of("nvae-nano")
    assert {"the log of its training (log.json)", "results of vaelib.zoo.measure (results.json)"} <= set(card.missing)
    assert set(card.missing) > set(whole.missing)
    assert {metric.source for metric in card.metrics} == {storage.CARD}
    (folder / storage.CARD).unlink()
    card = ModelCard.of("nvae-nano")
    assert (card.budget, card.energy, card.metrics, card.seeds, card.training) == (None, None, (), (), "")
    text = card.text()
    assert "Budget:     Not on record." in text
    assert "Energy:     Not estimated" in text
    assert "Measured:   nothing yet" in text
    assert "the settings of its training" in text
    assert "Nothing yet." in card.markdown()


def test_a_model_that_is_added_appears_by_itself(copied_zoo: Path, tmp_path: Path) -> None:
    with torch.random.fork_rng():
        model = VAE(VAEConfig(image_shape=(1, 8, 8), latent_dimension=2, network=Linear()))
    vaelib.save(model, tmp_path / "run" / "model", {"data": "two | pipes"})
    add(tmp_path / "run", "vae-tiny", title="A tiny VAE")
    card = cards()["vae-tiny"]
    assert (card.image_shape, card.latents, card.retrain) == ((1, 8, 8), 2, "")
    assert "what data it was trained on" in card.missing
    assert "8×8 pixels in grey" in card.text(200)


def test_the_comparison_appears_when_it_is_there_and_is_called_missing_before(copied_zoo: Path) -> None:
    (copied_zoo / COMPARISON).unlink(missing_ok=True)
    row = "a row in the comparison of the zoo (comparison.json)"
    assert row in ModelCard.of("vae-faces64").missing
    (copied_zoo / COMPARISON).write_text(comparison(vae_faces64=(5.0, 7.0, 6.0)).to_json())
    card = ModelCard.of("vae-faces64")
    assert row not in card.missing
    assert card.seeds == (0, 1, 2)
    first = card.metrics[0]
    assert (first.name, first.value, first.source) == ("Fréchet distance of samples", 6.0, COMPARISON)
    assert first.standard_error == pytest.approx(3**-0.5)
    assert first.beside == {"gaussian": 4.0}
    assert "mean of 3 trainings" in first.protocol
    assert "some network, faces test, 50 images" in first.protocol
    assert any("farther from the data" in limit and "6 against 4" in limit for limit in card.limits)
    assert row in ModelCard.of("nvae-nano").missing, "a model that the comparison leaves out"


def test_a_model_that_beats_the_gaussian_is_not_said_to_lose_against_it(copied_zoo: Path) -> None:
    (copied_zoo / COMPARISON).write_text(comparison(vae_faces64=(3.0,)).to_json())
    assert not any("Gaussian on principal" in limit for limit in ModelCard.of("vae-faces64").limits)


def test_floors_of_another_protocol_are_not_put_beside(copied_zoo: Path) -> None:
    other = Number("frechet_samples", Measurement(4.0, replace(DISTANCE, features="another network")))
    found = comparison(vae_faces64=(5.0,))
    floor = replace(found.subjects[-1], runs=(Run((other,)),))
    (copied_zoo / COMPARISON).write_text(replace(found, subjects=(found.subjects[0], floor)).to_json())
    assert ModelCard.of("vae-faces64").metrics[0].beside == {}


@pytest.mark.parametrize("text", ["{", "[]", '{"subjects": 3}'])
def test_a_damaged_comparison_is_named(copied_zoo: Path, text: str) -> None:
    (copied_zoo / COMPARISON).write_text(text)
    with pytest.raises(ValueError, match=r"comparison\.json"):
        ModelCard.of("vae-faces64")


def test_an_unknown_model_names_the_near_miss() -> None:
    with pytest.raises(ValueError, match="Did you mean 'vae-faces64'"):
        ModelCard.of("vae-face64")


def test_energy_is_power_times_time_and_unknown_where_either_is() -> None:
    hour_on_two_threads = Leg(64, 1_000, 3600.0, "cpu, some processor, 2 threads")
    energy = energy_of(Budget((hour_on_two_threads,)))
    assert energy is not None
    assert energy.kilowatt_hours == pytest.approx(2 * THREAD_WATTS * OVERHEAD / 1000)
    assert "an estimate" in str(energy)
    on_card = replace(hour_on_two_threads, hardware="NVIDIA H100 80GB HBM3")
    both = energy_of(Budget((hour_on_two_threads, on_card)))
    assert both is not None
    assert both.kilowatt_hours == pytest.approx(energy.kilowatt_hours + 0.7 * OVERHEAD)
    for changed in ({"hardware": None}, {"hardware": "a toaster"}, {"seconds": None}):
        unknown = replace(on_card, **changed)
        assert energy_of(Budget((hour_on_two_threads, unknown))) is None


def test_hours_are_counted_by_what_they_were_spent_on() -> None:
    legs = (Leg(8, 10, 1800.0, "NVIDIA H200"), Leg(16, 20, 3600.0, "cpu, x, 2 threads"), Leg(32, 30, None, None))
    assert Budget(legs).hours() == {"GPU-hours": 0.5, "core-hours": 2.0}
    assert Budget(legs).images == 60
    assert Budget(legs).seconds is None
    assert "30 images of 32×32, in unknown time on hardware that is not on record" in str(Budget(legs))
    assert "1 thread;" in str(Budget((Leg(8, 10, 60.0, "cpu, x, 1 threads"),)))


def test_durations_are_said_in_units_that_fit() -> None:
    assert [duration(seconds) for seconds in (45, 1136.5, 8000)] == ["45 s", "19 minutes", "2.2 hours"]


def test_the_models_of_the_zoo_stay_within_sixty_megabytes() -> None:
    files = [file for file in (zoo.FOLDER / "models").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 60e6
