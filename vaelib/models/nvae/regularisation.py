"""What keeps so deep a network from exploding: a price on how much any layer can amplify its input.

A small change of the input of the encoder moves the posteriors, and with them the KL, by an amount that is bounded by
the product of all Lipschitz constants. Each convolution pays for its largest singular value, each batch norm for its
largest scale. Source: Vahdat & Kautz 2020, section 3.2; Yoshida & Miyato 2017.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaelib.models.nvae.cells import WeightNormConv2d

FIRST_ITERATIONS, ITERATIONS = 40, 4


def convolutions(model: nn.Module) -> list[nn.Conv2d]:
    """All convolutions of a model, in the order in which it was built."""
    return [module for module in model.modules() if isinstance(module, nn.Conv2d)]


def matrix(conv: nn.Conv2d) -> Tensor:
    """The filters that a convolution applies, (outputs, inputs · height · width)."""
    weight = conv.effective_weight() if isinstance(conv, WeightNormConv2d) else conv.weight
    return weight.flatten(1)


def alike(convs: Sequence[nn.Conv2d]) -> list[list[int]]:
    """The places of convolutions whose filters can be computed together: of one shape, normalised or not."""
    groups: dict[Any, list[int]] = {}
    for place, conv in enumerate(convs):
        normalised = isinstance(conv, WeightNormConv2d)
        alone = place if normalised and conv.mask is not None else None
        groups.setdefault((conv.weight.shape, normalised, alone), []).append(place)
    return list(groups.values())


def stacked_filters(convs: Sequence[nn.Conv2d]) -> list[Tensor]:
    """The filters that convolutions apply, those of each group of `alike` in one tensor.

    A tower has hundreds of convolutions and few shapes, and normalising small filters one by one costs a graphics card
    more than using them.

    Returns:
        (N, outputs, inputs, height, width) of each group, in the order of `alike`.
    """
    stacks = []
    for places in alike(convs):
        group = [convs[place] for place in places]
        first = group[0]
        if isinstance(first, WeightNormConv2d) and first.mask is not None:
            stacks.append(first.effective_weight().unsqueeze(0))
            continue
        stack = torch.stack([conv.weight for conv in group])
        if isinstance(first, WeightNormConv2d):
            length = torch.linalg.vector_norm(stack, dim=(2, 3, 4), keepdim=True)
            log_lengths = torch.stack([conv.log_length for conv in cast(list[WeightNormConv2d], group)])
            stack = stack * (log_lengths.exp() / (length + 1e-5))
        stacks.append(stack)
    return stacks


@contextmanager
def applied_filters(convs: Sequence[nn.Conv2d], stacks: Sequence[Tensor]) -> Iterator[None]:
    """Inside, weight-normalised convolutions take their filters from `stacks`, instead of computing them again."""
    normalised = [conv for conv in convs if isinstance(conv, WeightNormConv2d)]
    try:
        for places, stack in zip(alike(convs), stacks, strict=True):
            for place, weight in zip(places, stack.unbind(), strict=True):
                if isinstance(conv := convs[place], WeightNormConv2d):
                    conv.applied = weight
        yield
    finally:
        for conv in normalised:
            conv.applied = None


class SpectralNorms(nn.Module):
    """The largest singular values of all convolutions of a model, by power iteration from one step to the next.

    Weights move little in a step, so the singular vectors of the step before are nearly right. Matrices of one shape go
    through it together. The vectors are saved with the model, so that a run that is resumed goes on exactly.

    Args:
        convs: their shapes are taken, nothing else; the convolutions belong to the model.
    """

    started: Tensor

    def __init__(self, convs: Sequence[nn.Conv2d]) -> None:
        super().__init__()
        self.places: dict[tuple[int, int], list[int]] = {}
        for group in alike(convs):
            weight = convs[group[0]].weight
            self.places.setdefault((weight.shape[0], weight[0].numel()), []).extend(group)
        for (rows, columns), places in self.places.items():
            self.register_buffer(f"left_{rows}x{columns}", F.normalize(torch.randn(len(places), rows), dim=1))
            self.register_buffer(f"right_{rows}x{columns}", F.normalize(torch.randn(len(places), columns), dim=1))
        self.register_buffer("started", torch.tensor(False))

    def forward(self, stacks: Sequence[Tensor]) -> Tensor:
        """The singular values, (convolutions,), ordered by shape; differentiable in the filters.

        In training mode the vectors move on; in eval mode they stay.

        Args:
            stacks: `stacked_filters` of the convolutions.
        """
        iterations = ITERATIONS if self.started else FIRST_ITERATIONS
        by_shape: dict[tuple[int, int], list[Tensor]] = {}
        for stack in stacks:
            matrices = stack.flatten(2)
            by_shape.setdefault((matrices.shape[1], matrices.shape[2]), []).append(matrices)
        values = []
        with torch.autocast(stacks[0].device.type, enabled=False):
            for rows, columns in self.places:
                group = by_shape[rows, columns]
                matrices = group[0] if len(group) == 1 else torch.cat(group)
                left, right = getattr(self, f"left_{rows}x{columns}"), getattr(self, f"right_{rows}x{columns}")
                new_left, new_right = power_iteration(matrices, left, iterations)
                if self.training:
                    left.copy_(new_left)
                    right.copy_(new_right)
                # σ = uᵀ W v, whose gradient is u vᵀ while u and v are held.
                values.append((torch.bmm(new_left.unsqueeze(1), matrices).squeeze(1) * new_right).sum(dim=1))
        if self.training:
            self.started.fill_(True)
        return torch.cat(values)


@torch.no_grad()
def power_iteration(matrices: Tensor, left: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """The singular vectors of the largest singular value of each matrix.

    Args:
        matrices: (N, rows, columns).
        left: (N, rows), where to start.
    Returns:
        Left (N, rows) and right (N, columns) vectors of length 1.
    """
    left = left.unsqueeze(1)
    transposed = matrices.transpose(1, 2)
    for _ in range(iterations):
        left = F.normalize(torch.bmm(torch.bmm(left, matrices), transposed), dim=2)
    return left.squeeze(1), F.normalize(torch.bmm(left, matrices).squeeze(1), dim=1)


def batch_norm_scales(model: nn.Module) -> Tensor:
    """The largest absolute scale, max |γ|, of each batch norm, ordered by width: (batch norms,)."""
    by_width: dict[int, list[Tensor]] = {}
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            by_width.setdefault(module.num_features, []).append(module.weight)
    largest = [torch.stack(scales).abs().amax(dim=1) for scales in by_width.values()]
    return torch.cat(largest) if largest else torch.zeros(0)
