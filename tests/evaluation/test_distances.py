"""Distances against closed forms and an independent computation with numpy and scipy."""

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import nn

from vaelib.data import ImageSet
from vaelib.evaluation import (
    FEATURES,
    FeatureNetwork,
    distances,
    frechet_between_features,
    frechet_distance,
    kernel_between_features,
    kernel_distance,
)


class Patches(nn.Module):
    """The mean of each quarter of the image and channel: 12 features."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)


@pytest.fixture(autouse=True)
def patches(monkeypatch, tmp_path):
    monkeypatch.setitem(FEATURES, "patches", FeatureNetwork("patches", 12, "pool", "none", "none", Patches))
    monkeypatch.setenv("VAELIB_CACHE", str(tmp_path))


def with_moments(rows: int, mean: np.ndarray, covariance: np.ndarray, seed: int) -> torch.Tensor:
    """Random rows whose sample mean and (unbiased) sample covariance are exactly these."""
    x = np.random.default_rng(seed).standard_normal((rows, len(mean)))
    x -= x.mean(0)
    x = x @ np.linalg.inv(scipy.linalg.sqrtm(np.cov(x.T)).real) @ scipy.linalg.sqrtm(covariance).real
    return torch.from_numpy(x + mean)


def some_images(count: int, seed: int, channels: int = 3, size: int = 8) -> torch.Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(seed))


def test_frechet_is_the_closed_form_between_gaussians_with_commuting_covariances():
    """Covariances that commute: |μ₁ − μ₂|² + Σ (√λ₁ − √λ₂)²."""
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    first, second = np.array([1.0, 4.0, 9.0, 0.25]), np.array([4.0, 1.0, 16.0, 1.0])
    mean = np.array([1.0, -2.0, 0.5, 0.0])
    real = with_moments(50, np.zeros(4), rotation @ np.diag(first) @ rotation.T, 1)
    generated = with_moments(60, mean, rotation @ np.diag(second) @ rotation.T, 2)
    expected = (mean**2).sum() + ((np.sqrt(first) - np.sqrt(second)) ** 2).sum()
    assert frechet_between_features(real, generated) == pytest.approx(expected, rel=1e-6)


def test_frechet_agrees_with_scipy_for_any_covariances():
    random = np.random.default_rng(3)
    real, generated = (
        random.standard_normal((200, 6)) @ random.standard_normal((6, 6)),
        random.gamma(2.0, size=(150, 6)),
    )
    first, second = np.cov(real.T), np.cov(generated.T)
    root = scipy.linalg.sqrtm(first @ second).real
    expected = ((real.mean(0) - generated.mean(0)) ** 2).sum() + np.trace(first + second - 2 * root)
    assert frechet_between_features(torch.from_numpy(real), torch.from_numpy(generated)) == pytest.approx(expected)


def test_frechet_of_a_set_with_itself_is_zero_even_with_fewer_images_than_features():
    features = torch.rand(20, 50, generator=torch.Generator().manual_seed(0))
    assert 0 <= frechet_between_features(features, features) < 1e-5


def test_frechet_of_fewer_images_than_features_is_right_too():
    random = np.random.default_rng(4)
    real, generated = random.standard_normal((12, 40)), 1.5 * random.standard_normal((15, 40)) + 0.3
    # Covariances of rank 11 and 14: the nuclear norm of the product of centred factors is the trace of the root.
    first, second = (rows - rows.mean(0) for rows in (real, generated))
    overlap = np.linalg.norm(first @ second.T, "nuc") / np.sqrt(11 * 14)
    traces = (first**2).sum() / 11 + (second**2).sum() / 14
    expected = ((real.mean(0) - generated.mean(0)) ** 2).sum() + traces - 2 * overlap
    assert frechet_between_features(torch.from_numpy(real), torch.from_numpy(generated)) == pytest.approx(expected)


def test_frechet_is_symmetric_and_does_not_see_the_order():
    first, second = some_images(40, 0).flatten(1)[:, :9], some_images(50, 1).flatten(1)[:, :9] ** 2
    forward = frechet_between_features(first, second)
    assert forward == pytest.approx(frechet_between_features(second.flip(0), first))


def test_kernel_agrees_with_a_sum_over_all_pairs():
    """Brute force over pairs in numpy, for each of the disjoint subsets, which a permutation of their rows keeps."""
    random = np.random.default_rng(5)
    real, generated = random.standard_normal((24, 3)), random.standard_normal((30, 3)) + 0.5
    value, error = kernel_between_features(torch.from_numpy(real), torch.from_numpy(generated), subsets=4, seed=9)

    generator = torch.Generator().manual_seed(9)
    real = real[torch.randperm(24, generator=generator).numpy()]
    generated = generated[torch.randperm(30, generator=generator).numpy()]

    def kernel(x, y):
        return (x @ y / 3 + 1) ** 3

    estimates = []
    for start in range(0, 24, 6):
        x, y = real[start : start + 6], generated[start : start + 6]
        within = sum(kernel(a[i], a[j]) for a in (x, y) for i in range(6) for j in range(6) if i != j) / 30
        estimates.append(within - 2 * np.mean([[kernel(one, other) for other in y] for one in x]))
    assert value == pytest.approx(np.mean(estimates))
    assert error == pytest.approx(np.std(estimates, ddof=1) / 2)


def test_the_standard_error_of_the_kernel_distance_covers_what_repetitions_show():
    """For point clouds of known distance, z-scores have a spread near 1 (10 subsets: Student's t with 9 degrees)."""
    generator = torch.Generator().manual_seed(1)
    # Exact value for d = 1: kernel (xy + 1)³ of N(0, 1) and N(1, 1) by moments 1, 0, 1, 0 and 1, 1, 2, 4.
    moments = torch.tensor([[1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 2.0, 4.0]])
    exact = ((moments[0] - moments[1]).square() * torch.tensor([1.0, 3.0, 3.0, 1.0])).sum().item()
    scores = []
    for _ in range(60):
        real, shifted = torch.randn(200, 1, generator=generator), torch.randn(200, 1, generator=generator) + 1
        value, error = kernel_between_features(real, shifted, subsets=10)
        scores.append((value - exact) / error)
    scores = torch.tensor(scores)
    assert scores.mean().abs() < 0.6
    assert 0.7 < scores.std() < 1.8


def test_kernel_distance_repeats_with_its_seed_and_leaves_the_global_generator_alone():
    real, generated = some_images(64, 0).flatten(1), some_images(64, 1).flatten(1)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = kernel_between_features(real, generated, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    assert first == kernel_between_features(real, generated, seed=3) != kernel_between_features(real, generated, seed=4)


def test_a_measurement_says_how_it_was_made():
    data = ImageSet((some_images(40, 0) * 255).byte(), "toy", "test", "toy v1, seed 0")
    frechet, kernel = distances(data, some_images(50, 1), features="patches", subject="samples", seed=7)
    assert frechet.protocol.metric == "Fréchet distance"
    assert frechet.protocol.depends_on_samples
    assert not kernel.protocol.depends_on_samples
    for protocol in (frechet.protocol, kernel.protocol):
        assert (protocol.data, protocol.split, protocol.key) == ("toy", "test", "toy v1, seed 0")
        assert (protocol.samples, protocol.reference_samples, protocol.seed) == (50, 40, 7)
        assert (protocol.features, protocol.image_shape, protocol.subject) == ("patches", (3, 8, 8), "samples")
    assert kernel.standard_error > 0
    assert frechet == frechet_distance(data, some_images(50, 1), features="patches", subject="samples", seed=7)
    assert kernel == kernel_distance(data, some_images(50, 1), features="patches", subject="samples", seed=7)


def test_a_measurement_of_too_few_images_says_so():
    few = frechet_distance(some_images(40, 0), some_images(40, 1), features="patches")
    assert "fewer images" not in str(few)
    FEATURES["patches"] = FeatureNetwork("patches", 192, "all", "none", "none", lambda: nn.Flatten())
    assert "biased upwards: fewer images than the 192 features" in str(
        frechet_distance(some_images(40, 0), some_images(400, 1), features="patches")
    )


def test_images_that_drift_from_the_real_ones_grow_more_distant():
    real, fake = some_images(200, 0), some_images(200, 1)
    shifted = [(fake * (1 - amount) + amount).clamp(0, 1) for amount in (0.0, 0.1, 0.3)]
    frechet = [frechet_distance(real, images, features="patches") for images in shifted]
    kernel = [kernel_distance(real, images, features="patches") for images in shifted]
    assert frechet[0] < frechet[1] < frechet[2]
    assert kernel[0] < kernel[1] < kernel[2]
    assert abs(kernel[0].value) < 4 * kernel[0].standard_error, "one distribution, two draws: zero within its error"


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
@pytest.mark.parametrize(
    ("real", "generated", "message"),
    [
        (some_images(40, 0), some_images(40, 0, size=16), "of one shape"),
        (some_images(40, 0), some_images(40, 0, channels=1), "of one shape"),
        (some_images(40, 0), some_images(31, 0), "at least 32 generated images"),
        (some_images(8, 0), some_images(40, 0), "at least 32 real images"),
        (some_images(40, 0), some_images(40, 0) * 2 - 1, "generated images should lie in \\[0, 1\\]"),
        (some_images(40, 0) * 255, some_images(40, 0), "real images should lie in \\[0, 1\\]"),
    ],
)
def test_sets_that_cannot_be_compared_are_refused(distance, real, generated, message):
    with pytest.raises(ValueError, match=message):
        distance(real, generated, features="patches")


def test_features_of_two_widths_are_refused():
    with pytest.raises(ValueError, match="with one D"):
        frechet_between_features(torch.rand(9, 3), torch.rand(9, 4))
    with pytest.raises(ValueError, match="9 images cannot be dealt into 5 subsets"):
        kernel_between_features(torch.rand(9, 3), torch.rand(9, 3), subsets=5)
