"""Memory for time: of each cell keep only input and output, and compute its inside again on the way back.

Source: Chen, Xu, Zhang & Guestrin 2016, "Training Deep Nets with Sublinear Memory Cost".
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def recomputed(module: nn.Module, x: Tensor) -> Tensor:
    """module(x), whose intermediate results are thrown away and made again in the backward pass.

    The module should draw no random numbers. Its batch norms count each batch once.
    """

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), averages_held(module)

    output: Tensor = checkpoint(module, x, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)
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
