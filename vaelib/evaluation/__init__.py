"""How good a model is, in numbers that carry how they were made.

The Fréchet and kernel distances use the features of EfficientNet-Lite0 and are not the FID and KID of papers, which use
those of an Inception network: compare them with each other and with nothing else.
"""

from vaelib.evaluation.distances import (
    distances,
    frechet_between_features,
    frechet_distance,
    kernel_between_features,
    kernel_distance,
)
from vaelib.evaluation.evaluate import evaluate
from vaelib.evaluation.features import FEATURES, FeatureNetwork, image_features
from vaelib.evaluation.latents import ActiveUnits, active_units
from vaelib.evaluation.protocol import Measurement, Protocol, average
from vaelib.evaluation.sharpness import image_sharpness, sharpness, sharpness_closeness
from vaelib.evaluation.spectra import power_spectrum, radial_power_spectrum

__all__ = [
    "FEATURES",
    "ActiveUnits",
    "FeatureNetwork",
    "Measurement",
    "Protocol",
    "active_units",
    "average",
    "distances",
    "evaluate",
    "frechet_between_features",
    "frechet_distance",
    "image_features",
    "image_sharpness",
    "kernel_between_features",
    "kernel_distance",
    "power_spectrum",
    "radial_power_spectrum",
    "sharpness",
    "sharpness_closeness",
]
