"""One file per idea: what each chapter adds to the one before."""

from vaelib.data.image_set import Batch
from vaelib.models.autoencoder import Autoencoder, AutoencoderConfig
from vaelib.models.base import Loss, Model, Player, Progress, inference
from vaelib.models.vae import VAE, VAEConfig

MODELS: dict[str, type[Model]] = {model.kind: model for model in (Autoencoder, VAE)}
"""Every model by its kind, the name in `config.json` and on the command line."""

__all__ = [
    "MODELS",
    "VAE",
    "Autoencoder",
    "AutoencoderConfig",
    "Batch",
    "Loss",
    "Model",
    "Player",
    "Progress",
    "VAEConfig",
    "inference",
]
