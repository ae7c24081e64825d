"""`ffhq`: Flickr-Faces-HQ, 70,000 photographs, in the folders that its authors publish."""

from pathlib import Path

from vaelib.data.cache import DataUnavailable, cache_folder
from vaelib.data.data_card import DataCard
from vaelib.data.image_set import ImageSet
from vaelib.data.pictures import Crop, checked_count, checked_size, named_crop, open_picture, to_tensor
from vaelib.data.prepared import prepared

_FOLDERS = {"full-1024": "images1024x1024", "full-128": "thumbnails128x128"}
CROPS = {
    "full-1024": Crop((1024, 1024), 0, 0, 1024, "lanczos", "the aligned pictures; not resized as the TFRecords were"),
    "full-128": Crop((128, 128), 0, 0, 128, "lanczos", "the published thumbnails"),
}
_NUMBERS = {"train": range(0, 55_000), "validation": range(55_000, 60_000), "test": range(60_000, 70_000)}

CARD = DataCard(
    name="ffhq",
    title="Flickr-Faces-HQ",
    what="Photographs of faces, aligned, 1024×1024 (89 GB), or 128×128 as thumbnails (2 GB).",
    shape=(3, 64, 64),
    splits={split: len(numbers) for split, numbers in _NUMBERS.items()},
    division=(
        "By number: 60,000 to 69,999, the official validation set, is our test set; the last 5,000 before it are for "
        "validation. (NVAE's split is another: 63,000 and 7,000.)"
    ),
    source="Flickr, gathered and aligned by NVIDIA.",
    fetched="By hand from the authors' repository (NVlabs/ffhq-dataset); prepared once per size.",
    licence=(
        "The set: CC BY-NC-SA 4.0. Each picture: its own Creative Commons or public-domain licence, listed with its "
        "author in the set's metadata."
    ),
    consent="Photographers chose an open licence; the people shown were not asked, and can ask to be removed.",
    bias="Flickr's: who is photographed, who uploads, and what a face detector finds. Not for recognising people.",
    credit="Karras, Laine and Aila, A Style-Based Generator Architecture for GANs, CVPR 2019.",
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
    """FFHQ from `root/images1024x1024` or `root/thumbnails128x128`, prepared once and memory-mapped. Never downloaded.

    Args:
        split: "train", "validation" or "test", by the pictures' numbers.
        count: the first so many; only they are prepared.
        size: 64 by default; at most 1024 or, from thumbnails, 128.
        crop: "full-1024" or "full-128"; by default the first that is there.
        root: the folder of the published set.

    Raises:
        ValueError: an unknown crop, a size above its side, a count beyond the split, or a corrupt picture.
        DataUnavailable: the pictures are not there; the message says what goes where.
    """
    if crop is not None:
        named_crop("ffhq", CROPS, crop)
    root = cache_folder() / "downloads" / "ffhq" if root is None else Path(root).expanduser()
    there = [name for name in ([crop] if crop else CROPS) if (root / _FOLDERS[name]).is_dir()]
    if not there:
        wanted = " or ".join(str(root / _FOLDERS[name] / "00000" / "00000.png") for name in ([crop] if crop else CROPS))
        raise DataUnavailable(
            f"FFHQ is not in {root}. It is too big to fetch unasked: use the script of its authors' repository "
            f"(NVlabs/ffhq-dataset), so that {wanted} exists, and give that folder as root. To go on without "
            "it, load 'faces'."
        )
    crop = there[0]
    cut = CROPS[crop]
    size = checked_size(f"ffhq with crop {crop!r}", 64 if size is None else size, cut.side)
    numbered = {int(path.stem): path for path in (root / _FOLDERS[crop]).rglob("*.png") if path.stem.isdecimal()}
    files = [numbered[number] for number in sorted(numbered) if number in _NUMBERS[split]]
    count = checked_count("ffhq", split, count, len(files))
    made = prepared(
        "ffhq",
        f"{cut} to {size}",
        files[:count],
        lambda: lambda data: to_tensor(cut.cut(open_picture(data, 3), size)),
    )
    key = f"ffhq files {made.digest[:12]} {split} 0:{count} {crop} {cut.filter} {size}×{size}"
    return ImageSet(made.images, "ffhq", split, key, crop=crop)
