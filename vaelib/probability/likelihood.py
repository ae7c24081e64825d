"""What a likelihood is: it turns the maps of a decoder into a distribution over images, and owns range and units."""

from abc import abstractmethod

import torch
from torch import Tensor

from vaelib.config import Choice
from vaelib.probability.distributions import Distribution


class Likelihood(Choice):
    """p(x | z) of a decoder whose output has been computed.

    A likelihood is a frozen dataclass: its settings and nothing else. Parameters that are learned but do not depend on
    z (one variance for the whole data set) belong to the model, which asks here for their initial value.
    """

    @property
    def levels(self) -> int | None:
        """How many grey levels the likelihood counts (256, 32, 2): its log-probabilities are probability mass.

        None for a density on the [0, 1] scale, where bits per dimension need dequantised images and 8 extra bits.
        """
        return None

    def prepare(self, images: Tensor) -> Tensor:
        """8-bit images (B, C, H, W) in [0, 1] as this likelihood counts them: of fewer levels where it has fewer.

        The loss of a model begins with it, so every model trains on every data set. Most likelihoods change nothing.
        """
        return images

    @abstractmethod
    def output_channels(self, image_channels: int) -> int:
        """How many maps the decoder has to give for an image of this many channels."""

    @abstractmethod
    def distribution(self, output: Tensor, free: Tensor) -> Distribution:
        """The distribution over images.

        Args:
            output: (B, output_channels, H, W), the decoder's maps, float32.
            free: the learned parameters that do not depend on z, shaped like `initial_free()`.
        """

    def initial_free(self) -> Tensor:
        """Learned parameters that do not depend on z, at the start of training; most likelihoods have none."""
        return torch.zeros(0)


def check_unit_range(x: Tensor, what: str = "images") -> None:
    """Raise a ValueError unless every value lies in [0, 1]."""
    low, high = x.detach().aminmax()
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"{what} should lie in [0, 1] but run from {low.item():.3g} to {high.item():.3g}: divide bytes by 255, or "
            "map [-1, 1] back by (x + 1) / 2; for data that are not images, a Gaussian or Laplace likelihood takes "
            "unit_range=False"
        )
