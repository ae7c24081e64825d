"""The maximum mean discrepancy against closed forms, integrals, double sums and the law of large numbers."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from vaelib.probability import (
    InverseMultiquadratic,
    RadialBasis,
    maximum_mean_discrepancy_squared,
    mean_embedding,
    squared_distances,
    two_sample_test,
    witness,
)

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def double_sum(x, y, kernel, unbiased):
    """The estimate as it is written on paper, one pair at a time."""
    n, m = len(x), len(y)

    def k(a, b):
        return kernel(((a - b) ** 2).sum()).item()

    pairs = {
        "xx": sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j or not unbiased),
        "yy": sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j or not unbiased),
        "xy": sum(k(x[i], y[j]) for i in range(n) for j in range(m)),
    }
    counts = (n * (n - 1), m * (m - 1)) if unbiased else (n * n, m * m)
    return pairs["xx"] / counts[0] + pairs["yy"] / counts[1] - 2 * pairs["xy"] / (n * m)


def expected_radial_basis(kernel_variance, mean, variance, dimension):
    """E[exp(−|u|² / 2s)] for u ~ N(mean, variance · I): (s / (s + v))^(D/2) exp(−|mean|² / 2(s + v))."""
    total = kernel_variance + variance
    return (kernel_variance / total) ** (dimension / 2) * math.exp(-dimension * mean**2 / (2 * total))


def expected_inverse_multiquadratic(scale, variance, dimension):
    """E[Σ C / (C + |u|²)] for u ~ N(0, variance · I), by integration over the χ² of |u|² / variance."""

    def value(t):
        return sum(s * scale / (s * scale + variance * t) for s in SCALES)

    top = stats.chi2.ppf(1 - 1e-13, dimension)
    return integrate.quad(lambda t: value(t) * stats.chi2.pdf(t, dimension), 0, top, limit=200)[0]


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("kernel", [InverseMultiquadratic(4.0), RadialBasis(1.5)], ids=["imq", "rbf"])
def test_the_estimate_is_the_double_sum(generator, kernel, unbiased):
    x = torch.randn(7, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(5, 3, generator=generator, dtype=torch.float64) + 0.5
    ours = maximum_mean_discrepancy_squared(x, y, kernel, unbiased=unbiased)
    assert ours.item() == pytest.approx(double_sum(x, y, kernel, unbiased), abs=1e-12)
    swapped = maximum_mean_discrepancy_squared(y, x, kernel, unbiased=unbiased)
    assert ours.item() == pytest.approx(swapped.item(), abs=1e-12)


def test_the_inverse_multiquadratic_sums_the_published_scales():
    squared = torch.tensor([0.0, 3.0, 128.0, 1e4], dtype=torch.float64)
    kernel = InverseMultiquadratic.for_prior(8, variance=2.0)
    assert kernel.scale == 2 * 8 * 2.0
    expected = [sum(s * 32 / (s * 32 + d) for s in SCALES) for d in squared.tolist()]
    torch.testing.assert_close(kernel(squared), torch.tensor(expected, dtype=torch.float64))
    assert kernel(squared)[0] == 7


def test_by_name_the_inverse_multiquadratic_is_that_of_a_standard_normal_prior(generator):
    x, y = torch.randn(20, 6, generator=generator), torch.randn(20, 6, generator=generator)
    torch.testing.assert_close(
        maximum_mean_discrepancy_squared(x, y), maximum_mean_discrepancy_squared(x, y, InverseMultiquadratic(12.0))
    )


def test_by_name_the_radial_basis_has_twice_the_median_squared_distance(generator):
    x, y = torch.randn(20, 6, generator=generator), 1 + torch.randn(15, 6, generator=generator)
    both = torch.cat([x, y])
    median = torch.pdist(both).square().median().item()
    assert RadialBasis.by_median(x, y).variance == pytest.approx(2 * median, rel=1e-5)
    torch.testing.assert_close(
        maximum_mean_discrepancy_squared(x, y, "rbf"),
        maximum_mean_discrepancy_squared(x, y, RadialBasis(2 * median)),
    )


def test_the_median_of_a_large_sample_looks_at_all_of_it(generator):
    """x and y come in one after the other, so the first thousand rows would be of x alone."""
    x, y = torch.randn(3_000, 2, generator=generator), torch.randn(3_000, 2, generator=generator) + 100
    # Half of all pairs are far apart, so the median lies between the two kinds of distances.
    assert 4 < RadialBasis.by_median(x, y).variance < 2 * 100**2 * 2 + 2_000


@pytest.mark.parametrize(("shift", "variance"), [(0.0, 1.0), (0.7, 1.0), (0.0, 2.5), (-0.5, 0.4)])
def test_between_gaussians_the_radial_basis_averages_to_its_closed_form(generator, shift, variance):
    """MMD² of N(0, I) and N(m, vI): differences of two draws are Gaussian, and so is every expectation."""
    dimension, width, repeats, n, m = 3, 2.0, 400, 24, 16
    exact = (
        expected_radial_basis(width, 0.0, 2.0, dimension)
        + expected_radial_basis(width, 0.0, 2 * variance, dimension)
        - 2 * expected_radial_basis(width, shift, 1 + variance, dimension)
    )
    estimates = []
    for _ in range(repeats):
        x = torch.randn(n, dimension, generator=generator)
        y = shift + math.sqrt(variance) * torch.randn(m, dimension, generator=generator)
        estimates.append(maximum_mean_discrepancy_squared(x, y, RadialBasis(width)).item())
    error = np.std(estimates) / math.sqrt(repeats)
    assert abs(np.mean(estimates) - exact) < 4 * error
    if shift == 0 and variance == 1:
        assert exact == pytest.approx(0)
        assert 0.2 < np.mean(np.array(estimates) < 0) < 0.8  # negative about as often as not
    else:
        assert exact > 10 * error  # so the test above could fail


def test_between_gaussians_the_inverse_multiquadratic_averages_to_its_integral(generator):
    dimension, variance, repeats, n = 4, 2.0, 400, 20
    scale = 2.0 * dimension
    exact = (
        expected_inverse_multiquadratic(scale, 2.0, dimension)
        + expected_inverse_multiquadratic(scale, 2 * variance, dimension)
        - 2 * expected_inverse_multiquadratic(scale, 1 + variance, dimension)
    )
    estimates = [
        maximum_mean_discrepancy_squared(
            torch.randn(n, dimension, generator=generator),
            math.sqrt(variance) * torch.randn(n, dimension, generator=generator),
        ).item()
        for _ in range(repeats)
    ]
    error = np.std(estimates) / math.sqrt(repeats)
    assert exact > 10 * error
    assert abs(np.mean(estimates) - exact) < 4 * error


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_two_samples_of_one_distribution_average_to_zero(generator, kernel):
    """Which a kernel matrix that kept its diagonal, or an estimate that averages twice, would not."""
    repeats, n, m, dimension = 500, 16, 12, 8
    draws = [
        (torch.randn(n, dimension, generator=generator), torch.randn(m, dimension, generator=generator))
        for _ in range(repeats)
    ]
    estimates = np.array([maximum_mean_discrepancy_squared(x, y, kernel).item() for x, y in draws])
    error = estimates.std() / math.sqrt(repeats)
    assert abs(estimates.mean()) < 4 * error
    biased = np.array([maximum_mean_discrepancy_squared(x, y, kernel, unbiased=False).item() for x, y in draws])
    assert biased.min() >= 0
    assert biased.mean() > 20 * error


def test_the_biased_estimate_of_a_sample_with_itself_is_zero(generator):
    x = torch.randn(9, 3, generator=generator, dtype=torch.float64)
    assert maximum_mean_discrepancy_squared(x, x, unbiased=False).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("unbiased", [True, False])
def test_chunks_change_nothing_not_even_gradients(generator, unbiased):
    x = torch.randn(23, 5, generator=generator, dtype=torch.float64)
    y = torch.randn(17, 5, generator=generator, dtype=torch.float64)
    results = []
    for chunk in (1, 4, 17, 1000):
        leaf = x.clone().requires_grad_()
        value = maximum_mean_discrepancy_squared(leaf, y, unbiased=unbiased, chunk=chunk)
        value.backward()
        results.append((value.detach(), leaf.grad))
    for value, gradient in results[1:]:
        torch.testing.assert_close(value, results[0][0])
        torch.testing.assert_close(gradient, results[0][1])


def test_a_large_sample_never_asks_for_the_whole_matrix(generator):
    """6,000 codes have a kernel matrix of 144 MB; the largest block that the kernel sees is 256 rows of it."""
    seen = []

    def kernel(distances):
        seen.append(tuple(distances.shape))
        return RadialBasis(2.0)(distances)

    x, y = torch.randn(6_000, 2, generator=generator), torch.randn(6_000, 2, generator=generator)
    value = maximum_mean_discrepancy_squared(x, y, kernel)
    assert max(rows for rows, _ in seen) == 256
    assert sum(rows for rows, _ in seen) == 3 * 6_000
    assert abs(value.item()) < 1e-3


@pytest.mark.parametrize("kernel", [InverseMultiquadratic(10.0), RadialBasis(3.0)], ids=["imq", "rbf"])
def test_the_gradient_is_that_of_finite_differences(generator, kernel):
    x = torch.randn(5, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    y = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda codes: maximum_mean_discrepancy_squared(codes, y, kernel, chunk=2), (x,))


def test_the_median_carries_no_gradient(generator):
    x = torch.randn(6, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    y = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    by_name = torch.autograd.grad(maximum_mean_discrepancy_squared(x, y, "rbf"), x)[0]
    fixed = RadialBasis.by_median(x, y)
    torch.testing.assert_close(by_name, torch.autograd.grad(maximum_mean_discrepancy_squared(x, y, fixed), x)[0])


def test_distances_keep_their_precision_far_from_the_origin_and_under_autocast(generator):
    x = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    exact = (x[:, None] - x).square().sum(dim=2)
    torch.testing.assert_close(squared_distances(x, x), exact)
    # In bfloat16 the products alone would be wrong by half a per cent.
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(squared_distances(x.float(), x.float()), exact.float(), rtol=1e-4, atol=1e-5)
        assert squared_distances(x.bfloat16(), x.bfloat16()).dtype == torch.float32
    far = (x + 1_000).float()
    torch.testing.assert_close(squared_distances(far, far), exact.float(), rtol=1e-2, atol=1e-3)
    assert squared_distances(far, far).min() >= 0


def test_the_witness_is_the_difference_of_the_mean_embeddings(generator):
    x = torch.randn(8, 2, generator=generator, dtype=torch.float64)
    y = torch.randn(6, 2, generator=generator, dtype=torch.float64) + 2
    points = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    kernel = RadialBasis(0.8)
    by_hand = [
        sum(kernel(((t - a) ** 2).sum()) for a in x) / 8 - sum(kernel(((t - b) ** 2).sum()) for b in y) / 6
        for t in points
    ]
    torch.testing.assert_close(witness(points, x, y, kernel, chunk=2), torch.stack(by_hand))
    # Its mean over x less its mean over y is the biased MMD²: it is the function that shows the difference best.
    difference = witness(x, x, y, kernel).mean() - witness(y, x, y, kernel).mean()
    torch.testing.assert_close(difference, maximum_mean_discrepancy_squared(x, y, kernel, unbiased=False))
    assert witness(torch.tensor([[-1.0, -1.0], [3.0, 3.0]], dtype=torch.float64), x, y).sign().tolist() == [1, -1]


def test_the_mean_embedding_of_many_gaussian_draws_is_its_closed_form(generator):
    x = torch.randn(40_000, 1, generator=generator)
    points = torch.tensor([[-1.0], [0.0], [2.0]])
    embedded = mean_embedding(points, x, RadialBasis(0.5))
    exact = [math.sqrt(0.5 / 1.5) * math.exp(-(t**2) / 3) for t in (-1.0, 0.0, 2.0)]
    torch.testing.assert_close(embedded, torch.tensor(exact), atol=0.01, rtol=0)


def test_the_statistic_of_a_two_sample_test_is_the_unbiased_estimate_of_every_deal(generator):
    x = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(4, 3, generator=generator, dtype=torch.float64) + 1
    test = two_sample_test(x, y, permutations=20, generator=torch.Generator().manual_seed(3), chunk=3)
    assert test.statistic == pytest.approx(maximum_mean_discrepancy_squared(x, y).item(), abs=1e-12)
    both, deals = torch.cat([x, y]), torch.Generator().manual_seed(3)
    for permuted in test.permuted:
        order = torch.randperm(10, generator=deals)
        again = maximum_mean_discrepancy_squared(both[order[:6]], both[order[6:]])
        assert permuted.item() == pytest.approx(again.item(), abs=1e-12)
    larger = sum(value >= test.statistic for value in test.permuted.tolist())
    assert test.p_value == pytest.approx((1 + larger) / 21)


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_p_values_are_uniform_without_a_difference_and_small_with_one(generator, kernel):
    def p_value(shift):
        x, y = torch.randn(20, 4, generator=generator), torch.randn(20, 4, generator=generator) + shift
        return two_sample_test(x, y, kernel, permutations=99, generator=generator).p_value

    same = [p_value(0.0) for _ in range(150)]
    # 99 deals give p-values on a grid of hundredths, so a little is added that makes uniform ones continuous.
    spread = np.array(same) - np.random.default_rng(0).uniform(0, 0.01, len(same))
    assert stats.kstest(spread, "uniform").pvalue > 0.001
    shifted = [p_value(1.0) for _ in range(20)]
    assert np.median(shifted) == 0.01  # as small as 99 deals can make it
    assert max(shifted) < 0.2


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.zeros(4, 3), torch.zeros(4, 2), r"of one dimension, not \(4, 3\) and \(4, 2\)"),
        (torch.zeros(4), torch.zeros(4), r"should be \(n, D\) and \(m, D\)"),
        (torch.zeros(1, 3), torch.zeros(4, 3), "at least 2 points each, not 1 and 4; a single point has no pair"),
        (torch.zeros(4, 3), torch.zeros(0, 3), "at least 2 points each, not 4 and 0"),
        (torch.full((4, 3), math.nan), torch.zeros(4, 3), "hold NaN or infinity"),
        (torch.zeros(4, 3), torch.full((4, 3), math.inf), "hold NaN or infinity"),
        (torch.zeros(4, 3, dtype=torch.long), torch.zeros(4, 3), "floating-point numbers, not torch.int64"),
    ],
)
def test_samples_that_cannot_be_compared_are_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        maximum_mean_discrepancy_squared(x, y)
    with pytest.raises(ValueError, match=message):
        two_sample_test(x, y)


def test_other_bad_requests_say_what_was_expected(generator):
    x = torch.randn(4, 3, generator=generator)
    with pytest.raises(ValueError, match=r"kernel should be one of imq, rbf.*not 'img'. Did you mean 'imq'"):
        maximum_mean_discrepancy_squared(x, x, "img")
    with pytest.raises(ValueError, match="at least 1 points each, not 0 and 4"):
        maximum_mean_discrepancy_squared(x[:0], x, unbiased=False)
    assert maximum_mean_discrepancy_squared(x[:1], x, unbiased=False) > 0
    with pytest.raises(ValueError, match="chunk should be at least 1, not 0"):
        maximum_mean_discrepancy_squared(x, x, chunk=0)
    with pytest.raises(ValueError, match="permutations and chunk should be at least 1, not 0"):
        two_sample_test(x, x, permutations=0)
    with pytest.raises(ValueError, match=r"variance of a kernel should be positive.*are all points the same"):
        maximum_mean_discrepancy_squared(torch.zeros(4, 3), torch.zeros(4, 3), "rbf")
    with pytest.raises(ValueError, match="scale of a kernel should be positive and finite, not -1"):
        InverseMultiquadratic(-1.0)
    with pytest.raises(ValueError, match="factors should be one or more positive numbers"):
        InverseMultiquadratic(1.0, factors=())
    with pytest.raises(ValueError, match="of one dimension"):
        witness(torch.zeros(2, 4), x, x)
