"""The AUs of a video over time as a picture."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metafacs.facs import ACTION_UNITS, au_code, au_title
from metafacs.files import atomic_file
from metafacs.inference.rows import DASHES, face_colour, face_name

BINS = 1500
"""Longer videos are drawn as so many stretches, each as its largest value, so that no short action is lost."""
MOST = 6
"""So many people are drawn, those seen in most frames."""
LONGEST = 70
"""Letters of a file's name that are shown."""
WIDTH, STRIP, HEAD, FOOT = 10.0, 0.42, 0.85, 0.75
"""Inches: of the picture, and the heights of an AU's strip, of what stands above them and below."""
INK, SOFT, GROUND = "#17212b", "#566472", "#f5f7f9"
NOTE = (
    "Strips go from probability 0 to 1; dotted: the threshold. Right: in how many frames with that face it is present."
)


def plot_timeline(path: Path, tables: Iterable[pd.DataFrame], aus: Sequence[str], thresholds: Sequence[float]) -> None:
    """Draws a strip per AU, as the page does: probability over time, a line per person, threshold, and share present.

    Args:
        path: the picture to write; its ending says the kind (.png, .pdf, .svg).
        tables: the rows of one input, in the columns of `rows.tidy`; pictures are drawn by their place.
        aus: AU columns.
        thresholds: of each AU.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    parts = [table[["input", "frame", "timestamp", "face", *aus]] for table in tables]
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    people, timed = _people(rows, aus)
    height = HEAD + FOOT + STRIP * len(aus)
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(aus), 1, sharex=True, squeeze=False)[:, 0]
    figure.subplots_adjust(left=0.235, right=0.93, top=1 - HEAD / height, bottom=FOOT / height, hspace=0.2)
    for k, (panel, au, threshold) in enumerate(zip(panels, aus, thresholds, strict=True)):
        panel.axhline(threshold, color=SOFT, lw=0.8, ls=":")
        for place, (number, (times, values)) in enumerate(people.items()):
            x, y = _thinned(times, values[:, k])
            style = {"color": face_colour(number), "ls": (0, DASHES[place % len(DASHES)]) if place else "-"}
            panel.plot(x, y, lw=1.1, label=face_name(number), **style)
            if len(people) == 1:
                panel.fill_between(x, y, color=style["color"], alpha=0.16, lw=0)
            share = np.mean(values[:, k][~np.isnan(values[:, k])] >= np.float32(threshold))
            up = 0.5 if len(people) == 1 else 1 - (place + 0.5) / len(people)
            size = 9 if len(people) < 3 else 5
            text = {"transform": panel.transAxes, "va": "center", "fontsize": size, "color": style["color"]}
            panel.text(1.01, up, f"{100 * share:.0f} %", **text)
        panel.set(ylim=(-0.03, 1.03), yticks=[], facecolor=GROUND)
        panel.margins(x=0)
        panel.spines[:].set_visible(False)
        panel.tick_params(length=0, colors=SOFT, labelsize=9)
        label = {"transform": panel.transAxes, "va": "center", "fontsize": 9, "color": INK}
        panel.text(-0.32, 0.5, au_title(au), weight="bold", **label)
        panel.text(-0.245, 0.5, ACTION_UNITS[au_code(au)].name, **label)
    panels[-1].set_xlabel("seconds" if timed else "picture", color=SOFT, fontsize=9)
    title, summary = _heads(rows, timed)
    figure.text(0.0125, 1 - 0.3 / height, title, fontsize=13, weight="bold", color=INK, va="center")
    figure.text(0.0125, 1 - 0.58 / height, summary, fontsize=9, color=SOFT, va="center")
    figure.text(0.0125, 0.16 / height, NOTE, fontsize=8, color=SOFT, va="center")
    if people:
        legend = {"ncols": len(people), "frameon": False, "fontsize": 9, "handlelength": 3.0}
        figure.legend(handles=panels[0].lines[1:], loc="center right", bbox_to_anchor=(1, 1 - 0.58 / height), **legend)
    with atomic_file(path) as partial:
        figure.savefig(partial, dpi=130)


def _heads(rows: pd.DataFrame, timed: bool) -> tuple[str, str]:
    """The title, which is the file's name, and what the page says above its own timeline."""
    if not len(rows):
        return "", "nothing was seen"
    names = rows["input"].unique()
    seen = rows.dropna(subset="face")
    count, frames = seen["face"].nunique(), len(rows[["input", "frame"]].drop_duplicates())
    share = len(seen[["input", "frame"]].drop_duplicates()) / frames
    people = "1 person" if count == 1 else f"{count} people"
    if not timed:
        return f"{len(names)} pictures", f"a face in {100 * share:.0f} % of them; numbers are of each picture"
    name = Path(names[0]).name
    where = "every frame" if share == 1 else f"{100 * share:.0f} % of the frames"
    span = f"{rows['timestamp'].max():.1f} s, {frames:,} frames, {people}; a face in {where}"
    return name if len(name) <= LONGEST else f"...{name[-LONGEST:]}", span


def _people(
    rows: pd.DataFrame, aus: Sequence[str]
) -> tuple[dict[int, tuple[NDArray[np.float64], NDArray[np.float32]]], bool]:
    """Times and (n, A) probabilities of the people seen most, gaps as NaN; and whether times are seconds."""
    if not len(rows):
        return {}, True
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
