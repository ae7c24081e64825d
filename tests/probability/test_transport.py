"""Optimal transport: the linear programme, the sort and Sinkhorn's iteration against brute force and each other."""

from itertools import permutations
from math import sqrt

import pytest
import torch
from scipy import stats

from vaelib.probability import optimal_transport, sinkhorn, wasserstein, wasserstein_1d


def cloud(generator, n, d=2):
    return torch.randn(n, d, generator=generator, dtype=torch.float64)


def weights(generator, n):
    some = torch.rand(n, generator=generator, dtype=torch.float64)
    return some / some.sum()


def euclidean(x, y):
    return (x[:, None] - y[None]).square().sum(dim=2).sqrt()


# --- the linear programme ---


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6])
def test_equal_weights_cost_what_the_best_permutation_costs(generator, n):
    cost = torch.rand(n, n, generator=generator, dtype=torch.float64)
    best = min(sum(cost[i, j].item() for i, j in enumerate(order)) / n for order in permutations(range(n)))
    assert optimal_transport(cost).cost == pytest.approx(best)


def test_unequal_weights_cost_what_the_best_permutation_of_grains_costs(generator):
    # Weights in eighths are eight grains of sand, some at the same place; then permutations can be tried.
    cost = torch.rand(3, 4, generator=generator, dtype=torch.float64)
    sources, targets = [0, 0, 0, 1, 2, 2, 2, 2], [0, 1, 1, 2, 2, 2, 3, 3]
    a = torch.tensor([sources.count(i) / 8 for i in range(3)])
    b = torch.tensor([targets.count(j) / 8 for j in range(4)])
    best = min(
        sum(cost[i, j].item() for i, j in zip(sources, order, strict=True)) / 8 for order in set(permutations(targets))
    )
    assert optimal_transport(cost, a, b).cost == pytest.approx(best)


def test_the_plan_is_one_and_costs_what_it_says(generator):
    cost, a, b = torch.rand(7, 11, generator=generator).double(), weights(generator, 7), weights(generator, 11)
    found = optimal_transport(cost, a, b)
    assert (found.plan >= 0).all()
    torch.testing.assert_close(found.plan.sum(dim=1), a)
    torch.testing.assert_close(found.plan.sum(dim=0), b)
    assert found.cost == pytest.approx((found.plan * cost).sum().item())
    assert (found.plan > 0).sum() <= 7 + 11 - 1


@pytest.mark.parametrize("shape", [(6, 6), (5, 9), (1, 4)])
def test_the_prices_prove_that_the_plan_is_cheapest(generator, shape):
    # Costs below zero too: they may be anything.
    cost = torch.randn(shape, generator=generator, dtype=torch.float64)
    a, b = weights(generator, shape[0]), weights(generator, shape[1])
    found = optimal_transport(cost, a, b)
    slack = cost - found.source_prices[:, None] - found.target_prices
    assert slack.min() > -1e-9
    assert slack[found.plan > 1e-9].max() < 1e-9
    assert found.dual_value == pytest.approx(found.cost)
    assert (a * found.source_prices).sum().item() == pytest.approx((b * found.target_prices).sum().item())


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_the_unit_of_the_costs_does_not_matter(generator, unit):
    cost = torch.rand(6, 6, generator=generator, dtype=torch.float64)
    expected, found = optimal_transport(cost), optimal_transport(unit * cost)
    assert found.cost == pytest.approx(unit * expected.cost)
    assert found.dual_value == pytest.approx(unit * expected.cost)


def test_costs_that_are_all_alike_leave_nothing_to_choose():
    assert optimal_transport(torch.zeros(3, 4)).cost == 0
    assert optimal_transport(torch.full((3, 4), 2.5)).cost == pytest.approx(2.5)


def test_single_precision_weights_are_near_enough_to_one():
    a = torch.full((7,), 1 / 7)
    found = optimal_transport(torch.ones(7, 3), a, torch.tensor([0.1, 0.2, 0.7]))
    assert found.cost == pytest.approx(1)
    assert found.plan.dtype == torch.float64


# --- one dimension ---


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
@pytest.mark.parametrize("sizes", [(6, 6), (5, 8), (1, 7), (12, 3)])
def test_sorting_agrees_with_the_linear_programme(generator, sizes, p):
    x, y = (torch.randn(size, generator=generator, dtype=torch.float64) for size in sizes)
    by_programme = optimal_transport((x[:, None] - y).abs() ** p).cost ** (1 / p)
    assert wasserstein_1d(x, y, p).item() == pytest.approx(by_programme)


