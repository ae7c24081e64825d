"""Radial power spectra: how much of an image lives in coarse structure and how much in fine detail.

Natural images fall off with a power of the frequency. A blurred model loses the right end of the curve, a noisy one
raises it, and upsampling layers leave bumps there: what sharpness says in one number, a spectrum shows in full.
"""

import torch
from torch import Tensor

from vaelib.data.image_set import ImageSet
from vaelib.evaluation.pictures import check_pictures


def power_spectrum(images: Tensor, *, window: bool = True) -> Tensor:
    """The mean power of each frequency, over images and channels.

    The mean of each image and channel is removed first. The window is Hann's in both directions, scaled to a mean
    square of one, so white noise of variance σ² has power σ² at every frequency with and without it. Without it, an
    image is taken to repeat, and the jump between opposite edges shows as power at all frequencies; with it,
    neighbouring frequencies mix a little.

    Args:
        images: (N, C, H, W) in [0, 1], square.
        window: whether to fade the edges out.
    Returns:
        (H, W) float64, ordered as `torch.fft.fft2` does. Without a window, its mean is the mean variance within an
        image and channel (Parseval).
    Raises:
        ValueError: another shape, or values out of range.
    """
    check_pictures(images)
    side = images.shape[-1]
    if images.shape[-2] != side or side < 4 or not len(images):
        raise ValueError(f"a radial spectrum takes square images of at least 4 × 4, not {tuple(images.shape)}")
    weights = torch.ones(side, side, dtype=torch.float64, device=images.device)
    if window:
        hann = torch.hann_window(side, periodic=True, dtype=torch.float64, device=images.device)
        weights = hann[:, None] * hann[None, :]
        weights = weights / weights.square().mean().sqrt()
    total = torch.zeros(side, side, dtype=torch.float64, device=images.device)
    for part in images.split(256):
        # The windowed mean, so that what remains has no power at frequency zero.
        mean = (part.double() * weights).sum(dim=(-2, -1), keepdim=True) / weights.sum()
        total += torch.fft.fft2((part.double() - mean) * weights).abs().square().mean(dim=1).sum(dim=0)
    return total / (len(images) * side**2)


def radial_power_spectrum(images: Tensor | ImageSet, *, window: bool = True) -> tuple[Tensor, Tensor]:
    """The power spectrum of images, averaged over directions.

    Each ring holds the frequencies that round to the same number of cycles per image. Frequencies beyond Nyquist's 0.5
    cycles per pixel exist only along diagonals and are left out; so is frequency zero, which is the brightness.

    Args:
        images: (N, C, H, W) in [0, 1], square, or a data set.
        window: fade the edges out (see `power_spectrum`).
    Returns:
        frequencies (F,) in cycles per pixel, from 1/W to 0.5; power (F,), in squared grey levels of the [0, 1] scale.
        Both float64 on the CPU.
    """
    if isinstance(images, ImageSet):
        images = images.batch(slice(None)).images
    power = power_spectrum(images, window=window).cpu()
    side = len(power)
    cycles = torch.fft.fftfreq(side, dtype=torch.float64) * side
    ring = torch.hypot(cycles[:, None], cycles[None, :]).round().long().flatten()
    rings = side // 2 + 1
    kept = ring < rings
    sums = torch.zeros(rings, dtype=torch.float64).index_add_(0, ring[kept], power.flatten()[kept])
    counts = torch.bincount(ring[kept], minlength=rings)
    return torch.arange(1, rings, dtype=torch.float64) / side, (sums / counts)[1:]
