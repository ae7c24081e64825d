"""One file per idea: what each chapter adds to the one before."""

from vaelib.data.image_set import Batch
from vaelib.models.autoencoder import Autoencoder, AutoencoderConfig
from vaelib.models.base import Loss, Model, Player, Progress, inference
from vaelib.models.beta_tcvae import (
    BetaTCVAE,
    BetaTCVAEConfig,
    MinibatchRateTerms,
    minibatch_rate_terms,
    minibatch_weights,
)
from vaelib.models.beta_vae import BetaVAE, BetaVAEConfig, CapacityVAE, CapacityVAEConfig
from vaelib.models.conditional import ConditionalVAE, ConditionalVAEConfig, GivenLabel
from vaelib.models.ladder_vae import LadderEncoding, LadderVAE, LadderVAEConfig, precision_weighted
from vaelib.models.nvae import NVAE, NVAEConfig
from vaelib.models.vae import VAE, Bound, VAEConfig
from vaelib.models.wae import WAE, WAEConfig, moment_mismatch, penalty_weight_in_nats

MODELS: dict[str, type[Model]] = {
    model.kind: model
    for model in (Autoencoder, VAE, BetaVAE, CapacityVAE, BetaTCVAE, ConditionalVAE, WAE, LadderVAE, NVAE)
}
"""Every model by its kind, the name in `config.json` and on the command line."""

__all__ = [
    "MODELS",
    "NVAE",
    "VAE",
    "WAE",
    "Autoencoder",
    "AutoencoderConfig",
    "Batch",
    "BetaTCVAE",
    "BetaTCVAEConfig",
    "BetaVAE",
    "BetaVAEConfig",
    "Bound",
    "CapacityVAE",
    "CapacityVAEConfig",
    "ConditionalVAE",
    "ConditionalVAEConfig",
    "GivenLabel",
    "LadderEncoding",
    "LadderVAE",
    "LadderVAEConfig",
    "Loss",
    "MinibatchRateTerms",
    "Model",
    "NVAEConfig",
    "Player",
    "Progress",
    "VAEConfig",
    "WAEConfig",
    "inference",
    "minibatch_rate_terms",
    "minibatch_weights",
    "moment_mismatch",
    "penalty_weight_in_nats",
    "precision_weighted",
]
