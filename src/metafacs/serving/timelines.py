"""What was found in a video, as HTML for the page: some of its frames, and each AU over time."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metafacs.facs import ACTION_UNITS, au_code, au_title
from metafacs.inference.rows import present_column
from metafacs.serving.results import Picture, colour, download, framed, notice

PEOPLE = 4
"""So many people have lines, those seen in most frames."""
BINS = 500
"""Longer videos are drawn as so many stretches, each as its largest value, so that no short action is lost."""
WIDE, HIGH = 1000.0, 36.0
DASHES = ("", "9 4", "3 3", "12 3 3 3")
"""Of the lines, so that people are told apart without colours too."""
STRIP = 6
STRIP_WIDTH = 360
TICKS = 6


def strip_frames(table: pd.DataFrame) -> list[int]:
    """Frames that are worth showing: spread over the video, with a face where there is one nearby."""
    frames = table["frame"].unique().astype(int)
    seen = table.loc[table["success"] == 1, "frame"].unique().astype(int)
    wanted = frames[np.linspace(0, len(frames) - 1, min(STRIP, len(frames))).round().astype(int)]
    return sorted({int(seen[np.abs(seen - one).argmin()]) if len(seen) else int(one) for one in wanted})


def video_result(
    table: pd.DataFrame, pictures: Mapping[int, Picture], aus: Sequence[str], thresholds: Sequence[float]
) -> str:
    """HTML of one video's answer.

    Args:
        table: its rows, in the columns of `metafacs.inference.rows.tidy`.
        pictures: frames of `strip_frames`, by number.
        aus: AU columns.
        thresholds: of each AU.
    """
    seen = table[table["success"] == 1]
    strip = _strip(table, pictures)
    if seen.empty:
        said = "Not one frame shows a face that can be read. Film from the front, in good light, and near enough."
        return f'<section class="mf-result">{notice("No face was found", said, "none")}{strip}</section>'
    counts = seen["face"].value_counts()
    people = sorted(int(one) for one in counts.index[:PEOPLE])
    seconds = float(table["timestamp"].max())
    rows = "".join(_row(table, au, threshold, people, seconds) for au, threshold in zip(aus, thresholds, strict=True))
    name = escape(str(table["input"].iloc[0]))
    return (
        f'<section class="mf-result"><header><h2>{_told(table, len(counts))}</h2><p>{name}</p>'
        f"{download(table)}</header>{strip}{_legend(people, len(counts))}"
        f'<div class="mf-timeline">{rows}{_axis(seconds)}</div>'
        '<p class="mf-small">Each strip goes from probability 0 to 1; the dotted line is the threshold. '
        f"The number on the right says in how many of the {_counted(len(counts))} the AU is present.</p></section>"
    )


def _told(table: pd.DataFrame, people: int) -> str:
    frames = table["frame"].nunique()
    share = table.loc[table["success"] == 1, "frame"].nunique() / frames
    who = "1 person" if people == 1 else f"{people} people"
    where = "every frame" if share == 1 else f"{100 * share:.0f} % of the frames"
    return f"{float(table['timestamp'].max()):.1f} s, {frames:,} frames, {who}; a face in {where}"


def _counted(people: int) -> str:
    """What shares are shares of: of several people, each is counted in each frame."""
    return "frames with a face" if people == 1 else "faces, each person in each frame counted,"


def _strip(table: pd.DataFrame, pictures: Mapping[int, Picture]) -> str:
    cells = []
    for number, picture in pictures.items():
        rows = table[table["frame"] == number]
        time = rows["timestamp"].iloc[0]
        faces = rows[rows["success"] == 1].to_dict("records")
        cells.append(
            f"<figure>{framed(picture, faces, STRIP_WIDTH)}<figcaption>{float(time):.1f} s</figcaption></figure>"
        )
    return f'<div class="mf-strip">{"".join(cells)}</div>'


def _legend(people: Sequence[int], count: int) -> str:
    if count == 1:
        return ""
    keys = "".join(
        f'<span style="--c:{colour(one)}"><svg viewBox="0 0 30 6" aria-hidden="true"><path d="M0 3H30" '
        f'stroke-dasharray="{DASHES[k]}"/></svg>Person {one + 1}</span>'
        for k, one in enumerate(people)
    )
    more = f"<span>and {count - len(people)} more in the table</span>" if count > len(people) else ""
    return f'<div class="mf-legend">{keys}{more}</div>'


def _row(table: pd.DataFrame, au: str, threshold: float, people: Sequence[int], seconds: float) -> str:
    unit = ACTION_UNITS[au_code(au)]
    seen = table[table["success"] == 1]
    share = 100 * float((seen[present_column(au)] == 1).mean())
    level = HIGH * (1 - threshold)
    lines = "".join(
        _line(*_course(table, au, one), seconds, colour(one), DASHES[k], len(people) == 1)
        for k, one in enumerate(people)
    )
    return (
        f'<div class="mf-row"><div class="mf-au" title="{escape(unit.description)}"><b>{escape(au_title(au))}</b> '
        f"<span>{escape(unit.name)}</span></div>"
        f'<svg viewBox="0 0 {WIDE:g} {HIGH:g}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(unit.name)} over time, present in {share:.0f} % of the faces">'
        f'<path class="mf-threshold" d="M0 {level:.1f}H{WIDE:g}"/>{lines}</svg>'
        f'<div class="mf-value">{share:.0f} %</div></div>'
    )


def _course(table: pd.DataFrame, au: str, person: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(T,) times and probabilities of a person over all frames, NaN where they are not seen."""
    times = table.groupby("frame")["timestamp"].first()
    own = table[table["face"] == person].drop_duplicates("frame").set_index("frame")[au]
    values = own.reindex(times.index).to_numpy(np.float64, na_value=np.nan)
    at = times.to_numpy(np.float64)
    if len(at) <= BINS:
        return at, values
    starts = np.unique(np.linspace(0, len(at), BINS, endpoint=False).astype(int))
    return at[starts], np.fmax.reduceat(values, starts)


