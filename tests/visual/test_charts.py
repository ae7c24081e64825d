"""Charts draw the numbers that they are given, in the order and with the names that they are given."""

import numpy as np
import pytest
import torch

from vaelib import visual
from vaelib.visual.style import INK


def test_lines_are_the_series_and_the_reference_is_black():
    x = torch.linspace(0.1, 1, 5)
    figure = visual.lines(
        {"model": (x, x**2), "data": (x, x)}, x_label="k", y_label="error", y_scale="log", reference="data"
    )
    (axes,) = figure.axes
    model, data = axes.lines
    np.testing.assert_allclose(model.get_ydata(), (x**2).numpy())
    np.testing.assert_allclose(data.get_xdata(), x.numpy())
    assert data.get_color() == INK != model.get_color()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["model", "data"]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_yscale()) == ("k", "error", "log")


def test_many_lines_are_told_apart():
    figure = visual.lines({str(i): ([0, 1], [i, i]) for i in range(7)}, x_label="x", y_label="y")
    looks = {(line.get_color(), str(line.get_linestyle())) for line in figure.axes[0].lines}
    assert len(looks) == 7


def test_a_legend_above_leaves_the_lines_alone():
    figure = visual.lines({"one": ([0, 1], [0, 1]), "two": ([0, 1], [1, 0])}, x_label="x", y_label="y", legend="above")
    assert figure.axes[0].get_legend() is None
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["one", "two"]


def test_a_single_line_needs_no_legend():
    assert visual.lines({"only": ([1], [2])}, x_label="x", y_label="y", markers=True).axes[0].get_legend() is None


@pytest.mark.parametrize(
    ("series", "reference", "message"),
    [
        ({}, None, "nothing to show"),
        ({"a": ([1, 2], [1])}, None, "a: x and y should be equally long"),
        ({str(i): ([1], [1]) for i in range(8)}, None, "8 lines cannot be told apart"),
        ({"a": ([1], [1])}, "b", "reference 'b' is not among the names: a"),
    ],
)
def test_lines_refuse_what_they_cannot_draw(series, reference, message):
    with pytest.raises(ValueError, match=message):
        visual.lines(series, x_label="x", y_label="y", reference=reference)


def test_bars_stand_in_the_order_given_with_their_numbers():
    figure = visual.bars(
        {"floor": 8.4, "samples": 76.6},
        x_label="distance",
        errors={"samples": 2.0},
        reference=8.4,
        reference_label="fresh",
    )
    axes = figure.axes[0]
    assert [bar.get_width() for bar in axes.patches] == [8.4, 76.6]
    heights = [bar.get_y() for bar in axes.patches]
    assert heights[0] > heights[1]  # the first on top
    assert [label.get_text() for label in axes.get_yticklabels()] == ["floor", "samples"]
    assert {"8.4", "76.6", "fresh"} <= {text.get_text() for text in axes.texts}


def test_bars_write_large_numbers_out():
    texts = visual.bars({"bits": 12345.6}, x_label="bits").axes[0].texts
    assert texts[0].get_text() == "12,346"


def test_bars_refuse_errors_of_nobody_and_nothing_at_all():
    with pytest.raises(ValueError, match="no values for sample"):
        visual.bars({"samples": 1.0}, x_label="x", errors={"sample": 1.0})
    with pytest.raises(ValueError, match="nothing to show"):
        visual.bars({}, x_label="x")


def test_histograms_share_their_bins_and_are_densities():
    generator = torch.Generator().manual_seed(0)
    values = {"narrow": torch.randn(500, generator=generator), "wide": 3 * torch.randn(500, generator=generator)}
    figure = visual.histograms(values, x_label="gradient", bins=40, truth=0.0)
    outlines = [patch.get_xy() for patch in figure.axes[0].patches]
    low = min(float(v.min()) for v in values.values())
    high = max(float(v.max()) for v in values.values())
    width = (high - low) / 40
    for outline in outlines:
        assert outline[:, 0].min() == pytest.approx(low, abs=1e-5)
        assert outline[:, 0].max() == pytest.approx(high, abs=1e-5)
    tops = outlines[0][1:81:2, 1]
    assert tops.sum() * width == pytest.approx(1.0, abs=1e-6)
    assert figure.axes[0].lines[0].get_xdata()[0] == 0.0


def test_histograms_may_leave_out_the_tails():
    figure = visual.histograms({"x": [0.0, 1.0, 2.0, 50.0]}, x_label="x", limits=(0, 3), bins=3)
    assert figure.axes[0].patches[0].get_xy()[:, 0].max() == 3
