"""How the models of the comparison are trained: the same network, the same faces, the same 300,800 images.

Only what the comparison is about differs: the objective. Each recipe takes a seed, of the weights, of the order of the
images and of all noise, so that a difference between two models can be told from one between two runs.
"""

import dataclasses

from vaelib.config import near_miss
from vaelib.probability import LogisticMixtureLikelihood
from vaelib.training import Preset, preset

# 9,400 × 32, at the settings of the presets for two cores.
STEPS, EVERY = 9_400, 940

KINDS = {
    "autoencoder-faces64": "autoencoder",
    "vae-faces64": "vae",
    "vae-mixture-faces64": "vae",
    "beta-vae-faces64": "beta_vae",
    "wae-mmd-faces64": "wae_mmd",
    "wae-gan-faces64": "wae_gan",
}
"""The models of the comparison that share a network, and the preset that each comes from."""


def recipe(name: str, seed: int = 0) -> Preset:
    """The model, the data and the training of one run of the comparison.

    Raises:
        ValueError: no such model; the message names the near miss.
    """
    if name not in KINDS:
        raise ValueError(f"the comparison has no {name!r}; it has {', '.join(KINDS)}.{near_miss(name, KINDS)}")
    chosen = preset(KINDS[name], "cpu")
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
