"""How good a model is, in numbers that carry how they were made.

The Fréchet and kernel distances use the features of EfficientNet-Lite0 and are not the FID and KID of papers, which use
those of an Inception network: compare them with each other and with nothing else.
"""

from vaelib.evaluation.bounds import ImportanceWeightedBound, importance_weighted_bound
from vaelib.evaluation.costs import CostAssumptions, ModelCost, model_cost, without_numbers
from vaelib.evaluation.disentanglement import (
    DCI,
    BetaVAEScore,
    FactorVAEScore,
    MutualInformationGap,
    SAPScore,
    beta_vae_score,
    dci,
    factor_vae_score,
    mutual_information_gap,
    sap_score,
)
from vaelib.evaluation.distances import (
    distances,
    frechet_between_features,
    frechet_distance,
    kernel_between_features,
    kernel_distance,
)
from vaelib.evaluation.evaluate import evaluate
from vaelib.evaluation.features import FEATURES, FeatureNetwork, image_features
from vaelib.evaluation.latents import ActiveUnits, active_units, aggregate_codes, posterior_means
from vaelib.evaluation.protocol import Measurement, Protocol, average
from vaelib.evaluation.rate_distortion import (
    ElboDecomposition,
    RateDistortion,
    RateTerms,
    elbo_decomposition,
    log_aggregate_posterior,
    rate_distortion,
    rate_terms,
)
from vaelib.evaluation.sharpness import image_sharpness, sharpness, sharpness_closeness
from vaelib.evaluation.spectra import power_spectrum, radial_power_spectrum

__all__ = [
    "DCI",
    "CostAssumptions",
    "ModelCost",
    "model_cost",
    "without_numbers",
    "FEATURES",
    "ActiveUnits",
    "BetaVAEScore",
    "ElboDecomposition",
    "FactorVAEScore",
    "FeatureNetwork",
    "ImportanceWeightedBound",
    "Measurement",
    "MutualInformationGap",
    "Protocol",
    "RateDistortion",
    "RateTerms",
    "SAPScore",
    "active_units",
    "aggregate_codes",
    "average",
    "beta_vae_score",
    "dci",
    "distances",
    "elbo_decomposition",
    "evaluate",
    "factor_vae_score",
    "frechet_between_features",
    "frechet_distance",
    "image_features",
    "image_sharpness",
    "importance_weighted_bound",
    "kernel_between_features",
    "kernel_distance",
    "log_aggregate_posterior",
    "mutual_information_gap",
    "posterior_means",
    "power_spectrum",
    "radial_power_spectrum",
    "rate_distortion",
    "rate_terms",
    "sap_score",
    "sharpness",
    "sharpness_closeness",
]
