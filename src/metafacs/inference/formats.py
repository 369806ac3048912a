"""The table of detections in the columns of other programs, so that scripts written for those go on working."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from metafacs.facs import au_code, au_column
from metafacs.inference.rows import present_column, tidy

OPENFACE_INTENSITIES = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
OPENFACE_PRESENCES = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 28, 45)
OPENFACE_COLUMNS = (
    *("frame", "face_id", "timestamp", "confidence", "success"),
    *(f"gaze_{eye}_{axis}" for eye in (0, 1) for axis in "xyz"),
    *("gaze_angle_x", "gaze_angle_y"),
    *(f"pose_{what}{axis}" for what in "TR" for axis in "xyz"),
    *(f"{axis}_{k}" for axis in "xy" for k in range(68)),
    *(f"{au_column(code)}_r" for code in OPENFACE_INTENSITIES),
    *(f"{au_column(code)}_c" for code in OPENFACE_PRESENCES),
)
"""Columns of OpenFace 2, in its order, without the spaces and without the points of the eyes and the 3-D model."""

PYFEAT_AUS = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 43)
PYFEAT_COLUMNS = (
    *("frame", "FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore"),
    *(f"{axis}_{k}" for axis in "xy" for k in range(68)),
    *(au_column(code) for code in PYFEAT_AUS),
    *("Pitch", "Roll", "Yaw", "X", "Y", "Z"),
    *("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"),
    *("Identity", "input"),
)
"""Columns of Py-Feat's Fex, without the 512 numbers of its identity embedding."""

Shape = Callable[[pa.Table, Sequence[str], Sequence[float]], pd.DataFrame]


def openface(raw: pa.Table, aus: Sequence[str], thresholds: Sequence[float]) -> pd.DataFrame:
    """Columns of OpenFace 2; what is not measured here is empty.

    Frames count from 1. `AU01_c` is presence. `AU01_r`, an intensity from 0 to 5 in OpenFace, is empty, because a
    probability is none; probabilities stand behind OpenFace's columns as `AU01_p`, and so do the input and the
    presence of AUs that OpenFace does not have.

    Args:
        raw: columns of `rows.raw_schema`.
        aus: AU columns.
        thresholds: of each AU.
    """
    table = tidy(raw, aus, thresholds)
    columns = {name: _empty(len(table)) for name in OPENFACE_COLUMNS}
    columns["frame"], columns["face_id"] = table["frame"] + 1, table["face"].fillna(0)
    columns["timestamp"] = table["timestamp"].fillna(0.0)
    columns["confidence"], columns["success"] = table["success"].astype(float), table["success"]
    columns |= _points(raw)
    columns |= {f"{au}_c": table[present_column(au)] for au in aus}
    columns |= {f"{au}_p": table[au] for au in aus}
    return pd.DataFrame({**columns, "input": table["input"]})


def pyfeat(raw: pa.Table, aus: Sequence[str], thresholds: Sequence[float]) -> pd.DataFrame:
    """Columns of Py-Feat's Fex; what is not measured here is empty. AUs are probabilities, frames count from 0.

    Args:
        raw: columns of `rows.raw_schema`.
        aus: AU columns.
        thresholds: of each AU; not used, as a Fex has no presence.
    """
    table = tidy(raw, aus, thresholds)
    columns = {name: _empty(len(table)) for name in PYFEAT_COLUMNS}
    columns |= {"frame": table["frame"], "FaceRectX": table["left"], "FaceRectY": table["top"]}
    columns["FaceRectWidth"] = table["right"] - table["left"]
    columns["FaceRectHeight"] = table["bottom"] - table["top"]
    columns["FaceScore"] = table["score"].fillna(0.0)
    columns |= _points(raw)
    columns["Identity"] = ("Person_" + table["face"].astype("string")).astype(object)
    more = {au: table[au] for au in aus}
    return pd.DataFrame({**columns, **more, "input": table["input"]})


FORMATS: dict[str, Shape] = {"tidy": tidy, "openface": openface, "pyfeat": pyfeat}
"""Name of a format -> what makes it."""
FORMAT_TITLES = {
    "tidy": "one row per face and frame: input, frame, timestamp, face, success, box, score, AU01... probabilities, "
    "AU01_present..., problem",
    "openface": "columns of OpenFace 2 (presence as AU01_c, probabilities as AU01_p; AU01_r stays empty)",
    "pyfeat": "columns of Py-Feat's Fex (AU01... are probabilities)",
}


def aus_missing(name: str, aus: Sequence[str]) -> list[str]:
    """AU columns that the program a format comes from does not know.

    Example:
        >>> aus_missing("openface", ["AU01", "AU24"])
        ['AU24']
    """
    known = {"openface": OPENFACE_PRESENCES, "pyfeat": PYFEAT_AUS}.get(name)
    return [au for au in aus if known is not None and au_code(au) not in known]


def _empty(rows: int) -> pd.Series:
    return pd.Series(np.full(rows, np.nan))


def _points(raw: pa.Table) -> dict[str, pd.Series]:
    """x_0... and y_0...; not a number where the face finder has no 68 points."""
    points = np.full((raw.num_rows, 136), np.nan)
    for row, values in enumerate(raw["points"].to_pylist()):
        if values is not None:
            points[row] = values
    return {f"{axis}_{k}": pd.Series(points[:, 2 * k + "xy".index(axis)]) for axis in "xy" for k in range(68)}
