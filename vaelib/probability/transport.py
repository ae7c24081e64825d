"""Optimal transport between weighted points: what the cheapest way of turning one pile of sand into another costs.

The exact answer is a linear programme (`optimal_transport`), in one dimension a sort (`wasserstein_1d`), and a smoothed
one an iteration of two lines (`sinkhorn`). Each is checked against the others in the tests. All compute in float64.
Sources: Peyré & Cuturi 2019; for what autoencoders make of it, Tolstikhin et al. 2018.
"""

from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor


@dataclass(frozen=True)
class TransportPlan:
    """Who sends how much to whom, what it costs, and the prices that prove it. Tensors are float64.

    With prices f and g such that f_i + g_j ≤ c_ij everywhere, no plan costs less than Σ a_i f_i + Σ b_j g_j: whoever
    checks the inequalities need not trust the solver. At the optimum the two sides are equal.

    Attributes:
        plan: (n, m), non-negative; row i sums to the weight of source i, column j to that of target j.
        cost: Σ plan_ij c_ij, in the units of the costs.
        source_prices, target_prices: f (n,) and g (m,), the dual potentials. Adding a number to f and taking it from g
            changes nothing; here it is such that both contribute the same to `dual_value`.
    """

    plan: Tensor
    cost: float
    source_prices: Tensor
    target_prices: Tensor

    @property
    def dual_value(self) -> float:
        """Σ a_i f_i + Σ b_j g_j. Equal to `cost` for an exact plan.

        For a plan of `sinkhorn` it is the cost with the regulariser, Σ plan_ij c_ij + ε KL(plan || a b^T).
        """
        source, target = self.plan.sum(dim=1), self.plan.sum(dim=0)
        return ((source * self.source_prices).sum() + (target * self.target_prices).sum()).item()


def optimal_transport(
    cost: Tensor, source_weights: Tensor | None = None, target_weights: Tensor | None = None
) -> TransportPlan:
    """The cheapest plan, exactly: minimise Σ plan_ij c_ij over plans ≥ 0 with the given row and column sums.

    A linear programme with n · m unknowns, by HiGHS (scipy). The time grows faster than n · m, so this is for hundreds
    of points; for equal weights and more of them see `wasserstein`.

    Args:
        cost: (n, m), c_ij ≥ 0 or not, but finite: what it costs to move one unit from source i to target j.
        source_weights, target_weights: (n,) and (m,), non-negative, each with the sum 1; None for equal weights.
    Returns:
        A plan with at most n + m − 1 entries above zero, and prices with f_i + g_j ≤ c_ij, equal where sand moves.
    Raises:
        ValueError: costs or weights of another shape, negative weights, another sum than 1, NaN.
        RuntimeError: the solver gave up.
    Source: Peyré & Cuturi 2019, sections 2.3 and 2.5.
    """
    from scipy.optimize import linprog
    from scipy.sparse import eye_array, kron, vstack

    c, a, b = _checked_problem(cost, source_weights, target_weights)
    n, m = c.shape
    # The plan is read row by row: the first block adds up each row, the second each column.
    row_sums = kron(eye_array(n), torch.ones(1, m).numpy())
    column_sums = kron(torch.ones(1, n).numpy(), eye_array(m))
    # The solver's tolerances are absolute, so it is given costs of the order of one, whatever their unit.
    scale = c.abs().max().item() or 1.0
    solution = linprog(
        (c / scale).flatten().numpy(),
        A_eq=vstack([row_sums, column_sums]).tocsr(),
        b_eq=torch.cat([a, b]).numpy(),
        bounds=(0, None),
        method="highs",
    )
    if not solution.success:
        raise RuntimeError(f"the linear programme was not solved: {solution.message}")
    # The solver's `marginals` say how much the cost changes for each unit of weight: these are the prices.
    prices = scale * torch.as_tensor(solution.eqlin.marginals, dtype=torch.float64)
    plan = torch.as_tensor(solution.x, dtype=torch.float64).reshape(n, m).clamp_min(0.0)
    return _plan(plan, c, a, b, prices[:n], prices[n:], cost.device)


