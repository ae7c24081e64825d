"""What counts as pictures to everything that measures or shows them."""

from torch import Tensor

from vaelib.probability.likelihood import check_unit_range


def check_pictures(images: Tensor, what: str = "images") -> None:
    """Raise a ValueError unless these are float images (N, 1 or 3, H, W) in [0, 1]."""
    if images.dim() != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"{what} should be (N, C, H, W) with one or three channels, not {tuple(images.shape)}")
    if not images.is_floating_point():
        raise ValueError(f"{what} should be float32 in [0, 1], not {images.dtype}: divide bytes by 255")
    if images.numel():
        check_unit_range(images, what)
