"""What was found, as HTML for the page: the picture with its faces, bars of AUs, the table to keep."""

import base64
import io
from collections.abc import Hashable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from metafacs.facs import ACTION_UNITS, au_code, au_title
from metafacs.inference.outputs import to_csv
from metafacs.inference.rows import present_column

Picture = NDArray[np.uint8]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7A5195", "#8C6D00")
"""Of the people: told apart also by those who see few colours (after Okabe and Ito)."""
SHOWN_WIDTH = 1200
"""Pixels of the picture that is sent back."""
OPEN = 2
"""So many faces are shown in full; where there are more, all but the first are folded."""


def picture_result(picture: Picture, table: pd.DataFrame, aus: Sequence[str], thresholds: Sequence[float]) -> str:
    """HTML of one picture's answer.

    Args:
        picture: (H, W, 3) uint8, RGB, upright.
        table: its rows, in the columns of `metafacs.inference.rows.tidy`.
        aus: AU columns.
        thresholds: of each AU.
    """
    rows = table[table["success"] == 1].to_dict("records")
    name = str(table["input"].iloc[0])
    stage = f'<div class="mf-stage">{framed(picture, rows, SHOWN_WIDTH)}</div>'
    if not rows:
        said = (
            "Faces are found when both eyes can be seen and the head is not turned far. Try a larger or brighter one."
        )
        return f'<section class="mf-result">{notice("No face was found", said, "none")}{stage}</section>'
    faces = "".join(_face(row, aus, thresholds, k == 0 or len(rows) <= OPEN) for k, row in enumerate(rows))
    told = "1 face" if len(rows) == 1 else f"{len(rows)} faces"
    return (
        f'<section class="mf-result"><header><h2>{told}</h2><p>{escape(name)}</p>{download(table)}</header>'
        f'<div class="mf-photo">{stage}<div class="mf-faces">{faces}</div></div></section>'
    )


def notice(title: str, said: str, kind: str = "error") -> str:
    """A message in the place of a result; kind is "error" or "none"."""
    role = "alert" if kind == "error" else "status"
    return f'<div class="mf-notice mf-{kind}" role="{role}"><h2>{escape(title)}</h2><p>{escape(said)}</p></div>'


def download(table: pd.DataFrame) -> str:
    """A link that holds the table itself, so that the server keeps no file of it."""
    content = base64.b64encode(to_csv(table, header=True).encode()).decode()
    stem = str(table["input"].iloc[0]).rsplit(".", 1)[0] or "photo"
    return (
        f'<a class="mf-button mf-download" download="{escape(stem)}_aus.csv" '
        f'href="data:text/csv;charset=utf-8;base64,{content}">Download table (CSV)</a>'
    )


def framed(picture: Picture, rows: Sequence[Mapping[Hashable, Any]], width: int) -> str:
    """A picture with a numbered box around each face.

    Args:
        picture: (H, W, 3) uint8, RGB.
        rows: of the faces.
        width: pixels that the picture is made smaller to.
    """
    image = Image.fromarray(picture)
    high, wide = picture.shape[:2]
    image.thumbnail((width, width))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=86)
    boxes = "".join(_box(row, wide, high) for row in rows)
    source = base64.b64encode(buffer.getvalue()).decode()
    told = f"{len(rows)} face{'' if len(rows) == 1 else 's'} marked"
    return (
        f'<div class="mf-framed"><img alt="the picture, {told}" src="data:image/jpeg;base64,{source}" '
        f'width="{image.width}" height="{image.height}">{boxes}</div>'
    )


def colour(number: int) -> str:
    """Of a person."""
    return COLOURS[number % len(COLOURS)]


def _box(row: Mapping[Hashable, Any], wide: int, high: int) -> str:
    """In percent of the picture, so that it fits at any size; what sticks out is cut off."""
    left, right = (100 * min(max(float(row[side]) / wide, 0.0), 1.0) for side in ("left", "right"))
    top, bottom = (100 * min(max(float(row[side]) / high, 0.0), 1.0) for side in ("top", "bottom"))
    number = int(row["face"])
    place = f"left:{left:.2f}%;top:{top:.2f}%;width:{right - left:.2f}%;height:{bottom - top:.2f}%"
    return f'<div class="mf-box" style="{place};--c:{colour(number)}"><span>{number + 1}</span></div>'


def _face(row: Mapping[Hashable, Any], aus: Sequence[str], thresholds: Sequence[float], opened: bool) -> str:
    number = int(row["face"])
    bars = "".join(_bar(row, au, threshold) for au, threshold in zip(aus, thresholds, strict=True))
    there = [au_title(au) for au in aus if row[present_column(au)] == 1]
    told = escape(", ".join(there)) if there else "no AU present"
    return (
        f'<details class="mf-face" style="--c:{colour(number)}"{" open" if opened else ""}>'
        f"<summary><span class='mf-number'>{number + 1}</span><b>Face {number + 1}</b><i>{told}</i></summary>"
        f'<ul class="mf-bars">{bars}</ul></details>'
    )


def _bar(row: Mapping[Hashable, Any], au: str, threshold: float) -> str:
    unit, value = ACTION_UNITS[au_code(au)], float(row[au])
    there = row[present_column(au)] == 1
    state = "present" if there else "absent"
    return (
        f'<li class="mf-bar mf-{state}"><div class="mf-au"><b>{escape(au_title(au))}</b> '
        f"<span>{escape(unit.name)}</span><em>{escape(unit.description)}</em></div>"
        f'<div class="mf-track" role="img" aria-label="probability {value:.2f}, {state}">'
        f'<div style="width:{100 * value:.1f}%"></div><s style="left:{100 * threshold:.1f}%"></s></div>'
        f'<div class="mf-value">{value:.2f}</div></li>'
    )
