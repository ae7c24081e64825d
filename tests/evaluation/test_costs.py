"""Costs that can be computed by hand, and a network without numbers beside the same with numbers."""

import dataclasses

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from vaelib.evaluation import CostAssumptions, model_cost
from vaelib.models import NVAE, AutoencoderConfig, Batch, NVAEConfig, Progress
from vaelib.networks import Linear

SMALL = NVAEConfig(image_shape=(3, 16, 16), encoder_width=4, decoder_width=4, latent_channels=2, groups=(1, 2))


def test_a_linear_autoencoder_costs_its_two_matrices() -> None:
    cost = model_cost(AutoencoderConfig(image_shape=(3, 8, 8), latent_dimension=5, network=Linear()), mixed=False)
    assert cost.forward_flops == 2 * (2 * 5 * 192)
    assert cost.training_flops == 3 * cost.forward_flops
    assert cost.step_flops == 0
    assert cost.parameters == 2 * 5 * 192 + 5 + 192
    assert cost.weight_bytes == 4 * cost.parameters
    assert cost.training_bytes(10) - cost.training_bytes(0) == pytest.approx(10 * cost.activation_bytes)


def test_what_is_counted_without_numbers_is_what_is_done_with_them() -> None:
    state = torch.get_rng_state()
    cost = model_cost(SMALL)
    assert torch.equal(torch.get_rng_state(), state)
    plain = NVAE(dataclasses.replace(SMALL, regularisation=0.0))
    with FlopCounterMode(display=False) as counter:
        plain.loss(Batch(torch.zeros(3, 3, 16, 16)), Progress(0, 10, 10))
    assert counter.get_total_flops() == 3 * cost.forward_flops
    assert cost.latents == SMALL.latent_dimension
    assert cost.step_flops > 0


def test_sixteen_bits_keep_less() -> None:
    assert model_cost(SMALL).activation_bytes < model_cost(SMALL, mixed=False).activation_bytes


def test_assumptions_are_formulas_and_are_checked() -> None:
    assumed = CostAssumptions(peak_flops=1e12, utilisation=0.5, watts=400, overhead=1.25, price_per_gpu_hour=3)
    assert assumed.gpu_hours(3600 * 5e11) == 1
    assert assumed.kilowatt_hours(10) == 5
    assert assumed.price(10) == 30
    with pytest.raises(ValueError, match="utilisation should be at most 1"):
        CostAssumptions(utilisation=2)
    with pytest.raises(ValueError, match="watts should be positive"):
        CostAssumptions(watts=0)


def test_settings_of_no_model_are_refused() -> None:
    with pytest.raises(ValueError, match="describes no model"):
        model_cost(CostAssumptions())


def test_what_is_kept_for_any_batch_is_no_part_of_the_images() -> None:
    cost = model_cost(dataclasses.replace(SMALL, image_shape=(3, 64, 64)))
    assert cost.shared_bytes < 12 * cost.parameters  # the filters, once or twice
