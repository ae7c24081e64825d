"""Numbers that carry their protocol, and refuse company of another kind."""

import dataclasses
import json

import pytest

from vaelib.evaluation import Measurement, Protocol, average

FRECHET = Protocol(
    "Fréchet distance",
    image_shape=(3, 64, 64),
    features="efficientnet-lite0",
    key="faces test",
    samples=2000,
    reference_samples=2000,
    depends_on_samples=True,
)
SHARPNESS = Protocol("sharpness", image_shape=(3, 64, 64), samples=2000)


def with_value(value: float, error: float | None = None, protocol: Protocol = FRECHET, **changes) -> Measurement:
    return Measurement(value, dataclasses.replace(protocol, **changes), error)


def test_measurements_of_one_protocol_sort_compare_and_subtract():
    numbers = [with_value(3.0, 0.4), with_value(1.0, 0.3), with_value(2.0)]
    assert [each.value for each in sorted(numbers)] == [1.0, 2.0, 3.0]
    assert min(numbers).value == 1.0
    assert numbers[0] > numbers[1]
    assert numbers[1] <= numbers[2]
    difference = numbers[0] - numbers[1]
    assert difference.value == 2.0
    assert difference.standard_error == pytest.approx(0.5)  # 3-4-5
    assert difference.protocol.metric == "difference in Fréchet distance"
    assert (numbers[0] - numbers[2]).standard_error is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"features": "another"}, "features: 'efficientnet-lite0' and 'another'"),
        ({"key": "faces train"}, "key: 'faces test' and 'faces train'"),
        ({"samples": 500}, "samples: 2000 and 500"),
        ({"image_shape": (1, 28, 28)}, "image_shape: (3, 64, 64) and (1, 28, 28)"),
        ({"metric": "kernel distance"}, "metric: 'Fréchet distance' and 'kernel distance'"),
    ],
)
@pytest.mark.parametrize(
    "operation",
    [lambda a, b: a < b, lambda a, b: a >= b, lambda a, b: a - b, lambda a, b: sorted([b, a]), lambda a, b: max(b, a)],
)
def test_different_protocols_raise_an_error_that_names_the_fields(operation, changes, named):
    with pytest.raises(ValueError, match="different protocols") as error:
        operation(with_value(1.0), with_value(2.0, **changes))
    assert named in str(error.value)
    assert str(error.value).count(" and ") == 2, "only the fields that differ are named"


def test_a_bare_number_has_no_protocol_to_compare():
    with pytest.raises(TypeError, match="carries no protocol"):
        assert with_value(1.0) < 2.0


def test_seeds_subjects_and_versions_are_on_record_but_do_not_forbid_a_comparison():
    other = with_value(2.0, seed=5, subject="reconstructions", versions=("torch 99",), notes=("n",), warning="w")
    assert with_value(1.0) < other


def test_the_number_of_images_matters_only_where_the_value_depends_on_it():
    assert with_value(1.0, protocol=SHARPNESS) < with_value(2.0, protocol=SHARPNESS, samples=400)


def test_text_is_short_and_rounds_to_the_error():
    assert str(with_value(31.2345, 0.41)) == "31.2 ± 0.4 (Fréchet distance, efficientnet-lite0, 2,000 images)"


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (31.2346, 0.0149, "31.235 ± 0.015"),
        (31.2345, 2.6, "31 ± 3"),
        (12345.6, 432.0, "12,300 ± 400"),
        (0.000123, 0.0000321, "0.00012 ± 0.00003"),
        (1.234e-8, 2.2e-9, "(1.2 ± 0.2)e-8"),
        (-0.5, 0.25, "-0.5 ± 0.2"),
        (274.1998, None, "274.2"),
        (0.0, None, "0.000"),
        (0.0, 0.5, "0.0 ± 0.5"),
        (float("nan"), None, "nan"),
    ],
)
def test_numbers_show_the_digits_that_mean_something(value, error, text):
    assert with_value(value, error).number() == text


def test_a_measurement_survives_json():
    measurement = with_value(31.25, 0.4, seed=3, notes=("a", "b"), warning="few")
    again = Measurement.from_json(measurement.to_json())
    assert again == measurement
    assert dataclasses.asdict(again) == dataclasses.asdict(measurement), "fields on record survive too"
    assert Measurement.from_json(json.loads(measurement.to_json())) == measurement


def test_json_of_something_else_names_what_is_wrong():
    with pytest.raises(ValueError, match="Did you mean 'standard_error'"):
        Measurement.from_json('{"value": 1.0, "standard_eror": 2.0}')


def test_averages_of_repetitions_show_their_spread():
    mean = average([with_value(value, seed=seed) for seed, value in enumerate((1.0, 2.0, 3.0, 6.0))])
    assert mean.value == 3.0
    # Sample variance (4 + 1 + 0 + 9) / 3; the error of the mean is the root of a quarter of it.
    assert mean.standard_error == pytest.approx((14 / 3 / 4) ** 0.5)
    assert with_value(2.0) < mean
    with pytest.raises(ValueError, match="at least two repetitions"):
        average([with_value(1.0)])
    with pytest.raises(ValueError, match="different protocols"):
        average([with_value(1.0), with_value(1.0, samples=3)])
