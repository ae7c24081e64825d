"""What a diagram promises: labels are there, nothing overlaps, arrows end at borders, wrong names are explained."""

import math

import pytest
from matplotlib.patches import FancyArrowPatch

from vaelib.visual import Diagram


@pytest.fixture
def diagram() -> Diagram:
    """x → encoder → z, with z drawn at random."""
    diagram = Diagram(width=6, height=2)
    diagram.box("x", (0.5, 1), label="$x$")
    diagram.box("encoder", (2, 1), kind="network")
    diagram.box("z", (4, 1.2), kind="random", size=(1.0, 0.6))
    return diagram


def texts(diagram: Diagram) -> list[str]:
    return [text.get_text() for text in diagram.figure().axes[0].texts]


def test_the_figure_holds_every_label_and_is_a_picture(diagram):
    diagram.arrow("x", "encoder", label="in")
    diagram.note("A title", (1, 1.8))
    assert texts(diagram) == ["$x$", "encoder", "z", "in", "A title"]
    figure = diagram.figure()
    assert figure.get_size_inches().tolist() == [6, 2]
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_type_is_legible_and_every_label_lies_in_its_box(diagram):
    for text, name in zip(diagram.figure().axes[0].texts, ("x", "encoder", "z"), strict=True):
        assert text.get_fontsize() >= 11
        left, bottom, right, top = diagram.boxes[name].edges
        window, dpi = text.get_window_extent(), diagram.figure().dpi
        assert left < window.x0 / dpi < window.x1 / dpi < right
        assert bottom < window.y0 / dpi < window.y1 / dpi < top


def test_arrows_run_from_border_to_border(diagram):
    diagram.arrow("x", "encoder")
    diagram.arrow("encoder", "z", dashed=True)
    first, second = diagram.arrows
    assert first.points[0] == pytest.approx((diagram.boxes["x"].edges[2], 1))
    assert first.points[1] == pytest.approx((diagram.boxes["encoder"].edges[0], 1))
    # The second ends on the ellipse, on the way to its centre.
    (x, y), (dx, dy) = diagram.boxes["z"].centre, second.points[1]
    assert ((dx - x) / 0.5) ** 2 + ((dy - y) / 0.3) ** 2 == pytest.approx(1)
    assert math.atan2(dy - 1, dx - 2) == pytest.approx(math.atan2(0.2, 2))
    drawn = [patch for patch in diagram.figure().axes[0].patches if isinstance(patch, FancyArrowPatch)]
    assert len(drawn) == 2
    assert drawn[0].get_linestyle() != drawn[1].get_linestyle()


def test_an_arrow_may_turn_corners(diagram):
    diagram.arrow("x", "z", via=[(0.5, 0.3), (4, 0.3)])
    (arrow,) = diagram.arrows
    assert arrow.points[1:3] == ((0.5, 0.3), (4, 0.3))
    assert arrow.points[0] == pytest.approx((0.5, diagram.boxes["x"].edges[1]))
    assert arrow.points[3] == pytest.approx((4, 1.2 - 0.3))


def test_a_frame_surrounds_its_boxes_and_takes_arrows(diagram):
    diagram.frame("cell", ["encoder", "z"], label="2 times", margin=0.2)
    frame = diagram.boxes["cell"].edges
    for name in ("encoder", "z"):
        left, bottom, right, top = diagram.boxes[name].edges
        assert frame[0] < left
        assert frame[1] < bottom
        assert right < frame[2]
        assert top < frame[3]
    diagram.arrow("x", "cell")
    assert diagram.arrows[0].points[1][0] == pytest.approx(frame[0])
    assert "2 times" in texts(diagram)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda d: d.arrow("x", "encodr"), r"no box 'encodr'; there are x, encoder, z\. Did you mean 'encoder'"),
        (lambda d: d.frame("f", ["zz", "x"]), "no box 'zz'"),
        (lambda d: d.frame("f", []), "around nothing"),
        (lambda d: d.box("mean", (5, 1), kind="randon"), "Did you mean 'random'"),
        (lambda d: d.box("x", (5.5, 1)), "there is a 'x' already"),
        (lambda d: d.frame("x", ["z"]), "there is a 'x' already"),
        (lambda d: d.frame("plate", ["z"], margin=1.0), "'plate' reaches beyond"),
        (lambda d: d.box("mean", (2.2, 1.1)), r"overlaps 'encoder'"),
        (lambda d: d.note("a note across the code", (3.9, 1.2)), "overlaps 'z'"),
        (lambda d: d.box("far", (5.95, 1)), "reaches beyond the drawing of 6×2 inches"),
        (lambda d: d.box("log_variance", (5.2, 1), size=(0.4, 0.4)), "the label of 'log_variance' takes"),
        (lambda d: d.arrow("x", "x"), "cannot go"),
    ],
)
def test_what_cannot_be_drawn_is_refused_and_leaves_nothing_behind(diagram, draw, message):
    before = texts(diagram), dict(diagram.boxes), list(diagram.arrows)
    with pytest.raises(ValueError, match=message):
        draw(diagram)
    assert (texts(diagram), diagram.boxes, diagram.arrows) == before
