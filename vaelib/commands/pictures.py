"""Pictures in and out of the command line: pixel for pixel, without a plotting library in between."""

import os
from pathlib import Path

import torch
from torch import Tensor

from vaelib.data.pictures import centre_square, open_picture, resize, to_tensor


def grid(images: Tensor, columns: int) -> Tensor:
    """Images (N, C, H, W) in [0, 1] as one picture (C, …, …), row by row, with white lines between."""
    from torchvision.utils import make_grid

    # make_grid writes grey as three equal channels, which every PNG reader takes.
    return make_grid(images.float().cpu(), nrow=columns, padding=2, pad_value=1.0)


def pairs(originals: Tensor, answers: Tensor, columns: int = 8) -> Tensor:
    """Each original above its answer, in lines of `columns`, as one picture."""
    columns = min(columns, len(originals))
    rows: list[Tensor] = []
    for some, others in zip(originals.split(columns), answers.split(columns), strict=True):
        blank = torch.ones(columns - len(some), *some.shape[1:])
        rows += [some, blank, others, blank]
    return grid(torch.cat(rows), columns)


def write_png(image: Tensor, file: Path) -> None:
    """Write (C, H, W) in [0, 1] as a PNG, whole or not at all; folders are made."""
    from PIL import Image

    pixels = image.mul(255).round().to(torch.uint8).cpu()
    picture = Image.fromarray(pixels[0].numpy() if len(pixels) == 1 else pixels.permute(1, 2, 0).numpy())
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        picture.save(partial, format="PNG")
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def read_picture(file: Path, image_shape: tuple[int, int, int]) -> Tensor:
    """A picture file as a model takes it: the middle square, resized, grey or colour, (C, H, W) in [0, 1].

    Raises:
        ValueError: it is no picture.
    """
    channels, size, _ = image_shape
    try:
        data = file.read_bytes()
        image = open_picture(data, 1 if channels == 1 else 3)
    except OSError as error:
        raise ValueError(f"{file} cannot be read as a picture: {error.strerror or error}") from error
    return to_tensor(resize(centre_square(image), size)).float() / 255
