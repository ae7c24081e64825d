"""Memory for time: of each cell keep only input and output, and compute its inside again on the way back.

Source: Chen, Xu, Zhang & Guestrin 2016, "Training Deep Nets with Sublinear Memory Cost".
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vaelib.models.nvae.cells import WeightNormConv2d


def recomputed(module: nn.Module, x: Tensor) -> Tensor:
    """module(x), whose intermediate results are thrown away and made again in the backward pass.

    The module should draw no random numbers. Its batch norms count each batch once.
    """
    convs = [part for part in module.modules() if isinstance(part, WeightNormConv2d)]
    applied: list[Tensor | None] = []

    @contextmanager
    def again() -> Iterator[None]:
        # By then the filters that were computed for all convolutions together have been put away.
        for conv, weight in zip(convs, applied, strict=True):
            conv.applied = weight
        try:
            with averages_held(module):
                yield
        finally:
            for conv in convs:
                conv.applied = None

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), again()

    output: Tensor = checkpoint(module, x, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)
    applied.extend(conv.applied for conv in convs)  # after the first pass: who started from this batch has none
    return output


@contextmanager
def averages_held(module: nn.Module) -> Iterator[None]:
    """Inside, batch norms in training mode leave their averages as they are."""
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    # A momentum of 0 adds nothing to an average. Leaving the averages out would change what autograd keeps, which
    # checkpointing compares.
    held = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = None
    try:
        yield
    finally:
        for norm, momentum, count in held:
            norm.momentum, norm.num_batches_tracked = momentum, count
