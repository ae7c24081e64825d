"""Diagrams of architectures: boxes, arrows and frames, drawn from the names that the code uses.

Everything is placed in inches from the lower left corner, so that what is seen has the size that was written, and type
stays legible. A box that would cover another is refused: a diagram that can be made can be read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path
from matplotlib.text import Text

from vaelib.config import near_miss
from vaelib.visual.style import ACCENT, INK, PALETTE, WIDTH, new_figure, style

Kind = Literal["value", "random", "network", "loss"]
Point = tuple[float, float]

_FACES: dict[str, str] = {"value": "white", "random": "#FBE3D3", "network": "#D9EAF5", "loss": "#EFEFEF"}
_EDGES: dict[str, str] = {"value": INK, "random": PALETTE[1], "network": ACCENT, "loss": INK}
_PADDING = 0.11  # between a label and its box, each side
_MARGIN = 0.04  # between two boxes, at the least
_CORNER = 0.06


@dataclass(frozen=True)
class Box:
    """Where something stands.

    Attributes:
        centre: (x, y) in inches from the lower left corner.
        width, height: in inches.
        round: an ellipse, not a rectangle.
    """

    centre: Point
    width: float
    height: float
    round: bool = False

    @property
    def edges(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top."""
        x, y = self.centre
        return x - self.width / 2, y - self.height / 2, x + self.width / 2, y + self.height / 2

    def covers(self, other: "Box", margin: float = 0.0) -> bool:
        """Whether the two rectangles, ellipses included, come closer than `margin`."""
        left, bottom, right, top = self.edges
        other_left, other_bottom, other_right, other_top = other.edges
        return (
            left - margin < other_right
            and other_left < right + margin
            and bottom - margin < other_top
            and other_bottom < top + margin
        )

    def border_towards(self, point: Point) -> Point:
        """Where the straight line from the centre to `point` leaves the box."""
        dx, dy = point[0] - self.centre[0], point[1] - self.centre[1]
        if dx == dy == 0:
            raise ValueError("an arrow cannot go from the centre of a box to the same point")
        across, up = abs(dx) / (self.width / 2), abs(dy) / (self.height / 2)
        reach = 1 / ((across**2 + up**2) ** 0.5 if self.round else max(across, up))
        return self.centre[0] + reach * dx, self.centre[1] + reach * dy


class Arrow(NamedTuple):
    """What an arrow joins, and its corners from border to border."""

    start: str
    end: str
    points: tuple[Point, ...]


