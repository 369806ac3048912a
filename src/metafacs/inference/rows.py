"""What is noted of every face: the columns of unfinished work, and the table that users get from them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from metafacs.faces import Face
from metafacs.faces.finders import NO_FACE
from metafacs.faces.video import Frame

BOX = ("left", "top", "right", "bottom")
EYES = ("right_eye_x", "right_eye_y", "left_eye_x", "left_eye_y")
"""Centres of the person's eyes, by which the face was aligned."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7A5195", "#8C6D00")
"""Of the people, by their number: told apart also by those who see few colours (after Okabe and Ito)."""
DASHES: tuple[tuple[int, ...], ...] = ((), (9, 4), (3, 3), (12, 3, 3, 3))
"""Of the people's lines over time, so that they are told apart without colours too; () is a whole line."""
COORDINATES = 136
"""Numbers of 68 landmarks: x and y of the first, of the second, and so on."""


def face_name(number: int) -> str:
    """What a person is called wherever people read it.

    Example:
        >>> face_name(1)
        'Face 1'
    """
    return f"Face {int(number)}"


def face_colour(number: int) -> str:
    """A person's colour on the page, in drawn copies and in timelines.

    Example:
        >>> face_colour(1)
        '#0072B2'
    """
    return COLOURS[(int(number) - 1) % len(COLOURS)]


def logit_column(au: str) -> str:
    """The column of unfinished work that holds an AU's logit.

    Example:
        >>> logit_column("AU01")
        'AU01_logit'
    """
    return f"{au}_logit"


def present_column(au: str) -> str:
    """The column that says whether an AU is present.

    Example:
        >>> present_column("AU01")
        'AU01_present'
    """
    return f"{au}_present"


def raw_schema(aus: Sequence[str]) -> pa.Schema:
    """Columns of unfinished work: one row per face, and one for each frame without a face."""
    fields = [("source", pa.int32()), ("input", pa.string()), ("frame", pa.int32()), ("timestamp", pa.float64())]
    fields += [("face", pa.int32()), ("success", pa.int8())]
    fields += [(name, pa.float64()) for name in (*BOX, "score", *EYES)] + [("turned", pa.int16())]
    fields += [(logit_column(au), pa.float32()) for au in aus]
    fields += [("points", pa.list_(pa.float32())), ("problem", pa.string())]
    return pa.schema(fields)


def empty_row(source: int, name: str, frame: Frame, problem: str = NO_FACE) -> dict[str, Any]:
    """The row of a frame without a face; `problem` is why, where the frame itself is not at fault."""
    where = {
        "source": source,
        "input": name,
        "frame": frame.number,
        "timestamp": None if frame.time is None else round(frame.time, 6),
    }
    return {**where, "face": None, "success": 0, "problem": frame.problem or problem}


def face_row(source: int, name: str, frame: Frame, number: int, face: Face, turned: int = 0) -> dict[str, Any]:
    """The row of a face, still without its logits."""
    points = face.points.ravel().tolist() if face.points.size == COORDINATES else None
    row = {"face": number, "success": 1, "score": face.score, "turned": turned, "points": points}
    eyes = face.eyes.ravel().tolist() if face.eyes.any() else [None] * 4  # whole pictures have none
    places = zip((*BOX, *EYES), (*face.box, *eyes), strict=True)
    return {**empty_row(source, name, frame, ""), **row, **dict(places)}


def raw_table(rows: Sequence[Mapping[str, Any]], logits: NDArray[np.float32], aus: Sequence[str]) -> pa.Table:
    """Rows as a table in the columns of `raw_schema`.

    Args:
        rows: of `empty_row` and `face_row`.
        logits: (number of rows with a face, A), in their order.
        aus: the A AU columns.
    """
    faces = np.array([row["success"] == 1 for row in rows], bool)
    spread = np.full((len(rows), len(aus)), np.nan, np.float32)
    spread[faces] = logits
    schema = raw_schema(aus)
    columns: dict[str, Any] = {field.name: [row.get(field.name) for row in rows] for field in schema}
    columns |= {logit_column(au): spread[:, k] for k, au in enumerate(aus)}
    arrays = [pa.array(columns[field.name], field.type, from_pandas=True) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def tidy(raw: pa.Table, aus: Sequence[str], thresholds: Sequence[float]) -> pd.DataFrame:
    """The table that users get: one row per face of a frame, and one for each frame without a face.

    Args:
        raw: columns of `raw_schema`.
        aus: AU columns.
        thresholds: probability from which each is called present.

    Returns:
        `input`, `frame` (from 0), `timestamp` (seconds; empty for pictures), `face` (number of the person in this
        input, from 1, empty where there is none), `success` (1, or 0 where no face was found), `left`, `top`, `right`,
        `bottom` (box in pixels), `score` of the face finder, `turned` (by how many degrees a photograph had to be
        turned clockwise to be upright: 0, 90, 180 or 270), `right_eye_x`, `right_eye_y`, `left_eye_x`, `left_eye_y`
        (centres of the person's eyes in pixels; empty where whole pictures are taken for faces), `AU01`...
        (probabilities, float32 in [0, 1]), `AU01_present`... (1 or 0), `problem` (why there is no face; empty else).
    """
    kinds = {pa.int32(): pd.Int32Dtype(), pa.int16(): pd.Int16Dtype(), pa.int8(): pd.Int8Dtype()}
    table = raw.drop_columns(["source", "points"]).to_pandas(types_mapper=kinds.get)
    faces = table["success"].to_numpy(dtype=bool)
    columns: dict[str, Any] = {name: table[name] for name in ("input", "frame", "timestamp", "face", "success")}
    columns |= {name: table[name] for name in (*BOX, "score", "turned", *EYES)}
    columns |= {au: sigmoid(table[logit_column(au)].to_numpy()) for au in aus}
    for au, threshold in zip(aus, thresholds, strict=True):
        values = (columns[au] >= np.float32(threshold)).astype(np.int8)
        columns[present_column(au)] = pd.arrays.IntegerArray(values, ~faces)
    return pd.DataFrame({**columns, "problem": table["problem"]})


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of logits, float32.

    Example:
        >>> sigmoid(np.array([0.0], np.float32)).tolist()
        [0.5]
    """
    return (0.5 * (1 + np.tanh(0.5 * logits.astype(np.float64)))).astype(np.float32)
