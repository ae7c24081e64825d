"""CelebA, LFW and FFHQ, from small trees laid out exactly like the real ones."""

from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image
from torchvision import transforms

from vaelib.data import DataUnavailable, celeba, ffhq, lfw


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VAELIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def picture(seed: int, width: int, height: int) -> Image.Image:
    pixels = numpy.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), dtype=numpy.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def celeba_root(tmp_path: Path) -> Path:
    """Seven pictures: 1 to 4 train, 5 valid, 6 and 7 test."""
    folder = tmp_path / "data" / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{number:06}.jpg" for number in range(1, 8)]
    for number, name in enumerate(names):
        picture(number, 178, 218).save(folder / "img_align_celeba" / name, quality=95)
    parts = [0, 0, 0, 0, 1, 2, 2]
    (folder / "list_eval_partition.txt").write_text("".join(f"{n} {p}\n" for n, p in zip(names, parts, strict=True)))
    (folder / "identity_CelebA.txt").write_text("".join(f"{name} {2880 + i}\n" for i, name in enumerate(names)))
    attributes = "".join(f"{name} {'-1' if i % 2 else ' 1'} -1  1\n" for i, name in enumerate(names))
    (folder / "list_attr_celeba.txt").write_text(f"7\nSmiling Eyeglasses Young \n{attributes}")
    boxes = "".join(f"{name}    95  71 226 313\n" for name in names)
    (folder / "list_bbox_celeba.txt").write_text(f"7\nimage_id x_1 y_1 width height\n{boxes}")
    landmarks = "".join(f"{name} 69  109  106  113   77  142   73  152  108  154\n" for name in names)
    header = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"
    (folder / "list_landmarks_align_celeba.txt").write_text(f"7\n{header}\n{landmarks}")
    return tmp_path / "data"


def celeba_picture(root: Path, number: int) -> Image.Image:
    return Image.open(root / "celeba" / "img_align_celeba" / f"{number:06}.jpg").convert("RGB")


def tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(numpy.array(image)).permute(2, 0, 1)


def test_celeba_follows_the_official_partition_with_its_attributes(celeba_root: Path) -> None:
    sizes = {split: len(celeba.load(split, root=celeba_root)) for split in ("train", "validation", "test")}
    assert sizes == {"train": 4, "validation": 1, "test": 2}
    test = celeba.load("test", root=celeba_root / "celeba")
    assert test.label_names == ("Smiling", "Eyeglasses", "Young")
    assert test.labels is not None
    assert test.labels.tolist() == [[0, 0, 1], [1, 0, 1]]


def test_the_crops_of_nvae_wae_and_antixk_are_the_published_ones(celeba_root: Path) -> None:
    original = celeba_picture(celeba_root, 1)
    nvae = transforms.Resize(64)(original.crop((15, 40, 178 - 15, 218 - 30)))
    wae = original.crop((19, 39, 159, 179)).resize((64, 64), Image.Resampling.LANCZOS)
    antixk = transforms.Compose([transforms.CenterCrop(148), transforms.Resize(64)])(original)
    for crop, expected in (("nvae-148", nvae), ("wae-140", wae), ("centre-148", antixk)):
        loaded = celeba.load("train", count=1, crop=crop, root=celeba_root)
        assert torch.equal(loaded.images[0], tensor(expected)), crop
        assert crop in loaded.key
    assert torch.equal(celeba.load("train", count=1, root=celeba_root).images[0], tensor(nvae))


def test_celeba_keys_tell_crop_size_split_and_files_apart(celeba_root: Path) -> None:
    keys = [
        celeba.load("train", root=celeba_root, crop=crop, size=size).key for crop in celeba.CROPS for size in (32, 64)
    ]
    keys.append(celeba.load("test", root=celeba_root).key)
    before = celeba.load("train", root=celeba_root).key
    picture(99, 178, 218).save(celeba_root / "celeba" / "img_align_celeba" / "000002.jpg")
    keys.append(celeba.load("train", root=celeba_root).key)
    assert len(set(keys)) == len(keys)
    assert before in keys


def test_celeba_without_attributes_has_no_labels(celeba_root: Path) -> None:
    (celeba_root / "celeba" / "list_attr_celeba.txt").unlink()
    assert celeba.load("train", root=celeba_root).labels is None


