"""The figures of a study, as PNG for the screen and PDF for the page, from the tables that runs leave behind."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from metafacs.analysis.records import read_metrics, read_run_name, read_sample_weights
from metafacs.errors import InputError
from metafacs.evaluation.comparison import AVERAGE, Comparison, method_title
from metafacs.facs import au_title
from metafacs.files import atomic_file

PANEL = 3.5
"""Width of a panel in inches: one column of a two-column page."""
STREAM_TITLES = {"primary": "AU", "auxiliary": "FE"}
# Okabe and Ito's palette: told apart under the common colour blindnesses.
STREAM_COLOURS = {"primary": "#0072B2", "auxiliary": "#D55E00"}
METHOD_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
METHOD_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINE_STYLES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (4, 1.2, 1, 1.2)))
GREY = "#6E6E6E"
STYLE: Any = {
    "font.size": 8,
    "axes.labelsize": 8.5,
    "axes.titlesize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "figure.constrained_layout.w_pad": 0.08,
    "pdf.fonttype": 42,
}


def training_curves(runs: Sequence[Path], out: Path, *, smoothing: float = 0.9) -> list[Path]:
    """Draws the paper's Fig. 3: the losses of both tasks and the average weights of their samples over training.

    Left, the AU and the FE loss of every method; right, the average weight of AU and FE samples of the methods that
    learn weights (left out where none does). One run of a method: its values, faint, and their moving average. Several
    runs: the moving average of each, faint, and the mean of those over the steps that all of them have. The moving
    average is exponential and taken from both ends, so that it does not lag behind a falling loss.

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
    records = _training_records(runs)
    weighted = {name: tables for name, tables in records.items() if _has(tables, "weight_primary")}
    with _style():
        panels = 2 if weighted else 1
        figure = Figure(figsize=(PANEL * panels, 2.55), layout="constrained")
        axes = figure.subplots(1, panels, squeeze=False)[0]
        _draw_streams(axes[0], records, "loss", smoothing)
        axes[0].set_ylabel("Loss")
        if weighted:
            _draw_streams(axes[1], weighted, "weight", smoothing)
            axes[1].set_ylabel("Average sample weight")
            axes[0].set_title("(a) Losses of both tasks", loc="left")
            axes[1].set_title("(b) Weights of both tasks", loc="left")
        return _save(figure, out)


def per_au_figure(comparison: Comparison, out: Path) -> list[Path]:
    """Draws each method's F1 per AU with its standard deviation over seeds, and the floor that anyone reaches.

    Args:
        comparison: what `compare` returned.
        out: where to write, with or without the ending; `.png` and `.pdf` are written.

    Returns:
        The files written.
    """
    columns = [*comparison.aus, AVERAGE]
    positions = np.arange(len(columns)) + np.array([0.0] * len(comparison.aus) + [0.4])
    means, deviations = comparison.means()[columns] * 100, comparison.deviations()[columns].fillna(0) * 100
    offsets = np.linspace(-0.27, 0.27, len(comparison.methods)) if len(comparison.methods) > 1 else np.zeros(1)
    with _style():
        figure = Figure(figsize=(min(2 * PANEL, 1.4 + 0.45 * len(columns)), 2.7), layout="constrained")
        axis = figure.subplots()
        floor = comparison.floor()[columns].to_numpy() * 100
        axis.hlines(floor, positions - 0.4, positions + 0.4, color=GREY, linewidth=1.2, label="all present (floor)")
        for k, method in enumerate(comparison.methods):
            axis.errorbar(
                positions + offsets[k],
                means.loc[method].to_numpy(),
                deviations.loc[method].to_numpy(),
                fmt=METHOD_MARKERS[k % len(METHOD_MARKERS)],
                color=METHOD_COLOURS[k % len(METHOD_COLOURS)],
                markersize=4,
                elinewidth=1,
                label=method_title(method),
            )
        axis.axvline(len(comparison.aus) - 0.3, color="#BBBBBB", linewidth=0.7)
        axis.set_xticks(positions, [*map(au_title, comparison.aus), "Avg."])
        axis.set_xlim(-0.6, positions[-1] + 0.6)
        axis.grid(visible=False, axis="x")
        axis.set_ylabel("F1 × 100 (± sd over seeds)" if deviations.to_numpy().any() else "F1 × 100")
        lowest = min(float(np.nanmin(floor)), float(np.nanmin(means.to_numpy() - deviations.to_numpy())))
        axis.set_ylim(bottom=max(0, np.floor(lowest / 10 - 0.5) * 10))
        figure.legend(loc="outside upper center", ncols=len(comparison.methods) + 1)
        return _save(figure, out)


def weights_by_cause(runs: Sequence[Path], out: Path) -> list[Path]:
    """Draws which expression images a meta network trusts: weights by cause of ambiguity, and against consistency.

    Left, the weights of the FE images by what makes their expression ambiguous: distribution, quartiles (bar) and
    median (dot). Right, against the share of annotators who chose the final expression: each image, and the mean of
    each tenth of that share with its 95 % interval. A panel whose column is empty is left out. The images of all runs
    are taken together.

    Args:
        runs: run folders of a method that learns weights.
        out: where to write, with or without the ending; `.png` and `.pdf` are written.

    Returns:
        The files written.

    Raises:
        InputError: no run has FE weights, or neither cause nor consistency is known.
    """
    if not runs:
        raise InputError("there is nothing to draw: name at least one run folder")
    table = pd.concat([read_sample_weights(Path(run)) for run in runs], ignore_index=True)
    table = table[table["stream"] == "auxiliary"]
    known = [name for name in ("cause", "consistency") if table[name].notna().any()]
    if not known:
        raise InputError(
            f"{', '.join(map(str, runs))}: no FE image has both a weight and a cause or a consistency: nothing to draw"
        )
    with _style():
        figure = Figure(figsize=(PANEL * len(known), 2.55), layout="constrained")
        axes = figure.subplots(1, len(known), squeeze=False, sharey=True)[0]
        for axis, name in zip(axes, known, strict=True):
            draw = _draw_causes if name == "cause" else _draw_consistency
            draw(axis, table[table[name].notna()])
        axes[0].set_ylabel("Weight of the FE image")
        return _save(figure, out)


