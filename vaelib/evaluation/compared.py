"""The features of two sets of images that have been found fit to compare, computed once for every number of them."""

from dataclasses import dataclass, replace

from torch import Tensor

from vaelib.data.image_set import ImageSet
from vaelib.evaluation.features import feature_network, image_features
from vaelib.evaluation.pictures import check_pictures
from vaelib.evaluation.protocol import Protocol

MINIMUM_IMAGES = 32
"""Below this, comparisons are refused: a covariance of a handful of images says nothing."""


@dataclass(frozen=True)
class ComparedFeatures:
    """The features of real and of generated images.

    Attributes:
        real, generated: (N, D) and (M, D).
        protocol: of every number that compares them, as far as it is known before the metric.
        standard: whether the features are those of the Inception network by which FID and KID are defined.
    """

    real: Tensor
    generated: Tensor
    protocol: Protocol
    standard: bool

    @classmethod
    def of(
        cls,
        real: Tensor | ImageSet,
        generated: Tensor | ImageSet,
        features: str = "efficientnet-lite0",
        chunk: int | None = None,
    ) -> "ComparedFeatures":
        """Check both sets and compute their features. Those of an `ImageSet` are kept in the cache folder.

        Raises:
            ValueError: shapes that differ, values out of range, fewer than 32 images, unknown features.
        """
        shapes = [check_and_shape(real, "real images"), check_and_shape(generated, "generated images")]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"real images are {shapes[0]} but generated images {shapes[1]}: compare images of one shape"
            )
        network = feature_network(features)
        known = real if isinstance(real, ImageSet) else None
        protocol = Protocol(
            metric="",
            image_shape=shapes[0],
            features=network.name,
            layer=network.layer,
            resize=network.resize,
            weights=network.weights,
            data=known.name if known else None,
            split=known.split if known else None,
            key=known.key if known else None,
            samples=len(generated),
            reference_samples=len(real),
        )
        return cls(
            image_features(real, features, chunk=chunk),
            image_features(generated, features, chunk=chunk),
            protocol,
            network.standard,
        )

    def protocol_of(self, metric: str, definition: str, subject: str, seed: int | None) -> Protocol:
        """The protocol of one number."""
        return replace(self.protocol, metric=metric, definition=definition, subject=subject, seed=seed)


def check_and_shape(images: Tensor | ImageSet, what: str) -> tuple[int, ...]:
    """The (C, H, W) of images that are fit to compare.

    Raises:
        ValueError: not images in [0, 1], or fewer than 32.
    """
    if isinstance(images, Tensor):
        check_pictures(images, what)
    if len(images) < MINIMUM_IMAGES:
        raise ValueError(f"a comparison takes at least {MINIMUM_IMAGES} {what}, better thousands, not {len(images)}")
    return tuple(images.shape[1:]) if isinstance(images, Tensor) else images.image_shape
