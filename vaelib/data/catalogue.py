"""The catalogue: every data set by name, its card, and `load`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from vaelib.config import near_miss
from vaelib.data import celeba, digits, dsprites, faces, ffhq, image_folder, lfw, portraits, sprites, torchvision_sets
from vaelib.data.data_card import DataCard
from vaelib.data.image_set import ImageSet

_CARDS = (
    faces.CARD,
    portraits.CARD,
    digits.CARD,
    sprites.CARD,
    sprites.COLOUR_CARD,
    dsprites.CARD,
    celeba.CARD,
    lfw.CARD,
    ffhq.CARD,
    torchvision_sets.MNIST_CARD,
    torchvision_sets.FASHION_MNIST_CARD,
    torchvision_sets.CIFAR10_CARD,
    image_folder.CARD,
)
# The loaders by what they take: some sets are made or come in a wheel, some lie in a root folder, some have a choice of
# crops.
_FROM_WHEELS: dict[str, Callable[..., ImageSet]] = {
    "faces": faces.load,
    "portraits": portraits.load,
    "digits": digits.load,
    "sprites": sprites.load,
    "colour_sprites": partial(sprites.load, colour=True),
}
_FROM_ROOTS: dict[str, Callable[..., ImageSet]] = {
    "mnist": torchvision_sets.load_mnist,
    "fashion_mnist": torchvision_sets.load_fashion_mnist,
    "cifar10": torchvision_sets.load_cifar10,
    "dsprites": dsprites.load,
}
_WITH_CROPS: dict[str, Callable[..., ImageSet]] = {"celeba": celeba.load, "lfw": lfw.load, "ffhq": ffhq.load}


def cards() -> dict[str, DataCard]:
    """Every data set's card, by name."""
    return {card.name: card for card in _CARDS}


def card(name: str) -> DataCard:
    """The card of one data set; `folder:PATH` has the card of `folder`.

    Raises:
        ValueError: no such data set; the message names the near miss.
    """
    known = cards()
    name = "folder" if name.startswith("folder:") else name
    if name not in known:
        raise ValueError(f"there is no data set {name!r}; there are {', '.join(known)}.{near_miss(name, known)}")
    return known[name]


def load(
    name: str,
    split: str = "train",
    *,
    count: int | None = None,
    size: int | None = None,
    crop: str | None = None,
    root: str | Path | None = None,
) -> ImageSet:
    """A data set by name: `load("faces", "train", count=2_000)`, `load("folder:my/pictures")`.

    Args:
        name: one of `cards()`, or "folder:PATH".
        split: "train", "validation" or "test".
        count: the first so many; all of the split by default.
        size: side of the square images; each set has a default of its own, 64 for faces.
        crop: by name, for `celeba`, `lfw` and `ffhq`; their cards list them.
        root: where a set lies that does not come in a wheel; vaelib's cache folder by default.

    Raises:
        ValueError: an unknown name, split or crop (the near miss is named), or an option that this set does not have.
        DataUnavailable: the set cannot be fetched; the message says what to do.
    """
    known = card(name)
    if split not in image_folder.SPLITS:
        raise ValueError(
            f"split should be one of {', '.join(image_folder.SPLITS)}, not {split!r}."
            f"{near_miss(split, image_folder.SPLITS)}"
        )
    if crop is not None and known.name not in _WITH_CROPS:
        raise ValueError(f"{known.name} comes with no crops to choose from; {', '.join(_WITH_CROPS)} do")
    if root is not None and known.name not in (_FROM_ROOTS | _WITH_CROPS):
        places = {"folder": "is the folder that you name", "sprites": "is drawn", "colour_sprites": "is drawn"}
        where = places.get(known.name, "comes in a wheel")
        raise ValueError(f"root is for {', '.join(_FROM_ROOTS | _WITH_CROPS)}; {known.name} {where}")
    if known.name == "folder":
        path = name.partition(":")[2]
        if not path:
            raise ValueError("which folder? Write folder:PATH, such as folder:my/pictures")
        return image_folder.folder(path, split, count=count, size=64 if size is None else size)
    if known.name in _FROM_WHEELS:
        return _FROM_WHEELS[known.name](split, count=count, size=size)
    if known.name in _FROM_ROOTS:
        return _FROM_ROOTS[known.name](split, count=count, size=size, root=root)
    return _WITH_CROPS[known.name](split, count=count, size=size, crop=crop, root=root)
