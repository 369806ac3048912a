"""The AUs of a video over time as a picture."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metafacs.facs import ACTION_UNITS, au_code, au_title
from metafacs.files import atomic_file
from metafacs.inference.rows import face_colour, face_name

BINS = 1500
"""Longer videos are drawn as so many stretches, each as its largest value, so that no short action is lost."""
MOST = 6
"""So many people are drawn, those seen in most frames."""


def plot_timeline(path: Path, tables: Iterable[pd.DataFrame], aus: Sequence[str], thresholds: Sequence[float]) -> None:
    """Draws one panel per AU: probability over time, a line per person, and the threshold.

    Args:
        path: the picture to write; its ending says the kind (.png, .pdf, .svg).
        tables: the rows of one input, in the columns of `rows.tidy`; pictures are drawn by their place.
        aus: AU columns.
        thresholds: of each AU.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    people, timed = _people(tables, aus)
    figure = Figure(figsize=(10, 1.0 + 0.7 * len(aus)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(aus), 1, sharex=True, squeeze=False)[:, 0]
    for k, (panel, au, threshold) in enumerate(zip(panels, aus, thresholds, strict=True)):
        for number, (times, values) in people.items():
            panel.plot(*_thinned(times, values[:, k]), lw=0.9, color=face_colour(number), label=face_name(number))
        panel.axhline(threshold, color="0.6", lw=0.6, ls="--")
        panel.set_ylim(-0.03, 1.03)
        panel.set_yticks([0, 1])
        panel.set_ylabel(au_title(au), rotation=0, ha="right", va="center")
        panel.text(1.005, 0.5, ACTION_UNITS[au_code(au)].name, transform=panel.transAxes, va="center", fontsize=7)
        panel.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("seconds" if timed else "picture")
    if len(people) > 1:
        panels[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(people), frameon=False, fontsize=8)
    with atomic_file(path) as partial:
        figure.savefig(partial, dpi=130)


def _people(
    tables: Iterable[pd.DataFrame], aus: Sequence[str]
) -> tuple[dict[int, tuple[NDArray[np.float64], NDArray[np.float32]]], bool]:
    """Times and (n, A) probabilities of the people seen most, gaps as NaN; and whether times are seconds."""
    parts = [table[["input", "frame", "timestamp", "face", *aus]] for table in tables]
    if not parts:
        return {}, True
    rows = pd.concat(parts, ignore_index=True)
    place = rows[["input", "frame"]].ne(rows[["input", "frame"]].shift()).any(axis=1).cumsum() - 1
    timed = bool(rows["timestamp"].notna().all())
    times = np.asarray((rows["timestamp"] if timed else place).groupby(place).first(), np.float64)
    people: dict[int, tuple[NDArray[np.float64], NDArray[np.float32]]] = {}
    for number in sorted(rows["face"].value_counts().index[:MOST]):  # rows without a face do not count
        seen = rows["face"] == number
        values = np.full((len(times), len(aus)), np.nan, np.float32)
        values[place[seen]] = rows.loc[seen, list(aus)].to_numpy(np.float32)
        people[int(number)] = (times, values)
    return people, timed


def _thinned(
    times: NDArray[np.float64], values: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    if len(times) <= BINS:
        return times, values
    starts = np.unique(np.linspace(0, len(times), BINS, endpoint=False).astype(int))
    return times[starts], np.fmax.reduceat(values, starts)
