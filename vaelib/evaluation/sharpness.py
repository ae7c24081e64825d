"""Sharpness: how much an image changes from pixel to pixel, as Tolstikhin et al. 2018 measured it for the WAE."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vaelib.data.image_set import ImageSet
from vaelib.evaluation.pictures import check_pictures
from vaelib.evaluation.protocol import Measurement, Protocol

LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))
"""The five-point Laplacian, the kernel of `sharpness`."""

LUMA = (0.299, 0.587, 0.114)
"""How much red, green and blue count for grey (ITU-R BT.601)."""


def image_sharpness(images: Tensor) -> Tensor:
    """The variance, within each image, of the Laplacian of its grey version.

    Only pixels with all four neighbours count, so no padding invents an edge.

    Args:
        images: (N, C, H, W) in [0, 1], at least 3 × 3.
    Returns:
        (N,), at least 0, on the [0, 1] scale of grey (for bytes, multiply by 255²).
    Raises:
        ValueError: another shape, or values out of range.
    """
    check_pictures(images)
    if min(images.shape[-2:]) < 3:
        raise ValueError(f"the Laplacian needs images of at least 3 × 3, not {tuple(images.shape[-2:])}")
    images = images.float()
    if images.shape[1] == 3:
        images = (images * images.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    response = F.conv2d(images, images.new_tensor(LAPLACIAN).view(1, 1, 3, 3))
    return response.flatten(1).var(dim=1, unbiased=False)


def sharpness(images: Tensor | ImageSet, *, subject: str = "") -> Measurement:
    """The mean of `image_sharpness` over the images, with its standard error.

    It tells blur from detail only among images that are otherwise alike. Noise fools it: white noise of deviation σ
    adds 20 σ² to a grey image, so speckled samples look sharper than photographs. Read it next to a power spectrum, and
    against the sharpness of the data, never alone.

    Args:
        images: (N, C, H, W) in [0, 1], or a data set.
        subject: for the record: "samples", "reconstructions", "data".
    """
    if isinstance(images, ImageSet):
        shape: tuple[int, ...] = images.image_shape
        values = torch.cat(
            [image_sharpness(images.batch(part).images) for part in torch.arange(len(images)).split(512)]
        )
        subject = subject or "data"
    else:
        shape = tuple(images.shape[1:])
        values = image_sharpness(images)
    protocol = Protocol(
        metric="sharpness",
        definition="variance of the five-point Laplacian of BT.601 grey in [0, 1], mean over images",
        image_shape=shape,
        samples=len(values),
        subject=subject,
    )
    return mean_over_images(values, protocol)


def mean_over_images(values: Tensor, protocol: Protocol) -> Measurement:
    """The mean of one value per image, with its standard error (none for a single image)."""
    if not len(values):
        raise ValueError("there are no images to measure")
    values = values.detach().double().cpu()
    error = (values.std() / len(values) ** 0.5).item() if len(values) > 1 else None
    return Measurement(values.mean().item(), protocol, error)
