"""Convolutions, gates, skips and flows, computed a second time by hand."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import distributions as oracle

from vaelib.models.nvae.cells import Cell, DownSkip, SqueezeExcite, WeightNormConv2d
from vaelib.models.nvae.flows import AutoregressiveShift, Flow
from vaelib.models.nvae.latents import FlowNormal, Group, soft_clamped_normal


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_a_weight_normalised_filter_has_the_length_that_was_learned():
    conv = WeightNormConv2d(3, 5, 3)
    with torch.no_grad():
        conv.log_length.copy_(torch.linspace(-1, 1, 5)[:, None, None, None])
    lengths = conv.effective_weight().flatten(1).norm(dim=1)
    torch.testing.assert_close(lengths, torch.linspace(-1, 1, 5).exp(), rtol=1e-4, atol=0)
    x = torch.randn(2, 3, 6, 6)
    torch.testing.assert_close(conv(x), F.conv2d(x, conv.effective_weight(), conv.bias, padding=1))


def test_a_convolution_starts_from_its_first_batch_and_only_from_it():
    conv = WeightNormConv2d(3, 5, 3, data_init=True).train()
    out = conv(3 + 7 * torch.randn(8, 3, 10, 10))
    torch.testing.assert_close(out.mean(dim=(0, 2, 3)), torch.zeros(5), atol=1e-3, rtol=0)
    torch.testing.assert_close(out.std(dim=(0, 2, 3)), torch.full((5,), 0.2), atol=1e-3, rtol=0)
    kept = conv.log_length.clone()
    conv(torch.randn(8, 3, 10, 10))
    torch.testing.assert_close(conv.log_length, kept)


def test_squeeze_and_excite_by_hand():
    gate, x = SqueezeExcite(8), torch.randn(2, 8, 5, 5)
    hidden = torch.relu(x.mean(dim=(2, 3)) @ gate.squeeze.weight.T + gate.squeeze.bias)
    weights = torch.sigmoid(hidden @ gate.excite.weight.T + gate.excite.bias)
    torch.testing.assert_close(gate(x), x * weights[:, :, None, None])


def test_the_skip_down_keeps_every_pixel():
    skip, x = DownSkip(3, 8), torch.randn(1, 3, 4, 4)
    for quarter, (row, column) in zip(skip(x).chunk(4, dim=1), ((0, 0), (1, 1), (0, 1), (1, 0)), strict=True):
        conv = skip.quarters[[(0, 0), (1, 1), (0, 1), (1, 0)].index((row, column))]
        pixels = F.silu(x[:, :, row::2, column::2])
        expected = torch.einsum("oi,bihw->bohw", conv.effective_weight()[:, :, 0, 0], pixels)
        torch.testing.assert_close(quarter, expected + conv.bias[:, None, None])


def test_the_skip_down_has_its_gradients_with_channels_last():
    torch.manual_seed(0)
    skip, x = DownSkip(8, 16), torch.randn(2, 8, 64, 64)
    exact = copy.deepcopy(skip).double()
    skip.to(memory_format=torch.channels_last)
    ours = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    theirs = x.double().requires_grad_()
    for _ in range(3):  # writing beyond its memory ended the process some time later
        skip.zero_grad()
        ours.grad = None
        skip(ours).square().sum().backward()
    exact(theirs).square().sum().backward()
    torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-3, atol=1e-4)
    for found, right in zip(skip.parameters(), exact.parameters(), strict=True):
        torch.testing.assert_close(found.grad.double(), right.grad, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(
    "name", ["res_elu", "res_bnelu", "res_bnswish", "res_bnswish5", "mconv_e3k5g0", "mconv_e2k3g2"]
)
@pytest.mark.parametrize(("resize", "outputs", "side"), [("same", 8, 6), ("down", 16, 3), ("up", 4, 12)])
def test_every_cell_changes_size_as_it_should(name, resize, outputs, side):
    cell = Cell((name, name), 8, outputs, resize).eval()
    x = torch.randn(2, 8, 6, 6)
    assert cell(x).shape == (2, outputs, side, side)
    if name.startswith("mconv"):  # batch norm comes last, and with a scale of 0 only the skip is left
        with torch.no_grad():
            cell.operations[-1].norm_output.weight.zero_()
        torch.testing.assert_close(cell(x), cell.skip(x))


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_shift_has_a_triangular_jacobian_with_ones_on_its_diagonal(mirrored):
    shift, shape = AutoregressiveShift(2, mirrored).double(), (1, 2, 3, 4)
    with torch.no_grad():
        shift.to_shift.log_length.add_(3)  # a shift that can be seen
    z = torch.randn(shape, dtype=torch.double)
    jacobian = torch.autograd.functional.jacobian(shift, z).reshape(24, 24)
    # In the order of reading: rows, columns, channels. The mirror turns the picture, not the channels.
    places = torch.arange(24).reshape(2, 3, 4)
    order = (places.flip(1, 2) if mirrored else places).permute(1, 2, 0).flatten()
    ordered = jacobian[order][:, order]
    torch.testing.assert_close(ordered.triu(), torch.eye(24, dtype=torch.double))
    assert ordered.tril(-1).abs().max() > 0.01
    # Every earlier latent within reach is used: the channel before, at the same place.
    assert all(ordered[i, i - 1] != 0 for i in range(1, 24, 2))


def test_the_flow_keeps_volumes_and_can_be_undone():
    flow, z = Flow(2, 2).double(), torch.randn(3, 2, 4, 4, dtype=torch.double)
    torch.testing.assert_close(flow.inverse(flow(z)), z, atol=1e-5, rtol=0)
    jacobian = torch.autograd.functional.jacobian(flow, z[:1]).reshape(32, 32)
    torch.testing.assert_close(torch.linalg.det(jacobian), torch.ones((), dtype=torch.double))


def test_the_soft_clamped_normal_and_its_kl_are_those_of_torch(generator):
    first, second = 4 * torch.randn(2, 5, 6, 3, 3, generator=generator)
    q, p = soft_clamped_normal(first), soft_clamped_normal(first + second)

    def torch_normal(raw):
        mean, log_deviation = (5 * torch.tanh(raw / 5)).chunk(2, dim=1)
        return oracle.Normal(mean, log_deviation.exp() + 0.01)

    ours, theirs = torch_normal(first), torch_normal(first + second)
    torch.testing.assert_close(q.kl(p), oracle.kl_divergence(ours, theirs).sum((1, 2, 3)), rtol=1e-4, atol=1e-3)
    group = Group.draw(p, q, Flow(3, 0), generator=generator)
    torch.testing.assert_close(group.log_q, ours.log_prob(group.z).sum((1, 2, 3)), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(group.log_p, theirs.log_prob(group.z).sum((1, 2, 3)), rtol=1e-4, atol=1e-2)
    assert (
        soft_clamped_normal(first, temperature=0.5).standard_deviation.max() < 0.5 * q.standard_deviation.max() + 1e-3
    )


def test_with_a_flow_the_kl_is_taken_at_the_draw(generator):
    raw, flow = torch.randn(4, 4, 3, 3, generator=generator), Flow(2, 1)
    q, p = soft_clamped_normal(raw), soft_clamped_normal(torch.zeros_like(raw))
    with torch.no_grad():
        group = Group.draw(p, q, flow, generator=generator)
        assert isinstance(group.posterior, FlowNormal)
        torch.testing.assert_close(group.posterior.log_prob(group.z), group.log_q, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(group.kl, group.log_q - p.log_prob(group.z))
