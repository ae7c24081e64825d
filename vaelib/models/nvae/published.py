"""The published configurations. They need many GPUs for days; on the meta device they cost nothing:

    with torch.device("meta"):
        model = NVAE(celeba64())

Source: Vahdat & Kautz 2020, table 6, and the README of its public code.
"""

from vaelib.models.nvae.config import NVAEConfig, adaptive_groups
from vaelib.probability.bernoulli import BernoulliLikelihood
from vaelib.probability.logistic_mixture import LogisticMixtureLikelihood


def mnist() -> NVAEConfig:
    """MNIST, binarised, padded to 32×32: 33.4 M parameters, 15 groups at 2 scales."""
    return NVAEConfig(
        image_shape=(1, 28, 28),
        likelihood=BernoulliLikelihood(),
        encoder_width=32,
        decoder_width=32,
        groups=adaptive_groups(2, 10),
        encoder_cells=2,
        decoder_cells=2,
        blocks=2,
        pre_cells=3,
        post_cells=3,
        padded_side=32,
    )


def cifar10() -> NVAEConfig:
    """CIFAR-10: 130.9 M parameters, 30 groups at one scale."""
    return NVAEConfig(
        image_shape=(3, 32, 32),
        likelihood=LogisticMixtureLikelihood(tails="nvae"),
        encoder_width=128,
        decoder_width=128,
        groups=(30,),
        encoder_cells=2,
        decoder_cells=2,
        flows=1,
    )


def celeba64() -> NVAEConfig:
    """CelebA at 64×64: 153.3 M parameters, 35 groups at 3 scales."""
    return NVAEConfig(
        image_shape=(3, 64, 64),
        likelihood=LogisticMixtureLikelihood(tails="nvae"),
        encoder_width=64,
        decoder_width=64,
        groups=adaptive_groups(3, 20),
        encoder_cells=2,
        decoder_cells=2,
        flows=1,
        regularisation=0.1,
    )


def celebahq256() -> NVAEConfig:
    """CelebA-HQ at 256×256 and 5 bits: 36 groups at 5 scales."""
    return _five_bits(regularisation=0.01)


def ffhq256() -> NVAEConfig:
    """FFHQ at 256×256 and 5 bits: the same network, regularised more."""
    return _five_bits(regularisation=0.1)


def _five_bits(regularisation: float) -> NVAEConfig:
    return NVAEConfig(
        image_shape=(3, 256, 256),
        likelihood=LogisticMixtureLikelihood(bits=5, tails="nvae"),
        encoder_width=30,
        decoder_width=30,
        groups=adaptive_groups(5, 16, minimum=4),
        encoder_cells=2,
        decoder_cells=2,
        flows=2,
        regularisation=regularisation,
        regularisation_start=1.0,
    )