@contextmanager
def _style() -> Iterator[None]:
    """The look of all figures; the settings of whoever calls are back in place afterwards."""
    with matplotlib.rc_context(STYLE):
        yield


def _save(figure: Figure, out: Path) -> list[Path]:
    stem = out.with_suffix("") if out.suffix in (".png", ".pdf") else out
    files = []
    for ending, metadata in ((".png", {}), (".pdf", {"CreationDate": None})):
        path = stem.with_name(stem.name + ending)
        with atomic_file(path) as partial:
            figure.savefig(partial, dpi=300, metadata=metadata, format=ending[1:])
        files.append(path)
    return files


def _training_records(runs: Sequence[Path]) -> dict[str, list[pd.DataFrame]]:
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


def _draw_streams(axis: Axes, records: Mapping[str, list[pd.DataFrame]], kind: str, smoothing: float) -> None:
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
            smooth = [_moving_average(values, smoothing) for values in series]
            for faint in smooth if len(smooth) > 1 else series:
                axis.plot(faint.index, faint, color=STREAM_COLOURS[stream], linewidth=0.6, alpha=0.3)
            mean = pd.concat(smooth, axis=1, join="inner").mean(axis=1)
            highest = max(highest, *(float(values.quantile(0.995)) for values in series), float(mean.max()))
            label = f"{title}, {method_title(method)}"
            last = max(last, float(mean.index.max()))
            axis.plot(mean.index, mean, color=STREAM_COLOURS[stream], linestyle=styles[method], label=label)
    axis.set_ylim(0, highest * 1.04)
    axis.set_xlim(0, last * 1.01)
    axis.set_xlabel("Iteration")
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.yaxis.set_major_locator(MaxNLocator(5))
    axis.xaxis.set_major_formatter(FuncFormatter(_thousands))
    axis.legend(ncols=2, columnspacing=1.2, labelspacing=0.3)


def _moving_average(values: pd.Series, smoothing: float) -> pd.Series:
    forward = values.ewm(alpha=1 - smoothing).mean()
    backward = values[::-1].ewm(alpha=1 - smoothing).mean()[::-1]
    # Each side counts by how many values it has seen, or the last, noisy value alone would be half of the end point.
    seen = 1 - smoothing ** np.arange(1, len(values) + 1)
    return (seen * forward + seen[::-1] * backward) / (seen + seen[::-1])


def _thousands(value: float, _: object = None) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"


def _draw_causes(axis: Axes, table: pd.DataFrame) -> None:
    groups = {str(cause): group["weight"].to_numpy(dtype=np.float64) for cause, group in table.groupby("cause")}
    order = sorted(groups, key=lambda cause: -float(np.median(groups[cause])))
    values = [groups[cause] for cause in order]
    positions = np.arange(len(order))
    wide = [k for k in positions if np.ptp(values[k]) > 0]  # a violin needs some spread
    if wide:
        parts = axis.violinplot([values[k] for k in wide], positions=wide, widths=0.8, showextrema=False)
        bodies: Any = parts["bodies"]
        for body in bodies:
            body.set(facecolor=STREAM_COLOURS["auxiliary"], alpha=0.3, linewidth=0)
    quartiles = np.array([np.percentile(group, (25, 50, 75)) for group in values])
    axis.vlines(positions, quartiles[:, 0], quartiles[:, 2], color=STREAM_COLOURS["auxiliary"], linewidth=3)
    axis.plot(
        positions, quartiles[:, 1], "o", color="white", markeredgecolor="black", markeredgewidth=0.8, markersize=4.5
    )
    axis.set_xticks(positions, [f"{cause}\nn = {len(groups[cause]):,}" for cause in order])
    axis.grid(visible=False, axis="x")
    axis.set_xlabel("Readability of the expression")


def _draw_consistency(axis: Axes, table: pd.DataFrame) -> None:
    x = table["consistency"].to_numpy(dtype=np.float64)
    y = table["weight"].to_numpy(dtype=np.float64)
    jitter = np.random.default_rng(0).uniform(-0.01, 0.01, len(x))
    alpha = float(np.clip(300 / max(len(x), 1), 0.04, 0.5))
    axis.scatter(x + jitter, y, s=5, color=STREAM_COLOURS["auxiliary"], alpha=alpha, linewidths=0, rasterized=True)
    tenth = np.clip(np.floor(x * 10 + 1e-9), 0, 9)
    bins = (
        pd.DataFrame({"x": x, "y": y})
        .groupby(tenth)
        .agg(x=("x", "mean"), mean=("y", "mean"), sd=("y", "std"), n=("y", "size"))
    )
    bins = bins[bins["n"] >= 5]
    error = 1.96 * bins["sd"] / np.sqrt(bins["n"])
    style: Any = {"color": "black", "markersize": 3, "linewidth": 1.2, "capsize": 2}
    axis.errorbar(bins["x"], bins["mean"], error, fmt="-o", label="mean, 95 % interval", **style)
    axis.legend(loc="upper left")
    axis.set_xlabel("Share of annotators who chose the final expression")
