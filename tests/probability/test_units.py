"""Bits per dimension against codes whose length is known."""

import math

import pytest
import torch

from vaelib.probability import bits_per_dimension


@pytest.mark.parametrize("levels", [2, 32, 256])
def test_a_uniform_guess_over_the_levels_costs_their_logarithm(levels):
    nats = 12 * math.log(levels)
    assert bits_per_dimension(nats, 12, levels=levels) == pytest.approx(math.log2(levels))


def test_the_uniform_density_costs_eight_bits():
    assert bits_per_dimension(0.0, 12, levels=None) == 8.0


def test_the_dequantised_density_bounds_the_discrete_code(generator):
    # A density that is constant on each bin gives each level its exact mass; within a bin the bound is tight.
    mass = torch.rand(256, generator=generator, dtype=torch.float64)
    mass /= mass.sum()
    level = torch.randint(0, 256, (1000,), generator=generator)
    log_density = (mass[level] * 256).log()
    exact = -mass[level].log2()
    torch.testing.assert_close(bits_per_dimension(-log_density, 1, levels=None), exact)


def test_the_bound_is_not_tight_for_a_density_that_changes_within_a_bin():
    # p(x) = 2x: level k has mass (2k + 1) / 65536, and Jensen's inequality loses something, most where p is steep.
    level = torch.arange(256, dtype=torch.float64)
    noise = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
    nats = -(2 * (level[:, None] + noise) / 256).log().mean(1)
    bound, exact = bits_per_dimension(nats, 1, levels=None), -((2 * level + 1) / 256**2).log2()
    assert (bound > exact).all()
    assert bound[0] - exact[0] > 0.4
    assert bound[255] - exact[255] < 1e-5


def test_tensors_stay_tensors():
    bits = bits_per_dimension(torch.tensor([math.log(2), math.log(4)]), 1, levels=256)
    torch.testing.assert_close(bits, torch.tensor([1.0, 2.0]))


def test_impossible_counts_are_refused():
    with pytest.raises(ValueError, match="number of values in an image"):
        bits_per_dimension(1.0, 0, levels=256)
    with pytest.raises(ValueError, match="at least 2, or None for a density"):
        bits_per_dimension(1.0, 3, levels=1)