def test_an_incomplete_celeba_says_what_is_missing_and_a_second_try_works(celeba_root: Path, cache: Path) -> None:
    missing = celeba_root / "celeba" / "img_align_celeba" / "000003.jpg"
    whole = missing.read_bytes()
    missing.unlink()
    with pytest.raises(DataUnavailable, match=r"000003.jpg is missing .*unpacked"):
        celeba.load("train", root=celeba_root)
    missing.write_bytes(whole[:500])
    with pytest.raises(ValueError, match=r"000003.jpg cannot be read as an image: .*Remove or replace it\.$"):
        celeba.load("train", root=celeba_root)
    assert list((cache / "prepared").iterdir()) == []
    missing.write_bytes(whole)
    assert len(celeba.load("train", root=celeba_root)) == 4
    attributes = celeba_root / "celeba" / "list_attr_celeba.txt"
    attributes.write_text(attributes.read_text()[:80])
    with pytest.raises(DataUnavailable, match=r"no whole row for 000003.jpg .*cut short"):
        celeba.load("train", root=celeba_root)
    (celeba_root / "celeba" / "list_eval_partition.txt").unlink()
    with pytest.raises(DataUnavailable, match=r"list_eval_partition.txt is missing"):
        celeba.load("train", root=celeba_root)


def test_pictures_of_another_size_are_refused_by_a_crop(celeba_root: Path) -> None:
    picture(0, 100, 100).save(celeba_root / "celeba" / "img_align_celeba" / "000001.jpg")
    with pytest.raises(ValueError, match=r"000001.jpg .* it is 100×100, but this crop is for pictures of 178×218"):
        celeba.load("train", root=celeba_root)


def test_celeba_refuses_unknown_crops_and_enlarging(celeba_root: Path) -> None:
    with pytest.raises(ValueError, match=r"celeba has no crop 'nvae148'.* Did you mean 'nvae-148'"):
        celeba.load(crop="nvae148", root=celeba_root)
    with pytest.raises(ValueError, match=r"celeba with crop 'wae-140' comes in sizes from 1 to 140, not 256"):
        celeba.load(crop="wae-140", size=256, root=celeba_root)
    with pytest.raises(ValueError, match=r"celeba has 4 train images; a count of 5 cannot be had"):
        celeba.load(count=5, root=celeba_root)


@pytest.fixture
def lfw_root(tmp_path: Path) -> Path:
    for number in range(30):
        person = tmp_path / "lfw_home" / "lfw_funneled" / f"Person_{number:02}"
        person.mkdir(parents=True)
        for shot in range(1, 2 + number % 3):
            picture(number * 10 + shot, 250, 250).save(person / f"{person.name}_{shot:04}.jpg")
    (tmp_path / "lfw_home" / "pairs.txt").write_text("10 300\n")
    return tmp_path


def test_lfw_is_split_by_person(lfw_root: Path) -> None:
    parts = {split: lfw.load(split, root=lfw_root) for split in ("train", "validation", "test")}
    people = {}
    for split, part in parts.items():
        assert part.labels is not None
        people[split] = set(part.labels.tolist())
    assert set.union(*people.values()) == set(range(30))
    assert sum(map(len, people.values())) == 30
    assert sum(map(len, parts.values())) == 60
    assert parts["train"].label_names[7] == "Person_07"
    direct = lfw.load("test", root=lfw_root / "lfw_home" / "lfw_funneled")
    assert torch.equal(direct.images, parts["test"].images)


def test_an_lfw_crop_is_the_stated_square_with_the_right_label(lfw_root: Path) -> None:
    part = lfw.load("train", size=125, count=3, root=lfw_root)
    assert part.labels is not None
    person = part.label_names[int(part.labels[0])]
    files = sorted((lfw_root / "lfw_home" / "lfw_funneled" / person).glob("*.jpg"))
    squares = [tensor(Image.open(file).crop((62, 70, 187, 195))) for file in files]
    assert any(torch.equal(part.images[0], square) for square in squares)


@pytest.mark.parametrize(
    ("crop", "name", "side"), [("full-1024", "images1024x1024", 1024), ("full-128", "thumbnails128x128", 128)]
)
def test_ffhq_is_split_by_number(tmp_path: Path, crop: str, name: str, side: int) -> None:
    colours = {}
    for number in (0, 999, 54_999, 55_000, 60_000, 69_999):
        file = tmp_path / name / f"{number // 1000 * 1000:05}" / f"{number:05}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        colours[number] = number % 251
        Image.new("RGB", (side, side), (colours[number], 0, 0)).save(file)
    for split, numbers in (("train", [0, 999, 54_999]), ("validation", [55_000]), ("test", [60_000, 69_999])):
        part = ffhq.load(split, size=32, root=tmp_path)
        assert part.images[:, 0, 0, 0].tolist() == [colours[number] for number in numbers]
        assert crop in part.key


def test_ffhq_that_is_not_there_says_where_it_should_be_and_is_not_downloaded(tmp_path: Path) -> None:
    with pytest.raises(
        DataUnavailable, match=r"FFHQ is not in .*images1024x1024.*thumbnails128x128.*give that folder as root"
    ):
        ffhq.load(root=tmp_path)
    (tmp_path / "thumbnails128x128").mkdir()
    with pytest.raises(DataUnavailable, match=r"images1024x1024/00000/00000.png exists"):
        ffhq.load(crop="full-1024", root=tmp_path)
