"""02.bound: the importance-weighted bound from K draws (notebook 2.5, "From one draw to K")."""

from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from vaelib.check.answer import Form, as_array, fresh
from vaelib.check.compare import Inputs, agree, numbers, tolerance
from vaelib.check.draw import Draw
from vaelib.check.task import Broken, Mistake, Property, Task

ARGUMENTS = ("log_likelihood", "log_prior", "log_posterior")


def log_weights(log_likelihood: Tensor, log_prior: Tensor, log_posterior: Tensor) -> Tensor:
    """log w, (K, B), in float64."""
    return log_likelihood.double() + log_prior.double() - log_posterior.double()


def oracle(**inputs: Tensor) -> Tensor:
    """The logarithms added up one draw at a time, as numpy does it for pairs."""
    log_w = log_weights(**inputs).numpy()
    return torch.from_numpy(np.logaddexp.reduce(log_w, axis=0) - np.log(len(log_w)))


def draws(draw: Draw, k: int, images: int, dtype: torch.dtype = torch.float64, height: float = 0.0) -> Inputs:
    """K draws for each image."""
    return {
        "log_likelihood": draw.normal(k, images, mean=height, scale=1.5, dtype=dtype),
        "log_prior": draw.normal(k, images, mean=-3.0, dtype=dtype),
        "log_posterior": draw.normal(k, images, mean=-1.0, dtype=dtype),
    }


def usual(draw: Draw) -> Inputs:
    k = draw.size(2, 6)
    return draws(draw, k, k + draw.size(1, 3))  # never as many images as draws, so that no axis stands in for the other


def of_images(draw: Draw) -> Inputs:
    """As nats of an image of 64 × 64 × 3 are: far outside of what exp can do."""
    return draws(draw, draw.size(2, 6), draw.size(1, 3), height=draw.number(-12_000, -9_000))


def densities(draw: Draw) -> Inputs:
    """Log-densities of an image may be far above zero, too."""
    return draws(draw, draw.size(2, 6), draw.size(1, 3), height=draw.number(6_000, 9_000))


def by_fractions(form: Form, inputs: Inputs) -> None:
    """With weights ¼, ½ and ¾ the average can be taken with pencil."""
    weights = [Fraction(1, 4), Fraction(1, 2), Fraction(3, 4)]
    average = sum(weights, Fraction(0)) / len(weights)
    got = as_array(form(fresh(inputs)))
    wanted = np.log([float(average)])
    if not agree(got, wanted, 1e-6):
        raise Broken(
            f"the weights are ¼, ½ and ¾, and the logarithm of their average is {numbers(wanted)}; it is {numbers(got)}"
        )


def with_weights(*weights: float) -> Inputs:
    """One image with these weights, split unevenly over the three arguments."""
    log_w = torch.tensor(weights, dtype=torch.float64).log()[:, None]
    prior, posterior = torch.full_like(log_w, -2.0), torch.full_like(log_w, -0.5)
    return {"log_likelihood": log_w - prior + posterior, "log_prior": prior, "log_posterior": posterior}


def any_order(form: Form, inputs: Inputs) -> None:
    """Which draw came first does not matter."""
    there = as_array(form(fresh(inputs)))
    back = as_array(form({name: value.flip(0) for name, value in inputs.items()}))
    if not agree(back, there, tolerance(inputs)):
        raise Broken(f"it is {numbers(there)}, and with the draws in reverse order {numbers(back)}")


def repeated(form: Form, inputs: Inputs) -> None:
    """Counting every draw twice says nothing new."""
    once = as_array(form(fresh(inputs)))
    twice = as_array(form({name: torch.cat([value, value]) for name, value in inputs.items()}))
    if not agree(twice, once, tolerance(inputs)):
        raise Broken(f"it is {numbers(once)}, and with every draw counted twice {numbers(twice)}")


def _naive(**inputs: Tensor) -> Tensor:
    return log_weights(**inputs).exp().mean(dim=0).log()


