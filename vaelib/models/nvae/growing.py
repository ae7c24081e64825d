"""Growing: learn small pictures first, then go on with larger ones from the weights that there are.

A small picture has few fine details, so the coarse groups of latents have to carry it. When the picture grows, they
already say something. Only training changes: the model that comes out has the architecture of its config.

Two neighbouring sides differ by one halving. As long as there are outer blocks (pre-process and post-process), the
smaller model has one block fewer around the same groups; below that, it lacks the finest scale of latents.

The idea is that of Karras et al. 2018, "Progressive growing of GANs"; for NVAE it is ours.
"""

import dataclasses
from typing import cast

import torch
from torch import nn

from vaelib.models.nvae.config import NVAEConfig
from vaelib.models.nvae.model import NVAE


def stage(config: NVAEConfig, side: int) -> NVAEConfig:
    """The same model for pictures of a smaller side, with all coarse parts as they are.

    Args:
        config: of the model that training shall end with.
        side: of the smaller pictures: a half, a quarter, … of the model's.
    Raises:
        ValueError: the side is none of these, or too small for one group of latents.
    """
    halvings = (config.side // side).bit_length() - 1 if 1 <= side <= config.side else 0
    fewer_blocks = min(halvings, config.blocks)
    fewer_scales = halvings - fewer_blocks
    if side << halvings != config.side or config.image_shape[1] != config.side:
        raise ValueError(
            f"pictures of {config.image_shape[1]} (padded to {config.side}) grow from a half, a quarter, …, not {side}"
        )
    if fewer_scales >= len(config.groups):
        raise ValueError(f"pictures of {side} are smaller than the coarsest latents, {config.scale_side(0)}")
    groups = config.groups[: len(config.groups) - fewer_scales]
    if groups == (1,):
        raise ValueError(f"pictures of {side} leave a single group, which has no towers to grow from")
    return dataclasses.replace(
        config,
        image_shape=(config.image_shape[0], side, side),
        encoder_width=config.encoder_width << halvings,
        decoder_width=config.decoder_width << halvings,
        blocks=config.blocks - fewer_blocks,
        groups=groups,
        padded_side=None,
    )


@torch.no_grad()
def grown(model: NVAE, config: NVAEConfig) -> NVAE:
    """A model of `config` that starts with the weights of a smaller one, wherever it has such a part.

    New are the stem and the image conditional, which see other pictures, and the parts at the larger sides. The
    weights of those come from the global generator; seed it for reproducible ones.

    Args:
        model: for smaller pictures; its architecture should be that of `stage(config, …)`.
        config: of the larger model. What is no architecture (warm-up, tax, likelihood) may differ from the smaller's.
    Raises:
        ValueError: the two are no stages of one model.
    """
    larger = NVAE(config)
    small = model.config
    expected = stage(config, small.side)
    for name in ("image_shape", "groups", "blocks", "encoder_width", "decoder_width"):
        if getattr(small, name) != getattr(expected, name):
            raise ValueError(
                f"a model with {name} {getattr(expected, name)} grows into this one, "
                f"not one with {getattr(small, name)}"
            )
    if small.side == config.side:
        larger.load_state_dict(model.state_dict())
        return larger
    larger.top_feature.copy_(model.top_feature)
    larger.encoder_top.load_state_dict(model.encoder_top.state_dict())
    # On the way up the coarse parts come last, on the way down first.
    for name in ("pre_process", "encoder_tower"):
        _copy(getattr(model, name), getattr(larger, name), from_end=True)
    for name in ("posterior_heads", "prior_heads", "flows", "decoder_tower", "post_process"):
        _copy(getattr(model, name), getattr(larger, name), from_end=False)
    return larger


def _copy(small: nn.Module, large: nn.Module, *, from_end: bool) -> None:
    """The weights of every module of a list, into those that hold its place in a longer list."""
    ours, theirs = list(cast(nn.ModuleList, small)), list(cast(nn.ModuleList, large))
    theirs = theirs[len(theirs) - len(ours) :] if from_end else theirs[: len(ours)]
    for one, other in zip(ours, theirs, strict=True):
        other.load_state_dict(one.state_dict())
