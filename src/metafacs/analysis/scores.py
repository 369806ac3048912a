"""F1 of every method: on average, per AU, and what each gains over the reference."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from metafacs.analysis.style import COLUMN, GREY, METHOD_COLOURS, METHOD_MARKERS, Words, save, style
from metafacs.evaluation.comparison import AVERAGE, Comparison, method_title
from metafacs.facs import au_title

MOST = 7
"""Methods in the figure of F1 per AU, as many as there are colours."""
ABREAST = 3
"""Panels side by side in the figure of gains."""
HERE, ELSEWHERE = METHOD_COLOURS[0], METHOD_COLOURS[1]
"""Colours of a gain and of a loss whose interval leaves out zero."""


AVERAGE_F1 = Words(
    "Average F1",
    "Black: mean over the seeds of the average over AUs and folds, with the standard deviation over the seeds. Blue: "
    "single folds and seeds.",
)


def average_figure(comparison: Comparison, out: Path) -> list[Path]:
    """Draws each method's average F1: the mean over its seeds, and every fold and seed as a faint dot.

    Args:
        comparison: what `compare` returned.
        out: where to write, with or without the ending; `.png` and `.pdf` are written.

    Returns:
        The files written.
    """
    cells, means = comparison.by_cell()[AVERAGE] * 100, comparison.means()[AVERAGE] * 100
    spreads = comparison.deviations()[AVERAGE].fillna(0) * 100
    floor = float(comparison.floor()[AVERAGE]) * 100
    order = [str(name) for name in means.sort_values(kind="stable").index]
    with style():
        figure = Figure(figsize=(COLUMN, 0.75 + 0.2 * len(order)), layout="constrained")
        axis = figure.subplots()
        axis.axvline(floor, color=GREY, linewidth=1, linestyle=(0, (3, 2)), label="all present (floor)")
        for place, name in enumerate(order):
            values = cells.loc[[name]].to_numpy()
            axis.plot(values, np.full(len(values), place), "o", color=METHOD_COLOURS[5], markersize=3, alpha=0.6, mew=0)
            axis.errorbar(means[name], place, xerr=spreads[name], fmt="D", color="black", markersize=3.5, linewidth=1)
            axis.annotate(f"{means[name]:.1f}", (1.01, place), xycoords=("axes fraction", "data"), va="center")
        axis.set_yticks(range(len(order)), [method_title(name) for name in order])
        axis.set_ylim(-0.6, len(order) - 0.4)
        axis.grid(visible=False, axis="y")
        axis.set_xlabel("Average F1 × 100 (± sd over seeds; dots: runs)")
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), borderaxespad=0.1)
        return save(figure, out)


F1_PER_AU = Words(
    "F1 per AU",
    "Mean and standard deviation over the seeds. Grey: what a predictor scores that finds every AU in every image. Of "
    f"more than {MOST} methods the reference, MTL, MAL and the best others.",
)


def per_au_figure(comparison: Comparison, out: Path) -> list[Path]:
    """Draws each method's F1 per AU with its standard deviation over seeds, and the floor that anyone reaches.

    Of more than `MOST` methods, the reference, MTL and MAL are shown, and the best of the others.

    Args:
        comparison: what `compare` returned.
        out: where to write, with or without the ending; `.png` and `.pdf` are written.

    Returns:
        The files written.
    """
    columns = [*comparison.aus, AVERAGE]
    places = np.arange(len(columns)) + np.array([0.0] * len(comparison.aus) + [0.4])
    means, deviations = comparison.means()[columns] * 100, comparison.deviations()[columns].fillna(0) * 100
    methods = _shown(comparison)
    count = len(methods)
    offsets = np.linspace(-0.32, 0.32, count) if count > 1 else np.zeros(1)
    each = max(0.17, 0.062 * count)
    with style():
        rows = -(-(count + 1) // 4)
        figure = Figure(figsize=(COLUMN, 0.55 + 0.15 * rows + each * (len(columns) + 0.8)), layout="constrained")
        axis = figure.subplots()
        floor = comparison.floor()[columns].to_numpy() * 100
        axis.vlines(floor, places - 0.42, places + 0.42, color=GREY, linewidth=1.2, label="all present (floor)")
        for k, method in enumerate(methods):
            axis.errorbar(
                means.loc[method].to_numpy(),
                places + offsets[k],
                xerr=deviations.loc[method].to_numpy(),
                fmt=METHOD_MARKERS[k],
                color=METHOD_COLOURS[k],
                markersize=3.2,
                elinewidth=0.8,
                label=method_title(method),
            )
        axis.axhline(len(comparison.aus) - 0.3, color="#BBBBBB", linewidth=0.7)
        axis.set_yticks(places, [*map(au_title, comparison.aus), "Avg."])
        axis.set_ylim(places[-1] + 0.6, -0.6)
        axis.grid(visible=False, axis="y")
        axis.set_xlabel("F1 × 100 (± sd over seeds)" if deviations.to_numpy().any() else "F1 × 100")
        lowest = min(float(np.nanmin(floor)), float(np.nanmin(means.to_numpy() - deviations.to_numpy())))
        axis.set_xlim(left=max(0, np.floor(lowest / 10 - 0.5) * 10))
        figure.legend(loc="outside upper center", ncols=min(4, count + 1), columnspacing=0.9, handletextpad=0.3)
        return save(figure, out)


def _shown(comparison: Comparison) -> list[str]:
    means = comparison.means()[AVERAGE]
    first = [comparison.reference, "mtl", "mal"]
    ranked = sorted(comparison.methods, key=lambda name: (name not in first, -float(means[name])))
    return [name for name in comparison.methods if name in ranked[:MOST]]


GAINS = Words(
    "Gain over {reference} per AU",
    "Differences paired by fold and seed, with the 95 % t interval of their mean. Filled: the interval leaves out "
    "zero. One interval in twenty does so by chance, and intervals of few pairs may leave the panel.",
)


def gains_figure(comparison: Comparison, out: Path) -> list[Path]:
    """Draws what every method gains over the reference on each AU, with the 95 % interval of the paired differences.

    A panel for each method. Filled: the interval leaves out zero (blue above, orange below); hollow: it does not, or
    there are too few pairs for one. Intervals of few pairs may leave the panel.

    Args:
        comparison: what `compare` returned, of two methods or more.
        out: where to write, with or without the ending; `.png` and `.pdf` are written.

    Returns:
        The files written.
    """
    differences = comparison.differences() * 100
    others = comparison.methods[1:]
    columns = [*comparison.aus, AVERAGE]
    abreast = min(ABREAST, len(others))
    down = -(-len(others) // abreast)
    with style():
        size = (COLUMN, 0.45 + down * (0.25 + 0.125 * (len(columns) + 1)))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(down, abreast, squeeze=False, sharex=True, sharey=True).ravel()
        for axis, method in zip(axes, others, strict=False):
            _draw_gains(axis, differences.loc[[method]].droplevel("method").loc[columns])
            axis.set_title(method_title(method), pad=2)
        for axis in axes[len(others) :]:
            axis.set_visible(False)
        for axis in axes[max(0, len(others) - abreast) : len(others)]:  # the last of each column
            axis.tick_params(labelbottom=True)
        places = [*range(len(comparison.aus)), len(comparison.aus) + 0.5]
        axes[0].set_yticks(places, [*map(au_title, comparison.aus), "Avg."])
        axes[0].set_ylim(places[-1] + 0.6, -0.6)
        reach = _reach(differences)
        axes[0].set_xlim(-reach, reach)
        figure.supxlabel(f"F1 × 100 minus that of {method_title(comparison.reference)}, 95 % interval", fontsize=7.5)
        return save(figure, out)


def _draw_gains(axis: Axes, differences: pd.DataFrame) -> None:
    axis.axvline(0, color="black", linewidth=0.6)
    axis.axhline(len(differences) - 1.25, color="#BBBBBB", linewidth=0.7)
    for k, row in enumerate(differences.itertuples()):
        place = k + 0.5 * (k == len(differences) - 1)
        mean, low, high = (float(getattr(row, name)) for name in ("mean", "low", "high"))
        clear = low > 0 or high < 0
        colour = GREY if not clear else HERE if mean > 0 else ELSEWHERE
        if not np.isnan(low):
            axis.plot([low, high], [place, place], color=colour, linewidth=1)
        axis.plot(mean, place, "o", color=colour, markersize=3, markerfacecolor=colour if clear else "white")
    axis.grid(visible=False, axis="y")
    axis.xaxis.set_major_locator(MaxNLocator(3))
    axis.tick_params(axis="y", length=0)


def _reach(differences: pd.DataFrame) -> float:
    """How far the panels reach: all means, and the intervals unless a few are very wide, as those of two pairs are."""
    widest = float(np.nanmax(np.abs(differences["mean"]), initial=1.0))
    ends = np.abs(differences[["low", "high"]].to_numpy(dtype=np.float64))
    ends = ends[np.isfinite(ends)]
    return max(1.15 * widest, min(float(np.percentile(ends, 95)), 4 * widest) if len(ends) else 0.0)
