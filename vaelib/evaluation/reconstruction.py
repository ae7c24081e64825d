"""How close reconstructions come to their originals: squared error, PSNR and SSIM.

All three compare pixel by pixel or window by window, so they reward the safe average of what might be there: a blurred
reconstruction often scores better than a sharp one that is shifted by a pixel. Read them beside sharpness and features.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from vaelib.data.image_set import ImageSet
from vaelib.evaluation.pictures import check_pictures
from vaelib.evaluation.protocol import Measurement, Protocol
from vaelib.evaluation.sharpness import mean_over_images

QUANTISATION = 1 / (12 * 255**2)
"""The squared error of rounding to bytes. No error below it is told from none, which bounds PSNR by 58.9 dB."""

SSIM_WINDOW = 11
"""Pixels on a side of the window of SSIM, a Gaussian of deviation 1.5. Images must hold one."""


def image_squared_error(images: Tensor, originals: Tensor) -> Tensor:
    """The mean squared error of each image, over pixels and channels.

    Args:
        images, originals: (N, C, H, W) in [0, 1].
    Returns:
        (N,) from 0 to 1.
    Raises:
        ValueError: two shapes, or values out of range.
    """
    _check(images, originals)
    return (images.float() - originals.float()).square().flatten(1).mean(dim=1)


def image_psnr(images: Tensor, originals: Tensor) -> Tensor:
    """The peak signal-to-noise ratio of each image, −10 log₁₀ of its squared error, in decibels.

    An error smaller than that of rounding to bytes counts as this, so that an exact copy has 58.9 dB, and means stay
    finite. Arguments and errors as above.
    """
    return -10 * image_squared_error(images, originals).clamp(min=QUANTISATION).log10()


def image_ssim(images: Tensor, originals: Tensor) -> Tensor:
    """The structural similarity of each image, at most 1, and 1 for a copy.

    In a window around every pixel the means, the deviations and the correlation of both images are compared; the mean
    is over windows and channels. Beyond their border, images go on as in a mirror.

    Args:
        images, originals: (N, C, H, W) in [0, 1], at least 11 × 11.
    Returns:
        (N,) from −1 to 1.
    Raises:
        ValueError: two shapes, values out of range, images smaller than the window.
    Source: Wang et al. 2004, with their constants (0.01, 0.03); the computation is torchmetrics'.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    _check(images, originals)
    if min(images.shape[-2:]) < SSIM_WINDOW:
        raise ValueError(
            f"SSIM looks through a window of {SSIM_WINDOW} × {SSIM_WINDOW} pixels, which images of "
            f"{images.shape[-2]} × {images.shape[-1]} do not hold: compare larger images, or take PSNR"
        )
    if not len(images):
        return torch.empty(0)
    # float64: the variances are differences of squares, and flat windows would be noise in float32. The mean is taken
    # here, over the whole map: some versions of torchmetrics leave out the border, and some do not.
    _, windows = structural_similarity_index_measure(
        images.double(),
        originals.double(),
        sigma=1.5,
        kernel_size=SSIM_WINDOW,
        data_range=1.0,
        reduction="none",
        return_full_image=True,
    )
    return windows.flatten(1).mean(dim=1).float()


def squared_error(
    images: Tensor, originals: Tensor | ImageSet, *, subject: str = "reconstructions", seed: int | None = None
) -> Measurement:
    """The mean of `image_squared_error`, with its standard error over images.

    Args:
        images: (N, C, H, W) in [0, 1], in the order of the originals.
        originals: what they should be, images or a data set.
        subject, seed: for the record.
    Raises:
        ValueError: two shapes, values out of range, no images.
    """
    protocol = Protocol("mean squared error", definition="mean over pixels and channels, [0, 1] scale")
    return _measured(image_squared_error, images, originals, protocol, subject, seed)


def psnr(
    images: Tensor, originals: Tensor | ImageSet, *, subject: str = "reconstructions", seed: int | None = None
) -> Measurement:
    """The mean of `image_psnr` in decibels, with its standard error over images. Arguments and errors as above.

    The mean of the logarithms, as is usual, which is more than the logarithm of the mean error says.
    """
    definition = "mean over images of −10 log10 of the squared error, [0, 1] scale, error at least 1 / (12 · 255²)"
    return _measured(image_psnr, images, originals, Protocol("PSNR", unit="dB", definition=definition), subject, seed)


def ssim(
    images: Tensor, originals: Tensor | ImageSet, *, subject: str = "reconstructions", seed: int | None = None
) -> Measurement:
    """The mean of `image_ssim`, with its standard error over images. Arguments and errors as above."""
    definition = (
        f"Gaussian window {SSIM_WINDOW} × {SSIM_WINDOW}, deviation 1.5, data range 1, constants 0.01 and 0.03, "
        "mean over windows around every pixel, images mirrored at their border, and channels"
    )
    return _measured(image_ssim, images, originals, Protocol("SSIM", definition=definition), subject, seed)


def _measured(
    per_image: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    originals: Tensor | ImageSet,
    protocol: Protocol,
    subject: str,
    seed: int | None,
) -> Measurement:
    if len(images) != len(originals):
        raise ValueError(f"{len(images)} images but {len(originals)} originals: each is compared with its own")
    values = []
    # In parts: SSIM holds five maps of each image in float64.
    for rows in torch.arange(len(images)).split(256):
        originals_here = originals.batch(rows).images if isinstance(originals, ImageSet) else originals[rows]
        values.append(per_image(images[rows], originals_here))
    known = originals if isinstance(originals, ImageSet) else None
    protocol = replace(
        protocol,
        image_shape=tuple(images.shape[1:]),
        data=known.name if known else None,
        split=known.split if known else None,
        key=known.key if known else None,
        samples=len(images),
        subject=subject,
        seed=seed,
    )
    return mean_over_images(torch.cat(values) if values else torch.empty(0), protocol)


def _check(images: Tensor, originals: Tensor) -> None:
    check_pictures(images)
    check_pictures(originals, "originals")
    if images.shape != originals.shape:
        raise ValueError(
            f"images are {tuple(images.shape)} but originals {tuple(originals.shape)}: each is compared with its own"
        )
