"""The table of detections in the columns of other programs, so that scripts written for those go on working."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

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


@dataclass(frozen=True)
class Format:
    """Columns of another program.

    Attributes:
        title: what they are, for the help.
        aus: numbers of the AUs that the program knows; None: all.
        table: makes the table, of columns of `rows.raw_schema`, AU columns and the threshold of each.
    """

    title: str
    aus: Sequence[int] | None
    table: Callable[[pa.Table, Sequence[str], Sequence[float]], pd.DataFrame]

    def missing(self, aus: Sequence[str]) -> list[str]:
        """AU columns that the program does not know.

        Example:
            >>> FORMATS["openface"].missing(["AU01", "AU24"])
            ['AU24']
        """
        return [au for au in aus if self.aus is not None and au_code(au) not in self.aus]


def openface(raw: pa.Table, aus: Sequence[str], thresholds: Sequence[float]) -> pd.DataFrame:
    """Columns of OpenFace 2; what is not measured here is empty.

    Frames count from 1 and people from 0, as there. `AU01_c` is presence. `AU01_r`, an intensity from 0 to 5 in
    OpenFace, is empty, because a probability is not an intensity. Behind OpenFace's columns stand probabilities as
    `AU01_p`, the input, and the presence of AUs that OpenFace does not have.

    Args:
        raw: columns of `rows.raw_schema`.
        aus: AU columns.
        thresholds: of each AU.
    """
    table = tidy(raw, aus, thresholds)
    columns: dict[str, Any] = dict.fromkeys(OPENFACE_COLUMNS, np.full(len(table), np.nan))
    columns["frame"], columns["face_id"] = table["frame"] + 1, (table["face"] - 1).fillna(0)
    columns["timestamp"] = table["timestamp"].fillna(0.0)
    columns["confidence"], columns["success"] = table["success"].astype(float), table["success"]
    columns |= _points(raw)
    columns |= {f"{au}_c": table[present_column(au)] for au in aus}
    columns |= {f"{au}_p": table[au] for au in aus}
    return pd.DataFrame({**columns, "input": table["input"]})


def openface_compact(raw: pa.Table, aus: Sequence[str], thresholds: Sequence[float]) -> pd.DataFrame:
    """The columns of `openface` that every detector fills: no gaze, pose, landmarks, intensities, or AUs it lacks."""
    names = [*OPENFACE_COLUMNS[:5], *(f"{au}_c" for au in aus), *(f"{au}_p" for au in aus), "input"]
    return openface(raw, aus, thresholds)[names]


def pyfeat(raw: pa.Table, aus: Sequence[str], thresholds: Sequence[float]) -> pd.DataFrame:
    """Columns of Py-Feat's Fex; what is not measured here is empty.

    AUs are probabilities; frames and people count from 0, as there.

    Args:
        raw: columns of `rows.raw_schema`.
        aus: AU columns.
        thresholds: of each AU; not used, as a Fex has no presence.
    """
    table = tidy(raw, aus, thresholds)
    columns: dict[str, Any] = dict.fromkeys(PYFEAT_COLUMNS, np.full(len(table), np.nan))
    columns |= {"frame": table["frame"], "FaceRectX": table["left"], "FaceRectY": table["top"]}
    columns["FaceRectWidth"] = table["right"] - table["left"]
    columns["FaceRectHeight"] = table["bottom"] - table["top"]
    columns["FaceScore"] = table["score"].fillna(0.0)
    columns |= _points(raw)
    columns["Identity"] = ("Person_" + (table["face"] - 1).astype("string")).astype(object)
    columns |= {au: table[au] for au in aus}
    return pd.DataFrame({**columns, "input": table["input"]})


FORMATS = {
    "tidy": Format(
        "one row per face and frame: input, frame, timestamp, face, success, box, score, eyes, AU01... probabilities, "
        "AU01_present..., problem",
        None,
        tidy,
    ),
    "openface": Format(
        "columns of OpenFace 2 (presence as AU01_c, probabilities as AU01_p; AU01_r stays empty)",
        OPENFACE_PRESENCES,
        openface,
    ),
    "openface-compact": Format(
        "those of them that are not empty, landmarks aside", OPENFACE_PRESENCES, openface_compact
    ),
    "pyfeat": Format("columns of Py-Feat's Fex (AU01... are probabilities)", PYFEAT_AUS, pyfeat),
}
"""By name."""


def _points(raw: pa.Table) -> dict[str, NDArray[np.float64]]:
    """x_0... and y_0...; not a number where the face finder has no 68 points."""
    points = np.full((raw.num_rows, 136), np.nan)
    for row, values in enumerate(raw["points"].to_pylist()):
        if values is not None:
            points[row] = values
    return {f"{axis}_{k}": points[:, 2 * k + place] for place, axis in enumerate("xy") for k in range(68)}
