"""Everything that describes an NVAE: a frozen value that is printed, compared, saved, and typed on a command line."""

import re
from dataclasses import dataclass

from vaelib.config import check_types
from vaelib.networks import ImageShape
from vaelib.probability.bernoulli import BernoulliLikelihood
from vaelib.probability.likelihood import Likelihood
from vaelib.probability.logistic_mixture import LogisticMixtureLikelihood

EIGHT_BITS = LogisticMixtureLikelihood()

RESIDUAL_OPERATIONS = ("res_elu", "res_bnelu", "res_bnswish", "res_bnswish5")
MCONV = re.compile(r"mconv_e(\d+)k(\d+)g(\d+)")


@dataclass(frozen=True)
class CellTypes:
    """Which operations the cells of each place are made of, in order.

    The names: `res_elu`, `res_bnelu`, `res_bnswish`, `res_bnswish5` (dilated) are 3×3 convolutions after an activation;
    `mconv_e6k5g0` expands the channels 6 times, convolves 5×5 within each channel (`g0`; else in as many groups), and
    projects back. The defaults are the published `res_mbconv`.

    Source: Vahdat & Kautz 2020, figure 3.
    """

    normal_encoder: tuple[str, ...] = ("res_bnswish", "res_bnswish")
    down_encoder: tuple[str, ...] = ("res_bnswish", "res_bnswish")
    normal_decoder: tuple[str, ...] = ("mconv_e6k5g0",)
    up_decoder: tuple[str, ...] = ("mconv_e6k5g0",)
    normal_pre: tuple[str, ...] = ("res_bnswish", "res_bnswish")
    down_pre: tuple[str, ...] = ("res_bnswish", "res_bnswish")
    normal_post: tuple[str, ...] = ("mconv_e3k5g0",)
    up_post: tuple[str, ...] = ("mconv_e3k5g0",)

    def __post_init__(self) -> None:
        check_types(self)
        for place, names in vars(self).items():
            if not names:
                raise ValueError(f"{place} should name at least one operation")
            for name in names:
                if name not in RESIDUAL_OPERATIONS and not MCONV.fullmatch(name):
                    raise ValueError(
                        f"{place} has the unknown operation {name!r}; there are {', '.join(RESIDUAL_OPERATIONS)} and "
                        "mconv_eXkKgG, as in mconv_e6k5g0"
                    )


