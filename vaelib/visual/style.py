"""One look for every figure: plain, legible on a phone, and safe for colour-blind readers.

Figures have an opaque white ground with a margin around it. A transparent one would put dark type on the dark page of
the book's night mode; white reads as a card there, and prints the same everywhere.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib as mpl
from cycler import cycler
from matplotlib.figure import Figure
from PIL import Image

ACCENT = "#0072B2"
"""The one accent: Okabe and Ito's blue."""

INK = "#222222"
"""Type, axes, and what serves as the reference in a figure."""

MUTED = "#B8B8B8"
"""What is there for completeness."""

PALETTE = (ACCENT, "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5B4B8A")
"""Okabe and Ito's colours without their yellow, which vanishes on white, and a violet: told apart with any kind of
colour vision, and by their greys in print. Lines differ in their dashes too."""

DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (7, 2)))

DPI = 110
WIDTH = 7.0
"""Inches: 770 pixels, the width of the book's text. On a phone the type of 13 points is still 9 pixels high."""

_SETTINGS: dict[Any, Any] = {
    "figure.dpi": DPI,
    "savefig.dpi": "figure",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.transparent": False,
    "figure.constrained_layout.use": True,
    "font.family": "sans-serif",
    "font.size": 13,
    "axes.titlesize": 14,
    "axes.titleweight": "normal",
    "axes.labelsize": 13,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "legend.fontsize": 12,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=PALETTE) + cycler(linestyle=DASHES),
    "lines.linewidth": 2.0,
    "axes.grid": False,
    "image.cmap": "gray",
    "image.interpolation": "nearest",
    "mathtext.fontset": "dejavusans",
}


@contextmanager
def style() -> Iterator[None]:
    """Inside, matplotlib draws in the book's style; afterwards its settings are the caller's own again.

    Example:
        with vaelib.visual.style():
            figure, axes = plt.subplots()
    """
    with mpl.rc_context(_SETTINGS):
        yield


class BookFigure(Figure):
    """A matplotlib figure that shows itself in a notebook once, when it is the value of a cell.

    It belongs to no window and to no list of open figures, so nothing has to be closed, and functions that make figures
    work on a machine without a screen.
    """

    def _repr_png_(self) -> bytes:
        drawn, small = io.BytesIO(), io.BytesIO()
        self.savefig(drawn, format="png", dpi=self.dpi)
        # The ground is opaque, so a fourth channel would only make the notebook larger.
        Image.open(drawn).convert("RGB").save(small, "PNG", optimize=True)
        return small.getvalue()


def new_figure(
    width: float = WIDTH, height: float = 4.0, *, layout: Literal["constrained", "none"] = "constrained"
) -> BookFigure:
    """An empty figure of this size in inches. Call it inside `style()`."""
    figure = BookFigure(figsize=(width, height), dpi=DPI, layout=layout, facecolor="white")  # type: ignore[arg-type]
    if layout == "constrained":
        # The margin that makes a card of it on a dark page.
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)  # type: ignore[union-attr, call-arg]
    return figure
