"""Sharpness and power spectra on images whose answers are known."""

import math

import numpy as np
import pytest
import scipy.ndimage
import torch

from vaelib.data import ImageSet
from vaelib.evaluation import image_sharpness, power_spectrum, radial_power_spectrum, sharpness, sharpness_closeness


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


def tents(height: float, count: int = 1) -> torch.Tensor:
    """7 × 7 pictures of one bright pixel, whose Laplacian is the kernel itself, `height` times: variance 20 h² / 25."""
    images = torch.zeros(count, 1, 7, 7)
    images[:, :, 3, 3] = height
    return images


def test_closeness_is_the_ratio_of_two_known_sharpnesses():
    assert sharpness(tents(0.5)).value == pytest.approx(20 * 0.5**2 / 25)
    assert sharpness_closeness(tents(0.25), tents(0.5)).value == pytest.approx(1 / 4)
    assert sharpness_closeness(tents(0.5), tents(0.5)).value == 1
    assert sharpness_closeness(torch.full((3, 1, 7, 7), 0.4), tents(0.5)).value == pytest.approx(0, abs=1e-12)


def test_too_blurred_and_too_sharp_count_alike():
    """Half and twice the contrast: a quarter and four times the sharpness."""
    images = smooth_images() - 0.5
    low, middle, high = (0.5 + scale * images for scale in (0.5, 1, 1.6))
    assert sharpness_closeness(low, middle).value == pytest.approx(1 / 4, rel=1e-4)
    assert sharpness_closeness(high, middle).value == pytest.approx(1 / 1.6**2, rel=1e-4)
    there, back = sharpness_closeness(low, middle), sharpness_closeness(middle, low)
    assert (there.value, there.standard_error) == pytest.approx((back.value, back.standard_error))


def test_noise_passes_at_the_right_dose_and_fails_beyond():
    """The documented weakness: 20 σ² makes up for what a blur took. Grey, and far from black and white."""
    images = smooth_images(200, 1)
    soft = blurred(images)
    dose = math.sqrt((sharpness(images).value - sharpness(soft).value) / 20)
    scores = [sharpness_closeness(noisy(soft, factor * dose), images).value for factor in (0, 1, 2)]
    assert scores[0] < 0.5
    assert scores[1] == pytest.approx(1, abs=0.02)
    assert scores[2] < 0.5


def test_the_error_of_closeness_is_that_of_the_ratio():
    """Against the spread of the ratio over many sets of images."""
    generator = torch.Generator().manual_seed(6)
    heights = torch.rand(400, 2, 50, 1, 1, 1, generator=generator) * torch.tensor([0.3, 0.5]).view(1, 2, 1, 1, 1, 1)
    sets = heights * tents(1.0)
    measured = [sharpness_closeness(blunt, sharp) for blunt, sharp in sets]
    spread = np.std([each.value for each in measured], ddof=1)
    assert np.mean([each.standard_error for each in measured]) == pytest.approx(spread, rel=0.15)
    assert sharpness_closeness(tents(0.1), tents(0.5)).standard_error is None


def test_closeness_takes_measurements_and_records_the_data():
    images = smooth_images()
    data = ImageSet((images * 255).round().byte(), "toy", "test", "toy v1")
    direct = sharpness_closeness(blurred(images), data, subject="samples")
    measured = sharpness_closeness(sharpness(blurred(images), subject="samples"), data)
    assert measured == direct
    protocol = direct.protocol
    assert (protocol.metric, protocol.subject, protocol.key) == ("sharpness closeness", "samples", "toy v1")
    assert (protocol.samples, protocol.reference_samples, protocol.image_shape) == (20, 20, (3, 32, 32))


def test_closeness_refuses_what_does_not_compare():
    images = smooth_images()
    with pytest.raises(ValueError, match="are \\(3, 16, 16\\) but the data \\(3, 32, 32\\)"):
        sharpness_closeness(smooth_images(size=16), images)
    with pytest.raises(ValueError, match="the data are flat"):
        sharpness_closeness(images, torch.full((2, 3, 32, 32), 0.5))
    with pytest.raises(ValueError, match="data should be pictures or their sharpness, not a sharpness closeness"):
        sharpness_closeness(images, sharpness_closeness(images, images))


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
