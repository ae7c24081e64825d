"""vaelib: the models of *From Autoencoders to NVAE*, written to be read.

The public names below are imported when they are first used, so `import vaelib` costs next to nothing. A notebook needs
only this module and its subpackages:

    import vaelib

    faces = vaelib.data.load("faces", "train", count=2_000)
    model = vaelib.models.VAE(vaelib.models.VAEConfig(latent_dimension=32))
    result = vaelib.train(model, faces, vaelib.training.TrainConfig(steps=500))
    pictures = model.sample(16)
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_SUBPACKAGES = ("check", "data", "evaluation", "models", "networks", "probability", "training", "visual", "zoo")
_NAMES = {
    "Batch": "vaelib.data",
    "load": "vaelib.storage",
    "profile": "vaelib.profiles",
    "save": "vaelib.storage",
    "train": "vaelib.training",
}
__all__ = ["__version__", *_SUBPACKAGES, *_NAMES]

if TYPE_CHECKING:
    from vaelib import check, data, evaluation, models, networks, probability, training, visual, zoo
    from vaelib.data import Batch
    from vaelib.profiles import profile
    from vaelib.storage import load, save
    from vaelib.training import train


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"vaelib.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"vaelib has no {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
