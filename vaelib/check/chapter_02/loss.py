"""02.loss: the negative ELBO by one draw, with gradients (notebooks 2.2 and 2.3)."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence

from vaelib.check.answer import Form, Trouble, as_array, fresh
from vaelib.check.compare import Behaviour, Inputs, agree, numbers, tolerance
from vaelib.check.draw import Draw
from vaelib.check.task import Broken, Mistake, Property, Task

ARGUMENTS = ("x", "mean", "log_variance", "epsilon", "decode", "variance_x", "beta")


class Decoder(nn.Module):
    """A small decoder, (B, D) → (B, n): bent, so that one cannot average over the noise by hand."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, z: Tensor) -> Tensor:
        return torch.sigmoid(z @ self.weight)

    def __repr__(self) -> str:
        return f"a function of z: sigmoid(z @ W), W = {numbers(self.weight)}"


def oracle(
    x: Tensor, mean: Tensor, log_variance: Tensor, epsilon: Tensor, decode: nn.Module, variance_x: float, beta: float
) -> Tensor:
    """PyTorch's densities and divergences."""
    distortion, rate = terms(x, mean, log_variance, epsilon, decode, variance_x)
    return distortion + beta * rate


def terms(
    x: Tensor, mean: Tensor, log_variance: Tensor, epsilon: Tensor, decode: nn.Module, variance_x: float
) -> tuple[Tensor, Tensor]:
    """Distortion and rate of each image, in nats."""
    q = Independent(Normal(mean, torch.sqrt(torch.exp(log_variance))), 1)
    z = q.base_dist.loc + q.base_dist.scale * epsilon
    distortion = -Independent(Normal(decode(z), math.sqrt(variance_x)), 1).log_prob(x)
    prior = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1)
    return distortion, kl_divergence(q, prior)


def batch(draw: Draw, images: int, pixels: int, latents: int, dtype: torch.dtype = torch.float64) -> Inputs:
    """Some images with what an encoder said about them, noise, and a decoder."""
    return {
        "x": draw.normal(images, pixels, mean=0.5, scale=0.3, dtype=dtype).clamp(0, 1),
        "mean": draw.normal(images, latents, dtype=dtype).requires_grad_(),
        "log_variance": draw.normal(images, latents, mean=-1, dtype=dtype).requires_grad_(),
        "epsilon": draw.normal(images, latents, dtype=dtype),
        "decode": Decoder(draw.normal(latents, pixels, dtype=dtype)),
        "variance_x": draw.number(0.02, 0.5),
        "beta": draw.number(0.3, 4.0),
    }


def usual(draw: Draw) -> Inputs:
    return batch(draw, draw.size(2, 4), draw.size(3, 8), draw.size(2, 5))


def behaviour(form: Form, inputs: Inputs) -> Behaviour:
    """The loss of each image, and its gradients for encoder and decoder."""
    given = fresh(inputs)
    loss = form(given)
    seen = {"the loss": as_array(loss, "the loss")}
    if not isinstance(loss, Tensor):
        raise Trouble(f"the loss should be a tensor, so that it has a gradient; it is a {type(loss).__name__}", "type")
    leaves = {"mean": given["mean"], "log_variance": given["log_variance"], "the decoder": given["decode"].weight}
    slopes: tuple[Tensor | None, ...] = (None,) * len(leaves)
    if loss.requires_grad:
        slopes = torch.autograd.grad(loss.sum(), list(leaves.values()), allow_unused=True)
    for (name, leaf), slope in zip(leaves.items(), slopes, strict=True):
        # A gradient that never arrives is one of zero to the optimiser.
        seen[f"the gradient for {name}"] = as_array(torch.zeros_like(leaf) if slope is None else slope)
    return seen


def weighs_the_rate(form: Form, inputs: Inputs) -> None:
    """A larger β adds nats of rate, and as many as the rate has."""
    at = [as_array(form(fresh({**inputs, "beta": beta}))) for beta in (1.0, 2.0, 5.0)]
    rate = as_array(terms(**{name: value for name, value in inputs.items() if name != "beta"})[1])
    for beta, loss in ((2.0, at[1]), (5.0, at[2])):
        if not agree(loss - at[0], (beta - 1) * rate, tolerance(inputs)):
            raise Broken(
                f"from β = 1 to β = {beta:g} the loss changes by {numbers(loss - at[0])}, and the rate is "
                f"{numbers(rate)}"
            )


def changed(
    x: Tensor,
    mean: Tensor,
    log_variance: Tensor,
    epsilon: Tensor,
    decode: nn.Module,
    variance_x: float,
    beta: float,
    *,
    std: str = "exp(s/2)",
    detached: bool = False,
    distortion: float = 1.0,
    rate: float = 1.0,
    constant: float = 1.0,
) -> Tensor:
    """The loss with one thing changed in it: how the draw is made, or the weight of a term."""
    spread: dict[str, Any] = {
        "exp(s/2)": (log_variance / 2).exp(),
        "exp(s)": log_variance.exp(),
        "s": log_variance,
        "0": 0,
        "prior": 1,
    }
    z = spread[std] * epsilon if std == "prior" else mean + spread[std] * epsilon
    squared = ((x - decode(z.detach() if detached else z)) ** 2).sum(dim=1) / (2 * variance_x)
    nats = squared + constant * x.shape[1] / 2 * math.log(2 * math.pi * variance_x)
    price = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1)
    return distortion * nats + beta * rate * price


