"""A volume-preserving autoregressive flow: each latent is shifted by what the latents before it say.

Before, in the order of reading, is every latent in a row above or to the left; at the same place, a channel before.

Source: Vahdat & Kautz 2020, section 3.2 (inverse autoregressive flow, Kingma et al. 2016).
"""

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaelib.models.nvae.cells import WeightNormConv2d

# Channels of the hidden layers for every latent channel.
EXPANSION = 6


def causal_mask(outputs: int, inputs: int, size: int, *, blocks: int, strict: bool, mirrored: bool) -> Tensor:
    """The weights of a convolution that sees only what comes before: (outputs, inputs, size, size) of ones and zeros.

    Args:
        outputs, inputs: channels. They fall into `blocks` equal blocks, one for each latent channel, in its order.
        strict: at the centre, leave out the own block too.
        mirrored: before is what lies below or to the right. The channels keep their order.
    """
    mask = torch.ones(outputs, inputs, size, size)
    centre = size // 2
    mask[:, :, centre, centre + 1 :] = 0
    mask[:, :, centre + 1 :] = 0
    of_output, of_input = (torch.arange(count) // (count // blocks) for count in (outputs, inputs))
    before = of_input[None, :] < of_output[:, None] if strict else of_input[None, :] <= of_output[:, None]
    mask[:, :, centre, centre] = before.to(mask)
    return mask.flip(2, 3) if mirrored else mask


class AutoregressiveShift(nn.Module):
    """z → z − μ(z), where μ of a latent depends on the latents before it: log |det ∂z'/∂z| = 0.

    Three masked convolutions make μ: 3×3 to 6 channels per latent channel, 5×5 within each of them, 1×1 back.
    """

    def __init__(self, latent_channels: int, mirrored: bool) -> None:
        super().__init__()
        hidden, blocks = EXPANSION * latent_channels, latent_channels
        # The first leaves the latent itself out, so that the others may look at their own centre.
        first = causal_mask(hidden, latent_channels, 3, blocks=blocks, strict=True, mirrored=mirrored)
        # Each hidden channel sees itself alone, which a block of its own says.
        within = causal_mask(hidden, 1, 5, blocks=1, strict=False, mirrored=mirrored)
        last = causal_mask(latent_channels, hidden, 1, blocks=blocks, strict=False, mirrored=mirrored)
        self.spread = WeightNormConv2d(latent_channels, hidden, 3, mask=first, bias=False)
        self.look_back = WeightNormConv2d(hidden, hidden, 5, groups=hidden, mask=within, bias=False)
        self.to_shift = WeightNormConv2d(hidden, latent_channels, 1, mask=last)
        with torch.no_grad():  # begin close to the identity
            self.to_shift.log_length.add_(math.log(0.1))

    def shift(self, z: Tensor) -> Tensor:
        """μ(z), of the shape of z: (B, latent_channels, H, W)."""
        hidden = F.elu(self.spread(z))
        # Twice, as published.
        hidden = F.elu(F.elu(self.look_back(hidden)))
        return self.to_shift(hidden)

    def forward(self, z: Tensor) -> Tensor:
        return z - self.shift(z)

    def inverse(self, z: Tensor) -> Tensor:
        """The z that `forward` maps here.

        Latents before are right after fewer steps, so z ← z' + μ(z) arrives after as many steps as there are latents at
        the latest, and stands still to rounding after about ten where μ is small.
        """
        found = z
        for _ in range(z[0].numel()):
            previous, found = found, z + self.shift(found)
            if (found - previous).abs().max() <= 1e-6 * (1 + found.abs().max()):
                break
        return found


class FlowPair(nn.Module):
    """Two shifts: the second reads from the last pixel to the first, so that every place hears of every other."""

    def __init__(self, latent_channels: int) -> None:
        super().__init__()
        self.reading = AutoregressiveShift(latent_channels, mirrored=False)
        self.mirrored = AutoregressiveShift(latent_channels, mirrored=True)

    def forward(self, z: Tensor) -> Tensor:
        return self.mirrored(self.reading(z))

    def inverse(self, z: Tensor) -> Tensor:
        """The z that `forward` maps here."""
        return self.reading.inverse(self.mirrored.inverse(z))


class Flow(nn.Sequential):
    """The pairs of one group, one after the other. Latents (B, C, H, W) → the same."""

    def __init__(self, latent_channels: int, pairs: int) -> None:
        super().__init__(*(FlowPair(latent_channels) for _ in range(pairs)))

    def inverse(self, z: Tensor) -> Tensor:
        """The z that `forward` maps here."""
        for pair in reversed(list(self)):
            z = cast(FlowPair, pair).inverse(z)
        return z
