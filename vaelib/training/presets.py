"""Named runs: a model, its data and its training, in three sizes.

`smoke` runs in seconds and learns nothing to speak of; `cpu` is what the book shows, minutes on two cores; `gpu` is the
full thing. No paper trained on these faces or digits, so all settings here are ours, unless they name a paper.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from vaelib.config import near_miss
from vaelib.models import MODELS, Model
from vaelib.models.autoencoder import AutoencoderConfig
from vaelib.models.beta_tcvae import BetaTCVAEConfig
from vaelib.models.beta_vae import BetaVAEConfig, CapacityVAEConfig
from vaelib.models.conditional import ConditionalVAEConfig
from vaelib.models.vae import VAEConfig
from vaelib.networks import Convolutional, FullyConnected, conv64
from vaelib.probability import BernoulliLikelihood, FixedGaussianLikelihood
from vaelib.profiles import PROFILES, Profile
from vaelib.training.config import TrainConfig
from vaelib.training.randomness import seeded


@dataclass(frozen=True)
class Preset:
    """All that `vaelib train NAME` needs to know.

    Attributes:
        name, profile: `vae`, `cpu`.
        kind: of the model; `model`: its settings.
        data: the data set's name; `count`: how many of its training images, None for all.
        train: the settings of the training.
    """

    name: str
    profile: Profile
    kind: str
    model: Any
    data: str
    count: int | None
    train: TrainConfig

    def build(self) -> Model:
        """The untrained model; its weights follow from `train.seed`, and the global generator stays as it was."""
        with seeded(self.train.seed, "weights"):
            return MODELS[self.kind](self.model)


# Four halvings like conv64, at a quarter and at four times its width.
narrow = Convolutional(widths=(8, 16, 32, 64))
wide = Convolutional(widths=(128, 256, 512, 1024))

# A larger σ² makes the rate dearer. In single trials at the small budget, 0.0125 bought more nats than 0.05 for equally
# good reconstructions, and its samples were worse: texture instead of faces.
likelihood = FixedGaussianLikelihood(variance=0.05)

SMOKE = TrainConfig(
    steps=8, batch_size=16, learning_rate=1e-3, ema_decay=0.99, log_every=2, validation_images=32, checkpoint_every=0
)
# 2,000 × 32 = 64,000 images, two and a half minutes at 450 images/s. In so short a run many small steps beat few large
# ones, and a second moment that forgets within a hundred steps beats Adam's thousand. No moving average: it would lag.
CPU = TrainConfig(
    steps=2_000,
    batch_size=32,
    learning_rate=2e-3,
    betas=(0.9, 0.99),
    learning_rate_warmup=50,
    schedule="cosine",
    final_learning_rate=2e-5,
    log_every=40,
    validate_every=400,
    checkpoint_every=400,
)
# 40,000 × 128: 256 times through the 20,000 faces.
GPU = TrainConfig(
    steps=40_000,
    batch_size=128,
    learning_rate=5e-4,
    learning_rate_warmup=1000,
    schedule="cosine",
    final_learning_rate=5e-6,
    gradient_clip=2000.0,
    ema_decay=0.9995,
    log_every=100,
    validate_every=1000,
    validation_images=2000,
    checkpoint_every=1000,
)


# Fully connected networks on small pictures are so fast that more images fit into the same minutes.
SMALL_CPU = dataclasses.replace(CPU, steps=10_000, batch_size=128, learning_rate=1e-3, log_every=100)
# Batch, rate, network and pictures (64×64) are those of Chen et al. 2018, appendix; 18,000 steps are its 50 times
# through all of dSprites.
SPRITES_GPU = dataclasses.replace(
    GPU, steps=18_000, batch_size=2048, learning_rate=1e-3, learning_rate_warmup=0, gradient_clip=None
)
# 8,000 × 64: 128 times through the 4,000 digits, beyond which a larger model learns them by heart.
DIGITS_GPU = dataclasses.replace(GPU, steps=8_000, batch_size=64, learning_rate=1e-3, validation_images=500)


def _sizes(name: str, kind: str, config: Callable[..., Any]) -> dict[Profile, Preset]:
    """The three sizes of a model on faces."""
    return {
        "smoke": Preset(name, "smoke", kind, config(network=narrow, likelihood=likelihood), "faces", 128, SMOKE),
        "cpu": Preset(name, "cpu", kind, config(network=conv64, likelihood=likelihood), "faces", 10_000, CPU),
        "gpu": Preset(
            name, "gpu", kind, config(network=wide, latent_dimension=128, likelihood=likelihood), "faces", None, GPU
        ),
    }


def _sprites(name: str, kind: str, config: Callable[..., Any]) -> dict[Profile, Preset]:
    """The three sizes of a model on sprites, whose factors are known: ten latents, as the papers have."""

    def model(size: int, *widths: int) -> Any:
        network = FullyConnected(widths)
        return config(
            image_shape=(1, size, size), latent_dimension=10, network=network, likelihood=BernoulliLikelihood()
        )

    return {
        "smoke": Preset(name, "smoke", kind, model(32, 64), "sprites", 128, SMOKE),
        "cpu": Preset(name, "cpu", kind, model(32, 512, 256), "sprites", None, SMALL_CPU),
        "gpu": Preset(name, "gpu", kind, model(64, 1200, 1200), "sprites", None, SPRITES_GPU),
    }


def _digits(name: str, kind: str, config: Callable[..., Any]) -> dict[Profile, Preset]:
    """The three sizes of a model on digits, which come with labels."""

    def model(*widths: int) -> Any:
        network = FullyConnected(widths)
        return config(image_shape=(1, 28, 28), latent_dimension=8, network=network, likelihood=BernoulliLikelihood())

    # More steps than these learn the 4,000 digits by heart.
    short = dataclasses.replace(SMALL_CPU, steps=2_000, log_every=40, validation_images=500)
    return {
        "smoke": Preset(name, "smoke", kind, model(64), "digits", 128, SMOKE),
        "cpu": Preset(name, "cpu", kind, model(512, 256), "digits", None, short),
        "gpu": Preset(name, "gpu", kind, model(1024, 512), "digits", None, DIGITS_GPU),
    }


PRESETS: dict[str, dict[Profile, Preset]] = {
    "autoencoder": _sizes("autoencoder", "autoencoder", AutoencoderConfig),
    "vae": _sizes("vae", "vae", VAEConfig),
    "beta_vae": _sizes("beta_vae", "beta_vae", partial(BetaVAEConfig, beta=4.0)),
    "capacity_vae": _sprites("capacity_vae", "capacity_vae", partial(CapacityVAEConfig, capacity=10.0)),
    "beta_tcvae": _sprites("beta_tcvae", "beta_tcvae", partial(BetaTCVAEConfig, beta=6.0)),
    "conditional_vae": _digits("conditional_vae", "conditional_vae", partial(ConditionalVAEConfig, label_sizes=(10,))),
}
"""Every preset, by name and profile."""


def preset(name: str, profile: str = "cpu") -> Preset:
    """The preset of this name, in the size of this profile.

    Raises:
        ValueError: no such preset or profile; the message names the near miss.
    """
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}; there are {', '.join(PRESETS)}.{near_miss(name, PRESETS)}")
    sizes: dict[Any, Preset] = PRESETS[name]
    if profile not in sizes:
        raise ValueError(
            f"there is no profile {profile!r}; there are {', '.join(sizes)}.{near_miss(profile, PROFILES)}"
        )
    return sizes[profile]
