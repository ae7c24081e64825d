"""Squared error, PSNR and SSIM against closed forms and a computation of SSIM in numpy and scipy."""

import math

import numpy as np
import pytest
import scipy.ndimage
import torch

from vaelib.data import ImageSet
from vaelib.evaluation import image_psnr, image_squared_error, image_ssim, psnr, squared_error, ssim

FINEST = 10 * math.log10(12 * 255**2)


def some_images(count: int = 6, channels: int = 3, size: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(seed))


def test_a_constant_error_has_its_square_and_its_decibels():
    images = torch.full((3, 1, 16, 16), 0.5)
    assert image_squared_error(images + 0.1, images).tolist() == pytest.approx([0.01] * 3, rel=1e-5)
    assert image_psnr(images + 0.1, images).tolist() == pytest.approx([20.0] * 3, rel=1e-5)
    assert image_psnr(images + 0.01, images).tolist() == pytest.approx([40.0] * 3, rel=1e-4)


def test_black_for_white_is_the_worst():
    black, white = torch.zeros(1, 3, 16, 16), torch.ones(1, 3, 16, 16)
    assert image_squared_error(black, white).item() == 1
    assert image_psnr(black, white).item() == 0
    # Flat images: only the means differ, C₁ / (1 + C₁).
    assert image_ssim(black, white).item() == pytest.approx(1e-4 / (1 + 1e-4), rel=1e-3)


def test_a_copy_has_ssim_one_and_the_most_decibels_that_bytes_can_tell():
    images = some_images()
    assert image_ssim(images, images).tolist() == pytest.approx([1.0] * 6)
    assert image_psnr(images, images).tolist() == pytest.approx([FINEST] * 6)
    assert round(FINEST, 2) == 58.92


def test_psnr_of_rounding_to_bytes_is_about_the_most_there_is():
    images = some_images(size=64)
    rounded = (images * 255).round() / 255
    assert psnr(rounded, images).value == pytest.approx(FINEST, abs=0.1)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_is_that_of_wang_computed_window_by_window(channels):
    """With scipy's Gaussian filter of radius 5, and images that go on beyond their border as in a mirror."""
    originals = some_images(4, channels, 20)
    images = (originals + 0.2 * some_images(4, channels, 20, seed=1) - 0.1).clamp(0, 1)

    def mean(values: np.ndarray) -> np.ndarray:
        return scipy.ndimage.gaussian_filter(values, (0, 0, 1.5, 1.5), radius=(0, 0, 5, 5), mode="mirror")

    x, y = images.double().numpy(), originals.double().numpy()
    variance_x, variance_y = mean(x * x) - mean(x) ** 2, mean(y * y) - mean(y) ** 2
    covariance = mean(x * y) - mean(x) * mean(y)
    luminance = (2 * mean(x) * mean(y) + 0.01**2) / (mean(x) ** 2 + mean(y) ** 2 + 0.01**2)
    structure = (2 * covariance + 0.03**2) / (variance_x + variance_y + 0.03**2)
    expected = (luminance * structure).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(image_ssim(images, originals).numpy(), expected, rtol=1e-5)


def test_ssim_is_symmetric_and_negative_for_the_negative():
    images, others = some_images(), some_images(seed=1)
    torch.testing.assert_close(image_ssim(images, others), image_ssim(others, images))
    assert (image_ssim(1 - images, images) < 0).all()


def test_the_order_of_images_is_theirs_and_turning_both_changes_nothing():
    images, originals = some_images(), some_images(seed=1)
    for per_image in (image_squared_error, image_psnr, image_ssim):
        values = per_image(images, originals)
        torch.testing.assert_close(per_image(images.flip(0), originals.flip(0)), values.flip(0))
        torch.testing.assert_close(per_image(images.mT, originals.mT), values, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("measure", "per_image", "metric", "unit", "words"),
    [
        (squared_error, image_squared_error, "mean squared error", "", "[0, 1] scale"),
        (psnr, image_psnr, "PSNR", "dB", "[0, 1] scale"),
        (ssim, image_ssim, "SSIM", "", "window 11 × 11, deviation 1.5, data range 1"),
    ],
)
def test_a_measurement_is_the_mean_with_its_error_and_protocol(measure, per_image, metric, unit, words):
    data = ImageSet((some_images(300) * 255).round().byte(), "toy", "test", "toy v1")  # more than are held at a time
    images = some_images(300, seed=1)
    found = measure(images, data, seed=4)
    values = per_image(images, data.batch(slice(None)).images).double().numpy()
    assert found.value == pytest.approx(values.mean(), rel=1e-6)
    assert found.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(300), rel=1e-5)
    protocol = found.protocol
    assert (protocol.metric, protocol.unit, protocol.image_shape) == (metric, unit, (3, 16, 16))
    assert (protocol.data, protocol.split, protocol.key, protocol.samples) == ("toy", "test", "toy v1", 300)
    assert (protocol.subject, protocol.seed) == ("reconstructions", 4)
    assert words in protocol.definition
    # Of images without a data set, the same number on a thinner protocol.
    bare = measure(images, data.batch(slice(None)).images)
    assert bare.value == pytest.approx(found.value)
    assert bare.protocol.data is None
    assert measure(images[:1], data.take(1)).standard_error is None


@pytest.mark.parametrize("measure", [squared_error, psnr, ssim])
@pytest.mark.parametrize(
    ("images", "originals", "message"),
    [
        (some_images(5), some_images(6), "5 images but 6 originals"),
        (some_images(6), some_images(6, size=12), "each is compared with its own"),
        (some_images(6), some_images(6, channels=1), "each is compared with its own"),
        (2 * some_images(6), some_images(6), r"images should lie in \[0, 1\]"),
        (some_images(6), some_images(6) - 0.5, r"originals should lie in \[0, 1\]"),
        (some_images(6), torch.full((6, 3, 16, 16), math.nan), r"originals should lie in \[0, 1\]"),
        (some_images(6), (255 * some_images(6)).byte(), "divide bytes by 255"),
        (some_images(0), some_images(0), "there are no images to measure"),
    ],
)
def test_what_does_not_compare_is_refused(measure, images, originals, message):
    with pytest.raises(ValueError, match=message):
        measure(images, originals)


def test_images_smaller_than_the_window_of_ssim_are_refused():
    with pytest.raises(ValueError, match="a window of 11 × 11 pixels, which images of 8 × 8 do not hold"):
        ssim(some_images(size=8), some_images(size=8))
    assert 0 < ssim(some_images(size=11), some_images(size=11, seed=1)).value + 1 < 2
