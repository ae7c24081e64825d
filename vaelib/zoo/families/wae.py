"""The family of chapter 4: one network and one budget on `faces`, and five ways to treat the codes, or none."""

from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from vaelib import evaluation, probability
from vaelib.data import ImageSet, load
from vaelib.models import WAE, Model
from vaelib.models.wae import GANPenalty
from vaelib.training import preset
from vaelib.training.randomness import seeded
from vaelib.zoo.families import Family, Member

SEEDS = 3
IMAGES, TEST_IMAGES, TESTED = 10_000, 1_500, 1_000
COMPONENTS = 10  # of the mixture that is fitted to the codes

# Setting → the preset that it is, and the number in it: λ in nats, or β.
SETTINGS: dict[str, tuple[str, float]] = {
    "λ = 0": ("wae_mmd", 0.0),
    "VAE": ("vae", 1.0),
    "β-VAE, β = 4": ("beta_vae", 4.0),
    "WAE-MMD": ("wae_mmd", preset("wae_mmd", "cpu").model.penalty_weight),
    "WAE-GAN": ("wae_gan", preset("wae_gan", "cpu").model.penalty_weight),
}


def _members() -> tuple[Member, ...]:
    members = []
    for setting, (name, value) in SETTINGS.items():
        chosen = preset(name, "cpu")
        config, short = chosen.model, name.replace("_", "-")
        if setting == "λ = 0":
            config, short = replace(config, penalty_weight=0.0), "no-penalty"
        for seed in range(SEEDS):
            members.append(
                Member(f"{short}-seed-{seed}", setting, value, seed, chosen.kind, config, training=chosen.train)
            )
    return tuple(members)


@cache
def images(split: str) -> ImageSet:
    """The training images of the `cpu` presets, or as many, the first, of another split."""
    return load("faces", split, count=IMAGES)


@cache
def _features_of_test_images() -> Tensor:
    return evaluation.image_features(images("test").batch(slice(TEST_IMAGES)).images)


def code_numbers(model: Model) -> dict[str, Any]:
    """How far the aggregate posterior of the test images is from the prior; see `measure`."""
    codes = evaluation.aggregate_codes(model, images("test"))
    with seeded(0, "prior"), torch.no_grad():
        draws = model.prior(len(codes)).sample()
    test = probability.two_sample_test(codes[:TESTED], draws[:TESTED], generator=torch.Generator().manual_seed(0))
    numbers: dict[str, Any] = {
        "code_frechet": evaluation.frechet_between_features(codes, draws),
        "code_mmd_squared": probability.maximum_mean_discrepancy_squared(codes, draws).item(),
        "p_value": test.p_value,
        "classifier_accuracy": classifier_accuracy(codes, draws),
        "means": codes.mean(dim=0).tolist(),
        "deviations": codes.std(dim=0).tolist(),
        "largest_correlation": (torch.corrcoef(codes.T) - torch.eye(codes.shape[1])).abs().max().item(),
    }
    if isinstance(model, WAE) and isinstance(model.penalty, GANPenalty):
        with torch.no_grad():
            judged = model.penalty.adversary(draws), model.penalty.adversary(codes)
        numbers["adversary_accuracy"] = probability.adversary_accuracy(*judged).item()
    return numbers


def classifier_accuracy(codes: Tensor, draws: Tensor) -> float:
    """How often a network that was trained on one half tells codes from draws of the prior in the other half.

    Unlike a WAE-GAN's adversary it was no part of the training, and it can be asked about any model. 0.5 is chance.

    Source: Lopez-Paz & Oquab 2017 (classifier two-sample tests).
    """
    from sklearn.neural_network import MLPClassifier

    half = len(codes) // 2
    fit, held_out = torch.cat([codes[:half], draws[:half]]), torch.cat([codes[half:], draws[half:]])
    labels = torch.cat([torch.zeros(half), torch.ones(half)]).numpy()
    classifier = MLPClassifier((256, 256), early_stopping=True, random_state=0)
    classifier.fit((fit / fit.std()).numpy(), labels)
    held_out_labels = torch.cat([torch.zeros(len(codes) - half), torch.ones(len(draws) - half)]).numpy()
    return float(classifier.score((held_out / fit.std()).numpy(), held_out_labels))


def mixture_draws(codes: Tensor, count: int, *, components: int = COMPONENTS, seed: int = 0) -> Tensor:
    """Draws from a Gaussian mixture with full covariances, fitted to codes (N, D) → (count, D), in random order."""
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(components, random_state=seed, reg_covar=1e-4).fit(codes.double().numpy())
    drawn, _ = mixture.sample(count)
    return torch.from_numpy(drawn).float()[torch.randperm(count, generator=torch.Generator().manual_seed(seed))]


def measure(model: Model) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The codes of 10,000 test faces beside the prior, and pictures from three kinds of codes beside 1,500 test faces.

    Returns:
        Of the codes, one drawn from each image's q(z | x): `code_frechet` and `code_mmd_squared` to draws from the
        prior (10,000 of each); `p_value` of a two-sample test of 1,000 of each; `classifier_accuracy`;
        `means` and `deviations` of each latent; `largest_correlation` of two latents; of a WAE-GAN also
        `adversary_accuracy` of the adversary that it was trained with.
        Of the pictures: `squared_error` of reconstructions, per pixel and channel; for `reconstructions`, `samples`
        (codes from the prior) and `mixture` (codes from a mixture of ten Gaussians fitted to those of the training
        images): `…_frechet`, `…_kernel` (by EfficientNet-Lite0 features, not FID) and `…_sharpness`;
        `data_sharpness`.
    """
    test, numbers = images("test").batch(slice(TEST_IMAGES)).images, code_numbers(model)
    fitted = mixture_draws(evaluation.aggregate_codes(model, images("train")), TEST_IMAGES)
    reconstructions = model.reconstruct(test)
    numbers["squared_error"] = (reconstructions - test).square().mean().item()
    numbers["data_sharpness"] = evaluation.sharpness(test).value
    with torch.inference_mode():
        mixture = torch.cat([model.decode(z).mean.clamp(0, 1) for z in fitted.split(250)])
    generator = torch.Generator().manual_seed(0)
    subjects = {
        "reconstructions": reconstructions,
        "samples": model.sample(TEST_IMAGES, generator=generator),
        "mixture": mixture,
    }
    for subject, pictures in subjects.items():
        features = evaluation.image_features(pictures)
        real = _features_of_test_images()
        numbers[f"{subject}_frechet"] = evaluation.frechet_between_features(real, features)
        numbers[f"{subject}_kernel"] = evaluation.kernel_between_features(real, features)[0]
        numbers[f"{subject}_sharpness"] = evaluation.sharpness(pictures).value
    return numbers, {}


MEMBERS = _members()
FAMILY = Family(
    name="wae",
    about="the cpu presets of WAE-MMD, WAE-GAN, VAE and β-VAE, and λ = 0: conv64, σ² = 0.05, 64,000 images of faces",
    members=MEMBERS,
    training=preset("wae_mmd", "cpu").train,
    data=images,
    measure=measure,
    shipped=tuple(member.name for member in MEMBERS if member.seed == 0),
)