MISTAKES = (
    Mistake(
        "exponential of the weights",
        _naive,
        "the mathematics is right, and the computer runs out of numbers: exp(−12,000) is zero to it. Take the largest "
        "log-weight out before you exponentiate.",
        inputs=of_images,
    ),
    Mistake(
        "average of logarithms",
        lambda **i: log_weights(**i).mean(dim=0),
        "you take the logarithm of each weight and then average. That is the ELBO, whatever K is. What comes first "
        "here?",
    ),
    Mistake(
        "log K forgotten",
        lambda **i: log_weights(**i).logsumexp(dim=0),
        "this is the sum of the weights. An estimate of the evidence is their average, or it would grow with every "
        "draw.",
    ),
    Mistake(
        "log K added",
        lambda **i: oracle(**i) + 2 * np.log(len(i["log_prior"])),
        "log K is there, with the wrong sign.",
    ),
    Mistake(
        "log K twice",
        lambda **i: oracle(**i) - np.log(len(i["log_prior"])),
        "it is divided by K once too often.",
    ),
    Mistake(
        "divided by K in the logarithm's world",
        lambda **i: log_weights(**i).logsumexp(dim=0) / len(i["log_prior"]),
        "the logarithm of the sum is divided by K. What happens to a division when a logarithm is taken?",
    ),
    Mistake(
        "average over images",
        lambda **i: log_weights(**i).logsumexp(dim=1) - np.log(i["log_prior"].shape[1]),
        "you average over the images and keep the draws. Which axis of (K, B) is which?",
    ),
    Mistake(
        "posterior multiplied",
        lambda **i: oracle(**{**i, "log_posterior": -i["log_posterior"]}),
        "q has the wrong sign: a code that q visits too often should count for less.",
    ),
    Mistake(
        "posterior forgotten",
        lambda **i: oracle(**{**i, "log_posterior": torch.zeros_like(i["log_posterior"])}),
        "q is missing. The draws do not come from the prior, and the weight has to make up for that.",
    ),
    Mistake(
        "prior forgotten",
        lambda **i: oracle(**{**i, "log_prior": torch.zeros_like(i["log_prior"])}),
        "the prior is missing: p(x, z) = p(x | z) p(z).",
    ),
    Mistake(
        "prior and posterior ignored",
        lambda log_likelihood, **others: oracle(
            log_likelihood=log_likelihood, **{name: torch.zeros_like(value) for name, value in others.items()}
        ),
        "this is right for codes that are drawn from the prior. Here they come from q.",
    ),
    Mistake(
        "prior and posterior swapped",
        lambda log_likelihood, log_prior, log_posterior: oracle(
            log_likelihood=log_likelihood, log_prior=log_posterior, log_posterior=log_prior
        ),
        "prior and posterior have changed places in the weight.",
    ),
    Mistake(
        "the best draw only",
        lambda **i: log_weights(**i).amax(dim=0),
        "this is the largest log-weight alone. Several draws of the same weight should count, too.",
    ),
    Mistake(
        "self-normalised average",
        lambda **i: (log_weights(**i).softmax(dim=0) * log_weights(**i)).sum(dim=0),
        "this averages log w with the weights themselves, which bounds nothing. Where does the logarithm stand?",
    ),
    Mistake(
        "sign of the whole",
        lambda **i: -oracle(**i),
        "this is the negative bound, a loss. The task asks for the bound.",
    ),
    Mistake(
        "one number for all images",
        lambda **i: oracle(**i).mean(),
        "this is one number for the batch. The task asks for the bound of each image, (B,).",
    ),
    Mistake(
        "averaged over draws and images at once",
        lambda **i: log_weights(**i).flatten().logsumexp(dim=0) - np.log(i["log_prior"].numel()),
        "you average the weights of different images with each other. Each image has its own evidence.",
    ),
)

TASK = Task(
    id="02.bound",
    title="The importance-weighted bound",
    points=5,
    arguments=ARGUMENTS,
    oracle=oracle,
    usual=usual,
    properties=(
        Property("one draw gives log w", lambda draw: draws(draw, 1, draw.size(1, 3)), repeats=2),
        Property(
            "it is the logarithm of the average weight",
            lambda draw: with_weights(0.25, 0.5, 0.75),
            by_fractions,
            repeats=1,
        ),
        Property("the order of the draws does not matter", usual, any_order, repeats=3),
        Property("counting every draw twice changes nothing", usual, repeated, repeats=3),
        Property("it gives one bound for each image, over the right axis", usual, repeats=6),
        Property("it works for log-probabilities of images, thousands of nats below zero", of_images),
        Property("it works for log-densities of images, thousands of nats above zero", densities),
        Property(
            "it works in float32, and for many draws",
            lambda draw: draws(draw, draw.size(10, 200), draw.size(1, 9), torch.float32, -100.0),
        ),
        Property(
            "one draw may outweigh all others",
            lambda draw: {
                **with_weights(1.0, 1e-30, 1e-3),
                "log_prior": torch.tensor([[-2.0], [-900.0], [-400.0]]).double(),
            },
            repeats=1,
        ),
    ),
    mistakes=MISTAKES,
)
