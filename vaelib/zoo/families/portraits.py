"""The family of notebook 6.2 on photographs: four models on 300 portraits, from random weights and from the zoo's.

Results only. The people in the photographs did not sit for a machine that draws them again, so nothing that was trained
on them is handed out: not the weights, and of the samples no more than eight of each run.
"""

from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from vaelib import evaluation
from vaelib.data import ImageSet, load
from vaelib.models import Model
from vaelib.zoo import recipes
from vaelib.zoo.families import Family, Member

STEPS, SEEDS = 600, 3
"""Of NVAE there is one seed: one image costs it as much time as thirteen cost the others."""
TUNING = 0.25
"""Of the learning rate, where a trained model only has to adapt."""
SAMPLES, KEPT = 300, 8

# Setting → the recipe that gives the network, the objective and the training.
MODELS = {
    "VAE": "vae-faces64",
    "β-VAE, β = 4": "beta-vae-faces64",
    "WAE-MMD": "wae-mmd-faces64",
    "NVAE": "nvae-faces64",
}


def _members() -> tuple[Member, ...]:
    members = []
    for setting, name in MODELS.items():
        chosen = recipes.recipe(name)
        training = replace(
            chosen.train,
            steps=STEPS,
            batch_size=32,
            learning_rate_warmup=50,
            log_every=25,
            validate_every=0,
            checkpoint_every=STEPS // 2,
        )
        tuning = replace(
            training,
            learning_rate=TUNING * training.learning_rate,
            final_learning_rate=TUNING * training.final_learning_rate,
        )
        # An NVAE with random weights has its groups to fill, so it warms up as its first stage on faces did.
        scratch = replace(chosen.model, kl_warmup=0.3, balancing=True) if chosen.stages else chosen.model
        short, value = name.removesuffix("-faces64"), getattr(chosen.model, "beta", 1.0)
        ways = (
            ("scratch", "from scratch", scratch, training, None),
            ("tuned", "fine-tuned", chosen.model, tuning, name),
        )
        for seed in range(1 if chosen.stages else SEEDS):
            members += [
                Member(
                    f"{short}-{way}-seed-{seed}", f"{setting}, {words}", value, seed, chosen.kind, config, how, start
                )
                for way, words, config, how, start in ways
            ]
    return tuple(members)


@cache
def images(split: str) -> ImageSet:
    """The 300 portraits of the training split in three equal channels; of any other split, all 100 of both others.

    Nothing was chosen by the validation split, so with the test split it serves to measure: ten people, none of them
    in the training split.
    """
    if split == "train":
        return _in_colour(load("portraits", "train"))
    parts = [load("portraits", part) for part in ("validation", "test")]
    both = ImageSet(
        torch.cat([part.images for part in parts]),
        parts[0].name,
        "validation and test",
        " + ".join(part.key for part in parts),
    )
    return _in_colour(both)


def _in_colour(portraits: ImageSet) -> ImageSet:
    pictures = portraits.images.expand(-1, 3, -1, -1).contiguous()
    return ImageSet(pictures, portraits.name, portraits.split, f"{portraits.key}, three equal channels")


def measure(model: Model) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """How well a model knows its 300 portraits, and how well it knows portraits.

    Returns:
        For `train` and `held_out` images (100, of other people): `…_squared_error` of reconstructions per pixel and
        channel, `…_distortion` and, where the model has one, `…_rate`, in nats per image. Of 300 samples:
        `samples_kernel` (distance to the held-out images, by EfficientNet-Lite0 features) with
        `samples_kernel_error`; `share_too_close` and `distance_ratio` to training images (see `memorisation`);
        `samples_sharpness`. Of the data: `data_kernel` with its error (training images in the samples' place: what
        300 real photographs of other people come to), `data_sharpness`. As tensors: the first 8 samples, uint8, and for
        each the row of the nearest training image.
    """
    train, held_out = images("train"), images("held_out")
    numbers: dict[str, Any] = {}
    tensors: dict[str, Tensor] = {}
    for name, some in (("train", train), ("held_out", held_out)):
        measured = evaluation.evaluate(model, some, samples=len(some), features=None)
        numbers[f"{name}_squared_error"] = measured["reconstruction_mse"].value
        numbers |= {f"{name}_{term}": measured[term].value for term in ("distortion", "rate") if term in measured}
    samples = model.sample(SAMPLES, generator=torch.Generator().manual_seed(0)).float().cpu()
    found = evaluation.memorisation(samples, train, held_out, subject="samples", seed=0)
    distances = {
        "samples": evaluation.kernel_distance(held_out, samples, subject="samples"),
        "data": evaluation.kernel_distance(held_out, train, subject="training images"),
    }
    for name, distance in distances.items():
        numbers |= {f"{name}_kernel": distance.value, f"{name}_kernel_error": distance.standard_error}
    numbers |= {
        "share_too_close": found.share_too_close.value,
        "distance_ratio": found.distance_ratio.value,
        "samples_sharpness": evaluation.sharpness(samples).value,
        "data_sharpness": evaluation.sharpness(held_out).value,
    }
    tensors["samples"] = (255 * samples[:KEPT]).round().to(torch.uint8)
    tensors["nearest"] = found.indices[:KEPT, 0]
    return numbers, tensors


FAMILY = Family(
    name="portraits",
    about="models of the zoo on 300 photographs: 600 steps of 32 images, from scratch and from the weights for faces",
    members=_members(),
    training=recipes.recipe("vae-faces64").train,
    data=images,
    measure=measure,
    shipped=(),
)
