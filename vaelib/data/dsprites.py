"""`dsprites`: the real file of dSprites, when the user has it. `sprites` is the same grid of factors, drawn by us."""

import math
import zipfile
import zlib
from pathlib import Path

import torch

from vaelib.data import sprites
from vaelib.data.cache import DataUnavailable, cache_folder
from vaelib.data.data_card import DataCard
from vaelib.data.image_set import ImageSet
from vaelib.data.pictures import checked_count, resize_images

FILE = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
SIZE = 64

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
    try:
        with numpy.load(path, allow_pickle=False) as arrays:
            images, classes = arrays["imgs"], arrays["latents_classes"]
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataUnavailable(f"{path} is not the published dSprites, or is damaged: {error}") from error
    pictures_of_all = math.prod(sprites.FACTORS.values())
    if images.shape != (pictures_of_all, SIZE, SIZE) or classes.shape != (pictures_of_all, 6):
        raise DataUnavailable(
            f"{path} is not the published dSprites: imgs {images.shape}, latents_classes {classes.shape}"
        )
    places = sprites.split_places(split, count, len(images))
    pictures = torch.from_numpy(images[places.numpy()]).mul(255).unsqueeze(1)
    if size != SIZE:
        pictures = resize_images(pictures, size)
    # The first class is the colour, always white.
    factors = torch.from_numpy(classes[places.numpy(), 1:]).long()
    key = f"dsprites {FILE} {split} {size}×{size} first {count}"
    return ImageSet(pictures, "dsprites", split, key, factors, tuple(sprites.FACTORS))
