"""Everything random in step t is a function of (seed, t): that is why a run that was killed resumes exactly.

There is no generator whose state would have to be saved. The order of the images follows from the seed and the epoch;
the noise of a forward pass from the seed, the step, the player and the process.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def derived_seed(*parts: int | str) -> int:
    """A 63-bit seed that is a function of these parts; any other parts give, for all purposes, an unrelated one."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


@contextmanager
def seeded(*parts: int | str) -> Iterator[None]:
    """Inside, what is drawn on the CPU is a function of these parts; afterwards torch's generator is where it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derived_seed(*parts))
        yield


@contextmanager
def own_randomness(device: torch.device) -> Iterator[None]:
    """Inside, torch's global generators may be seeded at will; afterwards they are where the caller left them."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def seed_noise(device: torch.device, *parts: int | str) -> None:
    """Seed torch's generators, of the CPU and of this device, with `derived_seed(parts)`."""
    seed = derived_seed(*parts)
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


class ImageOrder:
    """An endless walk through the data: every epoch visits each image once, in an order of its own.

    Batches run on across the border of two epochs, so all have the same size and no image is left out.
    """

    def __init__(self, images: int, seed: int) -> None:
        self.images, self.seed = images, seed
        self._epochs: dict[int, Tensor] = {}

    def between(self, start: int, stop: int) -> Tensor:
        """The indices of the walk's positions start, …, stop − 1."""
        parts = []
        for epoch in range(start // self.images, (stop - 1) // self.images + 1):
            first = epoch * self.images
            parts.append(self._epoch(epoch)[max(start - first, 0) : min(stop - first, self.images)])
        return torch.cat(parts)

    def _epoch(self, epoch: int) -> Tensor:
        if epoch not in self._epochs:
            generator = torch.Generator().manual_seed(derived_seed(self.seed, "order", epoch))
            # Only the last two are ever needed again.
            self._epochs = {known: order for known, order in self._epochs.items() if known == epoch - 1}
            self._epochs[epoch] = torch.randperm(self.images, generator=generator)
        return self._epochs[epoch]
