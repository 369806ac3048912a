"""A study in one HTML file: tables, paired differences, costs, figures, settings, and what to be careful about."""

import math
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from metafacs import __version__
from metafacs.analysis import html
from metafacs.analysis.cautions import PER_RUN, cautions, environment_of, settings_of
from metafacs.analysis.figures import LEFT_OUT, Gallery
from metafacs.analysis.records import read_run_name
from metafacs.evaluation.comparison import AVERAGE, Comparison, method_title
from metafacs.evaluation.costs import costs
from metafacs.evaluation.predictions import PREDICTIONS_FILE
from metafacs.evaluation.tables import tables
from metafacs.runs import DONE

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
    doubts = [*notes, *(note for note in gallery.notes if not note.startswith(LEFT_OUT))]
    sections = [("Read this first", _cautions(runs, comparison, doubts))]
    if comparison is not None:
        found = tables(comparison, paper, spread=len(comparison.methods) < 4)
        sections.append(("Scores", "\n".join(map(html.table, found))))
    if cost := _costs(runs):
        sections.append(("Cost", cost))
    drawn = "\n".join(html.figure(one.title, one.caption, one.files[0]) for one in gallery.figures)
    left_out = html.paragraphs([note for note in gallery.notes if note not in doubts], "notes")
    sections.append(("Figures", f'<div class="figures">{drawn}</div>\n{left_out}'))
    sections.append(("Settings", _settings(runs)))
    sections.append(("Environment", _environment(runs)))
    return html.page(_title(comparison), sections, _lead(runs, comparison))


def _title(comparison: Comparison | None) -> str:
    return (
        f"Detection of facial Action Units on {comparison.dataset}" if comparison else "Training runs of AU detectors"
    )


def _lead(runs: Sequence[Path], comparison: Comparison | None) -> str:
    names = list(dict.fromkeys(method_title(read_run_name(run).method) for run in runs))
    lines = [f"{len(runs)} runs of {', '.join(names)}."]
    if comparison is not None:
        counts = comparison.counts()["seeds"]
        seeds = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
        folds = f"fold{'s' * int(len(comparison.folds) > 1)} {', '.join(comparison.folds)}"
        lines.append(
            f"{len(comparison.aus)} AUs; test {folds}, "
            f"whose people no training saw; {seeds} seed{'s' * int(counts.max() > 1)}."
        )
        lines += _found(comparison)
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def _found(comparison: Comparison) -> list[str]:
    """The highest score, and each difference to the reference that is told from zero."""
    means = comparison.means()[AVERAGE]
    best = str(means.idxmax())
    lines = [f"Highest average F1 × 100: {method_title(best)} with {100 * means[best]:.1f}."]
    differences = comparison.differences()
    if differences.empty:
        return lines
    reference = method_title(comparison.reference)
    said = []
    for name, row in differences.xs(AVERAGE, level="au").iterrows():
        if row["low"] > 0 or row["high"] < 0:
            mean, low, high = (f"{100 * row[part]:+.1f}".replace("-", "−") for part in ("mean", "low", "high"))
            said.append(f"{method_title(str(name))} {mean} ({low} to {high})")
    lines.append(f"Told from {reference} at 95 %: {', '.join(said) or 'no method'}.")
    return lines


def _cautions(runs: Sequence[Path], comparison: Comparison | None, notes: Sequence[str]) -> str:
    found = [*(f"{note[:1].upper()}{note[1:]}." for note in notes), *cautions(runs, comparison)]
    return html.paragraphs(found, "warning") if found else "<p>Nothing out of the ordinary was found.</p>"


def _costs(runs: Sequence[Path]) -> str:
    done = [run for run in runs if (run / DONE).exists() and (run / PREDICTIONS_FILE).exists()]
    table = costs(done, COST_REFERENCE) if done else pd.DataFrame()
    if table.empty:
        return ""
    rows = [
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
    header = ["Method", "ms a step", "processor ms a step", "time / MTL", "MiB", "memory / MTL"]
    note = (
        "Medians over the logged steps. Time relative to MTL is processor time; memory is what training added to the "
        "peak of the process. Runs side by side on one machine slow each other down: for exact costs run them alone."
    )
    return html.plain_table(header, rows) + html.paragraphs([note], "notes")


def _settings(runs: Sequence[Path]) -> str:
    return _by_run(runs, settings_of, "Every run has these settings.", left_out=PER_RUN)


def _environment(runs: Sequence[Path]) -> str:
    written = f"Report written by metafacs {__version__}."
    return _by_run(runs, environment_of, "Every run was made in this environment.") + html.paragraphs(
        [written], "notes"
    )


def _by_run(
    runs: Sequence[Path], read: Callable[[Path], dict[str, Any]], said: str, left_out: Sequence[str] = ()
) -> str:
    """What all runs have in common, and what differs, by method."""
    found = [read(run) for run in runs]
    names = [name for name in dict.fromkeys(key for own in found for key in own) if name not in left_out]
    methods = [method_title(read_run_name(run).method) for run in runs]
    shared, different = [], []
    for name in names:
        values = dict.fromkeys(str(own.get(name, "–")) for own in found)
        if len(values) == 1:
            shared.append([name, *values])
            continue
        for value in (value for value in values if value != "–"):
            have = [method for method, own in zip(methods, found, strict=True) if str(own.get(name, "–")) == value]
            different.append([name, value, ", ".join(dict.fromkeys(have))])
    parts = [f'<p class="soft">{escape(said)}</p>', html.plain_table(["Setting", "Value"], shared, "text")]
    if different:
        parts += ["<h3>Where runs differ</h3>", html.plain_table(["Setting", "Value", "Runs of"], different, "text")]
    return "\n".join(parts)


def _number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"
