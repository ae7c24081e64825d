"""The published comparison belongs to the shipped weights, and says all that its page promises."""

import json

import pytest
import torch

from vaelib import zoo
from vaelib.data import load
from vaelib.evaluation import FLOORS, image_squared_error
from vaelib.evaluation.kept import model_hash
from vaelib.zoo import comparison, recipes

PUBLISHED = comparison.published()
SUBJECTS = {subject.name: subject for subject in PUBLISHED.subjects}
IMAGES = 200


def test_all_models_and_all_floors_were_measured_with_ten_thousand_images():
    assert set(comparison.NAMES) | set(FLOORS) == set(SUBJECTS)
    assert PUBLISHED.samples == 10_000
    for subject in PUBLISHED.subjects:
        for run in subject.runs:
            found = {number.name: number.measurement for number in run.numbers}
            if subject.name != "autoencoder-faces64":
                assert found["frechet_samples"].protocol.samples == 10_000
                assert found["frechet_samples"].protocol.reference_samples == 10_000


@pytest.mark.parametrize("name", comparison.NAMES)
def test_the_runs_have_the_seeds_and_the_budget_of_their_recipes(name):
    budgets = [run.budget for run in SUBJECTS[name].runs]
    seeds = [budget.seed for budget in budgets]
    assert seeds == sorted(set(seeds) & set(recipes.seeds(name)))
    assert seeds[0] == 0
    if name in recipes.KINDS:
        assert {budget.images_seen for budget in budgets} == {300_800}


@pytest.mark.parametrize("name", comparison.NAMES)
def test_the_shipped_weights_are_those_that_were_measured(name):
    """One cheap number again: the error of 200 reconstructions, within four standard errors of that of 10,000."""
    model, run = zoo.load(name), SUBJECTS[name].runs[0]
    assert model_hash(model) == run.weights
    published = next(number.measurement for number in run.numbers if number.name == "reconstruction_mse")
    images = load("faces", "test", count=IMAGES).batch(slice(None)).images
    errors = image_squared_error(model.reconstruct(images), images)
    assert abs(errors.mean().item() - published.value) < 4 * (errors.std() / IMAGES**0.5).item()


def test_fresh_images_are_nearer_than_any_model_and_noise_is_farther():
    def of(name):
        return SUBJECTS[name].cell("frechet_samples").measurement.value

    models = [name for name in comparison.NAMES if SUBJECTS[name].cell("frechet_samples")]
    assert of("fresh") < min(map(of, models)) < max(map(of, models)) < of("noise")


def test_the_file_is_what_the_comparison_writes():
    assert json.loads(PUBLISHED.to_json()) == json.loads(comparison.RESULT.read_text(encoding="utf-8"))


def test_a_run_is_measured_in_half_precision(tmp_path, monkeypatch):
    from vaelib import storage

    monkeypatch.setattr(comparison, "RUNS", tmp_path)
    model = zoo.load("autoencoder-faces64")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1 + 1e-5)
    storage.save(model, tmp_path / "autoencoder-faces64-seed-1" / "model")
    found, _ = comparison.run_model("autoencoder-faces64", 1)
    for value in found.state_dict().values():
        if value.is_floating_point():
            assert torch.equal(value, value.half().float())


def test_a_run_that_is_not_there_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(comparison, "RUNS", tmp_path)
    assert comparison.main(["measure", "vae-faces64:2"]) == 1
    assert "vae-faces64-seed-2" in capsys.readouterr().err
