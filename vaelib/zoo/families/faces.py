"""The family of notebook 3.3: the VAE of notebook 2.3 on `faces`, at other prices of a nat."""

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vaelib import evaluation
from vaelib.data import ImageSet, load
from vaelib.evaluation.sharpness import LAPLACIAN, LUMA
from vaelib.models import MODELS, Model
from vaelib.networks import conv64
from vaelib.probability import FixedGaussianLikelihood
from vaelib.training import preset
from vaelib.zoo.families import Family, Member

BETAS, SEEDS = (0.25, 1, 4, 10), 3
TEST_IMAGES, SAMPLE_SEED, KEPT = 1_500, 0, 16


def _members() -> tuple[Member, ...]:
    members = []
    for beta in BETAS:
        kind = "vae" if beta == 1 else "beta_vae"
        # The variance of the preset `vae`, with which β = 1 is notebook 2.3's model.
        settings: dict[str, Any] = {"network": conv64, "likelihood": FixedGaussianLikelihood(variance=0.05)}
        config = MODELS[kind].Config(**settings, **({} if beta == 1 else {"beta": float(beta)}))
        name, setting = ("vae", "VAE") if beta == 1 else (f"beta-vae-{beta:g}", f"β-VAE, β = {beta:g}")
        members += [Member(f"{name}-seed-{seed}", setting, float(beta), seed, kind, config) for seed in range(SEEDS)]
    return tuple(members)


@cache
def images(split: str) -> ImageSet:
    """The 10,000 training images of the `cpu` preset, or the first 1,500 of another split."""
    return load("faces", split, count=10_000 if split == "train" else TEST_IMAGES)


def laplacian_map(pictures: Tensor) -> Tensor:
    """Where pictures (N, 3, H, W) have detail: the mean square of the grey Laplacian at each pixel, (H − 2, W − 2)."""
    grey = (pictures * pictures.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    return F.conv2d(grey, grey.new_tensor(LAPLACIAN).view(1, 1, 3, 3)).square().mean(dim=(0, 1))


def measure(model: Model) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The plane, the error, and how samples and reconstructions compare with 1,500 test faces.

    Returns:
        Nats per image: `rate`, `distortion`. `squared_error` of reconstructions, from the posterior mean, per pixel and
        channel. Of `samples` and `reconstructions`: `…_sharpness` (the data's is `data_sharpness`). Of samples also
        `samples_frechet` and `samples_kernel` (distances by EfficientNet-Lite0 features, not FID). `active`: latents in
        use. As tensors: the first 16 samples and reconstructions, uint8, and the maps of detail of both and of the
        data.
    """
    test = images("test")
    originals = test.batch(slice(None)).images
    plane = evaluation.rate_distortion(model, test)
    samples = model.sample(TEST_IMAGES, generator=torch.Generator().manual_seed(SAMPLE_SEED))
    reconstructions = model.reconstruct(originals)
    numbers: dict[str, Any] = {
        "rate": plane.rate.value,
        "distortion": plane.distortion.value,
        "squared_error": (reconstructions - originals).square().mean().item(),
        "active": evaluation.active_units(model, test).count,
        "data_sharpness": evaluation.sharpness(test).value,
    }
    tensors = {"data_detail": laplacian_map(originals)}
    frechet, kernel = evaluation.distances(test, samples, subject="samples")
    numbers |= {"samples_frechet": frechet.value, "samples_kernel": kernel.value}
    for subject, pictures in (("samples", samples), ("reconstructions", reconstructions)):
        numbers[f"{subject}_sharpness"] = evaluation.sharpness(pictures).value
        kept = (255 * pictures[:KEPT]).round().to(torch.uint8)
        tensors |= {subject: kept, f"{subject}_detail": laplacian_map(pictures)}
    return numbers, tensors


FAMILY = Family(
    name="faces",
    about="the network, likelihood and training of the preset vae: conv64, σ² = 0.05, 64,000 images of faces",
    members=_members(),
    training=preset("vae", "cpu").train,
    data=images,
    measure=measure,
    shipped=(),
)
