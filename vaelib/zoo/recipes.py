"""How the models of the zoo are trained: `vaelib zoo retrain NAME --seed K` does it again.

Those of the comparison share the network, the faces and the 300,800 images. Only what the comparison is about differs:
the objective. Each recipe takes a seed, of the weights, of the order of the images and of all noise, so that a
difference between two models can be told from one between two runs. The NVAEs have networks and budgets of their own.
"""

import dataclasses

from vaelib.config import near_miss
from vaelib.probability import LogisticMixtureLikelihood
from vaelib.training import Preset, preset

# 9,400 × 32, at the settings of the presets for two cores.
STEPS, EVERY = 9_400, 940
SEEDS = (0, 1, 2)

KINDS = {
    "autoencoder-faces64": "autoencoder",
    "vae-faces64": "vae",
    "vae-mixture-faces64": "vae",
    "beta-vae-faces64": "beta_vae",
    "wae-mmd-faces64": "wae_mmd",
    "wae-gan-faces64": "wae_gan",
}
"""The models of the comparison that share a network, and the preset that each comes from."""

NVAES = ("nvae-nano", "nvae-faces64")
"""The models that are trained as the presets of their names say, stages included."""


def names() -> tuple[str, ...]:
    """The models that there is a recipe for."""
    return (*KINDS, *NVAES)


def seeds(name: str) -> tuple[int, ...]:
    """The seeds that a model is published with: three of each that shares the network, one of each NVAE."""
    return SEEDS if name in KINDS else SEEDS[:1]


def recipe(name: str, seed: int = 0) -> Preset:
    """The model, the data and the training of one run.

    Raises:
        ValueError: no such model; the message names the near miss.
    """
    if name not in names():
        raise ValueError(f"there is no recipe for {name!r}; there are {', '.join(names())}.{near_miss(name, names())}")
    chosen = preset(KINDS.get(name, name), "cpu")
    if name in NVAES:
        stages = tuple(
            dataclasses.replace(one, train=dataclasses.replace(one.train, seed=seed)) for one in chosen.stages
        )
        return dataclasses.replace(chosen, stages=stages, train=dataclasses.replace(chosen.train, seed=seed))
    model = chosen.model
    if name == "vae-mixture-faces64":
        model = dataclasses.replace(model, likelihood=LogisticMixtureLikelihood())
    train = dataclasses.replace(
        chosen.train,
        steps=STEPS,
        log_every=100,
        validate_every=EVERY,
        checkpoint_every=EVERY,
        seed=seed,
    )
    return dataclasses.replace(chosen, name=name, model=model, count=None, train=train)
