"""Nats per image and bits per dimension."""

import math
from typing import TypeVar

from torch import Tensor

Nats = TypeVar("Nats", float, Tensor)


def bits_per_dimension(nats: Nats, dimensions: int, *, levels: int | None) -> Nats:
    """Nats per image as bits per pixel and channel: the price of an image in a perfect lossless code.

    A discrete likelihood gives the probability mass of grey levels, so the answer is nats / (D ln 2). A density on the
    [0, 1] scale has to be turned into a mass first. A level of an 8-bit image is a bin of width 1/256 there, so for
    x = (k + u) / 256 with uniform noise u (`vaelib.data.dequantise`) Jensen's inequality gives, for each dimension,

        log₂ P(k) = log₂ ∫ p((k + u) / 256) du − log₂ 256  ≥  E_u[log₂ p((k + u) / 256)] − 8,

    so −log₂ p + 8 is an upper bound on the bits of the discrete image. Without the noise it bounds nothing, and can
    be made as small as you like by a density with spikes on the levels (Theis, van den Oord & Bethge 2016).

    Args:
        nats: −log p of an image (or a bound on it), summed over its dimensions.
        dimensions: C · H · W.
        levels: the likelihood's `levels`: how many grey levels it counts, or None for a density on [0, 1] that was
            evaluated on dequantised 8-bit images.
    Returns:
        Bits per dimension, of the type of `nats`. Numbers of images with different levels do not compare.
    """
    if dimensions < 1:
        raise ValueError(f"dimensions should be the number of values in an image, C · H · W, not {dimensions}")
    if levels is not None and levels < 2:
        raise ValueError(f"levels should be at least 2, or None for a density, not {levels}")
    bits = nats / (dimensions * math.log(2))
    return bits + 8 if levels is None else bits
