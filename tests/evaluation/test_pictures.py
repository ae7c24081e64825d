"""Sharpness and power spectra on images whose answers are known."""

import math

import numpy as np
import pytest
import scipy.ndimage
import torch

from vaelib.data import ImageSet
from vaelib.evaluation import image_sharpness, power_spectrum, radial_power_spectrum, sharpness


def smooth_images(count: int = 20, channels: int = 3, size: int = 32) -> torch.Tensor:
    coarse = torch.rand(count, channels, 8, 8, generator=torch.Generator().manual_seed(4))
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0.2, 0.8)


def blurred(images: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(scipy.ndimage.gaussian_filter(images.numpy(), (0, 0, 1, 1)))


def noisy(images: torch.Tensor, deviation: float) -> torch.Tensor:
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(5))
    return (images + deviation * noise).clamp(0, 1)


def test_sharpness_agrees_with_scipys_laplacian():
    images = smooth_images(3)
    grey = (0.299 * images[:, 0] + 0.587 * images[:, 1] + 0.114 * images[:, 2]).numpy()
    expected = [np.var(scipy.ndimage.laplace(each)[1:-1, 1:-1]) for each in grey]
    np.testing.assert_allclose(image_sharpness(images).numpy(), expected, rtol=1e-4)


def test_flat_images_and_ramps_have_no_sharpness():
    ramp = torch.linspace(0, 1, 16).expand(1, 1, 16, 16)
    assert image_sharpness(torch.cat([ramp, ramp.mT, torch.full((1, 1, 16, 16), 0.3)])).max() < 1e-10


def test_blur_lowers_sharpness_and_noise_raises_it():
    images = smooth_images()
    assert sharpness(blurred(images)) < sharpness(images) < sharpness(noisy(images, 0.05))


def test_white_noise_adds_twenty_times_its_variance():
    """The documented weakness: the squares of the kernel sum to 4 · 1² + 4² = 20."""
    grey = torch.full((50, 1, 32, 32), 0.5)
    measured = sharpness(noisy(grey, 0.05))
    assert measured.value == pytest.approx(20 * 0.05**2, abs=4 * measured.standard_error)


def test_sharpness_is_the_mean_over_images_with_its_error():
    images = smooth_images()
    values = image_sharpness(images).double().numpy()
    measured = sharpness(images, subject="samples")
    assert measured.value == pytest.approx(values.mean())
    assert measured.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(20))
    assert (measured.protocol.subject, measured.protocol.samples) == ("samples", 20)
    data = ImageSet((images * 255).round().byte(), "toy", "test", "toy")
    assert sharpness(data).value == pytest.approx(measured.value, rel=0.02)
    assert sharpness(images[:1]).standard_error is None


def test_sharpness_refuses_what_is_no_picture():
    with pytest.raises(ValueError, match="at least 3 × 3"):
        sharpness(torch.zeros(2, 1, 2, 8))
    with pytest.raises(ValueError, match="lie in \\[0, 1\\]"):
        sharpness(smooth_images() * 2 - 1)


def test_the_power_spectrum_keeps_the_variance():
    """Parseval: without a window, the mean power is the mean variance within an image and channel."""
    images = noisy(smooth_images(), 0.1)
    variance = images.double().flatten(2).var(dim=2, unbiased=False).mean()
    torch.testing.assert_close(power_spectrum(images, window=False).mean(), variance, rtol=1e-6, atol=0)


def test_radial_averages_are_those_of_a_loop_over_frequencies():
    images = noisy(smooth_images(4, 1, 8), 0.1)
    x = images[:, 0].double().numpy() - images.double().numpy().mean(axis=(1, 2, 3))[:, None, None]
    power = (np.abs(np.fft.fft2(x)) ** 2).mean(0) / 64
    rings: dict[int, list[float]] = {}
    for row in range(8):
        for column in range(8):
            distance = math.hypot(min(row, 8 - row), min(column, 8 - column))
            rings.setdefault(round(distance), []).append(power[row, column])
    frequencies, radial = radial_power_spectrum(images, window=False)
    assert frequencies.tolist() == [1 / 8, 2 / 8, 3 / 8, 4 / 8]
    np.testing.assert_allclose(radial.numpy(), [np.mean(rings[k]) for k in (1, 2, 3, 4)])


@pytest.mark.parametrize("window", [False, True])
def test_white_noise_is_flat_at_its_variance(window):
    noise = torch.rand(400, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    frequencies, power = radial_power_spectrum(noise, window=window)
    assert frequencies[-1] == 0.5
    # Uniform noise has variance 1/12. The window takes part of the lowest ring with the mean it removes.
    np.testing.assert_allclose(power[1:].numpy(), 1 / 12, rtol=0.08)


def test_a_wave_has_its_power_at_its_frequency():
    columns = torch.arange(32)
    wave = (0.5 + 0.4 * torch.sin(2 * math.pi * 5 / 32 * columns)).expand(2, 3, 32, 32)
    frequencies, power = radial_power_spectrum(wave, window=False)
    assert frequencies[power.argmax()] == 5 / 32
    assert power.max() / power.sum() > 0.999
    assert radial_power_spectrum(wave)[1].argmax() == 4


def test_blur_takes_power_from_high_frequencies_and_noise_adds_it():
    images = noisy(smooth_images(), 0.02)
    high = slice(8, None)
    plain, soft, rough = (radial_power_spectrum(each)[1] for each in (images, blurred(images), noisy(images, 0.1)))
    assert (soft[high] < plain[high]).all()
    assert (rough[high] > plain[high]).all()


def test_the_window_hides_the_jump_between_opposite_edges():
    """A ramp has no fine detail; without a window its torn edge looks like some."""
    ramp = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    bare, windowed = (radial_power_spectrum(ramp, window=window)[1] for window in (False, True))
    assert windowed[-1] < 1e-3 * bare[-1]


def test_spectra_take_square_images_in_range():
    with pytest.raises(ValueError, match="square images"):
        radial_power_spectrum(torch.zeros(2, 1, 8, 16))
    with pytest.raises(ValueError, match="lie in \\[0, 1\\]"):
        radial_power_spectrum(torch.full((2, 1, 8, 8), 7.0))
