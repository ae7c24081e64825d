"""The image's own distribution where NVAE's is its own, and the numbers by which it is published."""

from dataclasses import dataclass
from math import log
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from vaelib.models.nvae.latents import soft_clamped_normal
from vaelib.probability.bernoulli import Bernoulli
from vaelib.probability.distributions import DiagonalGaussian, Distribution, sum_per_item
from vaelib.probability.gaussian import ImageGaussian
from vaelib.probability.likelihood import Likelihood
from vaelib.probability.logistic_mixture import DiscretisedLogisticMixture


@dataclass(frozen=True)
class SoftClampedNormalLikelihood(Likelihood):
    """A normal density for every pixel, with the soft clamp of the latents: means, then log standard deviations.

    The network speaks about images on [-1, 1]; the distribution, as all here, is over images on [0, 1], whose density
    is higher by log 2 nats per dimension.
    """

    kind: ClassVar[str] = "nvae-normal"

    def output_channels(self, image_channels: int) -> int:
        return 2 * image_channels

    def distribution(self, output: Tensor, free: Tensor) -> ImageGaussian:
        wide = soft_clamped_normal(output)
        return ImageGaussian((wide.mean + 1) / 2, wide.log_variance - 2 * log(2))


def published_distortion(distribution: Distribution, x: Tensor) -> Tensor:
    """−log p(x | z) as NVAE's public code counts it, (B,), in nats.

    It differs from `-distribution.log_prob(x)` for densities, which are on the [-1, 1] scale there, and for grey
    images under a Bernoulli, whose cross-entropy is taken.
    """
    if isinstance(distribution, Bernoulli):
        return sum_per_item(F.softplus(distribution.logits) - x * distribution.logits)
    if isinstance(distribution, DiagonalGaussian):
        return -distribution.log_prob(x) + x[0].numel() * log(2)
    return -distribution.log_prob(x)


def published_mean_image(distribution: Distribution) -> Tensor:
    """The mean image as NVAE's public code makes it, (B, C, H, W) in [0, 1].

    For a mixture it averages means and coefficients over the components and then adds the channels up, which is not the
    mean of the mixture; the difference is about 1e-3.
    """
    if not isinstance(distribution, DiscretisedLogisticMixture):
        return distribution.mean.clamp(0, 1)
    weights = distribution.logits.softmax(dim=1).unsqueeze(1)
    means = (weights * distribution.means).sum(dim=2)
    if distribution.coefficients is None:
        return (means.clamp(-1, 1) + 1) / 2
    red_to_green, red_to_blue, green_to_blue = (weights * distribution.coefficients).sum(dim=2).unbind(dim=1)
    red = means[:, 0].clamp(-1, 1)
    green = (means[:, 1] + red_to_green * red).clamp(-1, 1)
    blue = (means[:, 2] + red_to_blue * red + green_to_blue * green).clamp(-1, 1)
    return (torch.stack((red, green, blue), dim=1) + 1) / 2
