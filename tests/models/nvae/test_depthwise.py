"""Our gradients of a depthwise convolution, beside those of the framework."""

import pytest
import torch
import torch.nn.functional as F

from vaelib.models.nvae.cells import DepthwiseConv2d, WeightNormConv2d
from vaelib.models.nvae.depthwise import depthwise_conv2d


def both_ways(x, weight):
    """Output and gradients: ours, the framework's."""
    direction = torch.randn(x.shape, dtype=x.dtype)
    answers = []
    for convolve in (
        depthwise_conv2d,
        lambda x, w: F.conv2d(x, w, padding=w.shape[-1] // 2, groups=len(w)),
    ):
        one, other = x.clone().requires_grad_(), weight.clone().requires_grad_()
        y = convolve(one, other)
        answers.append((y.detach(), *torch.autograd.grad(y, (one, other), direction)))
    return zip(*answers, strict=True)


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 4, 7), (5, 8, 3, 3)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_gradients_are_those_of_the_framework(size, shape, layout):
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64).contiguous(memory_format=layout)
    for ours, theirs in both_ways(x, torch.randn(shape[1], 1, size, size, dtype=torch.float64)):
        torch.testing.assert_close(ours, theirs)


def test_gradients_by_finite_differences():
    torch.manual_seed(0)
    x = torch.randn(2, 2, 4, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(depthwise_conv2d, (x, weight))


def test_only_the_gradients_that_are_asked_for():
    x, weight = torch.randn(2, 3, 4, 4), torch.randn(3, 1, 3, 3, requires_grad=True)
    depthwise_conv2d(x, weight).sum().backward()
    assert weight.grad is not None
    assert x.grad is None


def test_in_autocast_the_type_is_autocasts_and_the_gradients_are_the_weights():
    torch.manual_seed(0)
    x = torch.randn(4, 6, 8, 8, requires_grad=True)
    conv = DepthwiseConv2d(6, 5, stride=1)
    with torch.autocast("cpu", torch.bfloat16):
        y = conv(x)
    assert y.dtype == torch.bfloat16
    y.float().square().sum().backward()
    exact = F.conv2d(x, conv.weight, padding=2, groups=6)
    of_x, of_weight = torch.autograd.grad(exact.square().sum(), (x, conv.weight))
    for ours, theirs in ((x.grad, of_x), (conv.weight.grad, of_weight)):
        assert ours.dtype == torch.float32
        assert (ours - theirs).norm() < 0.02 * theirs.norm()


def test_strides_and_biases_take_the_plain_way():
    x = torch.randn(2, 4, 6, 6)
    down = DepthwiseConv2d(4, 5, stride=2)
    torch.testing.assert_close(down(x), F.conv2d(x, down.weight, stride=2, padding=2, groups=4))
    biased = WeightNormConv2d(4, 4, 3, groups=4)
    with torch.no_grad():
        biased.bias.fill_(7.0)
    expected = F.conv2d(x, biased.effective_weight(), biased.bias, padding=1, groups=4)
    torch.testing.assert_close(biased(x), expected)
