"""Distributions, likelihoods and divergences: the mathematics that the models are made of."""

from vaelib.probability.bernoulli import Bernoulli, BernoulliLikelihood
from vaelib.probability.distributions import (
    DiagonalGaussian,
    Distribution,
    PointMass,
    kl_sampled,
    kl_standard_normal,
)
from vaelib.probability.equivalence import (
    equivalent_beta,
    equivalent_variance,
    kl_weight_beside_mse,
    variance_of_kl_weight,
)
from vaelib.probability.gaussian import (
    FixedGaussianLikelihood,
    ImageGaussian,
    LearnedGaussianLikelihood,
    PerPixelGaussianLikelihood,
)
from vaelib.probability.laplace import ImageLaplace, Laplace, LaplaceLikelihood
from vaelib.probability.likelihood import Likelihood, check_unit_range
from vaelib.probability.logistic_mixture import DiscretisedLogisticMixture, LogisticMixtureLikelihood
from vaelib.probability.units import bits_per_dimension

__all__ = [
    "Bernoulli",
    "BernoulliLikelihood",
    "DiagonalGaussian",
    "DiscretisedLogisticMixture",
    "Distribution",
    "FixedGaussianLikelihood",
    "ImageGaussian",
    "ImageLaplace",
    "Laplace",
    "LaplaceLikelihood",
    "LearnedGaussianLikelihood",
    "Likelihood",
    "LogisticMixtureLikelihood",
    "PerPixelGaussianLikelihood",
    "PointMass",
    "bits_per_dimension",
    "check_unit_range",
    "equivalent_beta",
    "equivalent_variance",
    "kl_sampled",
    "kl_standard_normal",
    "kl_weight_beside_mse",
    "variance_of_kl_weight",
]
