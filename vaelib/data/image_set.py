"""What a data set is to the rest of vaelib: one tensor of bytes, sliced into batches."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor


def slices(count: int, size: int) -> list[slice]:
    """0 … count in slices of this size, to compute a loss on all images of a set.

    A single image that is left over joins the slice before: losses that compare the images of a batch need two.
    """
    starts = list(range(0, count, size))
    if size > 1 and count > size and count % size == 1:
        starts.pop()
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], count], strict=False)]


class Batch(NamedTuple):
    """Some images and, where there are any, their labels.

    Attributes:
        images: (B, C, H, W) float32 in [0, 1].
        labels: (B, …) or None.
    """

    images: Tensor
    labels: Tensor | None = None


@dataclass(frozen=True)
class ImageSet:
    """A data set in memory (or memory-mapped): bytes, so that 20,000 faces take 246 MB and slicing needs no workers.

    Attributes:
        images: (N, C, H, W) uint8.
        name: its name in the catalogue; `split`: which part of it.
        key: what exactly these images are, for the protocol of a measurement: source, hash, split, crop, size.
        labels: (N, …) or None; `label_names` says what they mean.
        crop: the name of the published crop that they were cut with, where the set has a choice.
    """

    images: Tensor
    name: str
    split: str
    key: str
    labels: Tensor | None = None
    label_names: tuple[str, ...] = field(default=())
    crop: str | None = None

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.dim() != 4:
            raise ValueError(
                f"an ImageSet holds uint8 images (N, C, H, W), not {self.images.dtype} {tuple(self.images.shape)}"
            )
        if self.labels is not None and len(self.labels) != len(self.images):
            raise ValueError(f"{len(self.images)} images but {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def batch(self, indices: Sequence[int] | slice | Tensor) -> Batch:
        """These images, float32 in [0, 1], with their labels."""
        if not isinstance(indices, (slice, Tensor)):
            indices = torch.as_tensor(list(indices), dtype=torch.long)
        labels = None if self.labels is None else self.labels[indices]
        return Batch(self.images[indices].float().div_(255), labels)

    def take(self, count: int) -> "ImageSet":
        """The first `count` images as a set of their own; all of them are the set itself.

        Raises:
            ValueError: fewer than one, or more than there are.
        """
        if not 1 <= count <= len(self):
            raise ValueError(f"count should be from 1 to {len(self)}, the size of this set, not {count}")
        if count == len(self):
            return self  # of the same images, a protocol shall say the same
        labels = None if self.labels is None else self.labels[:count]
        key = f"{self.key} first {count}"
        return ImageSet(self.images[:count], self.name, self.split, key, labels, self.label_names, self.crop)
