"""What is done to pixels, against whole-number arithmetic and frequencies."""

import pytest
import torch

from vaelib.data.pixels import binarise, dequantise, quantise

ALL_LEVELS = (torch.arange(256, dtype=torch.uint8).float() / 255).view(1, 1, 16, 16)


def test_dequantised_values_stay_in_the_bin_of_their_level_and_below_one(generator: torch.Generator) -> None:
    images = ALL_LEVELS.expand(2000, 1, 16, 16)
    noisy = dequantise(images, generator)
    assert noisy.min() >= 0
    assert noisy.max() < 1
    assert torch.equal((noisy * 256).floor(), torch.arange(256.0).view(1, 1, 16, 16).expand_as(images))


def test_dequantisation_noise_is_uniform_in_the_bin(generator: torch.Generator) -> None:
    noise = dequantise(ALL_LEVELS.expand(400, 1, 16, 16), generator).double() * 256 % 1
    assert noise.mean().item() == pytest.approx(0.5, abs=0.005)
    assert noise.var().item() == pytest.approx(1 / 12, abs=0.002)


def test_dequantisation_follows_its_generator() -> None:
    first, second = (dequantise(ALL_LEVELS, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)


def test_dequantisation_works_after_quantisation_with_as_many_levels(generator: torch.Generator) -> None:
    five_bits = quantise(ALL_LEVELS, 5)
    noisy = dequantise(five_bits, generator, levels=32)
    assert torch.equal((noisy * 32).floor().flatten(), torch.arange(256) // 8)
    with pytest.raises(ValueError, match=r"should sit on 256 levels"):
        dequantise(five_bits, generator)


@pytest.mark.parametrize("bits", range(1, 9))
def test_quantising_drops_the_low_bits_of_every_level(bits: int) -> None:
    expected = torch.tensor([(level >> (8 - bits)) / (2**bits - 1) for level in range(256)])
    assert torch.equal(quantise(ALL_LEVELS, bits).flatten(), expected)


def test_binarised_pixels_are_white_as_often_as_they_are_grey(generator: torch.Generator) -> None:
    images = torch.tensor([0.0, 0.25, 0.9, 1.0]).view(1, 1, 2, 2).expand(20_000, 1, 2, 2)
    flipped = binarise(images, generator)
    assert set(flipped.unique().tolist()) == {0.0, 1.0}
    frequency = flipped.mean(dim=0).flatten()
    assert frequency[0] == 0
    assert frequency[3] == 1
    torch.testing.assert_close(frequency, torch.tensor([0.0, 0.25, 0.9, 1.0]), atol=0.015, rtol=0)


@pytest.mark.parametrize("change", [dequantise, lambda images: quantise(images, 5), binarise])
def test_values_out_of_range_and_bytes_are_refused(change: object) -> None:
    assert callable(change)
    with pytest.raises(ValueError, match=r"should lie in \[0, 1\]; these span -1 to 1"):
        change(ALL_LEVELS * 2 - 1)
    with pytest.raises(ValueError, match=r"should lie in \[0, 1\]"):
        change(ALL_LEVELS + float("nan"))
    with pytest.raises(ValueError, match=r"divide bytes by 255"):
        change(torch.zeros(1, 1, 2, 2, dtype=torch.uint8))


def test_bits_outside_one_to_eight_are_refused() -> None:
    with pytest.raises(ValueError, match=r"between 1 and 8, not 9"):
        quantise(ALL_LEVELS, 9)