class Diagram:
    """A drawing board.

    Boxes have four kinds: a `value` that follows from what goes in, a `random` one that is drawn (an ellipse), a
    `network` with weights, and a `loss`.

    Attributes:
        boxes: what stands where, by name; frames and notes too.
        arrows: in the order in which they were drawn.

    Example:
        diagram = Diagram(height=1)
        diagram.box("encoder", (1, 0.5), kind="network")
        diagram.box("z", (3, 0.5), kind="random")
        diagram.arrow("encoder", "z")
        diagram.figure()
    """

    def __init__(self, *, width: float = WIDTH, height: float = 3.0) -> None:
        self.boxes: dict[str, Box] = {}
        self.arrows: list[Arrow] = []
        self._frames: set[str] = set()
        with style():
            self._figure = new_figure(width, height, layout="none")
            self._axes: Axes = self._figure.add_axes((0, 0, 1, 1))
        self._axes.set(xlim=(0, width), ylim=(0, height))
        self._axes.axis("off")
        self._board = Box((width / 2, height / 2), width, height)

    def box(
        self, name: str, at: Point, *, label: str | None = None, kind: Kind = "value", size: Point | None = None
    ) -> None:
        """A box with a label.

        Args:
            name: what arrows and frames call it.
            at: its centre.
            label: what is written in it, `$…$` for mathematics; the name by default.
            kind: value, random, network or loss.
            size: (width, height); by default what the label needs.
        Raises:
            ValueError: a name or kind that cannot be, a label too large for its size, or no room at this place.
        """
        if kind not in get_args(Kind):
            raise ValueError(
                f"there is no kind of box {kind!r}; there are {', '.join(get_args(Kind))}."
                f"{near_miss(kind, get_args(Kind))}"
            )
        text = self._text(name if label is None else label, at, 12)
        needed = self._extent(text)
        needed_width, needed_height = needed.width + 2 * _PADDING, max(needed.height + 2 * _PADDING, 0.42)
        if kind == "random":  # An ellipse has less room in its corners.
            needed_width, needed_height = max(needed_width * 1.2, 0.5), max(needed_height * 1.1, 0.5)
        width, height = size or (needed_width, needed_height)
        if width < needed.width or height < needed.height:
            text.remove()
            raise ValueError(
                f"the label of {name!r} takes {needed.width:.2f}×{needed.height:.2f} inches, its box has "
                f"{width:.2f}×{height:.2f}"
            )
        box = Box(at, width, height, round=kind == "random")
        self._place(name, box, text)
        left, bottom, _, _ = box.edges
        look: dict[str, Any] = {"facecolor": _FACES[kind], "edgecolor": _EDGES[kind], "linewidth": 1.6}
        if kind == "random":
            self._axes.add_patch(Ellipse(at, width, height, zorder=2, **look))
        else:
            corners = f"round,pad=0,rounding_size={0.4 * height if kind == 'loss' else _CORNER}"
            self._axes.add_patch(FancyBboxPatch((left, bottom), width, height, boxstyle=corners, zorder=2, **look))

    def note(self, text: str, at: Point, *, size: float = 11, colour: str = INK) -> None:
        """Free text around a centre; it needs room like a box."""
        artist = self._text(text, at, size, colour)
        self._place(text, self._extent(artist), artist)

    def frame(self, name: str, around: Iterable[str], *, label: str = "", margin: float = 0.14) -> None:
        """A dashed frame around boxes, such as a residual cell or the plate of a graphical model. Arrows may end at it.

        Args:
            name: what arrows call it.
            around: names of boxes.
            label: written inside, at the lower right, in a strip of its own.
            margin: between the boxes and the frame.
        """
        inside = [self._found(one) for one in around]
        if not inside:
            raise ValueError(f"the frame {name!r} is around nothing")
        self._check_name(name)
        edges = [box.edges for box in inside]
        left, bottom = min(e[0] for e in edges) - margin, min(e[1] for e in edges) - margin
        right, top = max(e[2] for e in edges) + margin, max(e[3] for e in edges) + margin
        bottom -= 0.2 if label else 0.0
        box = Box(((left + right) / 2, (bottom + top) / 2), right - left, top - bottom)
        self._check_inside(name, box)
        self.boxes[name] = box
        self._frames.add(name)
        if label:
            text = self._text(label, box.centre, 11)
            text.set_position((right - self._extent(text).width / 2 - 0.1, bottom + 0.15))
        self._axes.add_patch(
            FancyBboxPatch(
                (left, bottom),
                box.width,
                box.height,
                boxstyle=f"round,pad=0,rounding_size={2 * _CORNER}",
                facecolor="none",
                edgecolor=INK,
                linewidth=1.2,
                linestyle=(0, (4, 3)),
                zorder=1,
            )
        )

    def arrow(
        self,
        start: str,
        end: str,
        *,
        label: str = "",
        dashed: bool = False,
        via: Sequence[Point] = (),
        label_at: Point | None = None,
    ) -> None:
        """An arrow from border to border: straight, or by way of the corners `via`.

        Args:
            start, end: names of boxes or frames.
            label: written beside the middle of its first piece, or around `label_at`.
            dashed: for inference, or for what carries no gradient; the text says which.
            via: corners on the way.
            label_at: the centre of the label, where the middle is crowded.
        Raises:
            ValueError: no box of that name; the message names the near miss.
        """
        first, last = self._found(start), self._found(end)
        corners = list(via)
        points = (
            first.border_towards(corners[0] if corners else last.centre),
            *corners,
            last.border_towards(corners[-1] if corners else first.centre),
        )
        self.arrows.append(Arrow(start, end, points))
        self._axes.add_patch(
            FancyArrowPatch(
                path=Path(points),
                arrowstyle="-|>",
                mutation_scale=13,
                color=INK,
                linewidth=1.5,
                linestyle=(0, (4, 2)) if dashed else "-",
                fill=True,
                zorder=3,
            )
        )
        if label:
            (x0, y0), (x1, y1) = points[:2]
            upright = abs(x1 - x0) < abs(y1 - y0)
            artist = self._text(label, ((x0 + x1) / 2, (y0 + y1) / 2), 11)
            extent = self._extent(artist)
            shift = (extent.width / 2 + 0.07, 0.0) if upright else (0.0, extent.height / 2 + 0.05)
            place = label_at or ((x0 + x1) / 2 + shift[0], (y0 + y1) / 2 + shift[1])
            artist.set_position(place)
            self._place(f"{start} → {end}: {label}", Box(place, extent.width, extent.height), artist)

    def figure(self) -> Figure:
        """The drawing, as a figure that shows itself."""
        return self._figure

    def _text(self, text: str, at: Point, size: float, colour: str = INK) -> Text:
        with style():
            return self._axes.text(*at, text, fontsize=size, color=colour, ha="center", va="center", zorder=4)

    def _extent(self, text: Text) -> Box:
        window, dpi = text.get_window_extent(), self._figure.dpi
        centre = ((window.x0 + window.x1) / 2 / dpi, (window.y0 + window.y1) / 2 / dpi)
        return Box(centre, window.width / dpi, window.height / dpi)

    def _place(self, name: str, box: Box, text: Text) -> None:
        """Take the room, or take back the text and say who stands there."""
        try:
            self._check_name(name)
            self._check_inside(name, box)
            for other, place in self.boxes.items():
                if other not in self._frames and box.covers(place, _MARGIN):
                    raise ValueError(f"{name!r} at {box.centre} overlaps {other!r} at {place.centre}: move one of them")
        except ValueError:
            text.remove()
            raise
        self.boxes[name] = box

    def _check_name(self, name: str) -> None:
        if name in self.boxes:
            raise ValueError(f"there is a {name!r} already: give each box a name of its own, and the same label")

    def _check_inside(self, name: str, box: Box) -> None:
        left, bottom, right, top = box.edges
        width, height = self._board.width, self._board.height
        if left < 0 or bottom < 0 or right > width or top > height:
            raise ValueError(f"{name!r} reaches beyond the drawing of {width}×{height} inches")

    def _found(self, name: str) -> Box:
        if name not in self.boxes:
            names = ", ".join(self.boxes)
            raise ValueError(f"there is no box {name!r}; there are {names}.{near_miss(name, self.boxes)}")
        return self.boxes[name]