def sinkhorn(
    cost: Tensor,
    regularisation: float,
    source_weights: Tensor | None = None,
    target_weights: Tensor | None = None,
    *,
    tolerance: float = 1e-9,
    max_iterations: int = 10_000,
) -> TransportPlan:
    """The plan that minimises Σ plan_ij c_ij + ε KL(plan || a b^T): transport with a taste for spreading out.

    The solution has the form plan_ij = a_i b_j exp((f_i + g_j − c_ij) / ε), and f and g are found in turn, each from
    the other:  f_i = −ε log Σ_j b_j exp((g_j − c_ij) / ε),  and the same for g. Everything stays in logarithms, since
    exp(−c / ε) is zero in floating-point numbers as soon as c is some 750 ε. The smaller ε, the closer to
    `optimal_transport` and the more iterations.

    Args:
        cost, source_weights, target_weights: as in `optimal_transport`.
        regularisation: ε > 0, in the units of the costs.
        tolerance: stop when the row sums miss the source weights by no more than this, summed over rows. The column
            sums are right at every step.
        max_iterations: how many rounds of f and g at the most.
    Returns:
        The plan; all its entries between points with weight are above zero in exact arithmetic. Its `cost` is
        Σ plan_ij c_ij, without the regulariser, so never below that of the exact plan (up to the tolerance).
    Raises:
        ValueError: as `optimal_transport`; regularisation, tolerance or max_iterations that are not positive.
        RuntimeError: the row sums were still further off after `max_iterations`.
    Source: Cuturi 2013; Peyré & Cuturi 2019, section 4.4 for the log domain.
    """
    for name, value in (("regularisation", regularisation), ("tolerance", tolerance)):
        if not (value > 0 and isfinite(value)):
            raise ValueError(f"{name} should be positive and finite, not {value}")
    if max_iterations < 1:
        raise ValueError(f"max_iterations should be at least 1, not {max_iterations}")
    c, a, b = _checked_problem(cost, source_weights, target_weights)
    log_a, log_b = a.log(), b.log()
    scaled = -c / regularisation
    f, g = torch.zeros_like(a), torch.zeros_like(b)  # in units of ε
    for _ in range(max_iterations):
        f = -(log_b + g + scaled).logsumexp(dim=1)
        g = -(log_a[:, None] + f[:, None] + scaled).logsumexp(dim=0)
        plan = (log_a[:, None] + log_b + f[:, None] + g + scaled).exp()
        violation = (plan.sum(dim=1) - a).abs().sum().item()
        if violation <= tolerance:
            return _plan(plan, c, a, b, regularisation * f, regularisation * g, cost.device)
    raise RuntimeError(
        f"after {max_iterations} iterations the row sums are still off by {violation:.3g} in total, more than the "
        f"tolerance {tolerance:g}: allow more iterations, or take a larger regularisation (it is {regularisation:g}, "
        f"and the costs go up to {c.max().item():g})"
    )


def wasserstein_1d(
    x: Tensor,
    y: Tensor,
    p: float = 1.0,
    *,
    x_weights: Tensor | None = None,
    y_weights: Tensor | None = None,
) -> Tensor:
    """The Wasserstein-p distance of points on a line, by sorting: W_p = (∫₀¹ |F⁻¹(u) − G⁻¹(u)|^p du)^(1/p).

    On a line the cheapest plan keeps the order, for every p ≥ 1: the lowest tenth of the sand goes to the lowest tenth
    of the hole. So both sets are sorted, and their quantile functions, which are staircases, are compared step by step;
    with n points on each side and equal weights that is the mean of |x_(i) − y_(i)|^p.

    Args:
        x, y: (n,) and (m,), finite; the numbers may differ.
        p: from 1.
        x_weights, y_weights: (n,) and (m,), non-negative, each with the sum 1; None for equal weights.
    Returns:
        A float64 scalar in the units of x, differentiable in x and y where no two points tie. (At distance zero the
        p-th root has no derivative for p > 1.)
    Raises:
        ValueError: not one-dimensional, no points, NaN, p below 1, weights as in `optimal_transport`.
    Source: Peyré & Cuturi 2019, section 2.6.
    """
    _check_order(p)
    for name, values in (("x", x), ("y", y)):
        if values.dim() != 1 or len(values) == 0:
            raise ValueError(f"{name} should be a row of at least one number, (n,), not {tuple(values.shape)}")
        _check_finite(name, values)
    x_sorted, x_order = x.double().sort()
    y_sorted, y_order = y.double().sort()
    x_levels = _weights("x_weights", x_weights, len(x))[x_order.cpu()].cumsum(dim=0)
    y_levels = _weights("y_weights", y_weights, len(y))[y_order.cpu()].cumsum(dim=0)
    # Between two neighbouring levels of either staircase both quantile functions are constant.
    levels = torch.cat([x_levels, y_levels]).clamp(max=1.0).sort().values
    widths = levels.diff(prepend=levels.new_zeros(1))
    middles = levels - widths / 2
    x_step = torch.searchsorted(x_levels, middles).clamp(max=len(x) - 1)
    y_step = torch.searchsorted(y_levels, middles).clamp(max=len(y) - 1)
    distances = (x_sorted[x_step.to(x.device)] - y_sorted[y_step.to(y.device)]).abs()
    moved = (widths.to(distances.device) * distances**p).sum()
    return moved if p == 1 else moved ** (1 / p)


