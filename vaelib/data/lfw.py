"""`lfw`: Labeled Faces in the Wild, 13,233 news photographs, as scikit-learn fetches them."""

import hashlib
from pathlib import Path

import torch

from vaelib.console import say
from vaelib.data.cache import DataUnavailable, cache_folder
from vaelib.data.data_card import DataCard
from vaelib.data.image_set import ImageSet
from vaelib.data.pictures import Crop, checked_count, checked_size, named_crop, open_picture, to_tensor
from vaelib.data.prepared import prepared

_FUNNELED = (250, 250)
CROPS = {
    "sklearn-125": Crop(_FUNNELED, 62, 70, 125, "lanczos", "the rows of scikit-learn's slice, widened to a square"),
    "full-250": Crop(_FUNNELED, 0, 0, 250, "lanczos", "the whole picture, with much background"),
}

CARD = DataCard(
    name="lfw",
    title="Labeled Faces in the Wild, funneled",
    what="Press photographs of 5,749 people, found by a face detector and aligned, 250×250.",
    shape=(3, 64, 64),
    splits={},
    division=(
        "13,233 in all, divided by person, from a hash of the name (about 80/10/10 of the people). Not the official "
        "pairs, which are for verification."
    ),
    source="News photographs of 2002 and 2003, gathered at the University of Massachusetts, Amherst.",
    fetched="Through scikit-learn (200 MB), or by hand; prepared once per crop and size.",
    licence="None stated; for research. The pictures belong to their agencies.",
    consent="None: people in the news were not asked.",
    bias=(
        "About 78 % men and 84 % white (Han and Jain 2014), hardly any children or people over 80; its own page "
        "warns against conclusions about groups that it hardly holds. Some people have 530 pictures, most have one."
    ),
    credit="Huang, Ramesh, Berg and Learned-Miller, Labeled Faces in the Wild, UMass 07-49, 2007.",
    label="the person, in alphabetical order",
    crops=CROPS,
)


def load(
    split: str = "train",
    *,
    count: int | None = None,
    size: int | None = None,
    crop: str | None = None,
    root: str | Path | None = None,
) -> ImageSet:
    """LFW from `root/lfw_home/lfw_funneled`, fetched by scikit-learn when it is not there, prepared once.

    Args:
        split: "train", "validation" or "test"; no person is in two.
        count: the first so many, in an order that mixes the people; only they are prepared.
        size: 64 by default; at most the crop's side.
        crop: "sklearn-125" by default; see `card("lfw")`.
        root: scikit-learn's `data_home`, or `lfw_funneled` itself.

    Raises:
        ValueError: an unknown crop, a size above its side, a count beyond the split, or a corrupt picture.
        DataUnavailable: no network or no scikit-learn; the message says what goes where.
    """
    crop = "sklearn-125" if crop is None else crop
    cut = named_crop("lfw", CROPS, crop)
    size = checked_size(f"lfw with crop {crop!r}", 64 if size is None else size, cut.side)
    folder = _folder(root)
    everybody = sorted(path.name for path in folder.iterdir() if path.is_dir())
    files = [path for person in everybody if _split_of(person) == split for path in (folder / person).glob("*.jpg")]
    files.sort(key=lambda path: _hash(path.name))
    count = checked_count("lfw", split, count, len(files))
    files = files[:count]
    made = prepared(
        "lfw",
        f"{cut} to {size}",
        files,
        lambda: lambda data: to_tensor(cut.cut(open_picture(data, 3), size)),
    )
    key = f"lfw files {made.digest[:12]} {split} 0:{count} {crop} {cut.filter} {size}×{size}"
    number = {person: index for index, person in enumerate(everybody)}
    labels = torch.tensor([number[file.parent.name] for file in files])
    return ImageSet(made.images, "lfw", split, key, labels, tuple(everybody), crop)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _split_of(person: str) -> str:
    tenth = _hash(person) % 10
    return "test" if tenth == 9 else "validation" if tenth == 8 else "train"


def _folder(root: str | Path | None) -> Path:
    """The folder of people, downloaded when there is none."""
    root = cache_folder() / "downloads" if root is None else Path(root).expanduser()
    inside = root / "lfw_home" / "lfw_funneled"
    if inside.is_dir():
        return inside
    if root.name == "lfw_funneled" and root.is_dir():
        return root
    say(f"downloading LFW (200 MB) to {inside}")
    try:
        from sklearn.datasets import fetch_lfw_people

        fetch_lfw_people(data_home=root, min_faces_per_person=200, resize=0.1)  # for the files it leaves
    except Exception as error:  # no scikit-learn, no network, no room
        raise DataUnavailable(
            f"LFW is not in {inside} and could not be downloaded ({error}). It takes scikit-learn (pip install "
            "scikit-learn) and a network. By hand: unpack lfw-funneled.tgz, so that "
            f"{inside / 'Aaron_Eckhart' / 'Aaron_Eckhart_0001.jpg'} exists. To go on without it, load 'faces'."
        ) from error
    return inside
