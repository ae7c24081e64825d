"""Every test runs quietly and on one thread: two workers share two cores, and no result depends on their number."""

import os

import pytest
import torch

os.environ["VAELIB_CI"] = "1"
torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    """A generator with a fixed seed."""
    return torch.Generator().manual_seed(20261122)
