"""How good a model is, in numbers that carry how they were made.

By default, everything that compares images by features uses those of EfficientNet-Lite0. Its Fréchet and kernel
distances are not the FID and KID of papers: compare them with each other and with nothing else. `features="inception"`
takes the network of FID, whose weights you have to fetch yourself.
"""

from vaelib.evaluation.bounds import ImportanceWeightedBound, importance_weighted_bound
from vaelib.evaluation.compare import Entrant, Gallery, compare, gallery, sampling_time
from vaelib.evaluation.comparison import Budget, Cell, Column, Comparison, Difference, Number, Run, Subject
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
from vaelib.evaluation.floors import FLOORS, floor_images, floor_measurements
from vaelib.evaluation.latents import ActiveUnits, active_units, aggregate_codes, posterior_means
from vaelib.evaluation.manifold import (
    ManifoldEstimates,
    ManifoldScores,
    expected_coverage,
    manifold_scores,
    manifold_scores_between_features,
)
from vaelib.evaluation.memorisation import Memorisation, memorisation
from vaelib.evaluation.neighbours import Neighbours, nearest_neighbours
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
from vaelib.evaluation.reconstruction import image_psnr, image_squared_error, image_ssim, psnr, squared_error, ssim
from vaelib.evaluation.sharpness import image_sharpness, sharpness, sharpness_closeness
from vaelib.evaluation.spectra import power_spectrum, radial_power_spectrum

__all__ = [
    "DCI",
    "FEATURES",
    "FLOORS",
    "ActiveUnits",
    "BetaVAEScore",
    "Budget",
    "Cell",
    "Column",
    "Comparison",
    "CostAssumptions",
    "Difference",
    "ElboDecomposition",
    "Entrant",
    "FactorVAEScore",
    "FeatureNetwork",
    "Gallery",
    "ImportanceWeightedBound",
    "ManifoldEstimates",
    "ManifoldScores",
    "Measurement",
    "Memorisation",
    "ModelCost",
    "MutualInformationGap",
    "Neighbours",
    "Number",
    "Protocol",
    "RateDistortion",
    "RateTerms",
    "Run",
    "SAPScore",
    "Subject",
    "active_units",
    "aggregate_codes",
    "average",
    "beta_vae_score",
    "compare",
    "dci",
    "distances",
    "elbo_decomposition",
    "evaluate",
    "expected_coverage",
    "factor_vae_score",
    "floor_images",
    "floor_measurements",
    "frechet_between_features",
    "frechet_distance",
    "gallery",
    "image_features",
    "image_psnr",
    "image_sharpness",
    "image_squared_error",
    "image_ssim",
    "importance_weighted_bound",
    "kernel_between_features",
    "kernel_distance",
    "log_aggregate_posterior",
    "manifold_scores",
    "manifold_scores_between_features",
    "memorisation",
    "model_cost",
    "mutual_information_gap",
    "nearest_neighbours",
    "posterior_means",
    "power_spectrum",
    "psnr",
    "radial_power_spectrum",
    "rate_distortion",
    "rate_terms",
    "sampling_time",
    "sap_score",
    "sharpness",
    "sharpness_closeness",
    "squared_error",
    "ssim",
    "without_numbers",
]
