"""Many small pictures in one, with every pixel of a picture drawn as a square of whole pixels of the screen."""

from collections.abc import Sequence
from math import ceil

import numpy as np
import torch
from matplotlib.textpath import TextPath
from torch import Tensor

from vaelib.evaluation.pictures import check_pictures
from vaelib.visual.style import DPI, WIDTH, BookFigure, new_figure, style

GAP = 2
"""Pixels between pictures, at the pictures' own scale."""

_MARGIN = 12  # device pixels around everything


def mosaic_array(rows: Sequence[Tensor]) -> np.ndarray:
    """Rows of pictures as one array (H, W, 3) of bytes on white, `GAP` pixels apart; short rows end in white.

    Raises:
        ValueError: no pictures, no pictures at all, or pictures of different sizes.
    """
    for row in rows:
        check_pictures(row)
    if not rows or not any(len(row) for row in rows):
        raise ValueError("there are no images to show")
    sizes = {tuple(row.shape[-2:]) for row in rows}
    if len(sizes) > 1:
        raise ValueError(f"all images of a figure should have one size, not {' and '.join(map(str, sorted(sizes)))}")
    ((height, width),) = sizes
    longest = max(len(row) for row in rows)
    canvas = np.full((len(rows) * (height + GAP) - GAP, longest * (width + GAP) - GAP, 3), 255, dtype=np.uint8)
    for i, row in enumerate(rows):
        pictures = (row.detach().float().cpu() * 255).round().to(torch.uint8).expand(-1, 3, -1, -1).numpy()
        for j, picture in enumerate(pictures):
            top, left = i * (height + GAP), j * (width + GAP)
            canvas[top : top + height, left : left + width] = picture.transpose(1, 2, 0)
    return canvas


def pleasant_columns(count: int, side: int) -> int:
    """How many pictures of this width make a row about as wide as the text."""
    return max(1, min(count, 8, ceil(WIDTH * DPI / (side + GAP))))


def mosaic_figure(
    rows: Sequence[Tensor],
    *,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    picture_labels: Sequence[str] = (),
    title: str | None = None,
) -> BookFigure:
    """The mosaic of these rows, enlarged by a whole factor to about the width of the text, with its labels.

    Args:
        rows: (n, C, H, W) each, in [0, 1].
        row_labels: one to the left of each row.
        column_labels: one above each column.
        picture_labels: one below each picture, row by row.
        title: of the figure.
    """
    canvas = mosaic_array(rows)
    side, wide = rows[0].shape[-2:]
    longest = max(len(row) for row in rows)
    scale = max(1, round(WIDTH * DPI / canvas.shape[1]))
    # On a wide figure the type grows with it, since the page shrinks both.
    points = 12 * max(1.0, canvas.shape[1] * scale / (WIDTH * DPI))
    line = points / 72 * DPI
    below = 0
    if picture_labels:
        below = ceil(1.5 * line / scale)
        canvas = _with_room_below(canvas, side, len(rows), below)
    picture_height, picture_width = canvas.shape[0] * scale, canvas.shape[1] * scale
    left = _MARGIN + (round(max(_pixels(label, points) for label in row_labels) + 0.6 * line) if row_labels else 0)
    top = _MARGIN + round(line * (1.7 * bool(title) + 1.5 * bool(column_labels)))
    full_width = left + max(picture_width, round(_pixels(title or "", 1.1 * points))) + _MARGIN
    full_height = top + picture_height + _MARGIN

    with style():
        figure = new_figure(full_width / DPI, full_height / DPI, layout="none")
        axes = figure.add_axes(
            (left / full_width, _MARGIN / full_height, picture_width / full_width, picture_height / full_height)
        )
        axes.imshow(canvas, interpolation="nearest", aspect="auto")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0, labelsize=points, top=False, labeltop=True, bottom=False, labelbottom=False)
        across = [j * (wide + GAP) + (wide - 1) / 2 for j in range(longest)]
        down = [i * (side + GAP + below) + (side - 1) / 2 for i in range(len(rows))]
        axes.set_xticks(across[: len(column_labels)], list(column_labels))
        axes.set_yticks(down[: len(row_labels)], list(row_labels))
        if title:
            figure.text(left / full_width, 1 - _MARGIN / full_height, title, fontsize=1.1 * points, va="top", ha="left")
        positions = [(x, y) for y, row in zip(down, rows, strict=True) for x in across[: len(row)]]
        # Labels that would touch shrink together.
        widest = max((_pixels(label, points) for label in picture_labels), default=0.0)
        size = points * min(1.0, wide * scale / max(widest, 1.0))
        for (x, y), label in zip(positions, picture_labels, strict=False):
            axes.text(x, y + side / 2 + 0.15 * line / scale, label, fontsize=size, ha="center", va="top")
    return figure


def _with_room_below(canvas: np.ndarray, side: int, count: int, room: int) -> np.ndarray:
    """The same mosaic with white below every row, for labels."""
    white = np.full((GAP + room, *canvas.shape[1:]), 255, dtype=np.uint8)
    tops = [row * (side + GAP) for row in range(count)]
    return np.concatenate([piece for top in tops for piece in (canvas[top : top + side], white)])[:-GAP]


def _pixels(text: str, points: float) -> float:
    """How wide a line of type will be, formulas included."""
    if not text.strip():
        return 0.0
    with style():
        return TextPath((0, 0), text, size=points).get_extents().width / 72 * DPI
