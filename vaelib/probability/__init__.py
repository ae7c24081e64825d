"""Distributions, likelihoods and divergences: the mathematics that the models are made of."""

from vaelib.probability.distributions import (
    DiagonalGaussian,
    Distribution,
    PointMass,
    kl_sampled,
    kl_standard_normal,
)
from vaelib.probability.gaussian import FixedGaussianLikelihood
from vaelib.probability.likelihood import Likelihood

__all__ = [
    "DiagonalGaussian",
    "Distribution",
    "FixedGaussianLikelihood",
    "Likelihood",
    "PointMass",
    "kl_sampled",
    "kl_standard_normal",
]