@pytest.mark.parametrize("p", [1, 2])
def test_sorting_agrees_with_the_linear_programme_for_any_weights(generator, p):
    x, y = cloud(generator, 6, 1)[:, 0], cloud(generator, 9, 1)[:, 0]
    a, b = weights(generator, 6), weights(generator, 9)
    a[2] = 0.0
    a = a / a.sum()
    by_programme = optimal_transport((x[:, None] - y).abs() ** p, a, b).cost ** (1 / p)
    assert wasserstein_1d(x, y, p, x_weights=a, y_weights=b).item() == pytest.approx(by_programme)


def test_the_first_distance_agrees_with_scipy(generator):
    x, y = torch.randn(500, generator=generator), torch.randn(333, generator=generator) + 0.5
    assert wasserstein_1d(x, y).item() == pytest.approx(stats.wasserstein_distance(x.numpy(), y.numpy()))


def test_many_copies_of_a_point_are_one_heavy_point(generator):
    x, y = cloud(generator, 4, 1)[:, 0], cloud(generator, 5, 1)[:, 0]
    torch.testing.assert_close(wasserstein_1d(x.repeat(3), y.repeat(7), 2), wasserstein_1d(x, y, 2))


def test_between_gaussians_on_a_line_the_distance_is_known():
    # W₂² = (difference of means)² + (difference of standard deviations)²; the quantile functions are straight lines of
    # each other, so at equally spaced levels only the tails beyond the last level are missing.
    levels = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    standard = torch.special.ndtri(levels)
    found = wasserstein_1d(standard, 2.0 + 3.0 * standard, 2)
    assert found.item() == pytest.approx(sqrt(2.0**2 + (3.0 - 1.0) ** 2), rel=1e-3)


def test_between_samples_of_gaussians_the_distance_is_near_that_of_the_gaussians(generator):
    x, y = torch.randn(2, 20_000, generator=generator, dtype=torch.float64)
    assert wasserstein_1d(x, 2 + 3 * y, 2).item() == pytest.approx(sqrt(8), rel=0.03)


