"""Sharpness: how much an image changes from pixel to pixel, as Tolstikhin et al. 2018 measured it for the WAE."""

import math

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
    against the sharpness of the data (`sharpness_closeness`), never alone.

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


def sharpness_closeness(
    images: Tensor | ImageSet | Measurement, data: Tensor | ImageSet | Measurement, *, subject: str = ""
) -> Measurement:
    """How close the sharpness of images comes to that of the data: min(r, 1/r), where r is their ratio.

    1 means equally sharp on average. Half and twice the data's sharpness both give ½: too blurred and too noisy count
    alike, so no model gains by being sharper than what it learned from. Noise can still pass: of blurred images with
    white noise, exactly the right dose scores 1 (for grey ones the variance that is missing over 20; see `sharpness`).
    So read it beside a power spectrum, where that dose lifts the wrong frequencies.

    The standard error is that of the ratio to first order (the delta method), with images and data taken as
    independent, which is cautious for reconstructions of the same images. Near 1 it misleads a little, since no image
    is closer than 1.

    Args:
        images: what is judged: (N, C, H, W) in [0, 1], a data set, or their `sharpness`.
        data: what they should look like, in one of the same forms.
        subject: for the record: "samples", "reconstructions".
    Raises:
        ValueError: images and data of different shapes, nothing to measure, or data that are flat.
    """
    ours = images if isinstance(images, Measurement) else sharpness(images, subject=subject)
    theirs = data if isinstance(data, Measurement) else sharpness(data, subject="data")
    for which, given in (("images", ours), ("data", theirs)):
        if given.protocol.metric != "sharpness":
            raise ValueError(f"{which} should be pictures or their sharpness, not a {given.protocol.metric}")
    shapes = ours.protocol.image_shape, theirs.protocol.image_shape
    if shapes[0] != shapes[1]:
        raise ValueError(f"images are {shapes[0]} but the data {shapes[1]}: sharpness compares at one shape only")
    if theirs.value <= 0:
        raise ValueError("the data are flat: their sharpness is 0, and nothing comes close to that by a ratio")
    low, high = sorted((ours, theirs), key=float)
    value = low.value / high.value
    error = None
    if low.standard_error is not None and high.standard_error is not None:
        # d(l / h) = dl / h − (l / h) dh / h.
        error = math.hypot(low.standard_error, value * high.standard_error) / high.value
    known = data if isinstance(data, ImageSet) else None
    protocol = Protocol(
        metric="sharpness closeness",
        definition=f"smaller over larger of two sharpnesses: {ours.protocol.definition}",
        image_shape=ours.protocol.image_shape,
        data=known.name if known else None,
        split=known.split if known else None,
        key=known.key if known else None,
        samples=ours.protocol.samples,
        reference_samples=theirs.protocol.samples,
        subject=subject or ours.protocol.subject,
    )
    return Measurement(value, protocol, error)


def mean_over_images(values: Tensor, protocol: Protocol) -> Measurement:
    """The mean of one value per image, with its standard error (none for a single image)."""
    if not len(values):
        raise ValueError("there are no images to measure")
    values = values.detach().double().cpu()
    error = (values.std() / len(values) ** 0.5).item() if len(values) > 1 else None
    return Measurement(values.mean().item(), protocol, error)
