"""NVAE, whole: cells in one file, latents in one, the tower in one; published settings and published weights."""

from vaelib.models.nvae.cells import Cell, MConv, ResidualConv, SqueezeExcite, WeightNormConv2d
from vaelib.models.nvae.checkpoint import import_checkpoint
from vaelib.models.nvae.config import CellTypes, NVAEConfig, adaptive_groups
from vaelib.models.nvae.growing import grown, stage
from vaelib.models.nvae.latents import Encoding, Group
from vaelib.models.nvae.likelihoods import SoftClampedNormalLikelihood
from vaelib.models.nvae.model import NVAE, Deterministic

__all__ = [
    "NVAE",
    "Cell",
    "CellTypes",
    "Deterministic",
    "Encoding",
    "Group",
    "MConv",
    "NVAEConfig",
    "ResidualConv",
    "SoftClampedNormalLikelihood",
    "SqueezeExcite",
    "WeightNormConv2d",
    "adaptive_groups",
    "grown",
    "import_checkpoint",
    "stage",
]
