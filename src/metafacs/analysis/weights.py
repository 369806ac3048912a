"""What a method that weights images trusts: weight against consistency, active AUs, dataset and cause of ambiguity."""

from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from metafacs.analysis.sample_weights import ACTIVE, MethodWeights
from metafacs.analysis.style import (
    COLUMN,
    GREY,
    METHOD_COLOURS,
    METHOD_MARKERS,
    STREAM_COLOURS,
    STREAM_TITLES,
    Words,
    save,
    style,
)
from metafacs.errors import InputError

HEIGHT = 2.3
FEW = 5
"""Fewer images make no mean."""
_ENDS = 0.5, 99.5
"""Percentiles of the weights about which a panel ends: most weights lie close together, and a few far away."""


_INTERVAL = (
    "Spearman's correlation is that within a run, averaged over the runs; its 95 % interval is a bootstrap over people "
    "and does not cover what another training would give."
)

CONSISTENCY = Words(
    "Weight and consistency, {method}",
    f"Every FE image ({{of}}), and the mean of each tenth of consistency. The weight axis ends where nearly all "
    f"weights are, not at 0. {_INTERVAL}",
)


def consistency_figure(weights: MethodWeights, out: Path) -> list[Path]:
    """Draws weight against the share of annotators who chose the final expression: images, means, Spearman.

    Args:
        weights: of one method.
        out: where to write, with or without the ending; `.png` and `.pdf` are written.

    Returns:
        The files written.

    Raises:
        InputError: no FE image has a consistency.
    """
    table = _known(weights, "consistency")
    x, y = table["consistency"].to_numpy(dtype=np.float64), table["weight"].to_numpy(dtype=np.float64)
    estimate = weights.correlation("consistency")
    with style():
        figure = Figure(figsize=(COLUMN, HEIGHT), layout="constrained")
        axis = figure.subplots()
        jitter = np.random.default_rng(0).uniform(-0.01, 0.01, len(x))
        alpha = float(np.clip(300 / max(len(x), 1), 0.06, 0.5))
        colour = STREAM_COLOURS["auxiliary"]
        axis.scatter(x + jitter, y, s=4, color=colour, alpha=alpha, linewidths=0, rasterized=True)
        bins = _means(np.clip(np.floor(x * 10 + 1e-9), 0, 9), x, y)
        dots: Any = {"color": "black", "markersize": 3, "linewidth": 1.1, "capsize": 2}
        axis.errorbar(bins["x"], bins["mean"], bins["error"], fmt="-o", label="mean, 95 % interval", **dots)
        cut = _limit(axis.set_ylim, y)
        axis.legend(loc="lower left", bbox_to_anchor=(0, 1), title=f"Spearman {estimate}", alignment="left")
        axis.set_xlabel("Share of annotators who chose the expression")
        axis.set_ylabel("Weight of the FE image")
        axis.set_title(cut, loc="right", fontsize=7, color=GREY)
        return save(figure, out)


ACTIVE_AUS = Words(
    "Weight and active AUs, {method}",
    "Mean weight and its 95 % interval by how many of the trained AUs are active in the image: by rendered truth, "
    f"which training never reads, or by label. {_INTERVAL}",
)


def active_figure(weights: MethodWeights, out: Path) -> list[Path]:
    """Draws the mean weight of the images, with its 95 % interval, by how many of the trained AUs they show.

    Args:
        weights: of one method.
        out: where to write, with or without the ending; `.png` and `.pdf` are written.

    Returns:
        The files written.

    Raises:
        InputError: it is not known of any FE image which AUs it shows.
    """
    _known(weights, ACTIVE)
    with style():
        figure = Figure(figsize=(COLUMN, HEIGHT), layout="constrained")
        axis = figure.subplots()
        for place, (stream, marker) in enumerate((("auxiliary", "o"), ("primary", "s"))):
            rows = weights.stream(stream)
            rows = rows[rows[ACTIVE].notna()]
            if rows.empty:
                continue
            counts, y = rows[ACTIVE].to_numpy(dtype=np.float64), rows["weight"].to_numpy(dtype=np.float64)
            bins = _means(counts, counts, y)
            label = f"{STREAM_TITLES[stream]}, Spearman {weights.correlation(ACTIVE, stream)}"
            style_: Any = {"color": STREAM_COLOURS[stream], "markersize": 3.5, "linewidth": 1.1, "capsize": 2}
            axis.errorbar(
                bins["x"] + 0.08 * place, bins["mean"], bins["error"], fmt=f"-{marker}", label=label, **style_
            )
        axis.set_ylim(bottom=0)
        axis.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), borderaxespad=0.1)
        axis.set_xlabel("Active AUs among those trained")
        axis.set_ylabel("Mean sample weight")
        return save(figure, out)


BY_DATASET = Words(
    "Weight by expression dataset, {method}",
    "Mean weight and its 95 % interval of the FE images ({of}), by dataset and expression: which set helped the "
    f"reserved AU images most, one step ahead. Fewer than {FEW} images have no mean.",
)


