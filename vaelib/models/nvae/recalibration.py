"""Batch norms take their averages anew, and a layer that spoils them is named.

In training a batch norm divides by the statistics of its batch; afterwards, by averages that it kept. When those do not
fit the weights, every layer is off a little, and in a tower of hundreds of layers that is much.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@contextmanager
def recalibrating(model: nn.Module) -> Iterator[None]:
    """Inside, every batch norm that is run averages what it sees, each batch the same; what is not run, keeps its own.

    Everything runs in float32. Batch norms are in training mode and all else is in eval mode, so neither spectral
    vectors nor weights that wait for their first batch move. Afterwards the modes are as before, and so are the
    averages if something went wrong.

    Raises:
        ValueError: the weights are of a smaller type.
        FloatingPointError: the output of a layer, or an average, was not finite.
    """
    narrow = [name for name, weight in model.named_parameters() if weight.dtype not in (torch.float32, torch.float64)]
    if narrow:
        raise ValueError(
            f"batch norms are recalibrated in float32, but {narrow[0]} and {len(narrow) - 1} other parameters are not: "
            "use model.float() first"
        )
    modes = [(module, module.training) for module in model.modules()]
    norms = {name: module for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    before = {name: [_statistic(norm, key).clone() for key in STATISTICS] for name, norm in norms.items()}
    momenta = {name: norm.momentum for name, norm in norms.items()}
    hooks = [module.register_forward_hook(_refuse_not_finite(name)) for name, module in model.named_modules() if name]
    model.eval()
    for norm in norms.values():
        norm.train()
        norm.momentum = None  # PyTorch's word for a plain mean, counted by num_batches_tracked
        _statistic(norm, "num_batches_tracked").zero_()
    done = False
    try:
        device = next(model.parameters()).device
        with torch.autocast(device.type, enabled=False):
            yield
        for name, norm in norms.items():
            if not all(_statistic(norm, key).isfinite().all() for key in STATISTICS):
                raise FloatingPointError(f"the averages of layer {name!r} are not finite; the old ones are kept")
        done = True
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes:
            module.training = training
        for name, norm in norms.items():
            norm.momentum = momenta[name]
            # How often a norm was trained is no matter of this.
            for key, value in zip(STATISTICS, before[name], strict=True):
                if not done or key == "num_batches_tracked":
                    _statistic(norm, key).copy_(value)


def _statistic(norm: nn.BatchNorm2d, key: str) -> Tensor:
    tensor = getattr(norm, key)
    assert isinstance(tensor, Tensor)
    return tensor


def _refuse_not_finite(name: str) -> Any:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and not output.isfinite().all():
            raise FloatingPointError(
                f"recalibration stopped: layer {name!r} ({type(module).__name__}) is the first whose output is not "
                "finite; the old averages are kept. Look at its weights, or take a lower temperature"
            )

    return hook
