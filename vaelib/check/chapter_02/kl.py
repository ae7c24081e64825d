"""02.kl: what a Gaussian code costs against any other Gaussian (notebook 2.2, "What a code costs")."""

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from vaelib.check.answer import Form, as_array, fresh
from vaelib.check.compare import Inputs, agree, numbers, tolerance
from vaelib.check.draw import Draw
from vaelib.check.task import Broken, Mistake, Property, Task

ARGUMENTS = ("mean_q", "log_variance_q", "mean_p", "log_variance_p")


def oracle(mean_q: Tensor, log_variance_q: Tensor, mean_p: Tensor, log_variance_p: Tensor) -> Tensor:
    """PyTorch's divergence of two normal distributions, in float64."""
    q = Normal(mean_q.double(), (log_variance_q.double() / 2).exp())
    p = Normal(mean_p.double(), (log_variance_p.double() / 2).exp())
    return kl_divergence(q, p).sum(dim=1)


def pair(draw: Draw, images: int, latents: int, dtype: torch.dtype = torch.float64) -> Inputs:
    """Two Gaussians for each image."""
    return {
        name: draw.normal(images, latents, scale=1.0 if name.startswith("mean") else 0.7, dtype=dtype)
        for name in ARGUMENTS
    }


def usual(draw: Draw) -> Inputs:
    return pair(draw, draw.size(2, 5), draw.size(2, 6))


def twice(draw: Draw) -> Inputs:
    """The same Gaussian as q and as p."""
    one = pair(draw, draw.size(1, 4), draw.size(1, 4))
    return {name: one[name.replace("_p", "_q")] for name in ARGUMENTS}


def single(draw: Draw) -> Inputs:
    return pair(draw, 1, 1)


def integrated(form: Form, inputs: Inputs) -> None:
    """∫ q log(q / p) dz by a fine sum, which knows no formula."""
    q, p = (
        Normal(inputs[f"mean_{name}"][0, 0], (inputs[f"log_variance_{name}"][0, 0] / 2).exp()) for name in ("q", "p")
    )
    z = q.mean + q.stddev * torch.linspace(-12, 12, 4_001, dtype=torch.float64)
    log_q = q.log_prob(z)
    integral = torch.trapezoid(log_q.exp() * (log_q - p.log_prob(z)), z).numpy().reshape(1)
    got = as_array(form(fresh(inputs)))
    if not agree(got, integral, 1e-5):
        raise Broken(f"the answer is {numbers(got)}, and the integral is {numbers(integral)}")


def adds_up(form: Form, inputs: Inputs) -> None:
    """The price of all latents is the sum of the prices of each."""
    together = as_array(form(fresh(inputs)))
    latents = inputs["mean_q"].shape[1]
    alone = [as_array(form({name: value[:, [d]] for name, value in inputs.items()})) for d in range(latents)]
    if not agree(together, np.sum(alone, axis=0), tolerance(inputs)):
        raise Broken(
            f"for all latents together it is {numbers(together)}; one latent at a time and added up it is "
            f"{numbers(np.sum(alone, axis=0))}"
        )


def keeps_order(form: Form, inputs: Inputs) -> None:
    """Images that change places take their prices with them."""
    order = torch.arange(len(inputs["mean_q"])).flip(0)
    there = as_array(form(fresh(inputs)))
    back = as_array(form({name: value[order] for name, value in inputs.items()}))
    if not agree(back, there[order.numpy()], tolerance(inputs)):
        raise Broken(f"it is {numbers(there)}, and with the images in reverse order {numbers(back)}")


def _formula(
    mean_q: Tensor, log_variance_q: Tensor, mean_p: Tensor, log_variance_p: Tensor, **changed: float
) -> Tensor:
    """The four parts of the price of each latent, each with a factor, so that a mistake is a factor."""
    price = oracle_per_latent(mean_q, log_variance_q, mean_p, log_variance_p)
    log_ratio = log_variance_q - log_variance_p
    parts = {
        "moved": (mean_q - mean_p) ** 2 * (-log_variance_p).exp() / 2,
        "log": -log_ratio / 2,
        "one": -0.5 * torch.ones_like(mean_q),
    }
    return (price + sum((factor - 1) * parts[name] for name, factor in changed.items())).sum(dim=1)


def oracle_per_latent(mean_q: Tensor, log_variance_q: Tensor, mean_p: Tensor, log_variance_p: Tensor) -> Tensor:
    """The same by latent, (B, D)."""
    return kl_divergence(Normal(mean_q, (log_variance_q / 2).exp()), Normal(mean_p, (log_variance_p / 2).exp()))


