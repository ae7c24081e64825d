"""One knob under three names: β, the variance of a Gaussian likelihood, the weight of the KL beside a squared error.

With a *fixed* variance σ², an image of D dimensions with squared error SSE = Σ (x − μ)² has the distortion

    −log p(x | z) = SSE / (2σ²) + (D/2) ln(2πσ²),

so the objective of a β-VAE is, up to terms without a gradient,

    J(σ², β) = SSE / (2σ²) + β · KL.

Divide by β:         J(σ², β) = β · J(βσ², 1): the VAE with variance βσ² has the same minimiser.
Multiply by 2σ²/D:   SSE/D + (2σ²β/D) · KL: "mean-squared error plus w times KL" with w = 2σ²β/D.

The minimisers agree; these do not: the value of the objective, the size of its gradient (by the factors above: Adam
hardly notices, plain gradient descent does), the density p(x | z) and with it every likelihood and bits per dimension.
With a *learned* variance, or with another likelihood, β is a knob of its own.

Sources: Higgins et al. 2017; Lucas et al. 2019; Rybkin, Daniilidis & Levine 2021.
"""


def equivalent_variance(beta: float, variance: float) -> float:
    """The variance βσ² with which a plain VAE has the minimiser of the β-VAE with variance σ²."""
    return _positive("beta", beta) * _positive("variance", variance)


def equivalent_beta(variance: float, reference_variance: float) -> float:
    """The β that gives a model of variance `reference_variance` the minimiser of a plain VAE of variance `variance`."""
    return _positive("variance", variance) / _positive("reference_variance", reference_variance)


def kl_weight_beside_mse(beta: float, variance: float, dimensions: int, *, range_width: float = 1.0) -> float:
    """The weight w = 2σ²β/D for which MSE + w · KL has the minimiser of the β-VAE with variance σ².

    Args:
        beta: the weight of the rate in nats.
        variance: σ² of the Gaussian likelihood, on the [0, 1] scale.
        dimensions: D = C · H · W, over which the squared error is averaged. For a squared error that is summed over the
            image, give 1. The KL is summed over latents; both are averaged over the batch.
        range_width: the width of the range on which the squared error is taken: 2 for images in [-1, 1], where it is
            four times as large.
    """
    scaled = _positive("variance", variance) * _positive("range_width", range_width) ** 2
    return 2 * scaled * _positive("beta", beta) / _positive("dimensions", dimensions)


def variance_of_kl_weight(weight: float, dimensions: int, *, beta: float = 1.0, range_width: float = 1.0) -> float:
    """The variance σ² = wD / 2β, on the [0, 1] scale, that "MSE + w · KL" amounts to: the inverse of the above."""
    scaled = _positive("weight", weight) * _positive("dimensions", dimensions) / (2 * _positive("beta", beta))
    return scaled / _positive("range_width", range_width) ** 2


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise ValueError(f"{name} should be positive, not {value}")
    return value
