"""What may be concluded from numbers beside each other: which share a column, which is best, when two tables agree."""

import math

import pytest

from vaelib.evaluation import Budget, Comparison, Measurement, Number, Protocol, Run, Subject

CLOSE, FAR = (1.0, 0.1), (2.0, 0.1)
"""Values with their errors, that lie ten errors apart."""


def number(name: str, value: float, error: float | None = None, **protocol) -> Number:
    return Number(name, Measurement(value, Protocol(name, **{"samples": 100, **protocol}), error))


def subject(name: str, *runs: list[Number], kind: str = "model") -> Subject:
    return Subject(name, kind, f"what {name} is", tuple(Run(tuple(numbers), source=f"runs/{name}") for numbers in runs))


def comparison(*subjects: Subject, **settings) -> Comparison:
    fixed = {
        "data": "toy",
        "split": "test",
        "key": "toy v1",
        "training": "toy v1 train",
        "samples": 100,
        "seed": 0,
        "features": None,
        "versions": ("vaelib 0",),
    }
    return Comparison(subjects, **{**fixed, **settings})


def of(metric: str, *values: tuple[float, float | None]) -> Comparison:
    """Models a, b, … with one number each."""
    return comparison(*(subject(name, [number(metric, *value)]) for name, value in zip("abc", values, strict=False)))


# Columns --------------------------------------------------------------------------------------------------------------


def test_numbers_of_different_protocols_have_columns_of_their_own():
    density, mass = ("density on [0, 1]", "probability of 32 grey levels")
    table = comparison(
        subject("a", [number("negative_elbo", -6500, 30, definition=density), number("rate", 5)]),
        subject("b", [number("negative_elbo", 12800, 40, definition=mass), number("rate", 6)]),
        subject("c", [number("negative_elbo", -6400, 30, definition=density)]),
    )
    columns = table.columns()
    assert [(column.metric, column.protocol.definition) for column in columns] == [
        ("negative_elbo", density),
        ("negative_elbo", mass),
        ("rate", ""),
    ]
    values = [[cell and cell.measurement.value for cell in column.cells] for column in columns]
    assert values == [[-6500, None, -6400], [None, 12800, None], [5, 6, None]]


def test_another_number_of_samples_makes_another_column_only_where_the_value_depends_on_it():
    for depends, count in ((True, 2), (False, 1)):
        runs = [[number("frechet_samples", 10, samples=n, depends_on_samples=depends)] for n in (100, 200)]
        assert len(comparison(subject("a", runs[0]), subject("b", runs[1])).columns()) == count


# The best -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [
        ("rate", [CLOSE, FAR], None),  # is traded for the distortion
        ("density", [CLOSE, FAR], None),
        ("reconstruction_mse", [CLOSE, FAR], 0),
        ("precision", [CLOSE, FAR], 1),
        ("reconstruction_mse", [FAR, CLOSE], 1),
        ("reconstruction_mse", [CLOSE, (1.25, 0.1)], None),  # 1.8 errors of the difference
        ("reconstruction_mse", [CLOSE, (1.30, 0.1)], 0),  # 2.1 of them
        ("reconstruction_mse", [CLOSE, FAR, (1.1, 0.1)], None),  # the third is in doubt
        ("reconstruction_mse", [(1.0, None), (2.0, None)], None),  # nobody knows
        ("reconstruction_mse", [(1.0, 0.1), (2.0, None)], None),
        ("reconstruction_mse", [(math.nan, 0.1), CLOSE, FAR], None),
        ("reconstruction_mse", [CLOSE], None),  # better than whom?
    ],
)
def test_the_best_is_named_only_where_it_is_beyond_doubt(metric, values, best):
    (column,) = of(metric, *values).columns()
    assert column.best == best


def test_a_floor_is_neither_the_best_nor_in_its_way():
    floor = subject("fresh", [number("frechet_samples", 0.1, 0.1)], kind="floor")
    models = of("frechet_samples", CLOSE, FAR).subjects
    (column,) = comparison(*models, floor).columns()
    assert column.best == 0
    (column,) = comparison(models[0], floor).columns()
    assert column.best is None


def test_no_model_is_best_while_its_runs_lie_among_those_of_another():
    def runs(*values: float) -> list[list[Number]]:
        return [[number("frechet_samples", value)] for value in values]

    apart = comparison(subject("a", *runs(1.0, 1.1, 1.2)), subject("b", *runs(2.0, 2.1, 2.2)))
    (column,) = apart.columns()
    assert column.best == 0
    # Many runs make the error of a mean small; a single one of b that is as good as those of a says: it depends.
    lucky = comparison(subject("a", *runs(*[1.0, 1.1, 1.2] * 5)), subject("b", *runs(*[2.0] * 20, 1.15)))
    (column,) = lucky.columns()
    assert column.best is None


