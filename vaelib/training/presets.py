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
from vaelib.models.ladder_vae import LadderVAEConfig
from vaelib.models.nvae import NVAEConfig
from vaelib.models.vae import VAEConfig
from vaelib.models.wae import WAEConfig, penalty_weight_in_nats
from vaelib.networks import Convolutional, FullyConnected, WAENetwork, conv64
from vaelib.probability import BernoulliLikelihood, FixedGaussianLikelihood
from vaelib.profiles import PROFILES, Profile
from vaelib.training.config import TrainConfig
from vaelib.training.growing import Stage
from vaelib.training.nvae_presets import (
    FACES64,
    FACES64_STAGES,
    FACES64_TRAINING,
    NANO,
    NANO_STAGES,
    NANO_TRAINING,
)
from vaelib.training.published import PUBLISHED_RUNS
from vaelib.training.randomness import seeded


@dataclass(frozen=True)
class Preset:
    """All that `vaelib train NAME` needs to know.

    Attributes:
        name, profile: `vae`, `cpu`.
        kind: of the model; `model`: its settings.
        data: the data set's name; `count`: how many of its training images, None for all.
        train: the settings of the training.
        crop: of the data, by name, where the set has a choice.
        pretrain_encoder: of a WAE: before the first step the encoder learns the moments of the prior.
        stages: of an NVAE that grows: what is trained before, on smaller pictures.
    """

    name: str
    profile: Profile
    kind: str
    model: Any
    data: str
    count: int | None
    train: TrainConfig
    crop: str | None = None
    pretrain_encoder: bool = False
    stages: tuple[Stage, ...] = ()

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


# 81,400 × 100: 50 times through the 162,770 training images of the official partition (the paper made its own), while
# the learning rate falls a hundredfold.
WAE_GPU = dataclasses.replace(
    GPU,
    steps=81_400,
    batch_size=100,
    learning_rate=1e-3,
    betas=(0.5, 0.999),
    learning_rate_warmup=0,
    schedule="exponential",
    final_learning_rate=1e-5,
    gradient_clip=None,
    ema_decay=0.0,
)


def _wae(
    name: str, published: WAEConfig, learning_rate: float, cpu_training: TrainConfig, **small: Any
) -> dict[Profile, Preset]:
    """The three sizes of a WAE: `smoke` and `cpu` on faces, matched with the VAE; `gpu` as published, on CelebA.

    Args:
        published: the model at full size; the others have its divergence.
        learning_rate: of the full size.
        small: what else is different on faces.
    """
    faces = dataclasses.replace(published, likelihood=likelihood, prior_variance=1.0, **small)
    smoke = dataclasses.replace(faces, network=narrow, adversary_widths=(64, 64))
    cpu = dataclasses.replace(faces, network=conv64, adversary_widths=(256, 256, 256, 256))
    train = dataclasses.replace(WAE_GPU, learning_rate=learning_rate, final_learning_rate=learning_rate / 100)
    return {
        "smoke": Preset(name, "smoke", "wae", smoke, "faces", 128, SMOKE),
        "cpu": Preset(name, "cpu", "wae", cpu, "faces", 10_000, cpu_training),
        "gpu": Preset(name, "gpu", "wae", published, "celeba", None, train, crop="wae-140", pretrain_encoder=True),
    }


# The published set-up for CelebA: network, cost, batch, crop, β₁ and decay are those of the public code of Tolstikhin
# et al. 2018; λ, σ² of the prior and the learning rates, of which that code has several versions, are those of the
# paper's supplement, as far as we know. Left out is noise on the encoder's pixels, of deviation 0.01 on [−1, 1]. The
# published encoder first learns the moments of the prior: `vaelib train` does this, and `model.pretrain_encoder(data)`.
PUBLISHED_MMD = WAEConfig(network=WAENetwork(), penalty="mmd", penalty_weight=100.0, prior_variance=2.0)
PUBLISHED_GAN = WAEConfig(
    network=WAENetwork(), penalty="gan", penalty_weight=1.0, prior_variance=2.0, adversary_learning_rate=10 / 3
)


