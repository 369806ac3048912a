"""The plots of an audit, as PNG files in memory; told apart under the common colour blindnesses."""

import io
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

WIDTH = 5.2
"""Inches: text of 9 points stays readable where a phone shows the plot 360 pixels wide."""
DPI = 150
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
"""Okabe and Ito's palette."""
HATCHES = ("", "///", "...", "xxx", "---", "\\\\\\", "+++")
MOST_BARS = 100
"""Of more people, their distribution is drawn."""
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def plot_subjects(table: pd.DataFrame, column: str, label: str) -> bytes:
    """A bar for each person, coloured and hatched by fold.

    Args:
        table: `losses.subjects`.
        column: what to draw.
        label: of the axis.
    """
    with rc_context(STYLE):
        if len(table) > MOST_BARS:
            return _distribution(table[column], label)
        ordered = table.sort_values("fold", kind="stable")
        figure = Figure((WIDTH, 0.9 + 0.17 * len(ordered)), layout="constrained")
        axes = figure.subplots()
        places = np.arange(len(ordered))
        for k, fold in enumerate(dict.fromkeys(ordered["fold"])):
            own = (ordered["fold"] == fold).to_numpy()
            style: dict[str, Any] = {"color": COLOURS[k % len(COLOURS)], "hatch": HATCHES[k % len(HATCHES)]}
            axes.barh(places[own], ordered[column][own], edgecolor="white", linewidth=0, label=fold or "none", **style)
        axes.set_yticks(places, list(ordered.index), fontsize=7.5)
        axes.set_ylim(len(ordered) - 0.4, -0.6)
        axes.set_xlim(0, max(1.05 * float(ordered[column].max()), 1.0))
        axes.grid(axis="x", color="#E4E4E4")
        axes.set_xlabel(label)
        figure.legend(loc="outside upper left", ncols=4, title="fold", title_fontsize=9)
        return _png(figure)


def plot_rates(table: pd.DataFrame) -> bytes:
    """Base rates beside the published ones.

    Args:
        table: `labels.rates`.
    """
    with rc_context(STYLE):
        figure = Figure((WIDTH, 0.9 + 0.32 * len(table)), layout="constrained")
        axes = figure.subplots()
        places = np.arange(len(table))
        known = table["published"].notna().to_numpy()
        axes.barh(places, table["percent"], 0.62, color=COLOURS[4], label="here")
        if known.any():
            wanted = table["published"][known]
            axes.plot(wanted, places[known], "D", color="black", markersize=5, label="published", linestyle="none")
        axes.set_yticks(places, list(table.index))
        axes.set_ylim(len(table) - 0.4, -0.6)
        axes.grid(axis="x", color="#E4E4E4")
        axes.set_xlabel("present in % of labelled faces")
        figure.legend(loc="outside upper left", ncols=2)
        return _png(figure)


def plot_expressions(table: pd.DataFrame) -> bytes:
    """Faces per expression and fold.

    Args:
        table: `labels.expressions`.
    """
    with rc_context(STYLE):
        names, folds = list(dict.fromkeys(table["expression"])), list(dict.fromkeys(table["fold"]))
        figure = Figure((WIDTH, 1.0 + 0.34 * len(names)), layout="constrained")
        axes = figure.subplots()
        start = np.zeros(len(names))
        for k, fold in enumerate(folds):
            own = table[table["fold"] == fold].set_index("expression")["faces"].reindex(names, fill_value=0)
            style: dict[str, Any] = {"color": COLOURS[k % len(COLOURS)], "hatch": HATCHES[k % len(HATCHES)]}
            axes.barh(names, own, left=start, edgecolor="white", linewidth=0, label=fold, **style)
            start += own.to_numpy()
        axes.invert_yaxis()
        axes.grid(axis="x", color="#E4E4E4")
        axes.set_xlabel("faces")
        figure.legend(loc="outside upper left", ncols=4)
        return _png(figure)


def _distribution(values: pd.Series, label: str) -> bytes:
    figure = Figure((WIDTH, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.hist(values.to_numpy(float), bins=30, color=COLOURS[0])
    axes.set_xlabel(label)
    axes.set_ylabel("people")
    return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()
