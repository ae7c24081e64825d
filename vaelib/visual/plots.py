"""Figures made of numbers: training curves, latent maps, spectra, and how much each latent does."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from vaelib.config import near_miss
from vaelib.visual.style import ACCENT, DASHES, INK, MUTED, PALETTE, WIDTH, new_figure, style


class HistoryLike(Protocol):
    """Anything with named columns of numbers by step: `vaelib.training.History` is one."""

    def names(self) -> list[str]: ...

    def column(self, name: str) -> tuple[Sequence[float], Sequence[float]]: ...


class ActivityLike(Protocol):
    """Anything with a variance and perhaps a rate for each latent: `vaelib.evaluation.ActiveUnits` is one."""

    @property
    def variances(self) -> Tensor: ...

    @property
    def rates(self) -> Tensor | None: ...

    @property
    def threshold(self) -> float: ...


_SERIES = (
    ("train/", "training", ACCENT, "-", ""),
    ("validation/", "validation", "#D55E00", "--", "o"),
    ("validation/ema/", "validation, averaged weights", "#009E73", ":", "s"),
)


def training_curves(
    history: HistoryLike,
    terms: Sequence[str] | None = None,
    *,
    from_start: Sequence[str] = (),
    title: str | None = None,
) -> Figure:
    """Each term of the objective over the steps, training and validation in one panel.

    A panel's height shows the last nine tenths of the run: the first steps fall from so high that nothing else could be
    seen. The panels of `from_start` show the whole run, and zero.

    Args:
        history: with names such as `train/distortion` and `validation/distortion`.
        terms: which, without the prefix; by default all that `train/` or `validation/` has.
        from_start: terms to show from the first step and from zero, such as a rate.
        title: of the figure.
    Raises:
        ValueError: nothing to show, or a term that the history lacks; the message names the near miss.
    """
    names = history.names()
    found: dict[str, list[str]] = {}
    for prefix, *_ in _SERIES:
        for name in names:
            term = name.removeprefix(prefix)
            if name.startswith(prefix) and not term.startswith("ema/"):
                found.setdefault(term, []).append(name)
    if not found:
        raise ValueError(
            f"the history has no train/… or validation/… metrics yet; it has: {', '.join(names) or 'none'}"
        )
    for term in (*(terms or ()), *from_start):
        if term not in found:
            raise ValueError(f"the history has no {term!r}; it has {', '.join(found)}.{near_miss(term, found)}")
    shown = list(terms or found)
    with style():
        figure = new_figure(WIDTH, 0.6 + 2.2 * len(shown))
        panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
        for axes, term in zip(panels, shown, strict=True):
            _curves(axes, history, term, found[term])
            if term in from_start:
                axes.autoscale(axis="y")
                axes.set_ylim(bottom=0)
        panels[-1].set_xlabel("step")
        panels[-1].xaxis.set_major_locator(MaxNLocator(6, integer=True))
        # One legend above all panels: they share their series.
        entries: dict[str, Any] = {}
        for axes in panels:
            handles, labels = axes.get_legend_handles_labels()
            entries.update(zip(labels, handles, strict=True))
        figure.legend(list(entries.values()), list(entries), loc="outside upper right", ncols=len(entries))
        if title:
            figure.suptitle(title, x=0.02, ha="left")
    return figure


def _curves(axes: Axes, history: HistoryLike, term: str, names: list[str]) -> None:
    late: list[float] = []
    for prefix, label, colour, dashes, marker in _SERIES:
        if prefix + term not in names:
            continue
        steps, values = (np.asarray(column, dtype=float) for column in history.column(prefix + term))
        axes.plot(steps, values, label=label, color=colour, linestyle=dashes, marker=marker, markersize=4)
        late += values[(steps >= 0.1 * steps.max()) & np.isfinite(values)].tolist()
    if late and max(late) > min(late):
        margin = 0.08 * (max(late) - min(late))
        axes.set_ylim(min(late) - margin, max(late) + margin)
    objective = {"total": "objective"}.get(term, term.replace("_", " "))
    axes.set_ylabel(
        f"{objective}\n(nats per image)" if term in ("distortion", "rate", "total") else objective.replace("/", "\n")
    )
    axes.yaxis.set_major_locator(MaxNLocator(5))


def latent_map(
    codes: Tensor,
    labels: Tensor | None = None,
    *,
    label_names: Sequence[str] = (),
    title: str | None = None,
) -> Figure:
    """Codes in the plane, coloured by what they are codes of.

    Classes carry their names where most of their points are, so that no reader needs the colours. Labels that are not
    whole numbers are shown on a colour scale.

    Args:
        codes: (N, 2). Of a wider code, choose two columns.
        labels: (N,), classes (whole numbers) or values.
        label_names: what the classes are called; their numbers by default.
        title: of the figure.
    """
    if codes.dim() != 2 or codes.shape[1] != 2:
        raise ValueError(
            f"a map shows codes (N, 2), not {tuple(codes.shape)}: choose two columns, as in codes[:, [0, 3]]"
        )
    if labels is not None and tuple(labels.shape) != (len(codes),):
        raise ValueError(f"{len(codes)} codes take labels ({len(codes)},), not {tuple(labels.shape)}")
    points = codes.detach().float().cpu().numpy()
    size = float(np.clip(4000 / max(len(points), 1), 4, 30))
    with style():
        figure = new_figure(WIDTH, 6.2)
        axes = figure.subplots()
        if labels is None:
            axes.scatter(points[:, 0], points[:, 1], s=size, color=ACCENT, alpha=0.6, linewidths=0)
        elif labels.is_floating_point():
            values = labels.cpu().numpy()
            scale = axes.scatter(points[:, 0], points[:, 1], s=size, c=values, cmap="viridis", linewidths=0)
            figure.colorbar(scale, ax=axes, shrink=0.8)
        else:
            _classes(axes, points, labels.cpu().numpy(), label_names, size)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xlabel("$z_0$")
        axes.set_ylabel("$z_1$")
        if title:
            axes.set_title(title, loc="left")
    return figure


def _classes(axes: Axes, points: np.ndarray, labels: np.ndarray, names: Sequence[str], size: float) -> None:
    markers = "osD^vP"
    for i, value in enumerate(np.unique(labels)):
        some = points[labels == value]
        colour = PALETTE[i % len(PALETTE)]
        marker = markers[i // len(PALETTE) % len(markers)]
        axes.scatter(some[:, 0], some[:, 1], s=size, color=colour, marker=marker, alpha=0.6, linewidths=0)
        name = names[value] if 0 <= value < len(names) else str(value)
        x, y = np.median(some, axis=0)
        halo = [withStroke(linewidth=4, foreground="white")]
        axes.text(x, y, name, color=colour, fontsize=16, weight="bold", ha="center", va="center", path_effects=halo)


def power_spectra(spectra: Mapping[str, tuple[Tensor, Tensor]], *, title: str | None = None) -> Figure:
    """Radial power spectra on logarithmic axes. The first is the reference, drawn in black.

    Args:
        spectra: name → (frequencies, power), as `radial_power_spectrum` gives them; the data first.
        title: of the figure.
    """
    if not spectra:
        raise ValueError("there are no spectra to show")
    with style():
        figure = new_figure(WIDTH, 4.4)
        axes = figure.subplots()
        for i, (name, (frequencies, power)) in enumerate(spectra.items()):
            if frequencies.shape != power.shape:
                raise ValueError(f"{name}: {tuple(frequencies.shape)} frequencies but {tuple(power.shape)} powers")
            colour, dashes = (INK, "-") if i == 0 else (PALETTE[(i - 1) % len(PALETTE)], DASHES[i % len(DASHES)])
            axes.loglog(frequencies.cpu().numpy(), power.cpu().numpy(), label=name, color=colour, linestyle=dashes)
        axes.set_xlabel("frequency (cycles per pixel)")
        axes.set_ylabel("power")
        ends = [bound for frequencies, _ in spectra.values() for bound in (frequencies.min(), frequencies.max())]
        ticks = [tick for tick in (0.02, 0.05, 0.1, 0.2, 0.5) if float(min(ends)) <= tick <= float(max(ends))]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.legend()
        if title:
            axes.set_title(title, loc="left")
    return figure


def latent_activity(units: ActivityLike, *, title: str | None = None) -> Figure:
    """How much each latent does, the busiest first: the variance of its posterior mean, and its rate if it has one.

    Args:
        units: as `vaelib.evaluation.active_units` gives them. Latents below its threshold are grey.
        title: of the figure.
    """
    order = units.variances.argsort(descending=True)
    variances = units.variances[order].cpu().numpy()
    colours = [ACCENT if variance > units.threshold else MUTED for variance in variances]
    panels = [("variance of the\nposterior mean", variances)]
    if units.rates is not None:
        panels.append(("rate (nats)", units.rates[order].cpu().numpy()))
    places = np.arange(1, len(variances) + 1)
    with style():
        figure = new_figure(WIDTH, 0.8 + 2.1 * len(panels))
        for axes, (label, heights) in zip(
            figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0], panels, strict=True
        ):
            axes.bar(places, heights, color=colours, width=0.85)
            axes.set_ylabel(label)
        if len(places) <= 20:
            axes.set_xticks(places, [str(int(latent)) for latent in order])
            axes.set_xlabel("latent, the most active first")
        else:
            axes.set_xlabel("rank, the most active latent first")
        active = int(sum(variances > units.threshold))
        figure.suptitle(title or f"{active} of {len(variances)} latents are active", x=0.02, ha="left")
    return figure
