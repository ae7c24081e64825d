"""A comparison in tables: nothing is lost, columns are told apart, and no distance takes a name that is not its own."""

import pytest

from vaelib.evaluation import Budget, Comparison, Measurement, Number, Protocol, Run, Subject
from vaelib.evaluation.tables import COSTS, circumstances, in_words, protocols, tables

LITE = {"features": "efficientnet-lite0", "layer": "last", "resize": "to 224", "weights": "wheel 1"}


def number(name: str, metric: str, value: float, error: float | None = None, **protocol) -> Number:
    return Number(name, Measurement(value, Protocol(metric, **{"samples": 100, **protocol}), error))


def run(*numbers: Number, budget: Budget | None = None) -> Run:
    return Run(numbers, "runs/somewhere", "abc", budget)


def comparison(*subjects: Subject, features: str | None = None) -> Comparison:
    about = {"data": "toy", "split": "test", "key": "toy v1", "training": "toy v1 train", "samples": 100, "seed": 7}
    return Comparison(subjects, **about, features=features, versions=("vaelib 0",), notes=("A note.",))


def model(name: str, *runs: Run) -> Subject:
    return Subject(name, "model", "words", runs)


def some_comparison() -> Comparison:
    def frechet(value: float, **settings) -> Number:
        return number("frechet_samples", "Fréchet distance", value, **LITE, **settings)

    return comparison(
        model(
            "vae",
            run(frechet(30.0), number("rate", "rate", 20, 0.5, unit="nats per image"), budget=Budget(1500, 300, 3600)),
            run(frechet(32.0), number("rate", "rate", 20, 0.5, unit="nats per image"), budget=Budget(1500, 300, 7200)),
        ),
        model("ae", run(number("reconstruction_psnr", "PSNR", 25, 0.3, unit="dB"), budget=Budget(1200))),
        Subject("noise", "floor", "grey", (run(frechet(300.0, subject="noise"), number("mine", "my own", 3)),)),
        features="efficientnet-lite0",
    )


def table(title: str, of: Comparison | None = None):
    (found,) = (each for each in tables(of or some_comparison()) if each.title == title)
    return found


def test_every_number_of_every_subject_is_in_exactly_one_table():
    found = some_comparison()
    texts = [entry.text for each in tables(found) for row in each.rows for entry in row.entries]
    for column in found.columns():
        for cell in filter(None, column.cells):
            assert texts.count(cell.measurement.number()) == 1
    assert [each.title for each in tables(found)] == ["Samples", "Reconstructions", "Objective", "Others", COSTS]


def test_a_table_has_the_subjects_that_have_one_of_its_numbers_models_first():
    assert [row.subject.name for row in table("Samples").rows] == ["vae", "noise"]
    assert [row.subject.name for row in table("Reconstructions").rows] == ["ae"]
    assert [row.subject.name for row in table(COSTS).rows] == ["vae", "ae"]


def test_headings_say_what_of_what_in_which_unit_and_which_end_is_better():
    assert table("Samples").headings == ("Fréchet distance of samples ↓",)
    assert table("Reconstructions").headings == ("PSNR, dB ↑",)
    assert table("Objective").headings == ("rate, nats per image",)


def test_runs_have_their_spread_with_the_digits_of_their_mean():
    (entry,) = table("Samples").rows[0].entries
    assert (entry.text, entry.spread) == ("31.0 ± 1.0", "30.0 to 32.0, 2 runs")
    (rate,) = table("Objective").rows[0].entries
    assert (rate.text, rate.spread) == ("20.0 ± 0.5", ""), "they agree"
    (single,) = table("Reconstructions").rows[0].entries
    assert single.spread == ""


def test_tiny_numbers_keep_their_digits_in_the_spread():
    values = (1.23e-9, 1.27e-9)
    runs = (run(number("kernel_samples", "kernel distance", value, 1e-11)) for value in values)
    (entry,) = table("Samples", comparison(model("vae", *runs))).rows[0].entries
    low, high = entry.spread.removesuffix(", 2 runs").split(" to ")
    assert (float(low), float(high)) == pytest.approx(values, rel=0.01)


def test_only_the_best_beyond_doubt_is_marked():
    models = [
        model(name, run(number("precision", "precision", value, 0.01))) for name, value in (("a", 0.5), ("b", 0.9))
    ]
    assert [row.entries[0].best for row in table("Samples", comparison(*models)).rows] == [False, True]
    assert not any(entry.best for each in tables(some_comparison()) for row in each.rows for entry in row.entries)


def test_columns_of_one_metric_are_told_apart_by_what_differs():
    definitions = ("density on [0, 1]", "probability of 32 grey levels")
    subjects = (
        model(text[0], run(number("negative_elbo", "negative ELBO", 1, unit="nats per image", definition=text)))
        for text in definitions
    )
    assert table("Objective", comparison(*subjects)).headings == (
        "negative ELBO, nats per image (density on [0, 1]) ↓",
        "negative ELBO, nats per image (probability of 32 grey levels) ↓",
    )


def test_the_cost_of_runs_is_what_their_cards_say_and_no_more():
    costs = table(COSTS)
    assert costs.headings == ("parameters", "images in training", "training, hours")
    assert [[entry.text for entry in row.entries] for row in costs.rows] == [
        ["1,500", "300", "1; 2"],
        ["1,200", "", ""],
    ]


def test_how_a_number_was_made_in_words():
    protocol = Protocol(
        "precision",
        definition="a share",
        image_shape=(3, 8, 8),
        **LITE,
        data="toy",
        split="test",
        samples=1,
        reference_samples=2_000,
        seed=4,
        warning="biased",
        notes=("a note",),
    )
    assert in_words(protocol) == (
        "a share; 1 image of 3×8×8 against 2,000 real ones; features of efficientnet-lite0; toy test; seed 4; a note; "
        "biased"
    )
    headings = [heading for heading, _ in protocols(some_comparison())]
    assert headings == ["Fréchet distance of samples ↓", "rate, nats per image", "PSNR, dB ↑", "my own"]


def test_what_all_numbers_share_is_said_once():
    found = dict(circumstances(some_comparison()))
    assert found["Real images"] == "toy, test split (toy v1)"
    assert found["Seed"] == "7, of every draw"
    assert found["Floors"] == "made from toy v1 train"
    assert found["Features"].startswith(
        "efficientnet-lite0 (last; to 224; wheel 1). Distances by these features are not"
    )
    assert found["Versions"] == "vaelib 0"
    assert found["Note"] == "A note."
    assert dict(circumstances(comparison(model("a", run(number("rate", "rate", 1))))))["Features"].startswith("none")


def test_a_distance_by_the_standard_features_keeps_its_name_and_has_no_disclaimer():
    fid = number("frechet_samples", "FID", 30.0, **{**LITE, "features": "inception"})
    found = comparison(model("vae", run(fid)), features="inception")
    assert table("Samples", found).headings == ("FID of samples ↓",)
    assert dict(circumstances(found))["Features"] == "inception (last; to 224; wheel 1)"
    assert "FID" not in str([each.headings for each in tables(some_comparison())])
