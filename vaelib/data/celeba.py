"""`celeba`: 202,599 aligned photographs of celebrities, with the crops of the papers by name.

The files are read as they are published (`img_align_celeba/`, `list_eval_partition.txt`, `list_attr_celeba.txt`), so a
set fetched years ago, or by another program, will do.
"""

from pathlib import Path

import torch
from torch import Tensor

from vaelib.console import say
from vaelib.data.cache import DataUnavailable, cache_folder
from vaelib.data.data_card import DataCard
from vaelib.data.image_set import ImageSet
from vaelib.data.pictures import Crop, checked_count, checked_size, named_crop, open_picture, to_tensor
from vaelib.data.prepared import prepared

_ALIGNED = (178, 218)
CROPS = {
    "nvae-148": Crop(_ALIGNED, 15, 40, 148, "bilinear", "Larsen et al. 2016; NVAE"),
    "wae-140": Crop(_ALIGNED, 19, 39, 140, "lanczos", "WAE, centre"),
    "centre-148": Crop(_ALIGNED, 15, 35, 148, "bilinear", "AntixK/PyTorch-VAE, centre"),
    "centre-178": Crop(_ALIGNED, 0, 20, 178, "lanczos", "the largest square, hair and chin included"),
}
_PARTS = {"train": "0", "validation": "1", "test": "2"}

CARD = DataCard(
    name="celeba",
    title="CelebA, aligned",
    what="Photographs of celebrities, aligned by the eyes, 178×218.",
    shape=(3, 64, 64),
    splits={"train": 162_770, "validation": 19_867, "test": 19_962},
    division="The official partition, by person. (WAE ignores it: it shuffles all and tests on 20,000.)",
    source="Found on the web by the Multimedia Laboratory of the Chinese University of Hong Kong.",
    fetched=(
        "Through torchvision from Google Drive (1.4 GB; often refused for quota), or by hand from the authors' page; "
        "prepared once per crop and size."
    ),
    licence="Non-commercial research only; the pictures are not the authors' and may not be handed on.",
    consent="None: public figures, photographed in public, were not asked.",
    bias=(
        "Celebrities: mostly young, light-skinned and made up, often smiling, 58 % labelled female. The 40 attributes "
        "('attractive', 'big nose', …) are annotators' opinions, not facts about the people."
    ),
    credit="Liu, Luo, Wang and Tang, Deep Learning Face Attributes in the Wild, ICCV 2015.",
    label="40 attributes, 0 or 1 (where list_attr_celeba.txt is there)",
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
    """CelebA from `root/celeba`, fetched by torchvision when it is not there, prepared once and memory-mapped.

    Args:
        split: "train", "validation" or "test", of the official partition.
        count: the first so many; only they are prepared.
        size: 64 by default; at most the crop's side.
        crop: "nvae-148" by default; see `card("celeba")`.
        root: the folder that holds `celeba/`, or `celeba/` itself.

    Raises:
        ValueError: an unknown crop, a size above its side, a count beyond the split, or a corrupt picture.
        DataUnavailable: no network, or a file is missing; the message says what goes where.
    """
    crop = "nvae-148" if crop is None else crop
    cut = named_crop("celeba", CROPS, crop)
    size = checked_size(f"celeba with crop {crop!r}", 64 if size is None else size, cut.side)
    folder = _folder(root)
    names = [name for name, part in _rows(folder / "list_eval_partition.txt") if part == _PARTS[split]]
    count = checked_count("celeba", split, count, len(names))
    made = prepared(
        "celeba",
        f"{cut} to {size}",
        [folder / "img_align_celeba" / name for name in names[:count]],
        lambda: lambda data: to_tensor(cut.cut(open_picture(data, 3), size)),
    )
    key = f"celeba files {made.digest[:12]} {split} 0:{count} {crop} {cut.filter} {size}×{size}"
    attributes, labels = _attributes(folder / "list_attr_celeba.txt", names[:count])
    return ImageSet(made.images, "celeba", split, key, labels, attributes, crop)


def _folder(root: str | Path | None) -> Path:
    """The folder with the pictures and the lists, downloaded when there is none."""
    root = cache_folder() / "downloads" if root is None else Path(root).expanduser()
    for folder in (root, root / "celeba"):
        if (folder / "img_align_celeba").is_dir():
            return folder
    folder = root / "celeba"
    say(f"downloading CelebA (1.4 GB) to {folder}")
    try:
        import torchvision.datasets

        torchvision.datasets.CelebA(root, download=True)
    except Exception as error:  # Google Drive's quota, no gdown, no network: as many kinds
        raise DataUnavailable(
            f"CelebA is not in {folder} and could not be downloaded ({error}). By hand: get 'Align&Cropped Images' and "
            "the lists from the authors' page (mmlab.ie.cuhk.edu.hk/projects/CelebA.html) and unpack them, so that "
            f"{folder / 'img_align_celeba' / '000001.jpg'}, {folder / 'list_eval_partition.txt'} and, for labels, "
            f"{folder / 'list_attr_celeba.txt'} exist. To go on without it, load 'faces'."
        ) from error
    return folder


def _rows(path: Path) -> list[list[str]]:
    try:
        return [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise DataUnavailable(
            f"{path} is missing or cannot be read ({error.strerror}). It comes with CelebA, on the authors' page."
        ) from error


def _attributes(path: Path, names: list[str]) -> tuple[tuple[str, ...], Tensor | None]:
    """The 40 names and (N, 40) zeros and ones, or nothing when the list is not there. Its first line is the count."""
    if not path.exists():
        return (), None
    _, header, *rows = _rows(path)
    values = {row[0]: [int(value == "1") for value in row[1:]] for row in rows}
    if missing := [name for name in names if len(values.get(name, [])) != len(header)]:
        raise DataUnavailable(
            f"{path} has no whole row for {missing[0]} ({len(missing)} in all): it was cut short; get it again"
        )
    return tuple(header), torch.tensor([values[name] for name in names], dtype=torch.uint8)
