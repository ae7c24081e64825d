"""The family of chapter 3: small networks on `sprites` at 32×32, where the true factors are known."""

from functools import cache
from itertools import product
from typing import Any

from torch import Tensor

from vaelib import evaluation
from vaelib.data import ImageSet, load
from vaelib.models import MODELS, Model
from vaelib.networks import FullyConnected
from vaelib.probability import BernoulliLikelihood
from vaelib.training import TrainConfig
from vaelib.zoo.families import Family, Member

SIZE, LATENTS, SEEDS = 32, 10, 3
TEST_IMAGES = 10_000

# What each setting is called, and the field of the config that its value goes into.
SETTINGS: dict[str, tuple[str, str, tuple[float, ...]]] = {
    "beta_vae": ("β-VAE, β = {}", "beta", (0.1, 0.3, 1, 2, 4, 7, 10, 20, 40)),
    "beta_tcvae": ("β-TCVAE, β = {}", "beta", (3, 6, 10)),
    "capacity_vae": ("capacity VAE, C = {} nats", "capacity", (10,)),
}

# The members that the notebooks of chapter 3 load: 3.1 trains nine of them on from where they stand, 3.1 to 3.3 look
# into six more. Of all 39 the results are kept.
TRAINED_ON = ("vae", "beta-vae-0.1", "beta-vae-0.3")
LOOKED_INTO = (
    "beta-vae-4-seed-0",
    "beta-vae-4-seed-1",
    "beta-vae-10-seed-0",
    "beta-vae-40-seed-0",
    "beta-tcvae-3-seed-0",
    "beta-tcvae-6-seed-0",
)


def _members() -> tuple[Member, ...]:
    members = []
    for seed, (kind, (setting, option, values)) in product(range(SEEDS), SETTINGS.items()):
        for value in values:
            # At β = 1 the β-VAE is the VAE, and is trained and called so.
            plain = kind == "beta_vae" and value == 1
            chosen = MODELS["vae" if plain else kind]
            config = chosen.Config(
                image_shape=(1, SIZE, SIZE),
                latent_dimension=LATENTS,
                network=FullyConnected((128, 128)),
                likelihood=BernoulliLikelihood(),
                **({} if plain else {option: float(value)}),
            )
            words = "VAE" if plain else setting.format(f"{value:g}")
            name = "vae" if plain else f"{kind.replace('_', '-')}-{value:g}"
            members.append(Member(f"{name}-seed-{seed}", words, float(value), seed, chosen.kind, config))
    return tuple(members)


@cache
def images(split: str) -> ImageSet:
    """All 100,000 training images, or the first 10,000 of another split."""
    return load("sprites", split, count=None if split == "train" else TEST_IMAGES, size=SIZE)


def measure(model: Model) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Rate, distortion, the parts of the rate and all scores, on 10,000 test images.

    Returns:
        Nats per image: `rate`, `distortion`, `negative_elbo`, `mutual_information`, `total_correlation`,
        `dimension_wise_kl`. Scores: `beta_vae`, `factor_vae`, `mig` (and `mig_gaps`, one for each factor),
        `dci_disentanglement`, `dci_completeness`, `dci_informativeness`, `sap`. `active`: latents in use;
        `rates`: of each latent, in nats.
    """
    test = images("test")
    plane = evaluation.rate_distortion(model, test)
    parts = evaluation.elbo_decomposition(model, test)
    units = evaluation.active_units(model, test)
    codes, factors = evaluation.posterior_means(model, test), test.labels
    assert factors is not None
    assert units.rates is not None
    gap, dci = evaluation.mutual_information_gap(codes, factors), evaluation.dci(codes, factors)
    return {
        "rate": plane.rate.value,
        "distortion": plane.distortion.value,
        "negative_elbo": plane.negative_elbo.value,
        "mutual_information": parts.mutual_information.value,
        "total_correlation": parts.total_correlation.value,
        "dimension_wise_kl": parts.dimension_wise_kl.value,
        "active": units.count,
        "rates": units.rates.tolist(),
        "beta_vae": float(evaluation.beta_vae_score(codes, factors)),
        "factor_vae": float(evaluation.factor_vae_score(codes, factors)),
        "mig": float(gap),
        "mig_gaps": gap.gaps.tolist(),
        "dci_disentanglement": dci.disentanglement,
        "dci_completeness": dci.completeness,
        "dci_informativeness": dci.informativeness,
        "sap": float(evaluation.sap_score(codes, factors)),
    }, {}


FAMILY = Family(
    name="sprites",
    about="10 latents, fully connected 128-128, Bernoulli likelihood, 1 million images of sprites at 32×32",
    members=_members(),
    # 15,625 × 64 = 1 million images, 10 times through the training set.
    training=TrainConfig(
        steps=15_625,
        batch_size=64,
        learning_rate=1e-3,
        betas=(0.9, 0.99),
        learning_rate_warmup=100,
        schedule="cosine",
        final_learning_rate=5e-5,
        channels_last=False,
        log_every=250,
        checkpoint_every=3_000,
    ),
    data=images,
    measure=measure,
    shipped=(*(f"{name}-seed-{seed}" for name in TRAINED_ON for seed in range(SEEDS)), *LOOKED_INTO),
)