# Runs -----------------------------------------------------------------------------------------------------------------


def test_runs_count_as_one_number_with_the_larger_of_two_errors():
    def cell(*values: tuple[float, float | None]):
        return subject("a", *([number("rate", *value)] for value in values)).cell("rate")

    spread = cell((1.0, 0.1), (2.0, 0.1), (3.0, 0.1))
    assert (spread.measurement.value, spread.lowest, spread.highest) == (2.0, 1.0, 3.0)
    assert spread.measurement.standard_error == pytest.approx(1 / math.sqrt(3))
    # They agree better than the test images, which they share, allow to say.
    agreed = cell((2.0, 0.5), (2.0, 0.4))
    assert agreed.measurement.standard_error == 0.5
    single = cell((1.0, None))
    assert single.measurement.standard_error is None
    assert subject("a", [number("rate", 1.0)]).cell("distortion") is None


def test_runs_of_different_protocols_are_no_runs_of_one_model():
    runs = [[number("rate", 1.0, key="one")], [number("rate", 1.0, key="another")]]
    with pytest.raises(ValueError, match=r"different protocols and do not compare\. key: 'one' and 'another'"):
        comparison(subject("a", *runs)).columns()


def test_a_subject_without_runs_is_refused():
    with pytest.raises(ValueError, match="'a' has no runs, so there is nothing to compare"):
        subject("a")


# Two comparisons ------------------------------------------------------------------------------------------------------


def test_a_comparison_does_not_differ_from_itself():
    table = of("rate", CLOSE, (math.nan, None), FAR)
    assert table.differences(table) == ()
    assert table.differences(Comparison.from_json(table.to_json())) == ()


@pytest.mark.parametrize(
    ("mine", "theirs", "reason"),
    [
        ((1.0, 0.1), (1.25, 0.1), None),
        ((1.0, 0.1), (1.30, 0.1), "more than 2 standard errors apart"),
        ((1.0, None), (1.009, None), None),
        ((1.0, None), (1.02, None), "more than 0.01 of the larger apart"),
        ((-1.0, None), (1.0, None), "more than 0.01 of the larger apart"),
        ((1.0, None), (math.nan, None), "more than 0.01 of the larger apart"),
        ((1.0, 0.1), (math.nan, 0.1), "more than 2 standard errors apart"),
    ],
)
def test_two_numbers_differ_when_they_do_so_by_more_than_their_errors(mine, theirs, reason):
    for one, other in ((mine, theirs), (theirs, mine)):
        found = of("rate", one).differences(of("rate", other))
        assert [each.reason for each in found] == ([reason] if reason else [])


def test_other_protocols_and_missing_numbers_differ_and_times_do_not():
    mine = comparison(
        subject("a", [number("rate", 1.0, 0.1, key="one"), number("sampling_time", 5.0, 0.1), number("recall", 0.5)]),
        subject("b", [number("rate", 1.0, 0.1)]),
    )
    theirs = comparison(subject("a", [number("rate", 1.0, 0.1, key="two"), number("sampling_time", 9.0, 0.1)]))
    found = {(each.subject, each.metric): each for each in mine.differences(theirs)}
    assert {key: each.reason for key, each in found.items()} == {
        ("a", "rate"): "other protocols: key",
        ("a", "recall"): "only one of the comparisons has it",
        ("b", "rate"): "only one of the comparisons has it",
    }
    assert str(found["b", "rate"]) == "b, rate: 1.00 ± 0.10 and nothing (only one of the comparisons has it)"


# JSON -----------------------------------------------------------------------------------------------------------------


def test_json_holds_everything():
    budget = Budget(1000, 300, 4.5, "one abacus", 7)
    runs = (Run((number("rate", 1.5, 0.1),), "runs/é", "abc", budget), Run((number("rate", 1.6),)))
    table = comparison(Subject("a & <b>", "model", "words", runs), features="pixels", notes=("one", "two"))
    assert Comparison.from_json(table.to_json()) == table


@pytest.mark.parametrize("text", ["[]", "{}", '{"subjects": [], "sampels": 3}', "no JSON"])
def test_what_is_no_comparison_is_refused(text):
    with pytest.raises((ValueError, TypeError)):
        Comparison.from_json(text)
