"""From the bytes of an image file to a square uint8 tensor: colour, crop, resize."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from vaelib.config import near_miss

if TYPE_CHECKING:
    from PIL.Image import Image

Filter = Literal["lanczos", "bilinear"]


@dataclass(frozen=True)
class Crop:
    """A square cut out of pictures of one size, then resized. Crops make Fréchet distances incomparable: name yours.

    Attributes:
        picture: (width, height) of the pictures it is cut from.
        left, top: the corner of the square, in pixels from the upper left.
        side: of the square.
        filter: how it is resized (both are antialiased).
        source: who crops like this.
    """

    picture: tuple[int, int]
    left: int
    top: int
    side: int
    filter: Filter
    source: str

    def __str__(self) -> str:
        return f"{self.side}×{self.side} at ({self.left}, {self.top}), {self.filter}"

    def cut(self, image: "Image", size: int) -> "Image":
        """The square, resized to (size, size).

        Raises:
            ValueError: the picture is not of the size that this crop is for.
        """
        if image.size != self.picture:
            width, height = self.picture
            raise ValueError(
                f"it is {image.width}×{image.height}, but this crop is for pictures of {width}×{height} (width×height)"
            )
        square = image.crop((self.left, self.top, self.left + self.side, self.top + self.side))
        return resize(square, size, self.filter)


def named_crop(dataset: str, crops: Mapping[str, Crop], name: str) -> Crop:
    """The crop of this name.

    Raises:
        ValueError: the data set has no such crop; the message names the near miss.
    """
    if name not in crops:
        raise ValueError(f"{dataset} has no crop {name!r}; it has {', '.join(crops)}.{near_miss(name, crops)}")
    return crops[name]


def is_colour(data: bytes) -> bool:
    """Whether an image file holds colour, by its mode; a palette counts as colour."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return not (image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I"))


def open_picture(data: bytes, channels: Literal[1, 3] | None = None) -> "Image":
    """Decode an image file, upright (EXIF), as grey (1 channel), RGB (3) or whichever it is (None).

    Transparency is laid on white, 16-bit greys are scaled to 8 bits.
    """
    import numpy
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        opened = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:  # whose own message names the BytesIO
        raise UnidentifiedImageError("it is in no image format that Pillow knows") from None
    with opened:
        image = ImageOps.exif_transpose(opened)
        image.load()
    grey = image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I")
    if image.mode.startswith("I"):  # Pillow itself would clip 16 bits to 255
        image = Image.fromarray((numpy.asarray(image).astype(numpy.int64).clip(0, 65535) // 257).astype(numpy.uint8))
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    if channels is None:
        channels = 1 if grey else 3
    return image.convert("L" if channels == 1 else "RGB")


def centre_square(image: "Image") -> "Image":
    """The largest square in the middle."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def resize(image: "Image", size: int, filter: Filter = "lanczos") -> "Image":
    """The picture at (size, size); untouched when it has that size."""
    from PIL import Image

    if image.size == (size, size):
        return image
    return image.resize(
        (size, size), {"lanczos": Image.Resampling.LANCZOS, "bilinear": Image.Resampling.BILINEAR}[filter]
    )


def to_tensor(image: "Image") -> Tensor:
    """(C, H, W) uint8."""
    import numpy

    pixels = torch.from_numpy(numpy.array(image, dtype=numpy.uint8))
    return pixels[None] if pixels.dim() == 2 else pixels.permute(2, 0, 1).contiguous()


def resize_images(images: Tensor, size: int) -> Tensor:
    """(N, C, H, W) uint8 to (N, C, size, size), Lanczos, each image for itself."""
    from PIL import Image

    if images.shape[-2:] == (size, size):
        return images
    resized = torch.empty(len(images), images.shape[1], size, size, dtype=torch.uint8)
    for index, image in enumerate(images):
        array = (image[0] if len(image) == 1 else image.permute(1, 2, 0)).numpy()
        resized[index] = to_tensor(resize(Image.fromarray(array), size))
    return resized


def checked_size(dataset: str, size: int | None, native: int) -> int:
    """`size`, or the native size when none is asked for.

    Raises:
        ValueError: smaller than 1, or larger than the images are: enlarging adds pixels and no information.
    """
    if size is None:
        return native
    if not 1 <= size <= native:
        raise ValueError(f"{dataset} comes in sizes from 1 to {native}, not {size}: enlarging would add no information")
    return size


def checked_count(dataset: str, split: str, count: int | None, available: int) -> int:
    """`count`, or all when none is asked for.

    Raises:
        ValueError: below 1, or more than there are.
    """
    if count is None:
        return available
    if not 1 <= count <= available:
        raise ValueError(f"{dataset} has {available:,} {split} images; a count of {count:,} cannot be had")
    return count
