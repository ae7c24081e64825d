"""Every test runs quietly and on one thread, so that two workers share two cores and results do not depend on the count."""

import os

import pytest
import torch

os.environ["VAELIB_CI"] = "1"
torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    """A generator with a fixed seed."""
    return torch.Generator().manual_seed(20261122)