MISTAKES = (
    Mistake(
        "no reparameterisation",
        lambda **i: changed(**i, detached=True),
        "the value is right, and the encoder's gradient is not: it never hears of the distortion. Is the draw made in "
        "a way that lets a derivative through?",
    ),
    Mistake(
        "no gradient at all",
        lambda **i: oracle(**i).detach(),
        "the value is right and has no gradient. Something turns the tensors into plain numbers (detach, item, numpy, "
        "no_grad).",
    ),
    Mistake(
        "no ½ in σ",
        lambda **i: changed(**i, std="exp(s)"),
        "your draws have the standard deviation σ². What is the square root of exp(log σ²)?",
    ),
    Mistake(
        "σ for log σ²",
        lambda **i: changed(**i, std="s"),
        "the encoder's second number is taken for σ itself where the draw is made. It is the logarithm of a variance, "
        "and may be negative.",
    ),
    Mistake(
        "no noise",
        lambda **i: changed(**i, std="0"),
        "the decoder sees the mean of the posterior, not a draw from it: that is an autoencoder with a penalty.",
    ),
    Mistake(
        "prior in place of posterior",
        lambda **i: changed(**i, std="prior"),
        "the code that is decoded knows nothing about x: it is drawn from the prior. That is right for new images; "
        "the bound averages over the posterior.",
    ),
    Mistake(
        "no ½ in the KL",
        lambda **i: changed(**i, rate=2.0),
        "the rate is twice too large, which is a β-VAE with twice the β that it was told.",
    ),
    Mistake(
        "rate subtracted",
        lambda **i: changed(**i, rate=-1.0),
        "the rate has the wrong sign: codes would be paid for being expensive. Mind which of ELBO and loss you are "
        "writing.",
    ),
    Mistake(
        "rate forgotten",
        lambda **i: changed(**i, rate=0.0),
        "the code costs nothing in yours, whatever it says. Which term of the bound is missing?",
    ),
    Mistake(
        "β on the distortion",
        lambda **i: changed(**i, distortion=i["beta"], rate=1 / i["beta"]),
        "β is on the wrong term. It is the price of a nat of rate.",
    ),
    Mistake(
        "β on both",
        lambda **i: changed(**i, distortion=i["beta"]),
        "β multiplies the whole bound, which changes nothing but the learning rate. It is the price of a nat of rate.",
    ),
    Mistake(
        "β forgotten",
        lambda **i: changed(**i, rate=1 / i["beta"]),
        "the rate counts once, whatever β is.",
    ),
    Mistake(
        "mean over pixels",
        lambda **i: changed(**i, distortion=1 / i["x"].shape[1]),
        "the distortion is divided by the number of pixels and the rate is not: that is a β as large as the image. "
        "Which of sum and mean does the logarithm of a product give?",
    ),
    Mistake(
        "mean over latents",
        lambda **i: changed(**i, rate=1 / i["mean"].shape[1]),
        "the rate is divided by the number of latents: that is a β below 1 in disguise. Independent latents add up.",
    ),
    Mistake(
        "constant forgotten",
        lambda **i: changed(**i, constant=0.0),
        "the gradient is right, and the value is off by something that does not depend on the networks. A density that "
        "integrates to one has a factor in front. Without it these are no nats.",
    ),
    Mistake(
        "constant of one pixel",
        lambda **i: changed(**i, constant=1 / i["x"].shape[1]),
        "the normalising constant of the Gaussian is counted once, and there is one for every pixel.",
    ),
    Mistake(
        "σ for σ² in the likelihood",
        lambda **i: oracle(**{**i, "variance_x": i["variance_x"] ** 2}),
        "variance_x is taken for a standard deviation and squared once more.",
    ),
    Mistake(
        "squared error alone",
        lambda **i: changed(**{**i, "variance_x": 0.5}, constant=0.0),
        "the distortion is the bare squared error: that is a Gaussian of variance ½ without its constant, whatever "
        "variance_x says.",
    ),
    Mistake(
        "sign of the whole",
        lambda **i: -oracle(**i),
        "this is the ELBO, which is to be raised. The task asks for its negative.",
    ),
    Mistake(
        "mean over images",
        lambda **i: oracle(**i).mean(),
        "this is one number for the batch. The task asks for the loss of each image, (B,).",
    ),
)

TASK = Task(
    id="02.loss",
    title="The negative ELBO by one draw",
    points=6,
    arguments=ARGUMENTS,
    oracle=oracle,
    usual=usual,
    properties=(
        Property(
            "for one image it is distortion + β · rate in nats, with the right gradients",
            lambda draw: batch(draw, 1, 2, 1),
            repeats=3,
        ),
        Property("β is the price of a nat of rate", usual, weighs_the_rate, repeats=3),
        Property("it gives one loss for each image, with the right gradients", usual, repeats=6),
        Property(
            "it works in float32, for many pixels and latents",
            lambda draw: batch(draw, draw.size(1, 6), draw.size(20, 200), draw.size(4, 16), torch.float32),
        ),
        Property(
            "it is right for a posterior that is nearly a point",
            lambda draw: {**batch(draw, 2, 3, 2), "log_variance": draw.normal(2, 2, mean=-12.0).requires_grad_()},
        ),
    ),
    mistakes=MISTAKES,
    observe=behaviour,
    torch_only=True,
)
