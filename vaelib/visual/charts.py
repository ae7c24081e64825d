"""Plain charts for the numbers of a notebook, in the book's style: lines, bars, histograms.

They take the numbers by name, so that a cell shows what is compared and not how a chart is drawn.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from torch import Tensor

from vaelib.visual.style import ACCENT, DASHES, INK, PALETTE, WIDTH, new_figure, style

Scale = Literal["linear", "log"]
Values = Sequence[float] | Tensor | np.ndarray


def lines(
    series: Mapping[str, tuple[Values, Values]],
    *,
    x_label: str,
    y_label: str,
    x_scale: Scale = "linear",
    y_scale: Scale = "linear",
    markers: bool = False,
    reference: str | None = None,
    legend: Literal["inside", "above"] = "inside",
    title: str | None = None,
    height: float = 4.0,
) -> Figure:
    """One line for each name.

    Args:
        series: name → (x, y), each (N,).
        x_label, y_label: of the axes, with units.
        x_scale, y_scale: linear or logarithmic.
        markers: mark the points; for few measurements with nothing known between them.
        reference: the name of the line that the others are compared with, drawn in black.
        legend: inside, where it covers least, or above, for lines that leave no room.
        title: of the figure.
        height: in inches.
    Raises:
        ValueError: nothing to show, more lines than can be told apart, x and y of different lengths, or a reference
            that is not among the names.
    """
    _check_names(series, reference)
    with style():
        figure = new_figure(WIDTH, height)
        axes = figure.subplots()
        for (name, (x, y)), (colour, dashes) in zip(series.items(), _looks(series, reference), strict=True):
            x, y = _numbers(x), _numbers(y)
            if x.shape != y.shape or x.ndim != 1:
                raise ValueError(f"{name}: x and y should be equally long rows of numbers, not {x.shape} and {y.shape}")
            axes.plot(x, y, label=name, color=colour, linestyle=dashes, marker="o" if markers else None)
        axes.set_xscale(x_scale)
        axes.set_yscale(y_scale)
        for axis, scale in ((axes.xaxis, x_scale), (axes.yaxis, y_scale)):
            if scale == "log":
                _plain_ticks(axis)
        _finish(axes, x_label, y_label, title, legend=len(series) > 1 and legend == "inside")
        if len(series) > 1 and legend == "above":
            figure.legend(loc="outside upper left", ncols=3)
    return figure


def bars(
    values: Mapping[str, float],
    *,
    x_label: str,
    errors: Mapping[str, float] | None = None,
    reference: float | None = None,
    reference_label: str = "",
    x_scale: Scale = "linear",
    title: str | None = None,
) -> Figure:
    """One horizontal bar for each name, in the order given, with its number beside it.

    Args:
        values: name → value.
        x_label: what is measured, with its unit.
        errors: name → standard error, drawn as a whisker.
        reference: a value to compare with, drawn as a vertical line; `reference_label` says what it is.
        x_scale: linear or logarithmic.
        title: of the figure.
    Raises:
        ValueError: nothing to show, or an error for a name without a value.
    """
    _check_names(values, None)
    errors = errors or {}
    if strangers := set(errors) - set(values):
        raise ValueError(f"there are errors but no values for {', '.join(sorted(strangers))}")
    names = list(values)
    heights = np.array([float(values[name]) for name in names])
    whiskers = np.array([float(errors.get(name, 0.0)) for name in names])
    with style():
        figure = new_figure(WIDTH, 1.1 + 0.42 * len(names))
        axes = figure.subplots()
        places = np.arange(len(names))[::-1]
        axes.barh(places, heights, color=ACCENT, height=0.65, xerr=whiskers if errors else None, capsize=4)
        for place, height, whisker in zip(places, heights, whiskers, strict=True):
            axes.annotate(
                f"{height:,.0f}" if abs(height) >= 1000 else f"{height:.3g}",
                (max(height, 0.0) + whisker, place),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize=12,
            )
        axes.set_yticks(places, names)
        axes.set_xscale(x_scale)
        axes.margins(x=0.12)
        if reference is not None:
            axes.axvline(reference, color=INK, linestyle="--", linewidth=1.5)
            axes.annotate(
                reference_label,
                (reference, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(4, 2),
                textcoords="offset points",
                fontsize=12,
            )
        _finish(axes, x_label, "", title, legend=False)
    return figure


def histograms(
    values: Mapping[str, Values],
    *,
    x_label: str,
    bins: int = 60,
    limits: tuple[float, float] | None = None,
    truth: float | None = None,
    truth_label: str = "truth",
    title: str | None = None,
    height: float = 3.6,
) -> Figure:
    """Densities of several sets of numbers over common bins, as outlines, so that none hides another.

    Args:
        values: name → numbers (N,).
        x_label: what the numbers are, with their unit.
        bins: how many.
        limits: of the x axis; numbers outside are left out. None takes the range of all.
        truth: a value to mark with a vertical line; `truth_label` says what it is.
        title: of the figure.
        height: in inches.
    """
    _check_names(values, None)
    arrays = {name: _numbers(some).ravel() for name, some in values.items()}
    low, high = limits or (min(a.min() for a in arrays.values()), max(a.max() for a in arrays.values()))
    edges = np.linspace(low, high, bins + 1).tolist()
    with style():
        figure = new_figure(WIDTH, height)
        axes = figure.subplots()
        for (name, numbers), colour in zip(arrays.items(), PALETTE * (1 + len(arrays) // len(PALETTE)), strict=False):
            axes.hist(numbers, edges, density=True, histtype="stepfilled", color=colour, alpha=0.18, linewidth=0)
            axes.hist(
                numbers, edges, density=True, histtype="step", color=colour, linestyle="-", linewidth=1.8, label=name
            )
        if truth is not None:
            axes.axvline(truth, color=INK, linestyle="--", linewidth=1.5, label=truth_label)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        _finish(axes, x_label, "", title, legend=len(arrays) > 1 or truth is not None)
    return figure


def _looks(series: Mapping[str, object], reference: str | None) -> list[tuple[str, Any]]:
    if len(series) > len(PALETTE) + (reference is not None):
        raise ValueError(f"{len(series)} lines cannot be told apart; draw at most {len(PALETTE)}, and a reference")
    others = iter(zip(PALETTE, DASHES, strict=True))
    return [(INK, "-") if name == reference else next(others) for name in series]


def _check_names(series: Mapping[str, object], reference: str | None) -> None:
    if not series:
        raise ValueError("there is nothing to show")
    if reference is not None and reference not in series:
        raise ValueError(f"the reference {reference!r} is not among the names: {', '.join(series)}")


def _numbers(values: Values) -> np.ndarray:
    array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    return array.astype(float)


def _plain_ticks(axis: Axis) -> None:
    """On a logarithmic axis: 1, 2, 5 within few decades, only powers of ten over many, and no label over another."""
    low, high = axis.get_view_interval()
    if high / low < 300:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _finish(axes: Any, x_label: str, y_label: str, title: str | None, *, legend: bool) -> None:
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if legend:
        axes.legend()
    if title:
        axes.set_title(title, loc="left")
