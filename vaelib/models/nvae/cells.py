"""What the towers are built of: weight-normalised convolutions, residual cells, and the joints between two streams.

A cell is skip(x) + 0.1 · SE(f(x)): f is one or more operations, SE squeezes and excites, and the skip changes the size
where the cell does. The factor keeps a deep tower close to the identity when training begins.

Source: Vahdat & Kautz 2020, sections 3.1.1, 3.1.2 and figure 3.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaelib.models.nvae.config import MCONV
from vaelib.models.nvae.depthwise import depthwise_conv2d

Resize = Literal["same", "down", "up"]

RESIDUAL_FACTOR = 0.1


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Batch norm with momentum 0.05, half of PyTorch's default: notebook 5.2 measures how its averages lag."""
    return nn.BatchNorm2d(channels, eps=1e-5, momentum=0.05)


def is_depthwise(conv: nn.Conv2d) -> bool:
    """Whether a convolution is what `depthwise_conv2d` computes, but for a bias."""
    size = conv.kernel_size[0]
    same = conv.stride == (1, 1) and conv.dilation == (1, 1) and size % 2 == 1 and conv.padding == (size // 2,) * 2
    return same and conv.groups == conv.in_channels == conv.out_channels


class DepthwiseConv2d(nn.Conv2d):
    """Convolve within each channel; no bias, and without a stride the fast way."""

    def __init__(self, channels: int, size: int, stride: int) -> None:
        super().__init__(channels, channels, size, stride, padding=(size - 1) // 2, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return depthwise_conv2d(x, self.weight) if is_depthwise(self) else super().forward(x)


class WeightNormConv2d(nn.Conv2d):
    """A convolution whose filters have a learned length: W_eff = exp(g) · W / (‖W‖ + 1e-5), one g per output channel.

    It keeps its size at stride 1.

    Args:
        mask: zeros for weights that are not there, of the shape of W; the length is that of the others.
        data_init: choose g and the bias by the first batch.

    Source: Salimans & Kingma 2016, equations 2 and 3.
    """

    mask: Tensor | None
    waits_for_data: Tensor | None

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        mask: Tensor | None = None,
        data_init: bool = False,
    ) -> None:
        padding = dilation * (size - 1) // 2
        super().__init__(inputs, outputs, size, stride, padding, dilation, groups, bias)
        self.register_buffer("mask", mask, persistent=False)
        self.log_length = nn.Parameter((self.length() + 0.01).log().detach())
        # W_eff, where somebody has just computed it; see `applied_filters`.
        self.applied: Tensor | None = None
        # Of use in the first training step only; saved, so that a loaded model does not start afresh.
        self.register_buffer("waits_for_data", torch.tensor(True) if data_init else None)

    @property
    def direction(self) -> Tensor:
        """W, before it is normalised."""
        return self.weight if self.mask is None else self.weight * self.mask

    def length(self) -> Tensor:
        """‖W‖ of every output channel, (outputs, 1, 1, 1)."""
        return torch.linalg.vector_norm(self.direction, dim=(1, 2, 3), keepdim=True)

    def effective_weight(self) -> Tensor:
        """W_eff, (outputs, inputs / groups, size, size)."""
        return self.direction * (self.log_length.exp() / (self.length() + 1e-5))

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.waits_for_data is not None and self.waits_for_data:
            self._start_from(x)
            self.waits_for_data.fill_(False)
            self.applied = None
        weight = self.effective_weight() if self.applied is None else self.applied
        if is_depthwise(self) and self.bias is None:
            return depthwise_conv2d(x, weight)
        return self._conv_forward(x, weight, self.bias)

    @torch.no_grad()
    def _start_from(self, x: Tensor) -> None:
        """Choose g and bias such that the first batch leaves with mean 0 and standard deviation 1/5.

        Source: Salimans & Kingma 2016, section 3; the fifth is NVAE's.
        """
        direction = self.direction / (self.length() + 1e-5)
        response = self._conv_forward(x, direction, None).float()
        scale = 5 * response.std(dim=(0, 2, 3)).clamp(min=1e-5)
        self.log_length.copy_(-scale.log()[:, None, None, None])
        if self.bias is not None:
            self.bias.copy_(-response.mean(dim=(0, 2, 3)) / scale)


class SqueezeExcite(nn.Module):
    """Weigh each channel by a number in (0, 1) that depends on the means of all channels.

    Source: Hu, Shen & Sun 2018.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 16, 4)
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        gates = self.excite(F.relu(self.squeeze(x.mean(dim=(2, 3))))).sigmoid()
        return x * gates[:, :, None, None]


class ResidualConv(nn.Module):
    """[batch norm], activation, [nearest-neighbour doubling], 3×3 convolution.

    `res_elu` has no batch norm and starts from its first batch; `res_bnswish5` looks at a 5×5 neighbourhood.
    """

    def __init__(self, name: str, inputs: int, outputs: int, resize: Resize) -> None:
        super().__init__()
        self.norm = batch_norm(inputs) if "bn" in name else nn.Identity()
        self.activation = nn.SiLU() if "swish" in name else nn.ELU()
        self.up = resize == "up"
        self.conv = WeightNormConv2d(
            inputs,
            outputs,
            3,
            stride=2 if resize == "down" else 1,
            dilation=2 if name == "res_bnswish5" else 1,
            data_init=name == "res_elu",
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.norm(x))
        return self.conv(F.interpolate(x, scale_factor=2) if self.up else x)


class MConv(nn.Module):
    """Expand the channels, convolve within each, project back: large neighbourhoods for few weights.

    Batch norm follows every convolution, so these have neither biases nor weight norm. Source: section 3.1.1.

    Args:
        name: mconv_eXkKgG: X times the channels, K×K, in G groups (0: as many as channels).
    """

    def __init__(self, name: str, inputs: int, outputs: int, resize: Resize) -> None:
        super().__init__()
        expansion, size, groups = map(int, MCONV.fullmatch(name).groups())  # type: ignore[union-attr]  # config checked
        hidden, stride = round(expansion * inputs), 2 if resize == "down" else 1
        self.up = resize == "up"
        self.norm_input = batch_norm(inputs)
        self.expand = nn.Conv2d(inputs, hidden, 1, bias=False)
        self.norm_expanded = batch_norm(hidden)
        self.spatial = (
            nn.Conv2d(hidden, hidden, size, stride, padding=(size - 1) // 2, groups=groups, bias=False)
            if groups
            else DepthwiseConv2d(hidden, size, stride)
        )
        self.norm_spatial = batch_norm(hidden)
        self.project = nn.Conv2d(hidden, outputs, 1, bias=False)
        self.norm_output = batch_norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2) if self.up else x
        x = F.silu(self.norm_expanded(self.expand(self.norm_input(x))))
        x = F.silu(self.norm_spatial(self.spatial(x)))
        return self.norm_output(self.project(x))


class DownSkip(nn.Module):
    """The four pixels of each 2×2 square, each through its own 1×1 convolution to a quarter of the channels."""

    OFFSETS = ((0, 0), (1, 1), (0, 1), (1, 0))  # (row, column)

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        quarter = outputs // 4
        sizes = (quarter, quarter, quarter, outputs - 3 * quarter)
        self.quarters = nn.ModuleList(WeightNormConv2d(inputs, size, 1) for size in sizes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(x)
        # The same as 1×1 convolutions of stride 2, whose backward pass in float32 and channels last writes beyond its
        # memory on a CPU (torch 2.14, 8 channels to 4 at 64×64).
        pixels = [x[:, :, row::2, column::2] for row, column in self.OFFSETS]
        return torch.cat([conv(part) for conv, part in zip(self.quarters, pixels, strict=True)], dim=1)


class UpSkip(nn.Module):
    """Bilinear doubling, then a 1×1 convolution without a bias."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = WeightNormConv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True))


class Cell(nn.Module):
    """skip(x) + 0.1 · SE(f(x)). The first operation changes size and channels; the others keep them.

    (B, inputs, H, W) → (B, outputs, H, W), with half or twice the side for `down` and `up`.
    """

    def __init__(
        self, names: tuple[str, ...], inputs: int, outputs: int, resize: Resize = "same", squeeze_excite: bool = True
    ) -> None:
        super().__init__()
        skips = {"same": nn.Identity, "down": DownSkip, "up": UpSkip}
        self.skip = skips[resize](inputs, outputs)
        operations: list[nn.Module] = []
        for position, name in enumerate(names):
            operation = MConv if MCONV.fullmatch(name) else ResidualConv
            first = position == 0
            operations.append(operation(name, inputs if first else outputs, outputs, resize if first else "same"))
        self.operations = nn.Sequential(*operations)
        self.squeeze_excite = SqueezeExcite(outputs) if squeeze_excite else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + RESIDUAL_FACTOR * self.squeeze_excite(self.operations(x))


class AddDecoderFeature(nn.Module):
    """Where the encoder hears what the decoder has drawn so far: feature + 1×1 convolution of s.

    It also marks, in the encoder's tower, which features the groups get.
    """

    def __init__(self, decoder_channels: int, encoder_channels: int) -> None:
        super().__init__()
        self.conv = WeightNormConv2d(decoder_channels, encoder_channels, 1)

    def forward(self, feature: Tensor, s: Tensor) -> Tensor:
        return feature + self.conv(s)


class TakeLatents(nn.Module):
    """Where the decoder takes the latents of a group in: 1×1 convolution of [s, z]."""

    def __init__(self, channels: int, latent_channels: int) -> None:
        super().__init__()
        self.conv = WeightNormConv2d(channels + latent_channels, channels, 1)

    def forward(self, s: Tensor, z: Tensor) -> Tensor:
        return self.conv(torch.cat((s, z), dim=1))
