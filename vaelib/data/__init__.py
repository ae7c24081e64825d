"""Where images come from."""

from vaelib.data.image_set import Batch, ImageSet

__all__ = ["Batch", "ImageSet"]
