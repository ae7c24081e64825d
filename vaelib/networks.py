"""The encoder and decoder that the autoencoder, VAE, β-VAE and WAE share.

A `Network` describes a pair of them; the models only say how many numbers go in and out. The convolutional pair halves
the picture until it is four pixels wide (or as many times as it has widths) and doubles it back:

    64×64×3 → 32×32×32 → 16×16×64 → 8×8×128 → 4×4×256 → latent → 4×4×256 → … → 64×64×channels
"""

from abc import abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import ClassVar

from torch import nn

from vaelib.config import Choice

ImageShape = tuple[int, int, int]


class Network(Choice):
    """A matched encoder and decoder, built for a shape of image."""

    @abstractmethod
    def encoder(self, image_shape: ImageShape, outputs: int) -> nn.Module:
        """Images (B, C, H, W) → numbers (B, outputs)."""

    @abstractmethod
    def decoder(self, latent_dimension: int, image_shape: ImageShape, channels: int) -> nn.Module:
        """Latents (B, latent_dimension) → maps (B, channels, H, W); a likelihood says what the channels mean."""


@dataclass(frozen=True)
class Linear(Network):
    """One matrix each way: the autoencoder of principal components, the VAE of probabilistic PCA."""

    kind: ClassVar[str] = "linear"

    def encoder(self, image_shape: ImageShape, outputs: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(prod(image_shape), outputs))

    def decoder(self, latent_dimension: int, image_shape: ImageShape, channels: int) -> nn.Module:
        _, height, width = image_shape
        return nn.Sequential(
            nn.Linear(latent_dimension, channels * height * width), nn.Unflatten(1, (channels, height, width))
        )


@dataclass(frozen=True)
class FullyConnected(Network):
    """Layers that see the whole picture at once, with SiLU between them: for small pictures, and fast.

    Attributes:
        widths: of the hidden layers, from the picture to the code; the decoder has them the other way round.
    """

    kind: ClassVar[str] = "fully_connected"
    widths: tuple[int, ...] = (512, 256)

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"widths should be one or more numbers of units, each at least 1, not {self.widths}")

    def encoder(self, image_shape: ImageShape, outputs: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), *self._layers(prod(image_shape), *self.widths, outputs))

    def decoder(self, latent_dimension: int, image_shape: ImageShape, channels: int) -> nn.Module:
        _, height, width = image_shape
        layers = self._layers(latent_dimension, *self.widths[::-1], channels * height * width)
        return nn.Sequential(*layers, nn.Unflatten(1, (channels, height, width)))

    @staticmethod
    def _layers(*sizes: int) -> list[nn.Module]:
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.SiLU()]
        return layers[:-1]


@dataclass(frozen=True)
class Convolutional(Network):
    """4×4 convolutions of stride 2, batch norm and SiLU; transposed convolutions on the way back.

    Attributes:
        widths: channels after each halving. None derives them from the image: 32, 64, 128, 256, 256, … until the
            picture is 4 pixels wide (28 × 28: three halvings; 64: four; 256: six).
    """

    kind: ClassVar[str] = "convolutional"
    widths: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.widths is not None and (not self.widths or min(self.widths) < 1):
            raise ValueError(f"widths should be one or more numbers of channels, each at least 1, not {self.widths}")

    def sizes(self, image_shape: ImageShape) -> list[int]:
        """The side of the picture before, between and after the halvings: 64, 32, 16, 8, 4."""
        _, height, width = image_shape
        if height != width:
            raise ValueError(f"the convolutional network takes square images, not {height}×{width}: crop them first")
        sizes = [height]
        while len(sizes) <= len(self.widths) if self.widths is not None else sizes[-1] > 4:
            if sizes[-1] == 1:
                raise ValueError(f"{height}×{width} images cannot be halved {len(self.widths or ())} times")
            sizes.append((sizes[-1] + 1) // 2)
        if len(sizes) == 1:
            raise ValueError(
                f"{height}×{width} images are too small to derive widths from: give some, as in widths=(32,), take "
                "the linear network, or larger images"
            )
        return sizes

    def widths_for(self, image_shape: ImageShape) -> tuple[int, ...]:
        """The widths given, or those derived from the size of the image."""
        halvings = len(self.sizes(image_shape)) - 1
        return self.widths or tuple(min(32 * 2**level, 256) for level in range(halvings))

    def encoder(self, image_shape: ImageShape, outputs: int) -> nn.Module:
        sizes, widths = self.sizes(image_shape), self.widths_for(image_shape)
        layers: list[nn.Module] = []
        channels = image_shape[0]
        for size, width in zip(sizes, widths, strict=False):
            # An odd side needs one more pixel of padding, so that 7 becomes 4 and not 3.
            layers += [nn.ZeroPad2d((0, 1, 0, 1))] if size % 2 else []
            layers += [nn.Conv2d(channels, width, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.SiLU()]
            channels = width
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * sizes[-1] ** 2, outputs))

    def decoder(self, latent_dimension: int, image_shape: ImageShape, channels: int) -> nn.Module:
        sizes, widths = self.sizes(image_shape)[::-1], self.widths_for(image_shape)[::-1]
        layers: list[nn.Module] = [
            nn.Linear(latent_dimension, widths[0] * sizes[0] ** 2),
            nn.Unflatten(1, (widths[0], sizes[0], sizes[0])),
        ]
        for level, width in enumerate(widths):
            last = level == len(widths) - 1
            layers += [
                nn.BatchNorm2d(width),
                nn.SiLU(),
                # The mirror of the padding above: 4 doubles to 7 where the encoder halved 7 to 4.
                nn.ConvTranspose2d(width, channels if last else widths[level + 1], 4, stride=2, padding=1, bias=last),
            ]
            layers += [nn.ZeroPad2d((0, -1, 0, -1))] if sizes[level + 1] % 2 else []
        return nn.Sequential(*layers)