def dataset_figure(weights: MethodWeights, out: Path) -> list[Path]:
    """Draws the mean weight of the FE images of each dataset, with its 95 % interval, for all and by expression.

    Args:
        weights: of one method.
        out: where to write, with or without the ending; `.png` and `.pdf` are written.

    Returns:
        The files written.

    Raises:
        InputError: no FE image has a weight.
    """
    table = _known(weights, "dataset")
    expressions = sorted(set(table["expression"].astype(str)))
    names = list(dict.fromkeys(table["dataset"].astype(str)))
    with style():
        figure = Figure(figsize=(COLUMN, HEIGHT), layout="constrained")
        axis = figure.subplots()
        for number, (name, colour, marker) in enumerate(zip(names, cycle(METHOD_COLOURS), cycle(METHOD_MARKERS))):
            rows = table[table["dataset"].astype(str) == name]
            places = 1.0 + rows["expression"].astype(str).map(expressions.index).to_numpy(dtype=np.float64)
            x = np.concatenate([np.zeros(len(rows)), places])
            bins = _means(x, x, np.tile(rows["weight"].to_numpy(dtype=np.float64), 2))
            shift = 0.4 * ((number + 0.5) / len(names) - 0.5)
            look: Any = {"color": colour, "markersize": 3.5, "linewidth": 1.1, "capsize": 2, "linestyle": "none"}
            axis.errorbar(
                bins["x"] + shift, bins["mean"], bins["error"], marker=marker, label=f"{name} ({len(rows):,})", **look
            )
        axis.set_xticks(range(len(expressions) + 1), ["all", *expressions], rotation=30, ha="right")
        axis.set_ylim(bottom=0)
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, borderaxespad=0.1)
        axis.set_ylabel("Mean weight of the FE images")
        return save(figure, out)


CAUSE = Words(
    "Weight by cause of ambiguity, {method}",
    "Weights of the FE images ({of}) by what makes their expression ambiguous, the most trusted cause first. Bar: "
    "the middle half. The axis ends where nearly all weights are, not at 0.",
)


def cause_figure(weights: MethodWeights, out: Path) -> list[Path]:
    """Draws the weights of the FE images by what makes their expression ambiguous, the most trusted cause first.

    Distribution, quartiles (bar), median (circle) and mean (line).

    Args:
        weights: of one method.
        out: where to write, with or without the ending; `.png` and `.pdf` are written.

    Returns:
        The files written.

    Raises:
        InputError: no FE image has a cause.
    """
    table = _known(weights, "cause")
    groups = {str(cause): group["weight"].to_numpy(dtype=np.float64) for cause, group in table.groupby("cause")}
    order = sorted(groups, key=lambda cause: -float(np.mean(groups[cause])))
    values = [groups[cause] for cause in order]
    colour = STREAM_COLOURS["auxiliary"]
    with style():
        figure = Figure(figsize=(COLUMN, 0.55 + 0.32 * len(order)), layout="constrained")
        axis = figure.subplots()
        cut = _limit(axis.set_xlim, table["weight"].to_numpy(dtype=np.float64))
        bottom, top = axis.get_xlim()
        wide = [k for k in range(len(order)) if np.ptp(values[k]) > 0]  # a violin needs some spread
        if wide:
            shown: Any = [values[k].clip(bottom, top) for k in wide]
            parts = axis.violinplot(shown, positions=wide, widths=0.85, showextrema=False, orientation="horizontal")
            bodies: Any = parts["bodies"]
            for body in bodies:
                body.set(facecolor=colour, alpha=0.3, linewidth=0)
        quartiles = np.array([np.percentile(group, (25, 50, 75)) for group in values])
        places = np.arange(len(order))
        axis.hlines(places, quartiles[:, 0], quartiles[:, 2], color=colour, linewidth=3)
        circles: Any = {"color": "white", "markeredgecolor": "black", "markeredgewidth": 0.7, "markersize": 4}
        axis.plot(quartiles[:, 1], places, "o", **circles)
        means = [float(group.mean()) for group in values]
        axis.vlines(means, places - 0.3, places + 0.3, color="black", linewidth=1.2)
        axis.set_yticks(places, [f"{cause} ({len(groups[cause]):,})" for cause in order])
        axis.set_ylim(len(order) - 0.45, -0.55)
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.grid(visible=False, axis="y")
        axis.set_title(cut, loc="right", fontsize=7, color=GREY)
        axis.set_xlabel("Weight (circle: median, line: mean)")
        return save(figure, out)


def _known(weights: MethodWeights, column: str) -> pd.DataFrame:
    faces = weights.stream("auxiliary")
    known = faces[faces[column].notna()] if column in faces else faces.iloc[:0]
    if known.empty:
        raise InputError(f"no FE image of {weights.method} has both a weight and a known {column}: nothing to draw")
    return known


def _means(groups: np.ndarray, x: np.ndarray, y: np.ndarray) -> pd.DataFrame:
    """Mean x, mean y and 1.96 standard errors of y in each group of `FEW` or more."""
    bins = pd.DataFrame({"x": x, "y": y}).groupby(groups)
    table = bins.agg(x=("x", "mean"), mean=("y", "mean"), sd=("y", "std"), n=("y", "size"))
    table = table[table["n"] >= FEW]
    return table.assign(error=1.96 * table["sd"] / np.sqrt(table["n"]))


def _limit(set_ends: Callable[..., object], weights: np.ndarray) -> str:
    """Ends an axis where nearly all weights are; says how many are outside."""
    low, high = np.percentile(weights, _ENDS)
    spare = 0.3 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = max(0.0, low - spare), high + spare
    set_ends(low, high)
    outside = int(((weights < low) | (weights > high)).sum())
    return f"{outside} images lie outside" if outside else ""