def _nvae(name: str, config: NVAEConfig, stages: tuple[Stage, ...], training: TrainConfig) -> dict[Profile, Preset]:
    """An NVAE that grows: `cpu` is what the zoo ships, `gpu` the same for five times as long; `smoke` is tiny."""
    tiny = dataclasses.replace(config, image_shape=(3, 32, 32), encoder_width=4, decoder_width=4, groups=(1, 1, 1))
    tiny = dataclasses.replace(tiny, blocks=1, latent_channels=4)
    short = dataclasses.replace(SMOKE, optimiser="adamax", epsilon=1e-3)
    first = Stage(16, short, kl_warmup=0.5)

    def longer(train: TrainConfig) -> TrainConfig:
        return dataclasses.replace(train, steps=5 * train.steps)

    gpu = tuple(dataclasses.replace(one, train=longer(one.train)) for one in stages)
    return {
        "smoke": Preset(name, "smoke", "nvae", tiny, "faces", 128, short, stages=(first,)),
        "cpu": Preset(name, "cpu", "nvae", config, "faces", None, training, stages=stages),
        "gpu": Preset(name, "gpu", "nvae", config, "faces", None, longer(training), stages=gpu),
    }


def _ladder(name: str) -> dict[Profile, Preset]:
    """The three sizes of a ladder VAE on digits, which warms up: in a short run that is worth many nats."""

    def model(*widths: int, latents: tuple[int, ...] = (16, 8)) -> LadderVAEConfig:
        return LadderVAEConfig(latent_widths=latents, widths=widths, kl_warmup=0.5)

    # As for the other models of digits: more steps learn the 4,000 by heart.
    short = dataclasses.replace(SMALL_CPU, steps=2_000, batch_size=100, log_every=40, validation_images=500)
    wide = model(512, 256, 128, latents=(32, 16, 8))
    return {
        "smoke": Preset(name, "smoke", "ladder_vae", model(64, 32, latents=(4, 2)), "digits", 128, SMOKE),
        "cpu": Preset(name, "cpu", "ladder_vae", model(256, 128), "digits", None, short),
        "gpu": Preset(name, "gpu", "ladder_vae", wide, "digits", None, DIGITS_GPU),
    }


PRESETS: dict[str, dict[Profile, Preset]] = {
    "autoencoder": _sizes("autoencoder", "autoencoder", AutoencoderConfig),
    "vae": _sizes("vae", "vae", VAEConfig),
    "beta_vae": _sizes("beta_vae", "beta_vae", partial(BetaVAEConfig, beta=4.0)),
    "capacity_vae": _sprites("capacity_vae", "capacity_vae", partial(CapacityVAEConfig, capacity=10.0)),
    "beta_tcvae": _sprites("beta_tcvae", "beta_tcvae", partial(BetaTCVAEConfig, beta=6.0)),
    "conditional_vae": _digits("conditional_vae", "conditional_vae", partial(ConditionalVAEConfig, label_sizes=(10,))),
    "wae_mmd": _wae(
        "wae_mmd", PUBLISHED_MMD, 1e-3, CPU, penalty_weight=penalty_weight_in_nats(100, likelihood.variance)
    ),
    "wae_gan": _wae(
        "wae_gan",
        PUBLISHED_GAN,
        3e-4,
        # Two players chase each other: momentum of the published length, and an adversary no faster than its rival.
        # Codes that were not pretrained begin as a small heap, of which log p(z) says at first that it came from the
        # prior. In single short trials an adversary that was given log p(z) was wrong more often than right for the
        # 120 steps that we watched; one without was mostly right after 40.
        dataclasses.replace(CPU, betas=(0.5, 0.99)),
        penalty_weight=penalty_weight_in_nats(1, likelihood.variance),
        adversary_log_prior=False,
        adversary_learning_rate=0.5,
    ),
    "ladder_vae": _ladder("ladder_vae"),
    "nvae-nano": _nvae("nvae-nano", NANO, NANO_STAGES, NANO_TRAINING),
    "nvae-faces64": _nvae("nvae-faces64", FACES64, FACES64_STAGES, FACES64_TRAINING),
    **{
        name: {"gpu": Preset(name, "gpu", "nvae", run.model, run.data, None, run.train, crop=run.crop)}
        for name, run in PUBLISHED_RUNS.items()
    },
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
    if profile in PROFILES and profile not in sizes:
        raise ValueError(
            f"{name} is a published training, which exists only in profile gpu (--profile gpu), not in {profile!r}; "
            "nvae-nano and nvae-faces64 are NVAEs for small machines"
        )
    if profile not in sizes:
        raise ValueError(
            f"there is no profile {profile!r}; there are {', '.join(sizes)}.{near_miss(profile, PROFILES)}"
        )
    return sizes[profile]
