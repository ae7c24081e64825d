"""Figures made of pictures: grids, labelled rows, traversals and interpolations."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from torch import Tensor

from vaelib.visual.mosaic import mosaic_figure, pleasant_columns


def image_grid(
    images: Tensor,
    *,
    labels: Sequence[object] | Tensor | None = None,
    columns: int | None = None,
    title: str | None = None,
) -> Figure:
    """Pictures in reading order.

    Args:
        images: (N, C, H, W) in [0, 1], grey or colour.
        labels: one below each picture: text, numbers or a tensor (N,).
        columns: pictures to a row; by default what fits the width of the text.
        title: of the figure.
    Raises:
        ValueError: images of another shape or range, none at all, or labels of another number.
    """
    if images.dim() == 4 and columns is None:
        columns = pleasant_columns(len(images), images.shape[-1])
    if columns is not None and columns < 1:
        raise ValueError(f"columns should be at least 1, not {columns}")
    texts = [str(label) for label in (labels.tolist() if isinstance(labels, Tensor) else labels or ())]
    if texts and len(texts) != len(images):
        raise ValueError(f"{len(images)} images but {len(texts)} labels")
    rows = list(images.split(columns or 1)) if len(images) else []
    return mosaic_figure(rows, picture_labels=texts, title=title)


def image_rows(rows: Mapping[str, Tensor], *, title: str | None = None) -> Figure:
    """Rows of pictures to compare, each with its name: originals above reconstructions above samples.

    Args:
        rows: name → (N, C, H, W) in [0, 1], all of one size; rows may be of different lengths, and grey beside colour.
        title: of the figure.
    """
    return mosaic_figure(list(rows.values()), row_labels=list(rows), title=title)


def traversal_grid(
    images: Tensor,
    values: Sequence[float] | Tensor,
    row_labels: Sequence[str | int] | None = None,
    *,
    title: str | None = None,
) -> Figure:
    """One latent to a row, its value growing from left to right, all other latents held.

    Args:
        images: (rows, V, C, H, W) in [0, 1], as `model.traverse` gives them.
        values: the V values.
        row_labels: names, or indices of latents, which become z₃; z₀, z₁, … by default.
        title: of the figure.
    Raises:
        ValueError: counts of rows, values and labels that do not agree.
    """
    _check_series(images, "rows, values")
    columns = [float(value) for value in values]
    names = list(range(len(images))) if row_labels is None else list(row_labels)
    if len(columns) != images.shape[1] or len(names) != len(images):
        raise ValueError(
            f"{images.shape[0]} rows of {images.shape[1]} images, but {len(names)} row labels and {len(columns)} values"
        )
    return mosaic_figure(
        list(images),
        row_labels=[f"$z_{{{name}}}$" if isinstance(name, int) else name for name in names],
        column_labels=["0" if value == 0 else f"{value:+.3g}".replace("-", "−") for value in columns],
        title=title,
    )


def interpolation_strip(images: Tensor, *, row_labels: Sequence[str] | None = None, title: str | None = None) -> Figure:
    """The way from one picture to another, one pair to a row.

    Args:
        images: (B, steps, C, H, W) in [0, 1], as `model.interpolate` gives them.
        row_labels: one for each pair.
        title: of the figure.
    """
    _check_series(images, "pairs, steps")
    if row_labels is not None and len(row_labels) != len(images):
        raise ValueError(f"{len(images)} rows but {len(row_labels)} row labels")
    steps = images.shape[1]
    ends = ["start", *[""] * (steps - 2), "end"] if steps > 1 else []
    return mosaic_figure(list(images), row_labels=list(row_labels or ()), column_labels=ends, title=title)


def _check_series(images: Tensor, axes: str) -> None:
    if images.dim() != 5:
        raise ValueError(f"images should be ({axes}, C, H, W), not {tuple(images.shape)}")