def wasserstein(x: Tensor, y: Tensor, p: float = 1.0) -> float:
    """The Wasserstein-p distance of two clouds of equally weighted points: W_p = (min E|x − y|^p)^(1/p), exactly.

    The p-th root makes it a distance: in the units of x, and with the triangle inequality. Clouds of one size have a
    best plan that sends every point to one other, so the linear programme becomes an assignment, which takes of the
    order of n³ steps (thousands of points); other sizes go through `optimal_transport`.

    Args:
        x, y: (n, d) and (m, d), finite; the distance between points is the Euclidean one.
        p: from 1.
    Raises:
        ValueError: no points, points of different dimensions, NaN, p below 1.
    Source: Peyré & Cuturi 2019, sections 2.3 (assignments) and 2.4 (the distance).
    """
    from scipy.optimize import linear_sum_assignment

    _check_order(p)
    for name, values in (("x", x), ("y", y)):
        if values.dim() != 2 or values.numel() == 0:
            raise ValueError(f"{name} should be a cloud of points, (n, d), not {tuple(values.shape)}")
        _check_finite(name, values)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"x has points of {x.shape[1]} numbers and y of {y.shape[1]}: they should live in one space")
    # The matrix product that cdist uses for large clouds loses half of the digits where points are close.
    exactly = "donot_use_mm_for_euclid_dist"
    costs = torch.cdist(x.detach().double().cpu(), y.detach().double().cpu(), compute_mode=exactly) ** p
    if len(x) == len(y):
        rows, columns = linear_sum_assignment(costs.numpy())
        return costs[rows, columns].mean().item() ** (1 / p)
    return max(optimal_transport(costs).cost, 0.0) ** (1 / p)


def _plan(
    plan: Tensor, cost: Tensor, a: Tensor, b: Tensor, f: Tensor, g: Tensor, device: torch.device
) -> TransportPlan:
    """With the prices shifted so that sources and targets contribute alike."""
    shift = ((a * f).sum() - (b * g).sum()) / 2
    total = (plan * cost).sum().item()
    return TransportPlan(plan.to(device), total, (f - shift).to(device), (g + shift).to(device))


def _checked_problem(
    cost: Tensor, source_weights: Tensor | None, target_weights: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Costs and weights in float64 on the processor, where scipy wants them."""
    if cost.dim() != 2 or cost.numel() == 0:
        raise ValueError(f"the costs should be a table (sources, targets), not {tuple(cost.shape)}")
    _check_finite("cost", cost)
    source = _weights("source_weights", source_weights, cost.shape[0])
    return cost.detach().double().cpu(), source, _weights("target_weights", target_weights, cost.shape[1])


def _weights(name: str, weights: Tensor | None, count: int) -> Tensor:
    """(count,) float64 with the sum 1; equal ones if there are none."""
    if weights is None:
        return torch.full((count,), 1 / count, dtype=torch.float64)
    if weights.shape != (count,):
        raise ValueError(f"{name} should be one for each of the {count} points, ({count},), not {tuple(weights.shape)}")
    _check_finite(name, weights)
    if (weights < 0).any():
        raise ValueError(f"{name} should not be negative; the smallest is {weights.min().item():g}")
    weights = weights.detach().double().cpu()
    total = weights.sum().item()
    if abs(total - 1) > 1e-5:
        raise ValueError(f"{name} should have the sum 1, not {total:g}: divide them by their sum")
    # Single precision sums to 1 within 1e-7 or so; the programme has no solution unless both sides agree exactly.
    return weights / total


def _check_order(p: float) -> None:
    if not (p >= 1 and isfinite(p)):
        raise ValueError(f"p should be from 1 and finite, not {p}: below 1 the triangle inequality fails")


def _check_finite(name: str, values: Tensor) -> None:
    if not values.isfinite().all():
        raise ValueError(f"{name} should be finite, but {int((~values.isfinite()).sum())} entries are NaN or infinite")
