"""The real dSprites: a file of its true layout and size, black but for the pictures that are looked at."""

import functools
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from vaelib.data import DataUnavailable, Sprites, dsprites, load, sprites

PICTURES, SHAPE = 737_280, (737_280, 64, 64)
PLACES = sprites.split_places("test", 3, PICTURES)


@functools.cache
def classes() -> np.ndarray:
    """As published: the colour, always 0, and the five factors in the order of the grid."""
    factors = Sprites().factors(torch.arange(PICTURES))
    return torch.cat([torch.zeros(PICTURES, 1, dtype=torch.long), factors], dim=1).numpy()


def pictures() -> np.ndarray:
    """One for each of the places: zeros and ones, different in each."""
    return sprites.render(Sprites().factors(PLACES), 64)[:, 0].gt(127).numpy().astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the file. Its 3 GB of zeros are written piece by piece and take 13 MB."""
    root = tmp_path_factory.mktemp("dsprites")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": SHAPE})
    drawn = dict(zip(PLACES.tolist(), pictures(), strict=True))
    black = bytes(4096 * 64 * 64)
    with zipfile.ZipFile(root / dsprites.FILE, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        metadata = io.BytesIO()
        np.save(metadata, np.array({"title": "dSprites dataset"}, dtype=object), allow_pickle=True)
        archive.writestr("metadata.npy", metadata.getvalue())  # the published file has a pickle, which nobody opens
        labels = io.BytesIO()
        np.save(labels, classes())
        archive.writestr("latents_classes.npy", labels.getvalue())
        with archive.open("imgs.npy", "w", force_zip64=True) as file:
            file.write(header.getvalue())
            for start in range(0, PICTURES, 4096):
                block = bytearray(black) if any(start <= place < start + 4096 for place in drawn) else black
                for place, picture in drawn.items():
                    if start <= place < start + 4096:
                        block[(place - start) * 4096 : (place - start + 1) * 4096] = picture.tobytes()
                file.write(block)
    return root


def test_the_pictures_and_factors_are_those_of_the_places_of_sprites(folder: Path) -> None:
    part = load("dsprites", "test", count=3, root=folder)
    assert torch.equal(part.images, torch.from_numpy(pictures()).mul(255).unsqueeze(1))
    assert all(image.amax() == 255 for image in part.images)
    ours = load("sprites", "test", count=3)
    assert torch.equal(part.labels, ours.labels)
    assert part.labels.dtype == torch.long
    assert part.label_names == ours.label_names
    # Only the outlines may differ from our own pictures: they have grey levels there.
    assert ((part.images.int() - ours.images.int()).abs() <= 127).all()
    assert part.key == f"dsprites {dsprites.FILE} test 64×64 first 3"
    assert (part.name, part.split) == ("dsprites", "test")


def test_a_smaller_size_is_an_average_and_says_so(folder: Path) -> None:
    part = dsprites.load("test", count=1, size=32, root=folder)
    assert part.images.shape == (1, 1, 32, 32)
    assert "32×32" in part.key
    whole = torch.from_numpy(pictures()[:1]).float()
    assert part.images.float().mean().item() / 255 == pytest.approx(whole.mean().item(), rel=0.02)
    # Its brightest pixels lie where the picture does.
    assert (torch.nn.functional.avg_pool2d(whole, 2)[0][part.images[0, 0] > 200] > 0.5).all()


def test_without_the_file_the_message_says_where_to_get_it_and_what_needs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        DataUnavailable, match=r"is not there. Download dsprites_.*npz from https://.*load\(.sprites.\)"
    ):
        load("dsprites", root=tmp_path)
    monkeypatch.setenv("VAELIB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataUnavailable, match=r"cache.dsprites.dsprites_ndarray"):
        load("dsprites")


def write(root: Path, **arrays: np.ndarray) -> None:
    np.savez(root / dsprites.FILE, **arrays)


def test_files_of_another_content_are_refused(tmp_path: Path) -> None:
    few, some = np.zeros((9, 64, 64), np.uint8), np.zeros((9, 6), np.int64)
    write(tmp_path, imgs=few, latents_classes=some)
    with pytest.raises(DataUnavailable, match=r"not the published dSprites.*latents_classes should be .737280, 6."):
        load("dsprites", root=tmp_path)
    write(tmp_path, imgs=few, latents_classes=classes())
    with pytest.raises(DataUnavailable, match=r"imgs should be uint8 .737280, 64, 64., not uint8 .9, 64, 64."):
        load("dsprites", root=tmp_path)
    write(tmp_path, imgs=few.astype(np.float32), latents_classes=classes())
    with pytest.raises(DataUnavailable, match=r"imgs should be uint8 .*, not float32"):
        load("dsprites", root=tmp_path)
    write(tmp_path, latents_classes=classes())
    with pytest.raises(DataUnavailable, match=r"not the published dSprites.*imgs"):
        load("dsprites", root=tmp_path)
    write(tmp_path, latents_classes=np.array([{"a": 1}], dtype=object))  # a pickle is not opened
    with pytest.raises(DataUnavailable, match="allow_pickle"):
        load("dsprites", root=tmp_path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 half an archive"], ids=["empty", "text", "half"])
def test_files_that_are_no_archive_are_called_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / dsprites.FILE).write_bytes(content)
    with pytest.raises(DataUnavailable, match="is not the published dSprites, or is damaged"):
        load("dsprites", root=tmp_path)


def npy(rows: int, value: int = 1, shape: tuple[int, ...] = SHAPE) -> io.BytesIO:
    """The beginning of an `imgs.npy`: its header and so many pictures."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    file.write(np.full((rows, 64, 64), value, np.uint8).tobytes())
    file.seek(0)
    return file


def test_pictures_are_read_in_any_order_and_no_further_than_needed() -> None:
    file = npy(0)
    file.seek(0, io.SEEK_END)
    first_rows = np.zeros((2 * dsprites.BLOCK, 64, 64), np.uint8)
    places = torch.tensor([dsprites.BLOCK, 3, 0, dsprites.BLOCK - 1, 5000, 3])
    for place in places.tolist():
        first_rows[place, place % 64, place % 63] = 1
    file.write(first_rows.tobytes())
    file.seek(0)
    found = dsprites.read_pictures(file, places)
    assert torch.equal(found, torch.from_numpy(first_rows[places.numpy()]))
    assert (found.sum(dim=(1, 2)) == 1).all()


def test_a_stream_that_ends_early_or_holds_other_values_is_refused() -> None:
    with pytest.raises(EOFError, match="imgs ends too early"):
        dsprites.read_pictures(npy(10), torch.tensor([3]))
    with pytest.raises(ValueError, match="imgs should hold zeros and ones, not 255"):
        dsprites.read_pictures(npy(dsprites.BLOCK, value=255), torch.tensor([3]))


def test_what_the_set_does_not_have_is_refused_before_the_file_is_opened(tmp_path: Path) -> None:
    for size in (7, 65):
        with pytest.raises(ValueError, match=f"64 pixels wide and can be made smaller, down to 8, not {size}"):
            load("dsprites", size=size, root=tmp_path)
    with pytest.raises(ValueError, match="dsprites has 20,000 test images; a count of 20,001 cannot be had"):
        load("dsprites", "test", count=20_001, root=tmp_path)
