"""Any folder of images, and the file in the cache that it is prepared into."""

import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image

from vaelib.data import folder

ALL = (1.0, 0.0, 0.0)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VAELIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    path = tmp_path / "pictures"
    path.mkdir()
    return path


def paint(path: Path, colour: tuple[int, ...] | int, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


def first_pixels(images: torch.Tensor) -> list[list[int]]:
    return images[:, :, 0, 0].tolist()


def prepared_files(cache: Path) -> list[Path]:
    return list((cache / "prepared").iterdir()) if (cache / "prepared").exists() else []


def test_images_are_found_in_subfolders_in_the_order_of_their_paths(pictures: Path) -> None:
    paint(pictures / "b.PNG", (2, 2, 2))
    paint(pictures / "a" / "deep" / "x.bmp", (1, 1, 1))
    paint(pictures / "c.png", (3, 3, 3))
    paint(pictures / ".hidden" / "z.png", (9, 9, 9))
    paint(pictures / "._c.png", (9, 9, 9))
    (pictures / "notes.txt").write_text("no image")
    found = folder(pictures, size=8, shares=ALL)
    assert first_pixels(found.images) == [[1, 1, 1], [2, 2, 2], [3, 3, 3]]
    assert found.labels is None
    assert first_pixels(folder(pictures, size=8, count=2, shares=ALL).images) == [[1, 1, 1], [2, 2, 2]]


def test_the_middle_square_is_kept(pictures: Path) -> None:
    wide = numpy.zeros((4, 10, 3), dtype=numpy.uint8)
    wide[:, 3:7] = 200
    Image.fromarray(wide).save(pictures / "wide.png")
    tall = numpy.zeros((9, 4, 3), dtype=numpy.uint8)
    tall[2:6] = 100
    Image.fromarray(tall).save(pictures / "tall.png")
    images = folder(pictures, size=4, shares=ALL).images
    assert (images[0] == 100).all()
    assert (images[1] == 200).all()


def test_shrinking_is_antialiased(pictures: Path) -> None:
    stripes = numpy.zeros((64, 64), dtype=numpy.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(pictures / "stripes.png")
    image = folder(pictures, size=8, shares=ALL).images[0, 0, :, 1:-1]
    assert ((image > 110) & (image < 145)).all()


def test_grey_among_colour_becomes_rgb_unless_told(pictures: Path) -> None:
    paint(pictures / "a.png", 100, mode="L")
    paint(pictures / "b.png", (255, 0, 0))
    assert first_pixels(folder(pictures, size=8, shares=ALL).images) == [[100, 100, 100], [255, 0, 0]]
    grey = folder(pictures, size=8, channels=1, shares=ALL)
    assert first_pixels(grey.images) == [[100], [76]]
    assert grey.key != folder(pictures, size=8, shares=ALL).key


def test_an_all_grey_folder_stays_grey_until_a_colour_picture_joins_it(pictures: Path) -> None:
    paint(pictures / "a.png", 100, mode="L")
    assert folder(pictures, size=8, shares=ALL).image_shape == (1, 8, 8)
    paint(pictures / "b.png", (255, 0, 0))
    assert folder(pictures, size=8, count=1, shares=ALL).image_shape == (3, 8, 8)


def test_transparency_is_laid_on_white_and_sixteen_bits_are_scaled(pictures: Path) -> None:
    paint(pictures / "clear.png", (255, 0, 0, 0), mode="RGBA")
    assert first_pixels(folder(pictures, size=8, shares=ALL).images) == [[255, 255, 255]]
    deep = pictures / "deep"
    deep.mkdir()
    Image.fromarray(numpy.full((8, 8), 128 * 257, dtype=numpy.uint16)).save(deep / "deep.png")
    assert first_pixels(folder(deep, size=8, shares=ALL).images) == [[128]]


def test_a_photograph_taken_sideways_is_turned_upright(pictures: Path) -> None:
    sideways = numpy.zeros((8, 8), dtype=numpy.uint8)
    sideways[:, :4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    Image.fromarray(sideways).save(pictures / "sideways.png", exif=exif)
    image = folder(pictures, size=8, shares=ALL).images[0, 0]
    assert (image[:4] == 255).all()
    assert (image[4:] == 0).all()


def test_a_corrupt_image_is_named_nothing_is_left_and_mending_it_helps(pictures: Path, cache: Path) -> None:
    paint(pictures / "a.png", (1, 1, 1))
    broken = pictures / "sub" / "broken.jpg"
    paint(broken, (2, 2, 2), size=(64, 64))
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"broken.jpg cannot be read as an image: .*skip_corrupt=True"):
        folder(pictures, size=8, shares=ALL)
    assert prepared_files(cache) == []
    broken.write_bytes(whole)
    assert len(folder(pictures, size=8, shares=ALL)) == 2


def test_corrupt_images_can_be_skipped_with_their_labels(pictures: Path) -> None:
    paint(pictures / "cats" / "1.png", (1, 1, 1))
    paint(pictures / "dogs" / "1.png", (2, 2, 2))
    paint(pictures / "dogs" / "3.png", (3, 3, 3))
    (pictures / "dogs" / "2.png").write_bytes(b"not a picture")
    (pictures / "cats" / "0.png").write_bytes(b"")
    kept = folder(pictures, size=8, skip_corrupt=True, labels=True, shares=ALL)
    assert first_pixels(kept.images) == [[1, 1, 1], [2, 2, 2], [3, 3, 3]]
    assert kept.labels is not None
    assert kept.labels.tolist() == [0, 1, 1]
    assert kept.label_names == ("cats", "dogs")
    only_bad = pictures / "bad"
    only_bad.mkdir()
    (only_bad / "1.png").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"none of the 1 files of folder can be read"):
        folder(only_bad, skip_corrupt=True, shares=ALL)


def test_labels_need_subfolders(pictures: Path) -> None:
    paint(pictures / "loose.png", (1, 1, 1))
    with pytest.raises(ValueError, match=r"loose.png lies in none"):
        folder(pictures, labels=True, shares=ALL)


def test_a_missing_an_empty_and_a_misnamed_folder_are_told_apart(pictures: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        folder(pictures / "nowhere")
    with pytest.raises(ValueError, match=r"there are no images in .*\.jpg"):
        folder(pictures)
    paint(pictures / "a.png", (1, 1, 1))
    with pytest.raises(FileNotFoundError, match=r"a.png is not a folder"):
        folder(pictures / "a.png")


def test_splits_are_disjoint_complete_and_do_not_move_when_a_picture_is_added(pictures: Path) -> None:
    for index in range(60):
        paint(pictures / f"{index:03}.png", (index, 0, 0), size=(2, 2))

    def splits() -> dict[str, set[int]]:
        return {
            split: {pixel[0] for pixel in first_pixels(folder(pictures, split, size=2).images)}
            for split in ("train", "validation", "test")
        }

    before = splits()
    assert sorted(place for part in before.values() for place in part) == list(range(60))
    assert len(before["train"]) > 35
    paint(pictures / "new.png", (200, 0, 0), size=(2, 2))
    assert all(before[split] <= part for split, part in splits().items())


def test_an_empty_split_says_what_to_do(pictures: Path) -> None:
    paint(pictures / "a.png", (1, 1, 1))
    with pytest.raises(ValueError, match=r"none of the 1 images .* validation split .*shares=\(1, 0, 0\)"):
        folder(pictures, "validation", shares=ALL)
    with pytest.raises(ValueError, match=r"add up to 1"):
        folder(pictures, shares=(0.5, 0.1, 0.1))


def test_pictures_are_prepared_once_and_again_when_one_changes(pictures: Path, cache: Path) -> None:
    paint(pictures / "a.png", (1, 1, 1))
    first = folder(pictures, size=8, shares=ALL)
    (path,) = prepared_files(cache)
    written = path.stat().st_mtime_ns
    assert folder(pictures, size=8, shares=ALL).key == first.key
    assert path.stat().st_mtime_ns == written
    paint(pictures / "a.png", (7, 7, 7))
    os.utime(pictures / "a.png", ns=(1, 1))
    changed = folder(pictures, size=8, shares=ALL)
    assert first_pixels(changed.images) == [[7, 7, 7]]
    assert changed.key != first.key


@pytest.mark.parametrize("keep", [0, 500, 1100])
def test_a_truncated_prepared_file_is_made_again(pictures: Path, cache: Path, keep: int) -> None:
    paint(pictures / "a.png", (5, 5, 5))
    folder(pictures, size=8, shares=ALL)
    (path,) = prepared_files(cache)
    path.write_bytes(path.read_bytes()[:keep])
    assert first_pixels(folder(pictures, size=8, shares=ALL).images) == [[5, 5, 5]]


def test_prepared_images_are_mapped_from_the_file_and_not_read_into_memory(pictures: Path) -> None:
    """600 pictures of 256×256 are 118 MB; loading them must not take that much memory of its own."""
    one = pictures / "0.png"
    paint(one, (10, 20, 30), size=(4, 4))
    for index in range(1, 600):
        (pictures / f"{index}.png").hardlink_to(one)
    program = (
        "import sys, pathlib; from vaelib.data import folder\n"
        "path, shares = pathlib.Path(sys.argv[1]), (1.0, 0.0, 0.0)\n"
        "status = lambda: open('/proc/self/smaps_rollup').read().splitlines()\n"
        "private = lambda: sum(int(line.split()[1]) for line in status() if 'Anonymous:' in line)\n"
        "before = private(); images = folder(path, size=256, shares=shares).images\n"
        "print(private() - before, *images.shape, images[599, 2, 255, 255].item())\n"
    )
    if not Path("/proc/self/smaps_rollup").exists():
        pytest.skip("needs Linux's account of memory")
    folder(pictures, size=256, shares=ALL)
    out = subprocess.run([sys.executable, "-c", program, str(pictures)], capture_output=True, text=True, check=True)
    grown, *rest = map(int, out.stdout.split())
    assert rest == [600, 3, 256, 256, 30]
    assert grown < 50_000  # kB
