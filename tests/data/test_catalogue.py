"""The catalogue: names, cards and what `load` refuses."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from vaelib.data import card, cards, load

NAMES = ["faces", "portraits", "digits", "sprites", "colour_sprites", "dsprites"]
NAMES += ["celeba", "lfw", "ffhq", "mnist", "fashion_mnist", "cifar10", "folder"]


def test_the_catalogue_lists_every_set_with_the_default_first() -> None:
    assert list(cards()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_card_fits_eighty_columns_and_leaves_nothing_out(name: str) -> None:
    text = card(name).text()
    assert max(map(len, text.splitlines())) <= 80
    for row in ("What:", "Images:", "Splits:", "Source:", "Fetched:", "Licence:", "Consent:", "Known bias:", "Credit:"):
        (line,) = [line for line in text.splitlines() if line.startswith(row)]
        assert len(line) > 13
    assert card(name).text(width=60) != text
    assert max(map(len, card(name).text(width=60).splitlines())) <= 60


def test_the_cards_say_what_must_be_said() -> None:
    faces = " ".join(card("faces").text().split())
    assert "as far as we know, for non-" in faces
    assert "not photographs" in faces
    assert "mostly pale men" in " ".join(card("portraits").text().split())
    for name in ("sprites", "colour_sprites"):
        shown = " ".join(card(name).text().split())
        assert "far easier than any photograph" in shown
        assert "their rotation cannot be found" in shown
        assert "no combination of factors lies in two splits" in shown
    assert "hue (8), background (8)" in " ".join(card("colour_sprites").text().split())
    dsprites = " ".join(card("dsprites").text().split())
    assert "Apache 2.0" in dsprites
    assert "the first and the last are the same picture" in dsprites
    assert "nvae-148: 148×148 at (15, 40), bilinear" in " ".join(card("celeba").text(200).split())


def test_the_sizes_on_the_cards_are_the_sizes_of_the_sets() -> None:
    for name in ("portraits", "digits"):
        for split, size in card(name).splits.items():
            assert len(load(name, split)) == size
    assert len(load("sprites", "validation", size=8)) == card("sprites").splits["validation"]
    for name in ("sprites", "colour_sprites"):
        assert load(name, count=1).image_shape == card(name).shape


def test_a_misspelt_name_split_or_option_is_answered_with_the_near_miss() -> None:
    with pytest.raises(ValueError, match=r"no data set 'facse'; there are faces, .* Did you mean 'faces'"):
        load("facse")
    with pytest.raises(ValueError, match=r"not 'valid'. Did you mean 'validation'"):
        load("digits", "valid")
    with pytest.raises(ValueError, match=r"digits comes with no crops"):
        load("digits", crop="nvae-148")
    with pytest.raises(ValueError, match=r"root is for .*faces comes in a wheel"):
        load("faces", root="somewhere")
    with pytest.raises(ValueError, match=r"root is for .*dsprites.*; sprites is drawn"):
        load("sprites", root="somewhere")
    with pytest.raises(ValueError, match=r"root is for .*; colour_sprites is drawn"):
        load("colour_sprites", root="somewhere")
    with pytest.raises(ValueError, match=r"no data set 'sprite'; .* Did you mean 'sprites'"):
        load("sprite")
    with pytest.raises(ValueError, match=r"which folder"):
        load("folder:")


def test_a_folder_is_loaded_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAELIB_CACHE", str(tmp_path / "cache"))
    for index in range(12):
        (tmp_path / "pictures").mkdir(exist_ok=True)
        Image.new("L", (10, 12), index).save(tmp_path / "pictures" / f"{index}.png")
    found = load(f"folder:{tmp_path / 'pictures'}", count=2)
    assert found.images.shape == (2, 1, 64, 64)
    assert card(f"folder:{tmp_path}").name == "folder"


def test_importing_the_data_package_is_light() -> None:
    program = "import sys, vaelib.data; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"PIL", "torchvision", "sklearn", "matplotlib", "scipy", "safetensors"} & set(loaded)


@pytest.mark.parametrize("name", NAMES)
def test_no_row_of_a_card_is_empty_or_begins_with_a_stray_stop(name: str) -> None:
    for heading, words in card(name).rows().items():
        assert words, heading
        assert words[0].isalnum() or words[0] in "('", f"{heading}: {words}"
