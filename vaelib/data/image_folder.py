"""`folder`: any folder of images, in one line."""

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from vaelib.data.data_card import DataCard
from vaelib.data.image_set import ImageSet
from vaelib.data.pictures import centre_square, checked_count, is_colour, open_picture, resize, to_tensor
from vaelib.data.prepared import fingerprint, prepared

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
SPLITS = ("train", "validation", "test")

CARD = DataCard(
    name="folder",
    title="a folder of your own",
    what="Every image below a folder: load('folder:PATH'), or vaelib.data.folder(PATH, …) with more options.",
    shape=(0, 0, 0),
    splits={},
    division="By a hash of each file's path inside the folder, about 80/10/10; new pictures do not move old ones.",
    source="You.",
    fetched=(
        "Read where it lies; the largest central square, resized with Lanczos, RGB if any picture has colour. A copy "
        "of the prepared pixels is kept in vaelib's cache folder."
    ),
    licence="As the pictures have.",
    consent="Yours to ask for: of the people in the pictures, and of whoever took them.",
    bias="Yours to know.",
    credit="Whoever took the pictures.",
    label="none; with labels=True, the first folder in the path",
)


def folder(
    path: str | Path,
    split: str = "train",
    *,
    size: int = 64,
    count: int | None = None,
    channels: Literal[1, 3] | None = None,
    labels: bool = False,
    skip_corrupt: bool = False,
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1),
) -> ImageSet:
    """The images of a folder and its subfolders, in the order of their paths: the central square of each, resized.

    Args:
        path: the folder. Hidden files and files that do not end like an image are passed over.
        split: "train", "validation" or "test": each file's by a hash of its path inside the folder.
        size: the images become (size, size); small ones are enlarged.
        count: the first so many.
        channels: 1 for grey, 3 for RGB; by default RGB if any image of the folder has colour.
        labels: number the subfolders that the images lie in, in alphabetical order.
        skip_corrupt: leave out files that cannot be read, instead of stopping at the first.
        shares: of train, validation and test; (1, 0, 0) puts all into train.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no images in it or in this split, a corrupt image, or options that make no sense.
    """
    path = Path(path).expanduser()
    border = _borders(shares)
    if split not in SPLITS:
        raise ValueError(f"split should be one of {', '.join(SPLITS)}, not {split!r}")
    if size < 1:
        raise ValueError(f"size should be at least 1, not {size}")
    if channels not in (None, 1, 3):
        raise ValueError(f"channels should be 1 (grey), 3 (RGB) or None, not {channels!r}")
    everything = _images_below(path)
    part = SPLITS.index(split)
    files = [file for file in everything if border[part] <= _position(path, file) < border[part + 1]]
    if not files:
        raise ValueError(
            f"none of the {len(everything)} images of {path} falls into the {split} split with shares {shares}. Give "
            "that split a larger share, or use a folder of its own with shares=(1, 0, 0)."
        )
    files = files[: checked_count(f"folder {path}", split, count, len(files))]

    def reader() -> Callable[[bytes], Tensor]:
        wanted = channels if channels is not None else _channels(everything)
        return lambda data: to_tensor(resize(centre_square(open_picture(data, wanted)), size))

    # Whether there is colour depends on every file of the folder, so it counts as part of the recipe.
    colour = f"{channels} channels" if channels is not None else f"channels of {fingerprint(everything)}"
    made = prepared("folder", f"centre square to {size}, {colour}", files, reader, skip_corrupt=skip_corrupt)
    files = [file for file, kept in zip(files, made.kept.tolist(), strict=True) if kept]
    numbers, names = _labels(path, files, everything) if labels else (None, ())
    key = f"folder files {made.digest[:12]} {split} centre square lanczos {size}×{size} {made.images.shape[1]} channels"
    return ImageSet(made.images, f"folder:{path}", split, key, numbers, names)


def _images_below(path: Path) -> list[Path]:
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is not a folder" if path.exists() else f"there is no folder {path}")
    inside = [file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file()]
    visible = [file for file in inside if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    if not visible:
        raise ValueError(f"there are no images in {path}: no file in it or below it ends in {', '.join(SUFFIXES)}")
    return sorted(visible, key=lambda file: file.relative_to(path).as_posix())


def _borders(shares: tuple[float, float, float]) -> tuple[float, float, float, float]:
    if len(shares) != 3 or min(shares) < 0 or not math.isclose(sum(shares), 1):
        raise ValueError(f"shares should be three numbers of train, validation and test that add up to 1, not {shares}")
    return 0.0, shares[0], shares[0] + shares[1], math.inf if shares[2] else shares[0] + shares[1]


def _position(path: Path, file: Path) -> float:
    """A number in [0, 1) that only depends on the file's path inside the folder."""
    name = file.relative_to(path).as_posix().encode(errors="surrogateescape")
    return int.from_bytes(hashlib.sha256(name).digest()[:6], "big") / 2**48


def _channels(files: list[Path]) -> Literal[1, 3]:
    for file in files:
        try:
            if is_colour(file.read_bytes()):
                return 3
        except Exception:  # a corrupt file says nothing about colour; it is reported when it is read
            continue
    return 1


def _labels(path: Path, files: list[Path], everything: list[Path]) -> tuple[Tensor, tuple[str, ...]]:
    if loose := [file for file in everything if file.parent == path]:
        raise ValueError(
            f"labels come from subfolders, but {loose[0]} lies in none ({len(loose)} such files). Move them, or load "
            "without labels."
        )
    names = sorted({file.relative_to(path).parts[0] for file in everything})
    return torch.tensor([names.index(file.relative_to(path).parts[0]) for file in files]), tuple(names)