MISTAKES = (
    Mistake(
        "sign of the whole",
        lambda **i: -oracle(**i),
        "this is the divergence with its sign turned round. Is it log q − log p that you average, or log p − log q?",
    ),
    Mistake(
        "½ forgotten",
        lambda **i: 2 * oracle(**i),
        "everything is twice too large. Which factor stands before every term of a Gaussian's log-density?",
    ),
    Mistake(
        "arguments swapped",
        lambda mean_q, log_variance_q, mean_p, log_variance_p: oracle(mean_p, log_variance_p, mean_q, log_variance_q),
        "this is the divergence the other way round, KL(p || q). Under which of the two is the average taken?",
    ),
    Mistake(
        "mean over latents",
        lambda **i: oracle_per_latent(**i).mean(dim=1),
        "you average over the latents. Independent latents pay one after the other: does a code of 64 numbers cost as "
        "much as a code of one?",
    ),
    Mistake(
        "mean over images",
        lambda **i: oracle(**i).mean(),
        "this is one number for the whole batch. The task asks for a price of each image, (B,).",
    ),
    Mistake(
        "sum over everything",
        lambda **i: oracle(**i).sum(),
        "this is one number for the whole batch. The task asks for a price of each image, (B,).",
    ),
    Mistake(
        "wrong axis",
        lambda **i: oracle_per_latent(**i).sum(dim=0),
        "you sum over the images and keep the latents. Which axis of (B, D) is which?",
    ),
    Mistake(
        "nothing summed",
        lambda **i: oracle_per_latent(**i),
        "this is the price of each latent, (B, D). What do independent latents cost together?",
    ),
    Mistake(
        "axis kept",
        lambda **i: oracle(**i)[:, None],
        "the shape is (B, 1). Beside a distortion of shape (B,), broadcasting would make (B, B) of it without a word.",
    ),
    Mistake(
        "σ where σ² stands",
        lambda **i: oracle(**{name: v * (2 if name.startswith("log") else 1) for name, v in i.items()}),
        "your exp(log_variance) is taken for a standard deviation. What does the exponential of a log-variance give?",
    ),
    Mistake(
        "log σ for log σ²",
        lambda **i: _formula(**i, log=0.5),
        "the logarithm has half its weight: is it the logarithm of the standard deviation or of the variance that the "
        "formula needs?",
    ),
    Mistake(
        "sign of the logarithm",
        lambda **i: _formula(**i, log=-1.0),
        "a code that is more precise than p should cost more, and yours costs less. Look at the sign of the logarithm.",
    ),
    Mistake(
        "−1 forgotten",
        lambda **i: _formula(**i, one=0.0),
        "each latent costs half a nat too much, even where q and p are equal. What has to be taken away to make that "
        "zero?",
    ),
    Mistake(
        "p forgotten",
        lambda mean_q, log_variance_q, mean_p, log_variance_p: oracle(
            mean_q, log_variance_q, torch.zeros_like(mean_p), torch.zeros_like(log_variance_p)
        ),
        "this is the divergence from N(0, I), whatever p is. It is the special case that the notebook began with.",
    ),
    Mistake(
        "distance not in units of p",
        lambda **i: _formula(**i, moved=0.0) + ((i["mean_q"] - i["mean_p"]) ** 2 / 2).sum(dim=1),
        "the distance of the two means is measured in plain units. Is a shift by 1 a long way for a very wide p?",
    ),
    Mistake(
        "distance in units of q",
        lambda **i: (
            _formula(**i, moved=0.0) + ((i["mean_q"] - i["mean_p"]) ** 2 * (-i["log_variance_q"]).exp() / 2).sum(dim=1)
        ),
        "the distance of the means is measured in standard deviations of q. It is p's density that q's draws fall "
        "into.",
    ),
    Mistake(
        "distance not squared",
        lambda **i: (
            _formula(**i, moved=0.0) + ((i["mean_q"] - i["mean_p"]) * (-i["log_variance_p"]).exp() / 2).sum(dim=1)
        ),
        "moving q to the left and to the right should cost alike. What is missing on the difference of the means?",
    ),
    Mistake(
        "distance forgotten",
        lambda **i: _formula(**i, moved=0.0),
        "it does not matter to yours where the means are. What does it cost to stand in the wrong place?",
    ),
)

TASK = Task(
    id="02.kl",
    title="The price of a Gaussian code",
    points=4,
    arguments=ARGUMENTS,
    oracle=oracle,
    usual=usual,
    properties=(
        Property(
            "arrays of shape (B, D) give one number for each image, and for one latent it is the integral ∫ q "
            "log(q/p) dz",
            single,
            integrated,
            repeats=6,
        ),
        Property("two equal Gaussians are at divergence zero", twice, repeats=6),
        Property("independent latents add up", usual, adds_up),
        Property("every image has its own price, wherever it stands in the batch", usual, keeps_order),
        Property("it agrees with an independent implementation", usual, repeats=8),
        Property(
            "it agrees in float32 too, and for as many latents as a VAE has",
            lambda draw: pair(draw, draw.size(1, 40), draw.size(1, 64), torch.float32),
        ),
        Property(
            "it is right for codes as precise as a trained encoder's",
            lambda draw: {**pair(draw, 3, 2), "log_variance_q": draw.normal(3, 2, mean=-9.0)},
        ),
    ),
    mistakes=MISTAKES,
)
