"""The tower: convolutions up, convolutions down, and between them groups of latents at several scales.

    x → stem → pre-process → encoder tower ─────────────→ top feature
                             │ feature of each group      │
    p(x | z) ← post-process ← decoder tower ←─ z_1, z_2, … ┘

The encoder goes once from the image to the coarsest scale and leaves a feature for every group on its way. The decoder
comes down from a learned constant; at each group it knows the groups before, says the prior of this one, takes z in,
and goes on. To encode is to take z from the posterior on the way; to sample is to take it from the prior.

Source: Vahdat & Kautz 2020, figures 2 and 3.
"""

from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaelib.models.base import Model
from vaelib.models.nvae.cells import AddDecoderFeature, Cell, TakeLatents, WeightNormConv2d
from vaelib.models.nvae.checkpointing import recomputed
from vaelib.models.nvae.config import NVAEConfig
from vaelib.models.nvae.flows import Flow
from vaelib.models.nvae.latents import Encoding, Group, soft_clamped_normal
from vaelib.probability.distributions import Distribution


class Tower(Model):
    """The network of an `NVAE`, and how images and latents pass through it.

    Attributes:
        checkpoint_activations: keep only the cells' outputs for the backward pass, which computes what is inside them
            again: less memory, a third more time, the same gradients. `TrainConfig.checkpoint_activations` sets it.
    """

    config: NVAEConfig
    checkpoint_activations: bool | None = False

    def __init__(self, config: NVAEConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NVAEConfig()
        types, latent_channels = config.cell_types, config.latent_channels

        def encoder_cell(names: tuple[str, ...], halvings: int, down: bool = False) -> Cell:
            width = config.encoder_width * 2**halvings
            outputs, resize = (2 * width, "down") if down else (width, "same")
            return Cell(names, width, outputs, resize, config.squeeze_excite)  # type: ignore[arg-type]

        def decoder_cell(names: tuple[str, ...], halvings: int, up: bool = False) -> Cell:
            width = config.decoder_width * 2**halvings
            inputs, resize = (2 * width, "up") if up else (width, "same")
            return Cell(names, inputs, width, resize, config.squeeze_excite)  # type: ignore[arg-type]

        channels = config.image_shape[0]
        scales = range(len(config.groups))
        # How often the features of each group have been halved, and the coarsest ones.
        halvings, top = [config.halvings - scale for scale in config.group_scales], config.halvings

        # Up: from the image to the coarsest feature.
        self.stem = WeightNormConv2d(channels, config.encoder_width, 3)
        self.pre_process = nn.Sequential()
        for level in range(config.blocks):
            self.pre_process.extend(encoder_cell(types.normal_pre, level) for _ in range(config.pre_cells - 1))
            self.pre_process.append(encoder_cell(types.down_pre, level, down=True))
        self.encoder_tower = nn.ModuleList()
        if not config.single_group:
            for scale in reversed(scales):
                level = config.halvings - scale
                for group in reversed(range(config.groups[scale])):
                    cells = [encoder_cell(types.normal_encoder, level) for _ in range(config.encoder_cells)]
                    self.encoder_tower.extend(cells)
                    if (scale, group) != (0, 0):
                        widths = config.decoder_width * 2**level, config.encoder_width * 2**level
                        self.encoder_tower.append(AddDecoderFeature(*widths))
                if scale > 0:
                    self.encoder_tower.append(encoder_cell(types.down_encoder, level, down=True))
        width = config.encoder_width * 2**top
        self.encoder_top = nn.Sequential(nn.ELU(), WeightNormConv2d(width, width, 1), nn.ELU())

        # Between: raw means and log standard deviations of every group.
        self.posterior_heads = nn.ModuleList(
            WeightNormConv2d(config.encoder_width * 2**level, 2 * latent_channels, 3) for level in halvings
        )
        self.prior_heads = nn.ModuleList(
            nn.Sequential(nn.ELU(), WeightNormConv2d(config.decoder_width * 2**level, 2 * latent_channels, 1))
            for level in halvings[1:]
        )
        self.flows = nn.ModuleList(Flow(latent_channels, config.flows) for _ in halvings)

        # Down: from a learned constant to the image.
        width, side = config.decoder_width * 2**top, config.scale_side(0)
        self.decoder_tower = nn.ModuleList()
        if config.single_group:
            self.decoder_stem = WeightNormConv2d(latent_channels, width, 1)
        else:
            self.top_feature = nn.Parameter(torch.rand(width, side, side))
            for scale in scales:
                level = config.halvings - scale
                for group in range(config.groups[scale]):
                    if (scale, group) != (0, 0):
                        cells = [decoder_cell(types.normal_decoder, level) for _ in range(config.decoder_cells)]
                        self.decoder_tower.extend(cells)
                    self.decoder_tower.append(TakeLatents(config.decoder_width * 2**level, latent_channels))
                if scale < scales[-1]:
                    self.decoder_tower.append(decoder_cell(types.up_decoder, level - 1, up=True))
        self.post_process = nn.Sequential()
        for level in reversed(range(config.blocks)):
            self.post_process.append(decoder_cell(types.up_post, level, up=True))
            self.post_process.extend(decoder_cell(types.normal_post, level) for _ in range(config.post_cells - 1))
        maps = config.likelihood.output_channels(channels)
        self.image_conditional = nn.Sequential(nn.ELU(), WeightNormConv2d(config.decoder_width, maps, 3))

    def _up(self, images: Tensor) -> tuple[Tensor, list[tuple[AddDecoderFeature, Tensor]]]:
        """Images → the top feature, and for every other group its joint and feature, coarsest first."""
        s = self.stem(2 * self._padded(images) - 1)
        for cell in self.pre_process:
            s = self._through(cell, s)
        features: list[tuple[AddDecoderFeature, Tensor]] = []
        for module in self.encoder_tower:
            if isinstance(module, AddDecoderFeature):
                features.append((module, s))
            else:
                s = self._through(module, s)
        return self.encoder_top(s), features[::-1]

    def _down(self, count: int, choose: Callable[[int, Tensor | None], Tensor]) -> Tensor:
        """The decoder's tower, count images wide; `choose(group, s)` gives the latents of each group in turn."""
        if self.config.single_group:
            return self.decoder_stem(choose(0, None))
        s, group = self.top_feature.expand(count, -1, -1, -1), 0
        for module in self.decoder_tower:
            if isinstance(module, TakeLatents):
                s, group = module(s, choose(group, s)), group + 1
            else:
                s = self._through(module, s)
        return s

    def _logits(self, s: Tensor) -> Tensor:
        """The end of the decoder's tower → the raw maps of the image, padding included."""
        for cell in self.post_process:
            s = self._through(cell, s)
        return self.image_conditional(s).float()

    def _through(self, cell: nn.Module, s: Tensor) -> Tensor:
        """A cell's answer, which with `checkpoint_activations` is all that a training step keeps of it."""
        if self.checkpoint_activations and self.training and torch.is_grad_enabled():
            return recomputed(cell, s)
        return cell(s)

    def networks(self) -> tuple[nn.Module, ...]:
        """What torch.compile compiles: the cells. Groups, whose number sets how they are joined, stay as they are."""
        return tuple(module for module in self.modules() if isinstance(module, Cell))

    def _raw_prior(self, group: int, s: Tensor | None, count: int) -> Tensor:
        """Raw numbers of p(z_i | z_<i); those of the first group are zeros."""
        if group == 0 or s is None:
            return torch.zeros(count, 2 * self.config.latent_channels, *self._latent_sides(0), device=self.device)
        return self.prior_heads[group - 1](s).float()

    def _latent_sides(self, group: int) -> tuple[int, int]:
        return self.config.latent_shapes[group][1:]

    def _encode(
        self, images: Tensor, mean_path: bool = False, generator: torch.Generator | None = None
    ) -> tuple[Encoding, Tensor]:
        """All groups, and what the decoder's tower ends with."""
        top, features = self._up(images)
        groups: list[Group] = []

        def choose(group: int, s: Tensor | None) -> Tensor:
            raw_prior = self._raw_prior(group, s, len(images))
            joint, feature = features[group - 1] if group else (None, top)
            raw = self.posterior_heads[group](feature if joint is None else joint(feature, s)).float()
            if self.config.residual_posterior:
                raw = raw + raw_prior
            flow = cast(Flow, self.flows[group])
            prior, base = soft_clamped_normal(raw_prior), soft_clamped_normal(raw)
            groups.append(Group.draw(prior, base, flow, mean_path=mean_path, generator=generator))
            return groups[-1].z

        s = self._down(len(images), choose)
        return Encoding(tuple(groups)), s

    def encode(  # type: ignore[override]  # a sequence of distributions, one for each group
        self, images: Tensor, *, mean_path: bool = False, generator: torch.Generator | None = None
    ) -> Encoding:
        """Images (B, C, H, W) → the sequence of q(z_i | z_<i, x), each given the groups before it.

        Args:
            mean_path: let the groups before take the values that they have without noise, instead of a draw.
            generator: of the draws.
        """
        self.check_images(images)
        return self._encode(images, mean_path, generator)[0]

    def decode(self, latents: Sequence[Tensor]) -> Distribution:  # type: ignore[override]  # groups, not one tensor
        """The latents of all groups, (B, latent_channels, h, w) each → p(x | z) over images (B, C, H, W)."""
        shapes = [tuple(z.shape[1:]) for z in latents]
        if shapes != list(self.config.latent_shapes):
            raise ValueError(f"this NVAE takes latents (B, …) of {list(self.config.latent_shapes)}, not of {shapes}")
        return self._distribution(self._logits(self._down(len(latents[0]), lambda group, s: latents[group])))

    def _distribution(self, logits: Tensor) -> Distribution:
        """p(x | z) of the images without their padding."""
        return self.config.likelihood.distribution(self._cropped(logits), logits.new_zeros(0))

    def _margins(self) -> tuple[int, int]:
        extra = self.config.side - self.config.image_shape[1]
        return extra // 2, extra - extra // 2

    def _padded(self, images: Tensor) -> Tensor:
        before, after = self._margins()
        return F.pad(images, (before, after, before, after)) if before or after else images

    def _cropped(self, images: Tensor) -> Tensor:
        """Without the padding."""
        before, _ = self._margins()
        side = self.config.image_shape[1]
        return images[:, :, before : before + side, before : before + side]
