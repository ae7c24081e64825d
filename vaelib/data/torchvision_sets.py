"""`mnist`, `fashion_mnist` and `cifar10`: small sets that torchvision knows how to fetch, whole in memory.

Loading one downloads it when it is not there. Nothing is unpickled: of CIFAR-10 we read the binary edition, since the
"python" one, which torchvision reads, is a pickle.
"""

import hashlib
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from vaelib.console import say
from vaelib.data.cache import DataUnavailable, cache_folder, make_folder
from vaelib.data.data_card import DataCard
from vaelib.data.image_set import ImageSet
from vaelib.data.pictures import checked_count, checked_size, resize_images

MNIST_CARD = DataCard(
    name="mnist",
    title="MNIST, all of it",
    what="Handwritten digits, white on black, centred.",
    shape=(1, 28, 28),
    splits={"train": 55_000, "validation": 5_000, "test": 10_000},
    division="Validation is the last twelfth of the training file; test is the official one.",
    source="NIST special databases 1 and 3, remixed by LeCun, Cortes and Burges.",
    fetched="By torchvision, 12 MB. `digits` has 5,000 of them without that download.",
    licence="Free for research and teaching; CC BY-SA 3.0 is the licence usually stated.",
    consent="Not recorded. The writers are anonymous and digits identify nobody in practice.",
    bias="Census clerks and high-school students of the United States, about 1990. Nearly solved.",
    credit="LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition, 1998.",
    label="the digit, 0 to 9",
)

FASHION_MNIST_CARD = DataCard(
    name="fashion_mnist",
    title="Fashion-MNIST",
    what="Pictures of articles of clothing from a shop's catalogue, shrunk to MNIST's size.",
    shape=(1, 28, 28),
    splits={"train": 55_000, "validation": 5_000, "test": 10_000},
    division="Validation is the last twelfth of the training file; test is the official one.",
    source="Zalando's catalogue.",
    fetched="By torchvision, 31 MB.",
    licence="MIT.",
    consent="No people.",
    bias="One European shop's stock of one time: what counts as a shirt is that shop's idea.",
    credit="Xiao, Rasul and Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking, 2017.",
    label="the article, 0 to 9",
)

CIFAR10_CARD = DataCard(
    name="cifar10",
    title="CIFAR-10",
    what="Small colour pictures of aeroplanes, cars, birds, cats, deer, dogs, frogs, horses, ships and lorries.",
    shape=(3, 32, 32),
    splits={"train": 45_000, "validation": 5_000, "test": 10_000},
    division="Validation is the last tenth of the five training files; test is the official one.",
    source="Found by web search for the 80 Million Tiny Images, then labelled by students.",
    fetched="The binary edition (not the pickled one), 170 MB, checked by its MD5.",
    licence="None stated; used for research everywhere. The pictures belong to whoever took them.",
    consent="None was asked for.",
    bias=(
        "Its parent set was withdrawn in 2020 for offensive labels; these ten classes were cleaned by hand. About 3 % "
        "of the test pictures have a near duplicate in the training set (Barz and Denzler 2020)."
    ),
    credit="Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.",
    label="the class, 0 to 9",
)

_CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
_CIFAR10_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
_CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load_mnist(
    split: str = "train", *, count: int | None = None, size: int | None = None, root: str | Path | None = None
) -> ImageSet:
    """MNIST from `root/MNIST/raw`, downloaded by torchvision when it is not there.

    Raises:
        ValueError: a size above 28, or a count beyond the split.
        DataUnavailable: no network, or damaged files; the message says what goes where.
    """
    return _idx_set(MNIST_CARD, "MNIST", split, count, size, root)


def load_fashion_mnist(
    split: str = "train", *, count: int | None = None, size: int | None = None, root: str | Path | None = None
) -> ImageSet:
    """Fashion-MNIST from `root/FashionMNIST/raw`, downloaded when it is not there. Raises like `load_mnist`."""
    return _idx_set(FASHION_MNIST_CARD, "FashionMNIST", split, count, size, root)


