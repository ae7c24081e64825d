"""What is done to pixel values before a likelihood sees them: noise between the levels, fewer levels, or coin flips.

Images come as 8-bit levels on the [0, 1] scale, k / 255. Each function says which likelihood it is for.
"""

import torch
from torch import Tensor

# How far from a level, in levels, a value may lie: float32 rounds k / 255, nobody rounds half a level.
TOLERANCE = 1e-3


def dequantise(images: Tensor, generator: torch.Generator | None = None, *, levels: int = 256) -> Tensor:
    """Spread each level over its own bin: (k + u) / 256 with u uniform on [0, 1), for a *density* over pixels.

    A density can give infinite likelihood to the 256 values that pixels take. With uniform noise it cannot, and its
    mean log-density, less log 256 nats per dimension, is a lower bound on the log-probability of the discrete image:
    only then may it be compared with a discrete likelihood in bits per dimension. Source: Theis, van den Oord and
    Bethge 2016, section 3.1.

    Args:
        images: (B, C, H, W) in [0, 1], on the levels k / (levels - 1).
        levels: 256, or 2^bits after `quantise`.

    Returns:
        (B, C, H, W) in [0, 1); floor(levels · value) gives the level back.

    Raises:
        ValueError: values outside [0, 1] or between the levels.
    """
    whole = _levels(images, levels)
    noise = torch.rand(whole.shape, generator=generator, dtype=whole.dtype, device=whole.device)
    # Below 1 by a step that float32 still resolves at 255, so that no value rounds up into the next bin.
    return (whole + noise.clamp_(max=1 - 2**-16)) / levels


def quantise(images: Tensor, bits: int) -> Tensor:
    """Keep the leading `bits` of each 8-bit level: floor(255 x / 2^(8 − bits)) / (2^bits − 1).

    At 5 bits (32 levels) most of a photograph's noise is gone and little else, so a model spends its bits on structure;
    Glow and NVAE report CelebA-HQ and FFHQ this way. Bits per dimension at 5 and at 8 bits are different
    quantities and never share a table. Source: Kingma and Dhariwal 2018; Vahdat and Kautz 2020.

    Args:
        images: (B, C, H, W) in [0, 1], on the levels k / 255. Images that already are on the 2^bits levels stay.
        bits: 1 to 8; 8 changes nothing.

    Returns:
        (B, C, H, W) in [0, 1], on the levels k / (2^bits − 1).

    Raises:
        ValueError: bits outside 1 to 8; values outside [0, 1] or between the levels.
    """
    if not 1 <= bits <= 8:
        raise ValueError(f"bits should be between 1 and 8, not {bits}")
    if bits == 8 or _distance_to_levels(images, 2**bits) <= TOLERANCE:
        return _checked(images)
    return torch.floor(_levels(images, 256) / 2 ** (8 - bits)) / (2**bits - 1)


def binarise(images: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Flip a coin per pixel, white with the pixel's own grey as probability, for the Bernoulli likelihood.

    The Bernoulli likelihood is a distribution over {0, 1}; on greys its "log-probability" belongs to no distribution.
    Draw afresh at each access ("dynamic" binarisation), as Burda et al. 2016 do; one fixed draw (Salakhutdinov and
    Murray 2008) or a threshold at ½ are other data sets, and their bounds do not compare.

    Args:
        images: (B, C, H, W) in [0, 1].

    Returns:
        (B, C, H, W) of zeros and ones.

    Raises:
        ValueError: values outside [0, 1].
    """
    return torch.bernoulli(_checked(images), generator=generator)


def _checked(images: Tensor) -> Tensor:
    if not images.is_floating_point():
        raise ValueError(f"images should be floating point in [0, 1], not {images.dtype}; divide bytes by 255 first")
    low, high = images.aminmax()
    if not (low >= 0 and high <= 1):
        raise ValueError(f"images should lie in [0, 1]; these span {low.item():.4g} to {high.item():.4g}")
    return images


def _levels(images: Tensor, levels: int) -> Tensor:
    """The level of each pixel, a whole number from 0 to levels − 1. Rounded: 255 · (k / 255) may fall just below k."""
    whole = (_checked(images) * (levels - 1)).round()
    off = _distance_to_levels(images, levels)
    if off > TOLERANCE:
        raise ValueError(
            f"images should sit on {levels} levels, k / {levels - 1}; one lies {off:.3f} of a level beside it. "
            "Dequantise once, and last."
        )
    return whole


def _distance_to_levels(images: Tensor, levels: int) -> float:
    """The largest distance of a value from its nearest level, in levels."""
    scaled = images * (levels - 1)
    return (scaled - scaled.round()).abs().max().item()
