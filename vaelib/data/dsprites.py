"""`dsprites`: the real file of dSprites, when the user has it. `sprites` is the same grid of factors, drawn by us."""

import math
import zipfile
import zlib
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from vaelib.data import sprites
from vaelib.data.cache import DataUnavailable, cache_folder
from vaelib.data.data_card import DataCard
from vaelib.data.image_set import ImageSet
from vaelib.data.pictures import checked_count, resize_images

FILE = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
SIZE = 64
PICTURES = math.prod(sprites.FACTORS.values())
BLOCK = 4096  # pictures read at a time, 16 MB

CARD = DataCard(
    name="dsprites",
    title="dSprites, the published file",
    what="A square, an ellipse or a heart, white on black, without grey levels.",
    shape=(1, SIZE, SIZE),
    splits=sprites.SPLITS,
    division="Ours: drawn without repetition in a fixed random order, the same places of the grid as `sprites`.",
    source="https://github.com/google-deepmind/dsprites-dataset",
    fetched=f"By you: put {FILE} (27 MB) into the folder that `root` names. `sprites` needs no file.",
    licence="Apache 2.0.",
    consent="Nobody is in it.",
    bias=(
        "As for `sprites`. Besides, its 40 rotations run from 0 to 2π with both ends, so the first and the last are "
        "the same picture."
    ),
    credit="Matthey, Higgins, Hassabis and Lerchner, dSprites: Disentanglement testing Sprites dataset, 2017.",
    label=sprites.CARD.label,
)


def load(
    split: str = "train", *, count: int | None = None, size: int | None = None, root: str | Path | None = None
) -> ImageSet:
    """dSprites from its published file, with the factors (N, 5) as labels, in the order of `sprites`.

    Args:
        split, count: as of `sprites`.
        size: 64, or less.
        root: the folder that holds the file; vaelib's cache folder by default.
    Raises:
        DataUnavailable: the file is not there, or is not that file.
    """
    import numpy

    size = SIZE if size is None else size
    if not 8 <= size <= SIZE:
        raise ValueError(f"dsprites are {SIZE} pixels wide and can be made smaller, down to 8, not {size}")
    count = checked_count("dsprites", split, count, sprites.SPLITS[split])
    path = (Path(root) if root is not None else cache_folder() / "dsprites") / FILE
    if not path.exists():
        raise DataUnavailable(
            f"{path} is not there. Download {FILE} from {CARD.source} and put it there, name its folder with root, or "
            'take load("sprites"), the same factors drawn by vaelib'
        )
    places = sprites.split_places(split, count, PICTURES)
    try:
        with zipfile.ZipFile(path) as archive:
            with archive.open("latents_classes.npy") as file:
                classes = numpy.lib.format.read_array(file, allow_pickle=False)
            if classes.shape != (PICTURES, 6):
                raise ValueError(f"latents_classes should be {(PICTURES, 6)}, not {classes.shape}")
            with archive.open("imgs.npy") as file:
                pictures = read_pictures(file, places).mul_(255).unsqueeze(1)
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataUnavailable(f"{path} is not the published dSprites, or is damaged: {error}") from error
    if size != SIZE:
        pictures = resize_images(pictures, size)
    # The first class is the colour, always white.
    factors = torch.from_numpy(classes[places.numpy(), 1:]).long()
    key = f"dsprites {FILE} {split} {size}×{size} first {count}"
    return ImageSet(pictures, "dsprites", split, key, factors, tuple(sprites.FACTORS))


def read_pictures(file: IO[bytes], places: Tensor) -> Tensor:
    """The pictures at these places of an open `imgs.npy`. All of them are 3 GB, so they pass by a block at a time.

    Args:
        places: (N,), in any order.
    Returns:
        (N, 64, 64) uint8, of zeros and ones.
    Raises:
        ValueError: an array of another shape or type, or with other values.
        EOFError: it ends too early.
    """
    from numpy.lib import format as npy

    header = npy.read_array_header_1_0 if npy.read_magic(file) == (1, 0) else npy.read_array_header_2_0
    shape, column_order, kind = header(file)
    if shape != (PICTURES, SIZE, SIZE) or kind != "uint8" or column_order:
        raise ValueError(f"imgs should be uint8 {(PICTURES, SIZE, SIZE)}, not {kind} {shape}")
    pictures = torch.empty(len(places), SIZE, SIZE, dtype=torch.uint8)
    for start in range(0, int(places.max()) + 1, BLOCK):
        count = min(BLOCK, PICTURES - start)
        block = bytearray(file.read(count * SIZE**2))
        if len(block) < count * SIZE**2:
            raise EOFError("imgs ends too early")
        wanted = ((places >= start) & (places < start + count)).nonzero()[:, 0]
        rows = torch.frombuffer(block, dtype=torch.uint8).view(count, SIZE, SIZE)
        pictures[wanted] = rows[places[wanted] - start]
    if pictures.max() > 1:
        raise ValueError(f"imgs should hold zeros and ones, not {int(pictures.max())}")
    return pictures
