"""Distributions, likelihoods and divergences: the mathematics that the models are made of."""

from vaelib.probability.adversary import Adversary, adversary_accuracy, adversary_loss, jensen_shannon_bound
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
from vaelib.probability.mmd import (
    InverseMultiquadratic,
    RadialBasis,
    TwoSampleTest,
    maximum_mean_discrepancy_squared,
    mean_embedding,
    squared_distances,
    two_sample_test,
    witness,
)
from vaelib.probability.transport import (
    TransportPlan,
    optimal_transport,
    sinkhorn,
    wasserstein,
    wasserstein_1d,
)
from vaelib.probability.units import bits_per_dimension

__all__ = [
    "Adversary",
    "Bernoulli",
    "BernoulliLikelihood",
    "DiagonalGaussian",
    "DiscretisedLogisticMixture",
    "Distribution",
    "FixedGaussianLikelihood",
    "ImageGaussian",
    "ImageLaplace",
    "InverseMultiquadratic",
    "Laplace",
    "LaplaceLikelihood",
    "LearnedGaussianLikelihood",
    "Likelihood",
    "LogisticMixtureLikelihood",
    "PerPixelGaussianLikelihood",
    "PointMass",
    "RadialBasis",
    "TransportPlan",
    "TwoSampleTest",
    "adversary_accuracy",
    "adversary_loss",
    "bits_per_dimension",
    "check_unit_range",
    "equivalent_beta",
    "equivalent_variance",
    "jensen_shannon_bound",
    "kl_sampled",
    "kl_standard_normal",
    "kl_weight_beside_mse",
    "maximum_mean_discrepancy_squared",
    "mean_embedding",
    "optimal_transport",
    "sinkhorn",
    "squared_distances",
    "two_sample_test",
    "variance_of_kl_weight",
    "wasserstein",
    "wasserstein_1d",
    "witness",
]