def load_cifar10(
    split: str = "train", *, count: int | None = None, size: int | None = None, root: str | Path | None = None
) -> ImageSet:
    """CIFAR-10 from `root/cifar-10-batches-bin`, downloaded when it is not there.

    Raises:
        ValueError: a size above 32, or a count beyond the split.
        DataUnavailable: no network, or damaged files; the message says what goes where.
    """
    size = checked_size("cifar10", size, 32)
    folder = _downloads(root) / "cifar-10-batches-bin"
    if not folder.exists():
        _fetch_cifar10(folder)
    names = ["test_batch"] if split == "test" else [f"data_batch_{number}" for number in range(1, 6)]
    records = []
    for file in (folder / f"{name}.bin" for name in names):
        data = file.read_bytes() if file.exists() else b""
        if not data or len(data) % 3073:
            state = f"has {len(data):,} bytes, not a multiple of 3,073," if data else "is missing or empty"
            raise DataUnavailable(f"{file} {state}: remove {folder} and load cifar10 again. {_cifar10_by_hand(folder)}")
        records.append(torch.frombuffer(bytearray(data), dtype=torch.uint8).view(-1, 3073))
    table = torch.cat(records)
    images, labels = table[:, 1:].reshape(-1, 3, 32, 32), table[:, 0].long()
    return _in_memory(CIFAR10_CARD, images, labels, _CIFAR10_CLASSES, split, count, size, held_out=10)


def _idx_set(
    card: DataCard, kind: str, split: str, count: int | None, size: int | None, root: str | Path | None
) -> ImageSet:
    import torchvision.datasets

    size = checked_size(card.name, size, 28)
    folder = _downloads(root) / kind / "raw"
    stem = "t10k" if split == "test" else "train"
    if not (folder / f"{stem}-images-idx3-ubyte").exists():
        say(f"downloading {card.title} to {folder}")
    try:
        found = getattr(torchvision.datasets, kind)(_downloads(root), train=split != "test", download=True)
    except Exception as error:  # no network, no room, a file cut short: torchvision raises half a dozen kinds
        raise DataUnavailable(
            f"{card.title} could not be downloaded or read ({error}). With a network, remove {folder} and try again; "
            f"without, put train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and "
            f"t10k-labels-idx1-ubyte there, unpacked"
            + (", or load 'digits', a sample that needs no such download." if kind == "MNIST" else ".")
        ) from error
    return _in_memory(card, found.data[:, None], found.targets, tuple(found.classes), split, count, size, held_out=12)


def _in_memory(
    card: DataCard,
    images: Tensor,
    labels: Tensor,
    names: tuple[str, ...],
    split: str,
    count: int | None,
    size: int,
    held_out: int,
) -> ImageSet:
    """The split's part, where validation is the last 1/held_out of the training images."""
    if split != "test":
        border = len(images) - len(images) // held_out
        part = slice(0, border) if split == "train" else slice(border, None)
        images, labels = images[part], labels[part]
    count = checked_count(card.name, split, count, len(images))
    images = images.contiguous()
    key = f"{card.name} pixels {hashlib.sha256(images.numpy().tobytes()).hexdigest()[:12]} {split}"
    key += f" {images.shape[-2]}×{images.shape[-1]}"
    if size != images.shape[-1]:
        key += f" lanczos {size}×{size}"
    whole = len(images)
    images = resize_images(images[:count], size)
    return ImageSet(images, card.name, split, key if count == whole else f"{key} first {count}", labels[:count], names)


def _downloads(root: str | Path | None) -> Path:
    return Path(root).expanduser() if root is not None else cache_folder() / "downloads"


def _fetch_cifar10(folder: Path) -> None:
    from torchvision.datasets.utils import download_and_extract_archive

    if (pickled := folder.with_name("cifar-10-batches-py")).exists():
        say(f"{pickled} is the pickled edition, which vaelib does not read")
    make_folder(folder.parent)
    say(f"downloading CIFAR-10 to {folder}")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetching-", ignore_cleanup_errors=True) as temporary:
        try:
            download_and_extract_archive(_CIFAR10_URL, temporary, md5=_CIFAR10_MD5)
            (Path(temporary) / folder.name).replace(folder)
        except Exception as error:
            if folder.exists():  # another process was faster
                return
            raise DataUnavailable(
                f"CIFAR-10 could not be downloaded ({error}). Is there a network? {_cifar10_by_hand(folder)}"
            ) from error


def _cifar10_by_hand(folder: Path) -> str:
    return (
        f"By hand: unpack the binary edition ({_CIFAR10_URL}), so that {folder / 'data_batch_1.bin'} exists. The "
        "'python' edition is a pickle, which vaelib does not open."
    )
