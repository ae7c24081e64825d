"""02.baseline: the constant that quietens the score-function estimator most (notebook 2.2, "A baseline").

For f(z) = (z − c)² and z = μ + σε, one draw of the estimator of d/dμ is (f(z) − b) ε/σ. Whatever b is, its mean is the
derivative; its variance is a parabola in b, and the task asks where that is lowest.
"""

import math

import numpy as np

from vaelib.check.answer import Form, Trouble, as_array
from vaelib.check.compare import Inputs, agree, numbers
from vaelib.check.draw import Draw
from vaelib.check.formula import FormulaTask
from vaelib.check.task import Broken, Mistake, Property

# Averages over N(0, 1): exact for the polynomials here, whose degree is at most 8.
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(12)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def variance(b: float, mu: float, sigma: float, c: float) -> float:
    """The variance of one draw of the estimator with baseline b."""
    draws = ((mu + sigma * NODES - c) ** 2 - b) * NODES / sigma
    return float(WEIGHTS @ draws**2 - (WEIGHTS @ draws) ** 2)


def oracle(mu: float, sigma: float, c: float) -> float:
    """The bottom of a parabola through three of its points: no derivation at all."""
    left, middle, right = (variance(b, mu, sigma, c) for b in (-1.0, 0.0, 1.0))
    return (left - right) / (2 * (left - 2 * middle + right))


def usual(draw: Draw) -> Inputs:
    return {"mu": draw.number(-3, 3), "sigma": draw.number(0.2, 2.5), "c": draw.number(-3, 3)}


def lowest(form: Form, inputs: Inputs) -> None:
    """No other constant gives less variance."""
    b, best = float(as_number(form, inputs)), oracle(**inputs)
    at_b, at_best = variance(b, **inputs), variance(best, **inputs)
    if at_b > at_best + 1e-9 * (1 + abs(at_best)):
        raise Broken(
            f"with your b = {b:.6g} one draw has the variance {at_b:.6g}; there is a constant with which it has "
            f"{at_best:.6g}"
        )


def only_the_distance_counts(form: Form, inputs: Inputs) -> None:
    """Moving μ and c together changes nothing."""
    here = as_number(form, inputs)
    there = as_number(form, {**inputs, "mu": inputs["mu"] + 1.5, "c": inputs["c"] + 1.5})
    if not agree(there, here, 1e-6):
        raise Broken(f"b is {numbers(here)}, and after moving both μ and c by 1.5 it is {numbers(there)}")


def as_number(form: Form, inputs: Inputs) -> np.ndarray:
    """One number; an array with one number in it will do."""
    array = as_array(form(inputs), "the baseline")
    if array.size != 1:
        raise Trouble(f"the baseline should be one number, and it has the shape {array.shape}", "shape")
    if not np.isfinite(array).all():
        raise Trouble(f"the baseline should be a finite number, and it is {numbers(array.reshape(()))}", "infinite")
    return array.reshape(())


MISTAKES = (
    Mistake(
        "the average of f",
        lambda mu, sigma, c: (mu - c) ** 2 + sigma**2,
        "this is E[f], the usual baseline. It is good, but not the best: draws with a large ε count more in the "
        "variance. Differentiate the variance with respect to b.",
    ),
    Mistake(
        "f at the mean",
        lambda mu, sigma, c: (mu - c) ** 2,
        "this is f(μ), which forgets that the draws spread. Which average does the derivative of the variance contain?",
    ),
    Mistake(
        "the best one for d/dσ",
        lambda mu, sigma, c: (mu - c) ** 2 + 5 * sigma**2,
        "this is the best baseline for the derivative with respect to σ. The task asks for that with respect to μ; its "
        "score is ε/σ.",
    ),
    Mistake(
        "σ not squared",
        lambda mu, sigma, c: (mu - c) ** 2 + 3 * sigma,
        "one term has the wrong unit: f is a square, so every term of b has to be one too.",
    ),
    Mistake(
        "sum for difference",
        lambda mu, sigma, c: (mu + c) ** 2 + 3 * sigma**2,
        "f depends on how far μ and c are apart. Move both by the same amount, and b should stay.",
    ),
    Mistake(
        "distance not squared",
        lambda mu, sigma, c: mu - c + 3 * sigma**2,
        "one term has the wrong unit: f is a square, so every term of b has to be one too.",
    ),
    Mistake(
        "E[f ε²] without the distance",
        lambda mu, sigma, c: 3 * sigma**2,
        "it does not matter to your b how bad the code is on average. Expand f(μ + σε) before you average.",
    ),
    Mistake(
        "fourth moment taken for 1",
        lambda mu, sigma, c: (mu - c) ** 2 + 2 * sigma**2,
        "you are close: look up E[ε⁴] for a standard Gaussian once more.",
    ),
    Mistake(
        "sign",
        lambda mu, sigma, c: -((mu - c) ** 2) - 3 * sigma**2,
        "the sign is turned round: b is subtracted from f, and f is never negative.",
    ),
    Mistake(
        "second derivative forgotten",
        lambda mu, sigma, c: 2 * (mu - c) ** 2 + 6 * sigma**2,
        "this is twice the best one. A parabola b²A − 2bB has its bottom at B/A.",
    ),
    Mistake(
        "not divided by E[score²]",
        lambda mu, sigma, c: (mu - c) ** 2 / sigma**2 + 3,
        "this is the average of f times the squared score. By what is it divided when you solve for b?",
    ),
    Mistake(
        "c forgotten",
        lambda mu, sigma, c: mu**2 + 3 * sigma**2,
        "this is right for c = 0 only. Where is the best code, and how far is μ from it?",
    ),
)


def far(draw: Draw) -> Inputs:
    return {"mu": draw.number(10, 30), "sigma": draw.number(0.01, 0.1), "c": draw.number(-30, -10)}


TASK = FormulaTask(
    id="02.baseline",
    title="The best constant baseline",
    points=4,
    arguments=("mu", "sigma", "c"),
    oracle=oracle,
    usual=usual,
    properties=(
        Property(
            "no other constant gives the estimator of d/dμ less variance",
            lambda draw: {"mu": 0.0, "sigma": 1.0, "c": 2.0},
            lowest,
            repeats=1,
        ),
        Property("only the distance from μ to c counts", usual, only_the_distance_counts),
        Property("no other constant gives the estimator of d/dμ less variance, anywhere", usual, lowest, repeats=12),
        Property("it is right far away, where the draws hardly spread", far, lowest),
        Property(
            "it is right where μ = c",
            lambda draw: {"mu": 0.5, "sigma": draw.number(0.5, 3.0), "c": 0.5},
            lowest,
        ),
    ),
    mistakes=MISTAKES,
    observe=lambda form, inputs: {"the baseline": as_number(form, inputs)},
)

assert math.isclose(WEIGHTS @ NODES**4, 3)
