"""Stages of growing: what stays, what is new, and what does not fit."""

import dataclasses

import pytest
import torch

from vaelib.models.nvae import NVAE, NVAEConfig, grown, stage
from vaelib.models.nvae.objective import finest_tax

FINAL = NVAEConfig(
    image_shape=(3, 32, 32), encoder_width=4, decoder_width=4, latent_channels=3, groups=(1, 2, 1), blocks=1, flows=1
)


def test_a_smaller_side_first_loses_blocks_then_scales():
    half, quarter = stage(FINAL, 16), stage(FINAL, 8)
    assert (half.blocks, half.groups, half.encoder_width) == (0, (1, 2, 1), 8)
    assert (quarter.blocks, quarter.groups, quarter.encoder_width) == (0, (1, 2), 16)
    assert half.latent_shapes == FINAL.latent_shapes
    assert quarter.latent_shapes == FINAL.latent_shapes[:3]
    assert stage(FINAL, 32) == dataclasses.replace(FINAL, padded_side=None)


@pytest.mark.parametrize("side", [0, 1, 2, 4, 12, 64])
def test_other_sides_are_refused(side):
    with pytest.raises(ValueError, match=r"grow from|smaller than the coarsest|a single group"):
        stage(FINAL, side)


@pytest.mark.parametrize(("small", "large"), [(8, 16), (16, 32), (8, 32), (16, 16)])
def test_the_coarse_groups_answer_as_before(small, large):
    """The prior of the coarse groups depends on coarse parts alone, so growing must not change it."""
    torch.manual_seed(0)
    config = stage(FINAL, small)
    before = NVAE(config)
    for parameter in before.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    after = grown(before, stage(FINAL, large))
    before.eval()
    after.eval()
    shared = len(config.latent_shapes)
    heard = {"before": [], "after": []}
    latents = [torch.randn(2, *shape) for shape in stage(FINAL, large).latent_shapes]
    with torch.no_grad():
        for name, model in (("before", before), ("after", after)):

            def choose(group, s, model=model, name=name):
                heard[name].append(model._raw_prior(group, s, 2))
                return latents[group]

            model._down(2, choose)
    for one, other in zip(heard["before"], heard["after"][:shared], strict=True):
        torch.testing.assert_close(one, other)


def test_running_statistics_are_taken_along():
    torch.manual_seed(0)
    before = NVAE(stage(FINAL, 16)).train()
    for _ in range(3):
        before._encode(torch.rand(4, 3, 16, 16))
    after = grown(before, FINAL)
    old, new = before.decoder_tower[-1], after.decoder_tower[-1]
    for name, tensor in old.state_dict().items():
        torch.testing.assert_close(new.state_dict()[name], tensor)


def test_strangers_do_not_grow_into_one_another():
    other = NVAE(dataclasses.replace(stage(FINAL, 16), groups=(1, 1, 1)))
    with pytest.raises(ValueError, match=r"groups \(1, 2, 1\)"):
        grown(other, FINAL)


def test_the_tax_falls_log_linearly_and_only_on_the_finest_scale():
    groups = (1, 2)
    start, middle, end = (finest_tax(f, groups, tax=16.0, portion=0.5) for f in (0.0, 0.25, 0.5))
    torch.testing.assert_close(start, torch.tensor([1.0, 16.0, 16.0]))
    torch.testing.assert_close(middle, torch.tensor([1.0, 4.0, 4.0]))
    torch.testing.assert_close(end, torch.ones(3))
    torch.testing.assert_close(finest_tax(0.0, groups, tax=16.0, portion=0.0), torch.ones(3))
    with pytest.raises(ValueError, match="finest_tax"):
        NVAEConfig(finest_tax=0.5)
