"""The paper's Fig. 3 and 4: the losses of both tasks, and the average weights of their images, over training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from metafacs.analysis.records import read_metrics, read_run_name
from metafacs.analysis.style import COLUMN, LINE_STYLES, STREAM_COLOURS, STREAM_TITLES, Words, save, style
from metafacs.errors import InputError
from metafacs.evaluation.comparison import method_title

MOST = 3
"""Methods in one panel; more cannot be told apart."""
_FIRST = ("mal", "mtl", "stl")
"""The methods that the paper's figures are about, when not all can be shown."""

CURVES = Words(
    "Losses and weights over training",
    "The paper's Fig. 3 and 4: losses of the AU and the FE task, and the average weight of the images of each for "
    f"methods that learn weights; of more than {MOST} methods MAL, MTL and STL first. Bold: moving average, over "
    "several runs their mean; faint: single values, or the moving averages of single runs.",
)

Records = Mapping[str, list[pd.DataFrame]]


def training_curves(runs: Sequence[Path], out: Path, *, smoothing: float = 0.9) -> list[Path]:
    """Draws the losses of both tasks and the average weights of their images over training.

    Above, the AU and the FE loss of every method; below, the average weight of AU and FE images of the methods that
    learn weights (left out where none does). One run of a method: its
    values, faint, and their moving average. Several runs: the moving average of each, faint, and the mean of those
    over the steps that all of them have. The moving average is exponential and taken from both ends, so that it does
    not lag behind a falling loss. Of more than `MOST` methods, MAL, MTL and STL are shown first.

    Args:
        runs: run folders; runs of a method differ in fold or seed.
        out: where to write, with or without the ending; `.png` and `.pdf` are written.
        smoothing: share of the past in the moving average at each logged line, in [0, 1).

    Returns:
        The files written.

    Raises:
        InputError: `smoothing` is out of range, or a run has no usable record.
    """
    if not 0 <= smoothing < 1:
        raise InputError(f"smoothing is {smoothing}; it has to be at least 0 and below 1")
    records = chosen(training_records(runs))
    weighted = {name: tables for name, tables in records.items() if _moves(tables, "weight_auxiliary")}
    with style():
        panels = 2 if weighted else 1
        figure = Figure(figsize=(COLUMN, 2.15 * panels), layout="constrained")
        axes = figure.subplots(panels, 1, squeeze=False, sharex=True)[:, 0]
        _draw_streams(axes[0], records, "loss", smoothing)
        axes[0].set_ylabel("Loss")
        if weighted:
            _draw_streams(axes[1], weighted, "weight", smoothing)
            axes[1].set_ylabel("Average sample weight")
            axes[0].set_title("(a) Losses of both tasks", loc="left")
            axes[1].set_title("(b) Weights of both tasks", loc="left")
        axes[-1].set_xlabel("Iteration")
        return save(figure, out)


def chosen(records: Records) -> dict[str, list[pd.DataFrame]]:
    """The methods to show, in the order given: all of a few, else the paper's first."""
    names = list(records)
    if len(names) > MOST:
        ranked = sorted(names, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))
        names = [name for name in names if name in ranked[:MOST]]
    return {name: list(records[name]) for name in names}


def training_records(runs: Sequence[Path]) -> dict[str, list[pd.DataFrame]]:
    """The training lines of each run, indexed by step, by method in the order of first appearance."""
    if not runs:
        raise InputError("there is nothing to draw: name at least one run folder")
    records: dict[str, list[pd.DataFrame]] = {}
    for run in map(Path, runs):
        table = read_metrics(run)
        table = table[table["event"] == "train"].set_index("step")
        if not _has([table], "loss_primary"):
            raise InputError(f"{run} has logged no training loss: it ended before its first logged step")
        records.setdefault(read_run_name(run).method, []).append(table)
    return records


def _has(tables: Sequence[pd.DataFrame], column: str) -> bool:
    return any(column in table and bool(table[column].notna().any()) for table in tables)


def _moves(tables: Sequence[pd.DataFrame], column: str) -> bool:
    """Whether a weight is learned; a fixed one, as MTL logs, is not worth a line."""
    return any(column in table and table[column].nunique() > 1 for table in tables)


def _draw_streams(axis: Axes, records: Records, kind: str, smoothing: float) -> None:
    """Draws `loss_...` or `weight_...` of both streams for each method: colour is the task, dashes the method."""
    highest = last = 0.0
    # The last method named, the one a study is about, gets the solid line.
    styles = dict(zip(reversed(list(records)), LINE_STYLES * len(records), strict=False))
    for stream, title in STREAM_TITLES.items():
        for method, tables in records.items():
            name = f"{kind}_{stream}"
            series = [table[name].dropna() for table in tables if _has([table], name)]
            if not series:
                continue
            smooth = [moving_average(values, smoothing) for values in series]
            for faint in smooth if len(smooth) > 1 else series:
                axis.plot(faint.index, faint, color=STREAM_COLOURS[stream], linewidth=0.5, alpha=0.25)
            mean = pd.concat(smooth, axis=1, join="inner").mean(axis=1)
            highest = max(highest, *(float(values.quantile(0.995)) for values in series), float(mean.max()))
            label = f"{title}, {method_title(method)}"
            last = max(last, float(mean.index.max()))
            axis.plot(mean.index, mean, color=STREAM_COLOURS[stream], linestyle=styles[method], label=label)
    axis.set_ylim(0, highest * 1.04)
    axis.set_xlim(0, last * 1.01)
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.yaxis.set_major_locator(MaxNLocator(5))
    axis.xaxis.set_major_formatter(FuncFormatter(_thousands))
    axis.legend(ncols=2, columnspacing=1.0, labelspacing=0.3)


def moving_average(values: pd.Series, smoothing: float) -> pd.Series:
    """The two-sided exponential moving average of values in order, at each of them."""
    forward = values.ewm(alpha=1 - smoothing).mean()
    backward = values[::-1].ewm(alpha=1 - smoothing).mean()[::-1]
    # Each side counts by how many values it reaches, or the last, noisy value alone would be half of the end point.
    reach = 1 - smoothing ** np.arange(1, len(values) + 1)
    return (reach * forward + reach[::-1] * backward) / (reach + reach[::-1])


def _thousands(value: float, _: object = None) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"
