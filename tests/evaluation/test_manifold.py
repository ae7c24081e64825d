"""Precision, recall, density and coverage against brute force over all pairs, closed forms, and invariances."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from vaelib.data import ImageSet
from vaelib.evaluation import (
    FEATURES,
    FeatureNetwork,
    expected_coverage,
    manifold_scores,
    manifold_scores_between_features,
)


def four(real: torch.Tensor, generated: torch.Tensor, k: int = 3) -> list[float]:
    """Precision, recall, density and coverage, all with one k."""
    found = manifold_scores_between_features(real, generated, neighbours=k)
    return [each.value for each in (found.precision, found.recall, found.density, found.coverage)]


def cloud(rows: int, width: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def brute_force(real: np.ndarray, generated: np.ndarray, k: int) -> list[float]:
    """The definitions, loop by loop."""

    def radius(points: np.ndarray, i: int) -> float:
        return sorted(math.dist(points[i], points[j]) for j in range(len(points)) if j != i)[k - 1]

    real_radii = [radius(real, i) for i in range(len(real))]
    generated_radii = [radius(generated, j) for j in range(len(generated))]
    pairs = [[math.dist(x, y) for y in generated] for x in real]
    n, m = range(len(real)), range(len(generated))
    return [
        np.mean([any(pairs[i][j] <= real_radii[i] for i in n) for j in m]),
        np.mean([any(pairs[i][j] <= generated_radii[j] for j in m) for i in n]),
        np.mean([sum(pairs[i][j] <= real_radii[i] for i in n) / k for j in m]),
        np.mean([any(pairs[i][j] <= real_radii[i] for j in m) for i in n]),
    ]


@pytest.mark.parametrize("k", [1, 3, 5])
def test_all_four_agree_with_brute_force(k):
    real, generated = cloud(40, 3, 0), 0.7 * cloud(55, 3, 1) + 0.5
    expected = brute_force(real.double().numpy(), generated.double().numpy(), k)
    assert four(real, generated, k) == pytest.approx(expected)
    assert 0 < expected[1] < 1


def test_a_case_that_can_be_counted_by_hand():
    """Real at 0, 1, 2, 3, 10 and k = 1: radii 1, 1, 1, 1, 7. Generated at 2.5, 5, 20, radii 2.5, 2.5, 15."""
    real, generated = (torch.tensor(row)[:, None] for row in ([0.0, 1.0, 2.0, 3.0, 10.0], [2.5, 5.0, 20.0]))
    precision, recall, density, coverage = four(real, generated, k=1)
    assert precision == pytest.approx(2 / 3)  # 5 lies in the huge ball of the outlier at 10
    assert recall == 1  # 0 to 3 are within 2.5 of 2.5 (the edge counts), 10 within 15 of 20
    assert density == pytest.approx((2 + 1 + 0) / 3)  # 2.5: in the balls of 2 and 3; 5: of 10
    assert coverage == pytest.approx(3 / 5)  # 2, 3 and 10


def test_a_perfect_model_has_density_one_and_the_expected_coverage():
    """Both hold for any distribution: means over 60 pairs of sets, within four standard errors."""
    generator = torch.Generator().manual_seed(5)
    values = []
    for _ in range(60):
        real, generated = torch.rand(80, 4, generator=generator) ** 3, torch.rand(120, 4, generator=generator) ** 3
        values.append(four(real, generated, k=2)[2:])
    means, errors = np.mean(values, axis=0), np.std(values, axis=0) / math.sqrt(60)
    assert means == pytest.approx([1.0, expected_coverage(80, 120, 2)], abs=4 * errors.max())
    assert errors.max() < 0.02


def test_expected_coverage_by_counting_orders():
    """One other real image and one sample: either may be the nearer one. Of many, (1/2)^k are not covered."""
    assert expected_coverage(2, 1, 1) == pytest.approx(1 / 2)
    assert expected_coverage(3, 2, 2) == pytest.approx(1 - 2 / 4 * 1 / 3)
    assert expected_coverage(10**6, 10**6) == pytest.approx(1 - 2**-5, abs=1e-5)
    with pytest.raises(ValueError, match="takes 6 real images or more and a generated one, not 5 and 9"):
        expected_coverage(5, 9)


def test_of_a_set_with_itself_all_is_found():
    features = cloud(50, 6, 0)
    precision, recall, density, coverage = four(features, features, k=3)
    assert (precision, recall, coverage) == (1, 1, 1)
    # Of all balls with k neighbours each and the centre itself, over k.
    assert density == pytest.approx(4 / 3)


def test_precision_and_recall_swap_roles():
    first, second = cloud(40, 4, 0), 1.5 * cloud(60, 4, 1)
    assert four(first, second)[:2] == four(second, first)[1::-1]


def test_order_rotation_shift_and_scale_change_nothing():
    real, generated = cloud(60, 5, 0).double(), 0.8 * cloud(70, 5, 1).double()
    before = four(real, generated)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(2))
    assert four(real[order], generated.flip(0)) == pytest.approx(before)
    turn = torch.linalg.qr(cloud(5, 5, 3).double()).Q
    moved = [7 * rows @ turn + torch.arange(5) for rows in (real, generated)]
    assert four(*moved) == pytest.approx(before)


def test_a_common_offset_does_not_cost_digits():
    """Features of mean 10,000 and spread 1: |x|² is 10⁹ times what is asked for."""
    real, generated = cloud(60, 9, 0).double(), 0.8 * cloud(70, 9, 1).double()
    assert four(real + 1e4, generated + 1e4) == pytest.approx(four(real, generated))


def test_copies_lie_in_the_balls_of_radius_zero_of_images_that_occur_twice():
    """k + 1 equal real images have balls without extent. A copy of them is inside, in spite of rounding."""
    repeated = cloud(10, 40, 0).repeat_interleave(2, dim=0)
    precision, _, density, coverage = four(repeated, repeated[::2] + 0.0, k=1)
    assert (precision, density, coverage) == (1, 2, 1)


def test_how_much_is_held_at_a_time_changes_nothing(monkeypatch):
    real, generated = cloud(60, 5, 0), 0.8 * cloud(70, 5, 1)
    whole = manifold_scores_between_features(real, generated)
    monkeypatch.setattr("vaelib.evaluation.neighbours.BLOCK", 300)
    assert manifold_scores_between_features(real, generated) == whole


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.8, 0.3), (1.3, 0.5)])
def test_the_errors_cover_what_other_samples_show(scale, shift):
    """The spread over 40 draws of the samples, real images fixed; a standard deviation of 40 is good to 11 %."""
    generator = torch.Generator().manual_seed(6)
    real = torch.randn(250, 6, generator=generator)
    values, claims = [], []
    for _ in range(40):
        generated = scale * torch.randn(250, 6, generator=generator) + shift
        found = manifold_scores_between_features(real, generated)
        estimates = (found.precision, found.recall, found.density, found.coverage)
        values.append([each.value for each in estimates])
        claims.append([each.standard_error for each in estimates])
    ratios = np.mean(claims, axis=0) / np.std(values, axis=0, ddof=1)
    assert ratios.min() > 0.6
    assert ratios.max() < 2


def test_nought_and_all_are_not_certain():
    found = manifold_scores_between_features(cloud(50, 3, 0), cloud(50, 3, 1) + 100)
    assert (found.precision.value, found.recall.value) == (0, 0)
    assert found.precision.standard_error > 0.01


def test_the_jackknife_is_that_of_leaving_out_each_sample():
    real, generated = cloud(30, 2, 0), cloud(12, 2, 1)
    without = [
        manifold_scores_between_features(
            real, torch.cat([generated[:j], generated[j + 1 :]]), neighbours=2
        ).coverage.value
        for j in range(12)
    ]
    expected = math.sqrt(11 / 12 * sum((value - np.mean(without)) ** 2 for value in without))
    assert manifold_scores_between_features(real, generated, neighbours=2).coverage.standard_error == (
        pytest.approx(expected)
    )
    assert expected > 0


@pytest.mark.parametrize(
    ("real", "generated", "k", "message"),
    [
        (cloud(5, 2, 0), cloud(9, 2, 1), 5, "at least 6 real images, not 5"),
        (cloud(9, 2, 0), cloud(5, 2, 1), 5, "at least 6 generated images, not 5"),
        (cloud(9, 2, 0), cloud(0, 2, 1), 1, "at least 2 generated images, not 0"),
        (cloud(9, 2, 0), cloud(9, 3, 1), 3, "of one width, not real 2, generated 3"),
        (cloud(9, 2, 0), cloud(9, 2, 1), 0, "neighbours should be a whole number of at least 1, not 0"),
        (cloud(9, 2, 0), cloud(9, 2, 1), 2.5, "neighbours should be a whole number"),
        (cloud(9, 2, 0), torch.full((9, 2), math.nan), 1, "generated should be finite features"),
        (torch.zeros(9, 2, 2), cloud(9, 2, 1), 1, "real should be features \\(N, D\\)"),
        (torch.zeros(9, 2, dtype=torch.long), cloud(9, 2, 1), 1, "real should be features \\(N, D\\), not torch.int64"),
    ],
)
def test_features_that_do_not_fit_are_refused(real, generated, k, message):
    with pytest.raises(ValueError, match=message):
        manifold_scores_between_features(real, generated, neighbours=k)


@pytest.fixture
def pixels(monkeypatch, tmp_path):
    monkeypatch.setitem(FEATURES, "pixels", FeatureNetwork("pixels", 27, "all", "none", "none", nn.Flatten))
    monkeypatch.setenv("VAELIB_CACHE", str(tmp_path))


def some_images(count: int, seed: int) -> torch.Tensor:
    return torch.rand(count, 3, 3, 3, generator=torch.Generator().manual_seed(seed))


@pytest.mark.usefixtures("pixels")
def test_a_measurement_says_how_it_was_made():
    data = ImageSet((some_images(40, 0) * 255).byte(), "toy", "test", "toy v1")
    found = manifold_scores(data, some_images(50, 1), features="pixels", subject="samples", seed=7)
    numbers = [found.precision, found.recall, found.density, found.coverage]
    assert [each.protocol.metric for each in numbers] == ["precision", "recall", "density", "coverage"]
    for number in numbers:
        protocol = number.protocol
        assert protocol.depends_on_samples
        assert (protocol.data, protocol.split, protocol.key) == ("toy", "test", "toy v1")
        assert (protocol.samples, protocol.reference_samples, protocol.seed) == (50, 40, 7)
        assert (protocol.features, protocol.image_shape, protocol.subject) == ("pixels", (3, 3, 3), "samples")
        assert "k = 5" in protocol.definition
        assert "standard error" in protocol.notes[0]
    direct = manifold_scores_between_features(data.batch(slice(None)).images.flatten(1), some_images(50, 1).flatten(1))
    for number, estimate in zip(
        numbers, (direct.precision, direct.recall, direct.density, direct.coverage), strict=True
    ):
        assert (number.value, number.standard_error) == (estimate.value, estimate.standard_error)


@pytest.mark.usefixtures("pixels")
def test_numbers_of_another_count_or_k_do_not_compare():
    data = some_images(60, 0)
    first = manifold_scores(data, some_images(50, 1), features="pixels").recall
    fewer = manifold_scores(data, some_images(40, 1), features="pixels").recall
    with pytest.raises(ValueError, match="samples: 50 and 40"):
        first < fewer  # noqa: B015
    narrower = manifold_scores(data, some_images(50, 1), features="pixels", neighbours=3).recall
    with pytest.raises(ValueError, match=r"definition: .*k = 5.*k = 3"):
        first < narrower  # noqa: B015


@pytest.mark.usefixtures("pixels")
def test_images_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="at least 32 generated images"):
        manifold_scores(some_images(40, 0), some_images(31, 1), features="pixels")
    with pytest.raises(ValueError, match="of one shape"):
        manifold_scores(some_images(40, 0), torch.rand(40, 3, 4, 4), features="pixels")
    with pytest.raises(ValueError, match=r"lie in \[0, 1\]"):
        manifold_scores(some_images(40, 0), 2 * some_images(40, 1), features="pixels")
    with pytest.raises(ValueError, match="at least 41 real images, not 40"):
        manifold_scores(some_images(40, 0), some_images(40, 1), features="pixels", neighbours=40)
