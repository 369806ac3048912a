"""A study in one HTML file: tables, paired differences, costs, figures, settings, and what to be careful about."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from metafacs import __version__
from metafacs.analysis.cautions import PER_RUN, cautions, environment_of, settings_of
from metafacs.analysis.figures import LEFT_OUT, Gallery
from metafacs.analysis.records import read_run_name, read_sample_weights
from metafacs.evaluation.comparison import AVERAGE, Comparison, method_title
from metafacs.evaluation.costs import costs
from metafacs.evaluation.predictions import PREDICTIONS_FILE
from metafacs.evaluation.tables import Table, tables
from metafacs.pages import data_url, render
from metafacs.runs import DONE, SAMPLE_WEIGHTS
from metafacs.training.weight_table import by_dataset

COST_REFERENCE = "mtl"


def report(
    runs: Sequence[Path],
    comparison: Comparison | None,
    gallery: Gallery,
    notes: Sequence[str] = (),
    paper: str | None = None,
) -> str:
    """The report, a whole HTML document that needs no other file.

    Args:
        runs: run folders.
        comparison: of those with predictions, or None.
        gallery: the figures.
        notes: what else to say among the cautions, such as which runs are not done.
        paper: "bp4d", "disfa" or "gft": add the paper's own table.
    """
    left_out = [note for note in gallery.notes if note.startswith(LEFT_OUT)]
    doubts = [*notes, *(note for note in gallery.notes if note not in left_out)]
    return render(
        "report.html",
        title=(
            f"Detection of facial Action Units on {comparison.dataset}"
            if comparison
            else "Training runs of AU detectors"
        ),
        lead=_lead(runs, comparison),
        cautions=[*(f"{note[:1].upper()}{note[1:]}." for note in doubts), *cautions(runs, comparison)],
        tables=[_upright(one) for one in tables(comparison, paper, spread=len(comparison.methods) < 4)]
        if comparison
        else [],
        costs=_costs(runs),
        figures=[
            {
                "title": one.title,
                "caption": f"{one.finding} {one.caption}",
                "picture": data_url(one.files[0].read_bytes(), "png"),
            }
            for one in gallery.figures
        ],
        weights=_weights(runs),
        left_out=left_out,
        settings=_by_run(runs, settings_of, left_out=PER_RUN),
        environment=_by_run(runs, environment_of),
        version=__version__,
    )


def _upright(table: Table) -> Table:
    """The table with a column for each method where there are more AUs than methods, so that it fits a screen."""
    if len(table.rows) >= len(table.header):
        return table
    grid = [list(column) for column in zip(table.header, *table.rows, strict=True)]
    marks = {(column - 1, row + 1): mark for (row, column), mark in table.marks.items()}
    return replace(
        table, header=["", *grid[0][1:]], rows=grid[1:], marks=marks, rule_before=(table.header.index("Avg.") - 1,)
    )


def _lead(runs: Sequence[Path], comparison: Comparison | None) -> list[str]:
    names = list(dict.fromkeys(method_title(read_run_name(run).method) for run in runs))
    lines = [f"{len(runs)} runs of {', '.join(names)}."]
    if comparison is not None:
        counts = comparison.counts()["seeds"]
        seeds = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
        folds = f"fold{'s' * int(len(comparison.folds) > 1)} {', '.join(comparison.folds)}"
        who = "whose people no training saw" if comparison.subject_exclusive else "NOT SUBJECT-EXCLUSIVE"
        lines.append(f"{len(comparison.aus)} AUs; test {folds}, {who}; {seeds} seed{'s' * int(counts.max() > 1)}.")
        lines += _conclusions(comparison)
    return lines


def _conclusions(comparison: Comparison) -> list[str]:
    """The highest score beside the floor, and each difference to the reference that is more than chance."""
    means, floor = 100 * comparison.means()[AVERAGE], 100 * float(comparison.floor()[AVERAGE])
    best = str(means.idxmax())
    highest = f"{method_title(best)} with {means[best]:.1f}"
    lines = [f"Highest average F1 × 100: {highest}; a predictor that finds every AU in every image has {floor:.1f}."]
    if means[best] < floor:
        lines = [
            f"No method reaches the average F1 × 100 of a predictor that finds every AU in every image, {floor:.1f}. "
            f"Nearest is {highest}."
        ]
    differences = comparison.differences()
    if differences.empty:
        return lines
    averages, reference = differences.xs(AVERAGE, level="au"), method_title(comparison.reference)
    clear = []
    for name, row in averages.iterrows():
        if row["low"] > 0 or row["high"] < 0:
            mean, low, high = (f"{100 * row[part]:+.1f}".replace("-", "−") for part in ("mean", "low", "high"))
            clear.append(f"{method_title(str(name))} {mean} ({low} to {high})")
    if clear:
        return [*lines, f"Different from {reference} in average F1, with 95 % intervals: {', '.join(clear)}."]
    if averages["low"].isna().all():
        return [*lines, f"No method has two pairs of runs with {reference}: any difference to it may be chance."]
    return [*lines, f"Every difference to {reference} in average F1 may be chance: all 95 % intervals include zero."]


def _costs(runs: Sequence[Path]) -> list[list[str]]:
    """Per method: its title, and the six columns of the table of costs."""
    done = [run for run in runs if (run / DONE).exists() and (run / PREDICTIONS_FILE).exists()]
    table = costs(done, COST_REFERENCE) if done else pd.DataFrame()
    return [
        [
            method_title(str(name)),
            _number(1000 * row["seconds_per_step"], 1),
            _number(1000 * row["processor_seconds_per_step"], 1),
            _number(row["time_ratio"], 2),
            _number(row["training_memory_mib"], 0),
            _number(row["memory_ratio"], 2),
        ]
        for name, row in table.iterrows()
    ]


def _weights(runs: Sequence[Path]) -> dict[str, list[Any]]:
    """Mean weight of expression images by method, dataset and expression, where there are several datasets."""
    tables: dict[str, list[pd.DataFrame]] = {}
    for run in runs:
        table = read_sample_weights(run) if (run / SAMPLE_WEIGHTS).exists() else pd.DataFrame()
        if {"dataset", "expression"} <= {*table.columns} and len(means := by_dataset(table)) > 1:
            tables.setdefault(method_title(read_run_name(run).method), []).append(means)
    if not tables:
        return {}
    both = pd.concat({method: pd.concat(means).groupby(level=0).mean() for method, means in tables.items()})
    rows = [[*names, *(_number(value, 3) for value in row)] for names, row in zip(both.index, both.values, strict=True)]
    return {"header": ["Method", "Dataset", *both.columns], "rows": rows}


def _by_run(
    runs: Sequence[Path], read: Callable[[Path], dict[str, Any]], left_out: Sequence[str] = ()
) -> dict[str, list[list[str]]]:
    """What all runs share (name, value), and what is different (name, value, methods)."""
    each = [read(run) for run in runs]
    names = [name for name in dict.fromkeys(key for settings in each for key in settings) if name not in left_out]
    methods = [method_title(read_run_name(run).method) for run in runs]
    shared, different = [], []
    for name in names:
        values = [str(settings.get(name, "–")) for settings in each]
        if len(set(values)) == 1:
            shared.append([name, values[0]])
            continue
        for value in dict.fromkeys(value for value in values if value != "–"):
            have = dict.fromkeys(method for method, own in zip(methods, values, strict=True) if own == value)
            different.append([name, value, ", ".join(have)])
    return {"shared": shared, "different": different}


def _number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"