@dataclass(frozen=True)
class WAENetwork(Network):
    """The published network of the WAE: 5×5 convolutions of stride 2, batch norm and ReLU. The decoder begins at twice
    the side where the encoder ended, and its last layer, of stride 1, only mixes:

        64×64×3 → 32×32×128 → 16×16×256 → 8×8×512 → 4×4×1024 → latent
        latent → 8×8×1024 → 16×16×512 → 32×32×256 → 64×64×128 → 64×64×channels

    As everywhere here, what has a batch norm behind it has no bias, and the output is not squashed: the published one
    ends in tanh, for images on [−1, 1]. The weights start as published, from N(0, 0.01²), and biases from 0.

    Attributes:
        widths: channels after each halving; the published ones are those for CelebA.

    Source: Tolstikhin et al. 2018, appendix C, and its public code.
    """

    kind: ClassVar[str] = "wae"
    widths: tuple[int, ...] = (128, 256, 512, 1024)

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"widths should be one or more numbers of channels, each at least 1, not {self.widths}")

    def encoder(self, image_shape: ImageShape, outputs: int) -> nn.Module:
        sizes = Convolutional(self.widths).sizes(image_shape)
        layers: list[nn.Module] = []
        for inputs, width in pairwise((image_shape[0], *self.widths)):
            layers += [nn.Conv2d(inputs, width, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        return self._started(*layers, nn.Flatten(), nn.Linear(self.widths[-1] * sizes[-1] ** 2, outputs))

    def decoder(self, latent_dimension: int, image_shape: ImageShape, channels: int) -> nn.Module:
        # The last halving has no mirror, so the decoder begins at the side before it.
        sizes, widths = Convolutional(self.widths).sizes(image_shape)[-2::-1], self.widths[::-1]
        layers: list[nn.Module] = [
            nn.Linear(latent_dimension, widths[0] * sizes[0] ** 2),
            nn.Unflatten(1, (widths[0], sizes[0], sizes[0])),
            nn.ReLU(),
        ]
        for size, (inputs, width) in zip(sizes[1:], pairwise(widths), strict=True):
            # 4 doubles to 8, or to 7 where the encoder halved 7 to 4.
            doubling = nn.ConvTranspose2d(
                inputs, width, 5, stride=2, padding=2, output_padding=1 - size % 2, bias=False
            )
            layers += [doubling, nn.BatchNorm2d(width), nn.ReLU()]
        return self._started(*layers, nn.ConvTranspose2d(widths[-1], channels, 5, padding=2))

    @staticmethod
    def _started(*layers: nn.Module) -> nn.Sequential:
        for layer in layers:
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                nn.init.normal_(layer.weight, std=0.01)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        return nn.Sequential(*layers)


conv64 = Convolutional(widths=(32, 64, 128, 256))
"""The matched network of AE, VAE, β-VAE and WAE at 64×64, with 64 latents."""