def _line(
    times: NDArray[np.float64], values: NDArray[np.float64], seconds: float, shade: str, dash: str, filled: bool
) -> str:
    """One path, broken where the person is not seen."""
    x = times / max(seconds, 1e-9) * WIDE
    y = (1 - values) * (HIGH - 2) + 1
    there = np.flatnonzero(~np.isnan(values))
    drawn = []
    for stretch in np.split(there, np.flatnonzero(np.diff(there) > 1) + 1) if len(there) else []:
        points = "L".join(f"{x[k]:.1f} {y[k]:.1f}" for k in stretch)
        alone = f"L{x[stretch[0]] + 1:.1f} {y[stretch[0]]:.1f}" if len(stretch) == 1 else ""
        if filled:
            first, last = x[stretch[0]], x[stretch[-1]]
            drawn.append(f'<path class="mf-area" d="M{first:.1f} {HIGH:g}L{points}L{last:.1f} {HIGH:g}Z"/>')
        drawn.append(f'<path class="mf-line" stroke-dasharray="{dash}" d="M{points}{alone}"/>')
    return f'<g style="--c:{shade}">{"".join(drawn)}</g>'


def _axis(seconds: float) -> str:
    """Times below the strips, at round numbers."""
    step = next((one for one in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60) if seconds / one <= TICKS), 120)
    ticks = np.arange(0, 1.01 * seconds + 1e-6, step)
    places = np.minimum(100.0, 100 * ticks / max(seconds, 1e-9))
    names = [f"{at:g}" for at in ticks.round(3)]
    names[-1] += " s"
    marks = "".join(f'<span style="left:{at:.2f}%">{name}</span>' for at, name in zip(places, names, strict=True))
    return f'<div class="mf-row mf-axis"><div></div><div class="mf-ticks">{marks}</div><div></div></div>'
