"""What keeps so deep a network from exploding: a price on how much any layer can amplify its input.

A small change of the input of the encoder moves the posteriors, and with them the KL, by an amount that is bounded by
the product of all Lipschitz constants. Each convolution pays for its largest singular value, each batch norm for its
largest scale. Source: Vahdat & Kautz 2020, section 3.2; Yoshida & Miyato 2017.
"""

from collections.abc import Sequence

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


class SpectralNorms(nn.Module):
    """The largest singular values of all convolutions of a model, by power iteration from one step to the next.

    Weights move little in a step, so the singular vectors of the step before are nearly right. Matrices of one shape go
    through it together: a tower has hundreds of convolutions and few shapes. The vectors are saved with the model, so
    that a run that is resumed goes on exactly.

    Args:
        convs: their shapes are taken, nothing else; the convolutions belong to the model.
    """

    started: Tensor

    def __init__(self, convs: Sequence[nn.Conv2d]) -> None:
        super().__init__()
        self.places: dict[tuple[int, int], list[int]] = {}
        for place, conv in enumerate(convs):
            shape = (conv.weight.shape[0], conv.weight[0].numel())
            self.places.setdefault(shape, []).append(place)
        for (rows, columns), places in self.places.items():
            self.register_buffer(f"left_{rows}x{columns}", F.normalize(torch.randn(len(places), rows), dim=1))
            self.register_buffer(f"right_{rows}x{columns}", F.normalize(torch.randn(len(places), columns), dim=1))
        self.register_buffer("started", torch.tensor(False))

    def forward(self, convs: Sequence[nn.Conv2d]) -> Tensor:
        """The singular values, (convolutions,), ordered by shape; differentiable in the weights.

        In training mode the vectors move on; in eval mode they stay.
        """
        iterations = ITERATIONS if self.started else FIRST_ITERATIONS
        values = []
        with torch.autocast(convs[0].weight.device.type, enabled=False):
            for (rows, columns), places in self.places.items():
                matrices = torch.stack([matrix(convs[place]) for place in places])
                left, right = getattr(self, f"left_{rows}x{columns}"), getattr(self, f"right_{rows}x{columns}")
                new_left, new_right = power_iteration(matrices, left, iterations)
                if self.training:
                    left.copy_(new_left)
                    right.copy_(new_right)
                # σ = uᵀ W v, whose gradient is u vᵀ while u and v are held.
                values.append(torch.einsum("nr,nrc,nc->n", new_left, matrices, new_right))
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
    right = left.new_zeros(len(left), matrices.shape[2])
    for _ in range(iterations):
        right = F.normalize((left.unsqueeze(1) @ matrices).squeeze(1), dim=1)
        left = F.normalize((matrices @ right.unsqueeze(2)).squeeze(2), dim=1)
    return left, right


def batch_norm_scales(model: nn.Module) -> Tensor:
    """The largest absolute scale, max |γ|, of each batch norm, ordered by width: (batch norms,)."""
    by_width: dict[int, list[Tensor]] = {}
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            by_width.setdefault(module.num_features, []).append(module.weight)
    largest = [torch.stack(scales).abs().amax(dim=1) for scales in by_width.values()]
    return torch.cat(largest) if largest else torch.zeros(0)
