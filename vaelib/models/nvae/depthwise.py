"""A depthwise convolution that is fast in training on a CPU too.

On CPUs, PyTorch computes the forward pass of a depthwise convolution quickly and both of its gradients slowly: an NVAE
spends more than half of each step in them. But both gradients are depthwise convolutions themselves, so they may take
the fast way: that of the input convolves the gradient of the output with the flipped filter; that of the filter
convolves the input of each image with the gradient of the output, which is thus a filter as large as the image.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def depthwise_conv2d(x: Tensor, weight: Tensor) -> Tensor:
    """Convolve each channel with a filter of its own; stride 1, zero padding that keeps the size.

    Args:
        x: (B, C, H, W).
        weight: (C, 1, K, K), K odd.
    Returns:
        (B, C, H, W), what `F.conv2d(x, weight, padding=K // 2, groups=C)` gives, in autocast's type inside autocast.
    """
    if x.device.type != "cpu" or not torch.is_grad_enabled():
        return F.conv2d(x, weight, padding=weight.shape[-1] // 2, groups=len(weight))
    if torch.is_autocast_enabled("cpu"):
        kind = torch.get_autocast_dtype("cpu")
        x, weight = x.to(kind), weight.to(kind)
    return _Depthwise.apply(x, weight)  # type: ignore[no-untyped-call]


class _Depthwise(torch.autograd.Function):
    """Inside, autocast is off: both passes see the types that `depthwise_conv2d` chose."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        with torch.autocast("cpu", enabled=False):
            return F.conv2d(x, weight, padding=weight.shape[-1] // 2, groups=len(weight))

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        size = weight.shape[-1]
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = F.conv2d(gradient, weight.flip(2, 3), padding=size // 2, groups=len(weight))
        if ctx.needs_input_grad[1]:
            batch, channels, height, width = x.shape
            # Every channel of every image is a channel of one large image, in whose layout channels come last.
            images = x.permute(2, 3, 0, 1).reshape(1, height, width, batch * channels).permute(0, 3, 1, 2)
            filters = gradient.reshape(batch * channels, 1, height, width)
            products = F.conv2d(images, filters, padding=size // 2, groups=batch * channels)
            exact = torch.promote_types(products.dtype, torch.float32)
            of_weight = products.view(batch, channels, 1, size, size).sum(dim=0, dtype=exact).to(weight.dtype)
        return of_x, of_weight