def adaptive_groups(scales: int, finest: int, minimum: int = 1) -> tuple[int, ...]:
    """The published rule: `finest` groups at the finest scale, half as many at each coarser one, never below `minimum`.

    Returns:
        Coarsest first, as `NVAEConfig.groups`: `adaptive_groups(3, 20)` is (5, 10, 20).
    """
    groups = [finest]
    while len(groups) < scales:
        groups.append(groups[-1] // 2)
    return tuple(max(count, minimum) for count in reversed(groups))


@dataclass(frozen=True)
class NVAEConfig:
    """Settings of an `NVAE`. The defaults are the published ones, except for a size that a laptop can run.

    Scales are named from the coarsest to the finest, in the order in which the model draws.

    Attributes:
        image_shape: (C, H, W), square.
        likelihood: of the image: `bernoulli`, `nvae-normal`, or `logistic-mixture` with its bits and components.
        encoder_width, decoder_width: channels at full resolution, E and D; twice as many after each halving.
        latent_channels: of each group of latents.
        groups: how many groups each latent scale has, coarsest first; their number is that of the scales.
            `adaptive_groups` has the published rule.
        encoder_cells, decoder_cells: residual cells per group.
        blocks: halvings before the finest latent scale, and doublings after it.
        pre_cells, post_cells: cells of each such block, the one that halves or doubles included.
        cell_types: what the cells are made of.
        squeeze_excite: gate the channels of every cell.
        flows: pairs of autoregressive cells that each group's posterior sample passes; 0 for none.
        residual_posterior: the encoder says how the posterior differs from the prior, instead of the posterior.
        padded_side: black is put around the images until they have this side. None takes the next multiple of the
            side of the coarsest feature: 28 becomes 32 when there are three halvings.
        kl_constant, kl_constant_portion, kl_warmup: the weight of the rate is `kl_constant` for the portion
            `kl_constant_portion` of the run, and grows linearly to 1 over the next `kl_warmup` of it.
        balancing: while that weight is below 1, tax the groups that hold more than their share.
        finest_tax: the groups of the finest scale pay this many times their rate at the start, falling log-linearly to
            the rate itself. 1, as published, is no tax. For short runs, in which the finest scale, which has most
            latents, would take all nats before the others learn.
        finest_tax_portion: part of the run over which that tax falls.
        regularisation: λ, the price of the largest singular value of each convolution and of the largest scale of each
            batch norm, in nats; 0 for none.
        regularisation_start: λ at the start, where it changes (log-linearly, with the weight of the rate).

    Sources: Vahdat & Kautz 2020, sections 3 and 4 and appendix A.
    """

    image_shape: ImageShape = (3, 64, 64)
    likelihood: Likelihood = EIGHT_BITS
    encoder_width: int = 16
    decoder_width: int = 16
    latent_channels: int = 20
    groups: tuple[int, ...] = (1, 2, 4)
    encoder_cells: int = 1
    decoder_cells: int = 1
    blocks: int = 1
    pre_cells: int = 2
    post_cells: int = 2
    cell_types: CellTypes = CellTypes()
    squeeze_excite: bool = True
    flows: int = 0
    residual_posterior: bool = True
    padded_side: int | None = None
    kl_constant: float = 1e-4
    kl_constant_portion: float = 1e-4
    kl_warmup: float = 0.3
    balancing: bool = True
    finest_tax: float = 1.0
    finest_tax_portion: float = 0.3
    regularisation: float = 0.01
    regularisation_start: float | None = None

    def __post_init__(self) -> None:
        check_types(self)
        positive = ("encoder_width", "decoder_width", "latent_channels", "pre_cells", "post_cells")
        for name in (*positive, "encoder_cells", "decoder_cells"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} should be at least 1, not {getattr(self, name)}")
        if not self.groups or min(self.groups) < 1:
            raise ValueError(f"groups should be a number for each scale, each at least 1, not {self.groups}")
        for name in ("blocks", "flows", "regularisation", "kl_constant_portion", "kl_warmup", "finest_tax_portion"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} should be 0 or more, and finite, not {getattr(self, name)}")
        if not 0 <= self.kl_constant <= 1:
            raise ValueError(f"kl_constant should be from 0 to 1, not {self.kl_constant}")
        if not 1 <= self.finest_tax < float("inf"):
            raise ValueError(f"finest_tax should be 1 or more, and finite, not {self.finest_tax}")
        if self.regularisation_start is not None and not min(self.regularisation_start, self.regularisation) > 0:
            raise ValueError("regularisation_start and regularisation should be positive where λ changes")
        if self.likelihood.initial_free().numel():
            raise ValueError(f"{self.likelihood.kind} learns a variance beside the network, which NVAE does not")
        if self.encoder_width < 2:
            raise ValueError("encoder_width should be at least 2: a skip that halves has four convolutions")
        _, height, width = self.image_shape
        if height != width or min(self.image_shape) < 1:
            raise ValueError(f"NVAE takes square images, not {self.image_shape}: crop them first")
        if self.side < height or self.side % 2**self.halvings:
            raise ValueError(
                f"images of {self.side}×{self.side} cannot hold {height}×{width} ones and be halved {self.halvings} "
                f"times: padded_side should be a multiple of {2**self.halvings}"
            )

    @property
    def halvings(self) -> int:
        """How often the coarsest feature is smaller than the image: blocks + scales − 1."""
        return self.blocks + len(self.groups) - 1

    @property
    def side(self) -> int:
        """Height and width of what the tower sees, padding included."""
        if self.padded_side is not None:
            return self.padded_side
        step = 2**self.halvings
        return -(-self.image_shape[1] // step) * step

    @property
    def black_and_white(self) -> bool:
        """Whether the images are coin flips."""
        return isinstance(self.likelihood, BernoulliLikelihood)

    @property
    def single_group(self) -> bool:
        """One group at one scale: then there are no towers, and this is a VAE with NVAE's cells."""
        return self.groups == (1,)

    @property
    def group_scales(self) -> tuple[int, ...]:
        """The scale of every group, 0 for the coarsest: (0, 1, 1) for groups (1, 2)."""
        return tuple(scale for scale, count in enumerate(self.groups) for _ in range(count))

    def scale_side(self, scale: int) -> int:
        """Height and width of the latents of a scale, in latents."""
        return self.side // 2 ** (self.halvings - scale)

    @property
    def latent_shapes(self) -> tuple[tuple[int, int, int], ...]:
        """(channels, height, width) of each group's latents."""
        sides = [self.scale_side(scale) for scale in self.group_scales]
        return tuple((self.latent_channels, side, side) for side in sides)

    @property
    def latent_dimension(self) -> int:
        """Numbers in all latents of one image."""
        return sum(channels * height * width for channels, height, width in self.latent_shapes)