def test_the_gradient_moves_each_point_towards_its_partner(generator):
    x = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([5.0, 0.0, 1.0], dtype=torch.float64)
    (gradient,) = torch.autograd.grad(wasserstein_1d(x, y), x)
    torch.testing.assert_close(gradient, torch.full((3,), -1 / 3, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda x: wasserstein_1d(x, y, 2), x)


# --- clouds ---


@pytest.mark.parametrize("p", [1, 2, 3])
def test_assignment_and_linear_programme_agree(generator, p):
    x, y = cloud(generator, 9, 3), cloud(generator, 9, 3)
    assert wasserstein(x, y, p) == pytest.approx(optimal_transport(euclidean(x, y) ** p).cost ** (1 / p))


def test_a_cloud_where_each_point_stands_twice_is_the_same_cloud(generator):
    x, y = cloud(generator, 6), cloud(generator, 6)
    assert wasserstein(x.repeat(2, 1), y, 2) == pytest.approx(wasserstein(x, y, 2))


@pytest.mark.parametrize("p", [1, 2, 5])
def test_a_shift_costs_its_length(generator, p):
    x, shift = cloud(generator, 20, 3), torch.tensor([3.0, -4.0, 12.0], dtype=torch.float64)
    assert wasserstein(x, x + shift, p) == pytest.approx(13)
    assert optimal_transport(euclidean(x, x + shift) ** p).cost == pytest.approx(13**p)
    assert wasserstein_1d(x[:, 0], x[:, 0] - 4, p).item() == pytest.approx(4)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_it_is_a_distance(generator, p):
    for _ in range(10):
        x, y, z = cloud(generator, 5), 3 * cloud(generator, 5), cloud(generator, 7) + 1
        assert wasserstein(x, x[torch.randperm(5, generator=generator)], p) == pytest.approx(0, abs=1e-9)
        assert wasserstein(x, y, p) == pytest.approx(wasserstein(y, x, p))
        assert wasserstein(x, z, p) == pytest.approx(wasserstein(z, x, p))
        assert wasserstein(x, z, p) <= wasserstein(x, y, p) + wasserstein(y, z, p) + 1e-9
        assert wasserstein(x, y, 1) <= wasserstein(x, y, p) + 1e-9


def test_without_the_root_it_would_not_be_a_distance():
    # Three points in a row: two steps of 1 squared are 2, one step of 2 squared is 4.
    x, y, z = (torch.tensor([[place]]) for place in (0.0, 1.0, 2.0))
    squared = [wasserstein(a, b, 2) ** 2 for a, b in ((x, y), (y, z), (x, z))]
    assert squared[2] > squared[0] + squared[1] + 1
    assert wasserstein(x, z, 2) == pytest.approx(wasserstein(x, y, 2) + wasserstein(y, z, 2))


def test_close_points_far_from_zero_keep_their_digits():
    x = torch.linspace(0, 1, 50, dtype=torch.float64)[:, None].expand(50, 3) + 1e4
    assert wasserstein(x, x + 1e-5) == pytest.approx(1e-5 * sqrt(3), rel=1e-6)


# --- Sinkhorn ---


def test_sinkhorn_comes_down_to_the_linear_programme(generator):
    cost = euclidean(cloud(generator, 8), cloud(generator, 10))
    a, b = weights(generator, 8), weights(generator, 10)
    exact = optimal_transport(cost, a, b)
    gaps = []
    for epsilon in (1.0, 0.3, 0.1, 0.03, 0.01):
        found = sinkhorn(cost, epsilon, a, b, max_iterations=100_000)
        torch.testing.assert_close(found.plan.sum(dim=1), a, atol=1e-9, rtol=0)
        torch.testing.assert_close(found.plan.sum(dim=0), b, atol=1e-12, rtol=0)
        assert exact.cost - 1e-8 <= found.cost <= found.dual_value
        gaps.append(found.cost - exact.cost)
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 0.01 * gaps[0]


def test_the_plan_of_sinkhorn_minimises_the_regularised_cost(generator):
    # Two points on each side leave one number to choose: how much of the first source goes to the first target.
    cost, epsilon = torch.tensor([[0.3, 1.0], [0.8, 0.1]], dtype=torch.float64), 0.4
    a, b = torch.tensor([[0.4, 0.6], [0.7, 0.3]], dtype=torch.float64)
    kept = torch.linspace(0.1, 0.4, 300_001, dtype=torch.float64)[1:-1]
    plans = torch.stack([kept, 0.4 - kept, 0.7 - kept, kept - 0.1], dim=1).reshape(-1, 2, 2)
    divergence = (plans * (plans / (a[:, None] * b)).log()).sum(dim=(1, 2))
    objective = (plans * cost).sum(dim=(1, 2)) + epsilon * divergence
    found = sinkhorn(cost, epsilon, a, b, tolerance=1e-12)
    torch.testing.assert_close(found.plan, plans[objective.argmin()], atol=2e-6, rtol=0)
    assert found.dual_value == pytest.approx(objective.min().item(), abs=1e-9)


def test_a_large_regularisation_spreads_everything(generator):
    cost, a, b = euclidean(cloud(generator, 4), cloud(generator, 5)), weights(generator, 4), weights(generator, 5)
    torch.testing.assert_close(sinkhorn(cost, 1e6, a, b).plan, a[:, None] * b, atol=1e-6, rtol=0)


def test_a_cloud_is_not_at_zero_from_itself_until_it_is_debiased(generator):
    x = cloud(generator, 12)
    to_itself = sinkhorn(euclidean(x, x), 0.5)
    assert to_itself.cost > 0.05
    torch.testing.assert_close(to_itself.source_prices, to_itself.target_prices, atol=1e-8, rtol=0)


def test_the_log_domain_does_not_underflow():
    # exp(−c / ε) is zero in every entry of this table.
    cost = torch.tensor([[1.0, 2.0], [2.5, 1.0]], dtype=torch.float64)
    assert not (-cost / 1e-3).exp().any()
    found = sinkhorn(cost, 1e-3)
    assert found.cost == pytest.approx(1.0)
    torch.testing.assert_close(found.plan, torch.eye(2, dtype=torch.float64) / 2)


def test_points_without_weight_get_nothing(generator):
    cost = euclidean(cloud(generator, 4), cloud(generator, 3))
    a, b = torch.tensor([0.5, 0.0, 0.2, 0.3]), torch.tensor([0.6, 0.4, 0.0])
    found = sinkhorn(cost, 0.5, a, b)
    assert not found.plan[1].any()
    assert not found.plan[:, 2].any()
    kept = sinkhorn(cost[[0, 2, 3]][:, :2], 0.5, a[[0, 2, 3]], b[:2])
    assert found.cost == pytest.approx(kept.cost, abs=1e-7)
    assert found.dual_value == pytest.approx(kept.dual_value, abs=1e-7)


def test_sinkhorn_says_when_it_has_not_arrived(generator):
    cost = euclidean(cloud(generator, 8), cloud(generator, 8))
    with pytest.raises(RuntimeError, match=r"after 5 iterations the row sums are still off by .* take a larger"):
        sinkhorn(cost, 0.01, max_iterations=5)


# --- what is refused ---

TABLE = torch.rand(3, 2)


@pytest.mark.parametrize("solve", [optimal_transport, lambda *problem: sinkhorn(problem[0], 1.0, *problem[1:])])
@pytest.mark.parametrize(
    ("problem", "complaint"),
    [
        ((torch.rand(3),), r"table \(sources, targets\), not \(3,\)"),
        ((torch.rand(3, 0),), "table"),
        ((TABLE * torch.nan,), "cost should be finite, but 6 entries"),
        ((TABLE, torch.tensor([0.5, 0.5])), r"source_weights should be one for each of the 3 points"),
        ((TABLE, None, torch.ones(3) / 3), r"target_weights should be one for each of the 2 points"),
        ((TABLE, torch.tensor([0.5, 0.5, 0.5])), r"source_weights should have the sum 1, not 1.5: divide"),
        ((TABLE, None, torch.tensor([1.2, -0.2])), r"target_weights should not be negative; the smallest is -0.2"),
        ((TABLE, None, torch.tensor([torch.nan, 1.0])), "target_weights should be finite"),
    ],
)
def test_what_is_no_problem_of_transport_is_refused(solve, problem, complaint):
    with pytest.raises(ValueError, match=complaint):
        solve(*problem)


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ({"regularisation": 0.0}, "regularisation should be positive and finite, not 0"),
        ({"regularisation": float("nan")}, "regularisation"),
        ({"regularisation": 1.0, "tolerance": -1.0}, "tolerance should be positive"),
        ({"regularisation": 1.0, "max_iterations": 0}, "max_iterations should be at least 1"),
    ],
)
def test_settings_of_sinkhorn_that_cannot_be_are_refused(setting, complaint):
    with pytest.raises(ValueError, match=complaint):
        sinkhorn(TABLE, **setting)


