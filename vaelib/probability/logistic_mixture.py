"""The discretised logistic mixture: an exact probability for every grey level of every pixel.

Each pixel is a mixture of M bells, cut at the edges between the levels. The components of a pixel are shared by its
channels, and in an RGB image green is shifted by red, blue by red and green, so a pixel's colour is drawn as one.

Sources: PixelCNN++ (Salimans et al. 2017), in the layout of NVAE (Vahdat & Kautz 2020).
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from vaelib.data.pixels import quantise
from vaelib.probability.distributions import sum_per_item, uniform_like
from vaelib.probability.likelihood import Likelihood

Tails = Literal["exact", "nvae"]

# A component narrower than this, 0.0009 where levels are 0.0078 apart, puts all of its mass on one level anyway.
LOWEST_LOG_SCALE = -7.0

# A CPU takes a batch in pieces of so many means; `vaelib.evaluation.costs`, which counts for any machine, in one.
NUMBERS_IN_CACHE = 2**20


@dataclass(frozen=True)
class DiscretisedLogisticMixture:
    """A mixture of logistic distributions over the grey levels of each pixel, independent between pixels.

    Images are on the [0, 1] scale outside; means and scales are on [-1, 1], where levels are 2h apart, with the
    half-bin h = 1 / (levels − 1). A component gives a level x the mass of its bin,

        P(x) = σ((x − μ + h) / s) − σ((x − μ − h) / s),

    and the lowest and highest level have all that lies beyond them too.

    Attributes:
        logits: (B, M, H, W), of the components' weights.
        means, log_scales: (B, C, M, H, W), μ and log s, in RGB before the shift by other channels.
        coefficients: (B, 3, M, H, W) in [-1, 1] for RGB, else None: what red adds to green, red to blue, green to blue.
        levels: how many grey levels, 256 or 32.
        tails: `exact` is a probability mass function. `nvae` gives the numbers of the published NVAE, which is not
            quite one, for comparison with its paper and its weights: with 256 levels its top edge (x > 0.99) covers
            level 254 too, which then counts the mass of 255 a second time, so a channel sums to 1 + P(255), up to 2 for
            white pixels; and where a component gives a level at most 1e-5, its density in the middle times 2h stands
            in for its mass, too small by the factor (h/s) / sinh(h/s): 0.9998 at s = 30 h, 0.85 at s = h, 0.12 (2.1
            nats) at the smallest scale.
    """

    logits: Tensor
    means: Tensor
    log_scales: Tensor
    coefficients: Tensor | None
    levels: int
    tails: Tails = "exact"

    @property
    def half_bin(self) -> float:
        """h, half the distance between levels on the [-1, 1] scale."""
        return 1 / (self.levels - 1)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log probability of each image, (B,), in nats.

        Args:
            x: (B, C, H, W), on the grid of levels in [0, 1].
        Raises:
            ValueError: `x` has another shape, or a value that lies between levels or outside [0, 1].
        """
        self._check_images(x)
        x = (2 * x - 1).unsqueeze(2)
        if x.device.type != "cpu":
            return self._log_prob(x)
        # Pieces of four megabytes stay in a processor's cache: two to three times as fast as the whole batch at once.
        size = max(1, NUMBERS_IN_CACHE // self.means[0].numel())
        pieces = zip(self._pieces(size), x.split(size), strict=True)
        return torch.cat([piece._log_prob(images) for piece, images in pieces])

    def _pieces(self, size: int) -> "list[DiscretisedLogisticMixture]":
        """The distributions over so many images each. (Slices of them would each fill a gradient with zeros.)"""
        logits, means, log_scales = (each.split(size) for each in (self.logits, self.means, self.log_scales))
        coefficients = [None] * len(logits) if self.coefficients is None else self.coefficients.split(size)
        return [
            DiscretisedLogisticMixture(*parts, levels=self.levels, tails=self.tails)
            for parts in zip(logits, means, log_scales, coefficients, strict=True)
        ]

    def _log_prob(self, x: Tensor) -> Tensor:
        """log P of images (B, C, 1, H, W) in [-1, 1], all at once."""
        per_component = self._log_mass(x, self._shifted_means(x)).sum(dim=1) + F.log_softmax(self.logits, dim=1)
        return sum_per_item(per_component.logsumexp(dim=1))

    def _log_mass(self, x: Tensor, means: Tensor) -> Tensor:
        """log P(x) of every channel and component: (B, C, 1, H, W) and (B, C, M, H, W) → (B, C, M, H, W)."""
        inverse_scale = (-self.log_scales).exp()
        half_width = self.half_bin * inverse_scale
        middle = (x - means) * inverse_scale
        below = -F.softplus(-middle - half_width)  # log σ of the upper edge: the mass below it
        above = -F.softplus(middle - half_width)  # log (1 − σ) of the lower edge: the mass above it
        # σ(a) − σ(b) = σ(a) (1 − σ(b)) (1 − exp(b − a)): no difference of nearly equal numbers, so good in the tails.
        between = below + above + (-(-2 * half_width).expm1()).log()
        highest = 1 - self.half_bin
        if self.tails == "nvae":
            density = middle - 2 * F.softplus(middle) - self.log_scales + math.log(2 * self.half_bin)
            between = torch.where(between > math.log(1e-5), between, density)
            highest = 0.99
        # The bottom edge lies half a bin above the lowest level, so that rounding of x does not matter.
        return torch.where(x < self.half_bin - 1, below, torch.where(x > highest, above, between))

    def _shifted_means(self, x: Tensor) -> Tensor:
        """The means of all channels, given the channels before: (B, C, 1, H, W) in [-1, 1] → (B, C, M, H, W)."""
        if self.coefficients is None:
            return self.means
        red_to_green, red_to_blue, green_to_blue = self.coefficients.split(1, dim=1)
        red, green, _ = x.split(1, dim=1)
        shifts = (torch.zeros_like(red_to_green), red_to_green * red, red_to_blue * red + green_to_blue * green)
        return self.means + torch.cat(shifts, dim=1)

    @property
    def mean(self) -> Tensor:
        """The mean of each pixel and channel, (B, C, H, W) in [0, 1].

        For one component without a shift it is −1 + ∫ P(X > t) dt over [-1, 1], in closed form; the levels turn the
        integral into its midpoint sum, a difference of a small part of a level, and never more than half of one. With
        a shift, green and blue are taken at the mean of the channels before, and widened by what a clamp leaves of
        their spread, as if a sum of logistic variables were logistic. That matters only for values that are cut off at
        black or white: with raw parameters from N(0, 1), a third of the means beyond white or black, the error was
        half a level of 256 at worst at scale 0.05; up to scale 1 it was 1.5 levels as a root mean square, 11 at worst.
        """
        squared_scales = (2 * self.log_scales).exp()
        if self.coefficients is None:
            expected, _ = _clamped(self.means, squared_scales)
        else:
            red_to_green, red_to_blue, green_to_blue = self.coefficients.unbind(dim=1)
            red_mean, green_mean, blue_mean = self.means.unbind(dim=1)
            red_square, green_square, blue_square = squared_scales.unbind(dim=1)
            red, slope = _clamped(red_mean, red_square)
            red_square = red_square * slope**2
            green, slope = _clamped(green_mean + red_to_green * red, green_square + red_to_green**2 * red_square)
            green_square = green_square * slope**2
            red_in_blue = red_to_blue + green_to_blue * red_to_green * slope
            blue, _ = _clamped(
                blue_mean + red_to_blue * red + green_to_blue * green,
                blue_square + green_to_blue**2 * green_square + red_in_blue**2 * red_square,
            )
            expected = torch.stack((red, green, blue), dim=1)
        weights = self.logits.softmax(dim=1).unsqueeze(1)
        return ((weights * expected).sum(dim=2) + 1) / 2

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Images (B, C, H, W) on the grid of levels in [0, 1]: a component for each pixel, then its channels in order.

        These are exact draws, and discrete: no gradient passes.
        """
        with torch.no_grad():
            gumbel = -(-uniform_like(self.logits, generator).log()).log()
            chosen = (self.logits + gumbel).argmax(dim=1)[:, None, None]

            def of_chosen(parameter: Tensor) -> Tensor:
                index = chosen.expand(-1, parameter.shape[1], -1, -1, -1)
                return parameter.gather(2, index).squeeze(2)

            means, scales = of_chosen(self.means), of_chosen(self.log_scales).exp()
            noise = scales * uniform_like(means, generator).logit()
            if self.coefficients is None:
                return self._to_level(means + noise)
            red_to_green, red_to_blue, green_to_blue = of_chosen(self.coefficients).unbind(dim=1)
            values = (means + noise).unbind(dim=1)
            red = self._to_level(values[0])
            green = self._to_level(values[1] + red_to_green * (2 * red - 1))
            blue = self._to_level(values[2] + red_to_blue * (2 * red - 1) + green_to_blue * (2 * green - 1))
            return torch.stack((red, green, blue), dim=1)

    def _to_level(self, x: Tensor) -> Tensor:
        """[-1, 1] → the nearest level, on the [0, 1] scale."""
        return ((x.clamp(-1, 1) + 1) / 2 * (self.levels - 1)).round() / (self.levels - 1)

    def _check_images(self, x: Tensor) -> None:
        batch, channels, _, height, width = self.means.shape
        if x.shape != (batch, channels, height, width):
            raise ValueError(
                f"this distribution is over images {(batch, channels, height, width)}, not {tuple(x.shape)}"
            )
        scaled = x.detach() * (self.levels - 1)
        low, high = scaled.aminmax()
        if not (low >= 0 and high <= self.levels - 1 and (scaled - scaled.round()).abs().max() < 1e-3):
            top, bits = self.levels - 1, (self.levels - 1).bit_length()
            raise ValueError(
                f"this likelihood counts {self.levels} grey levels, k / {top} for whole k, and these images lie "
                f"between or outside them (from {low.item() / top:.3g} to {high.item() / top:.3g}): use "
                f"vaelib.data.quantise(images, {bits}), and neither dequantised images nor the [-1, 1] scale"
            )


def _clamped(mean: Tensor, squared_scale: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of a logistic variable clamped to [-1, 1], −1 + ∫ σ((mean − t) / s) dt, and its slope in `mean`."""
    scale = squared_scale.sqrt()
    to_black, to_white = (mean + 1) / scale, (mean - 1) / scale
    return scale * (F.softplus(to_black) - F.softplus(to_white)) - 1, to_black.sigmoid() - to_white.sigmoid()


@dataclass(frozen=True)
class LogisticMixtureLikelihood(Likelihood):
    """A `DiscretisedLogisticMixture` for every pixel: probability mass of 8-bit or coarser grey levels.

    The decoder's maps are, in this order:

        RGB    [M logits | red: M means, M log-scales, M coefficients | green: the same | blue: the same], 10 M maps.
               The coefficients go through tanh. Red's place holds red → green, green's red → blue, blue's green → blue.
        other  [M logits | each channel: M means, M log-scales], M (1 + 2 C) maps, no shifts between channels

    Attributes:
        components: M.
        bits: 8 for 256 levels, 5 for 32 (`vaelib.data.quantise(images, 5)`).
        tails: `nvae` for the numbers of the published NVAE instead of a probability mass function; see
            `DiscretisedLogisticMixture`.
    """

    kind: ClassVar[str] = "logistic-mixture"
    components: int = 10
    bits: int = 8
    tails: Tails = "exact"

    def __post_init__(self) -> None:
        if self.components < 1:
            raise ValueError(f"components should be at least 1, not {self.components}")
        if not 1 <= self.bits <= 8:
            raise ValueError(f"bits should be from 1 to 8, not {self.bits}")
        if self.tails not in ("exact", "nvae"):
            raise ValueError(f"tails should be 'exact' or 'nvae', not {self.tails!r}")

    @property
    def levels(self) -> int:
        """256 for 8 bits, 32 for 5."""
        return 2**self.bits

    def prepare(self, images: Tensor) -> Tensor:
        """The leading bits of every level (`vaelib.data.quantise`)."""
        return quantise(images, self.bits)

    def output_channels(self, image_channels: int) -> int:
        return self.components * (10 if image_channels == 3 else 1 + 2 * image_channels)

    def distribution(self, output: Tensor, free: Tensor) -> DiscretisedLogisticMixture:
        per_component, left_over = divmod(output.shape[1], self.components)
        # 1 + 2 C is odd, so 10 maps to a component are always RGB.
        channels = 3 if per_component == 10 else (per_component - 1) // 2
        if left_over or channels < 1 or self.output_channels(channels) != output.shape[1]:
            raise ValueError(
                f"{output.shape[1]} maps are no image of {self.components} components: a decoder gives "
                f"{self.output_channels(1)} for grey and {self.output_channels(3)} for RGB (see output_channels)"
            )
        logits, rest = output[:, : self.components], output[:, self.components :]
        kinds = rest.unflatten(1, (channels, -1, self.components)).unbind(dim=2)
        return DiscretisedLogisticMixture(
            logits=logits,
            means=kinds[0],
            log_scales=kinds[1].clamp(min=LOWEST_LOG_SCALE),
            coefficients=kinds[2].tanh() if channels == 3 else None,
            levels=self.levels,
            tails=self.tails,
        )
