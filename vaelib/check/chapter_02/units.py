"""02.units: which Gaussian variance somebody's "MSE + weight · KL" stands for (notebook 2.3, "one knob").

The two objectives have the same minimiser if both charge the same number of nats of rate for a squared error.
"""

import numpy as np

from vaelib.check.answer import Form, Trouble, as_array
from vaelib.check.compare import Inputs, agree, numbers
from vaelib.check.draw import Draw
from vaelib.check.formula import FormulaTask
from vaelib.check.task import Broken, Mistake, Property

ARGUMENTS = ("weight", "pixels", "width")


def nats_in_their_code(squared_error: float, weight: float, pixels: float, width: float) -> float:
    """How many nats of KL their objective would give for saving a summed squared error on the [0, 1] scale."""
    # On a range of another width every difference is that many times as large.
    return (width**2 * squared_error / pixels) / weight


def nats_in_a_vae(squared_error: float, variance: float) -> float:
    """The same for −log p(x | z) of a Gaussian with this variance, beside a KL with weight one."""
    return squared_error / (2 * variance)


def oracle(weight: float, pixels: float, width: float) -> float:
    """The variance at which the two prices agree, by halving an interval."""
    wanted = nats_in_their_code(1.0, weight, pixels, width)
    low, high = -60.0, 60.0
    for _ in range(200):
        middle = (low + high) / 2
        # A larger variance makes errors cheaper.
        low, high = (middle, high) if nats_in_a_vae(1.0, float(np.exp(middle))) > wanted else (low, middle)
    return float(np.exp((low + high) / 2))


def usual(draw: Draw) -> Inputs:
    return {"weight": draw.number(0.01, 2), "pixels": draw.size(5, 3_000), "width": draw.number(1.2, 3)}


def from_the_web(draw: Draw) -> Inputs:
    """Weights, sizes and ranges as people use them."""
    return {
        "weight": float(draw.random.choice([0.00025, 0.0005, 0.005, 0.5, 1.0])),
        "pixels": int(draw.random.choice([784, 3_072, 12_288, 49_152])),
        "width": float(draw.random.choice([1.0, 2.0])),
    }


def same_price(form: Form, inputs: Inputs) -> None:
    """Their objective and a VAE with the answered variance give as many nats for the same error."""
    variance = as_number(form, inputs)
    theirs = nats_in_their_code(1.0, **inputs)
    ours = nats_in_a_vae(1.0, float(variance)) if variance else np.inf
    if not agree(np.asarray(ours), np.asarray(theirs), 1e-6 * min(1.0, theirs)):
        raise Broken(
            f"to take 1 off the summed squared error (on the [0, 1] scale) is worth {theirs:.6g} nats of KL to their "
            f"code, and {ours:.6g} to a VAE with your σ² = {float(variance):.6g}"
        )


def as_number(form: Form, inputs: Inputs) -> np.ndarray:
    """One number; an array with one number in it will do."""
    array = as_array(form(inputs), "the variance")
    if array.size != 1:
        raise Trouble(f"the variance should be one number, and it has the shape {array.shape}", "shape")
    if not np.isfinite(array).all():
        raise Trouble(f"the variance should be a finite number, and it is {numbers(array.reshape(()))}", "infinite")
    return array.reshape(())


MISTAKES = (
    Mistake(
        "pixels forgotten",
        lambda weight, pixels, width: weight / (2 * width**2),
        "this is right for a squared error that is summed over the image. Theirs is a mean.",
    ),
    Mistake(
        "½ forgotten",
        lambda weight, pixels, width: weight * pixels / width**2,
        "it is twice too large. What stands before the squared error in a Gaussian's −log p?",
    ),
    Mistake(
        "range forgotten",
        lambda weight, pixels, width: weight * pixels / 2,
        "this is right for images in [0, 1]. How much larger is a squared error on a range of another width?",
    ),
    Mistake(
        "range not squared",
        lambda weight, pixels, width: weight * pixels / (2 * width),
        "a difference grows with the width of the range. What does its square do?",
    ),
    Mistake(
        "range on the wrong side",
        lambda weight, pixels, width: weight * pixels * width**2 / 2,
        "the range works the wrong way round. This would be the variance on *their* scale, up to a factor.",
    ),
    Mistake(
        "range multiplied",
        lambda weight, pixels, width: weight * pixels * width / 2,
        "the range works the wrong way round, and a square is missing on it.",
    ),
    Mistake(
        "standard deviation",
        lambda weight, pixels, width: np.sqrt(weight * pixels / (2 * width**2)),
        "this is σ. The task asks for σ².",
    ),
    Mistake(
        "the inverse",
        lambda weight, pixels, width: 2 * width**2 / (weight * pixels),
        "upside down: a larger weight of the KL makes errors cheaper, which is a larger variance.",
    ),
    Mistake(
        "weight on the squared error",
        lambda weight, pixels, width: pixels / (2 * weight * width**2),
        "you put the weight on the squared error. Theirs stands before the KL.",
    ),
    Mistake(
        "divided by the pixels",
        lambda weight, pixels, width: weight / (2 * pixels * width**2),
        "the number of pixels works the wrong way round. Multiply their objective by something, so that the KL counts "
        "once.",
    ),
    Mistake(
        "two for ½",
        lambda weight, pixels, width: 2 * weight * pixels / width**2,
        "the 2 is on the wrong side. What stands before the squared error in a Gaussian's −log p?",
    ),
)

TASK = FormulaTask(
    id="02.units",
    title="One knob under three names",
    points=3,
    arguments=ARGUMENTS,
    oracle=oracle,
    usual=usual,
    properties=(
        Property(
            "an error is worth as many nats of KL to their code as to a VAE with your variance",
            lambda draw: {"weight": 0.5, "pixels": 4, "width": 1.0},
            same_price,
            repeats=1,
        ),
        Property(
            "the variance is on the [0, 1] scale, whatever the range of their images",
            lambda draw: {"weight": 0.5, "pixels": 4, "width": 2.0},
            same_price,
            repeats=1,
        ),
        Property("it is right for any weight, size and range", usual, same_price, repeats=8),
        Property("it is right for the numbers that people use", from_the_web, same_price, repeats=8),
    ),
    mistakes=MISTAKES,
    observe=lambda form, inputs: {"the variance": as_number(form, inputs)},
)