@pytest.mark.parametrize("distance", [wasserstein, wasserstein_1d])
@pytest.mark.parametrize("p", [0.5, 0, -1, float("inf"), float("nan")])
def test_an_order_below_one_is_refused(distance, p):
    x = torch.zeros(3) if distance is wasserstein_1d else torch.zeros(3, 1)
    with pytest.raises(ValueError, match="p should be from 1 and finite"):
        distance(x, x, p)


def test_points_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"x should be a row of at least one number, \(n,\), not \(0,\)"):
        wasserstein_1d(torch.zeros(0), torch.zeros(3))
    with pytest.raises(ValueError, match=r"y should be a row"):
        wasserstein_1d(torch.zeros(3), torch.zeros(3, 1))
    with pytest.raises(ValueError, match="y should be finite"):
        wasserstein_1d(torch.zeros(3), torch.tensor([1.0, torch.nan]))
    with pytest.raises(ValueError, match=r"x_weights should have the sum 1"):
        wasserstein_1d(torch.zeros(3), torch.zeros(3), x_weights=torch.ones(3))
    with pytest.raises(ValueError, match=r"x should be a cloud of points, \(n, d\), not \(0, 2\)"):
        wasserstein(torch.zeros(0, 2), torch.zeros(3, 2))
    with pytest.raises(ValueError, match="points of 2 numbers and y of 3"):
        wasserstein(torch.zeros(4, 2), torch.zeros(4, 3))
    with pytest.raises(ValueError, match="x should be finite"):
        wasserstein(torch.tensor([[torch.inf]]), torch.zeros(1, 1))
