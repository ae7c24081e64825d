"""Is each factor of the data in a latent of its own? Five scores, each with its own idea of what that means.

All five read codes (N, D), which a model gave to N images, beside the true factors (N, K) of these images. The first
two hold a factor fixed and look at what stands still; the other three ask what the codes know of each factor. They
often disagree (Locatello et al. 2019): read the matrices that come with the numbers, and never one score alone.

A rotation of the code leaves its information as it was, and with an N(0, I) prior the likelihood too; but rotate two
factors by 45°, and every one of these scores is at chance. They measure the axes.

What they share: but for the luck of the draws, no score changes when latents change order, sign or scale. A constant
latent is legal and counts for nothing.

How many rows? With 10,000, every score in `benchmarks/disentanglement_samples.py` had a spread below 0.01 (40 classes
at most). Bias goes further: at entangled codes the FactorVAE score still rises and DCI still falls between 10,000 and
20,000 rows. So take 10,000 if you can, and compare scores at one number of rows only.
"""

from vaelib.evaluation.disentanglement.fixing import (
    BetaVAEScore,
    FactorVAEScore,
    beta_vae_score,
    factor_vae_score,
)
from vaelib.evaluation.disentanglement.information import MutualInformationGap, mutual_information_gap
from vaelib.evaluation.disentanglement.predicting import DCI, SAPScore, dci, sap_score

__all__ = [
    "DCI",
    "BetaVAEScore",
    "FactorVAEScore",
    "MutualInformationGap",
    "SAPScore",
    "beta_vae_score",
    "dci",
    "factor_vae_score",
    "mutual_information_gap",
    "sap_score",
]
