"""Columns that the readers of other programs look for, typed here again from those programs."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from metafacs.faces import Face
from metafacs.faces.video import Frame
from metafacs.inference.formats import FORMATS, openface, openface_compact, pyfeat
from metafacs.inference.outputs import to_csv, write_tables
from metafacs.inference.rows import empty_row, face_row, raw_table, sigmoid, tidy

AUS = ["AU01", "AU12", "AU24", "AU28", "AU43", "AU45"]
THRESHOLDS = [0.5, 0.9, 0.5, 0.5, 0.5, 0.5]
LOGITS = np.array([[2.0, 2.0, -1, 0, 1, 3], [-2, 3, 0.5, 1, 1, -4]], np.float32)

OPENFACE_AUS = [1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45]
OPENFACE = [
    *["frame", "face_id", "timestamp", "confidence", "success"],
    *["gaze_0_x", "gaze_0_y", "gaze_0_z", "gaze_1_x", "gaze_1_y", "gaze_1_z", "gaze_angle_x", "gaze_angle_y"],
    *["pose_Tx", "pose_Ty", "pose_Tz", "pose_Rx", "pose_Ry", "pose_Rz"],
    *[f"x_{k}" for k in range(68)],
    *[f"y_{k}" for k in range(68)],
    *[f"AU{k:02d}_r" for k in OPENFACE_AUS],
    *[f"AU{k:02d}_c" for k in sorted([*OPENFACE_AUS, 28])],
]


@pytest.fixture
def raw() -> pa.Table:
    points = np.arange(136.0).reshape(68, 2)
    with_points = Face((10.0, 20.0, 50.0, 80.0), 1.5, points, points[:2])
    without = Face((10.0, 20.0, 50.0, 80.0), 0.5, points[:5], points[:2])
    rows = [
        face_row(0, "v.mp4", Frame(0, 0.0, None), 1, with_points),
        empty_row(0, "v.mp4", Frame(1, 0.04, None)),
        face_row(0, "v.mp4", Frame(2, 0.08, None), 4, without),
    ]
    return raw_table(rows, LOGITS, AUS)


def read_back(table: pd.DataFrame) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(to_csv(table, header=True)))


def test_openface(raw: pa.Table) -> None:
    table = read_back(openface(raw, AUS, THRESHOLDS))
    assert list(table.columns[: len(OPENFACE)]) == OPENFACE
    more = [*(f"{au}_c" for au in ("AU24", "AU43")), *(f"{au}_p" for au in AUS), "input"]
    assert list(table.columns[len(OPENFACE) :]) == more
    assert table["frame"].tolist() == [1, 2, 3] and table["success"].tolist() == [1, 0, 1]
    assert table["confidence"].tolist() == [1, 0, 1] and table["face_id"].tolist() == [0, 0, 3]
    assert table["AU12_c"].dropna().tolist() == [0, 1] and np.isnan(table["AU12_c"][1])
    assert table[[column for column in table if column.endswith("_r")]].isna().all(axis=None)
    assert table.loc[0, ["x_0", "y_0", "x_67", "y_67"]].tolist() == [0, 1, 134, 135] and np.isnan(table["x_0"][2])
    assert not any(" " in column for column in table)


def test_the_compact_form_of_openface_has_no_empty_column(raw: pa.Table) -> None:
    table, whole = read_back(openface_compact(raw, AUS, THRESHOLDS)), read_back(openface(raw, AUS, THRESHOLDS))
    places = [name for name in whole if name[:2] in ("x_", "y_")]
    assert {*table} == {*whole.dropna(axis=1, how="all")} - {*places}
    pd.testing.assert_frame_equal(table, whole[list(table)])


def test_pyfeat(raw: pa.Table) -> None:
    """As its `read_feat` takes a file: every column with AU in its name is an AU, the others go by fixed names."""
    table = read_back(pyfeat(raw, AUS, THRESHOLDS))
    faces = ["FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore"]
    emotions = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
    points = [f"x_{k}" for k in range(68)] + [f"y_{k}" for k in range(68)]
    assert {"frame", "input", "Pitch", "Roll", "Yaw", "X", "Y", "Z", *faces, *emotions, *points} <= set(table)
    au_columns = [column for column in table.columns if "AU" in column]
    listed = [1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 43]
    assert au_columns == [*(f"AU{k:02d}" for k in listed), "AU45"]
    assert table["frame"].tolist() == [0, 1, 2]
    assert table.loc[0, faces].tolist() == [10, 20, 40, 60, 1.5]
    assert table["FaceScore"].tolist() == [1.5, 0, 0.5] and np.isnan(table["FaceRectX"][1])
    assert table["AU01"].dropna().tolist() == pytest.approx([0.880797, 0.119203], abs=1e-6)
    assert table["Identity"].tolist()[::2] == ["Person_0", "Person_3"] and table[emotions].isna().all(axis=None)


def test_aus_that_other_programs_do_not_have() -> None:
    assert {name: form.missing(AUS) for name, form in FORMATS.items()} == {
        "tidy": [],
        "openface": ["AU24", "AU43"],
        "openface-compact": ["AU24", "AU43"],
        "pyfeat": ["AU45"],
    }


@pytest.mark.parametrize("name", list(FORMATS))
def test_csv_and_parquet_hold_the_same(name: str, raw: pa.Table, tmp_path: Path) -> None:
    paths = [tmp_path / "a.csv", tmp_path / "a.PARQUET"]
    tables = [
        FORMATS[name].table(raw.slice(k, 1), AUS, THRESHOLDS) for k in (1, 0, 2)
    ]  # begins with a row without a face
    assert write_tables(paths, tables) == 3
    one, other = pd.read_csv(paths[0]), pd.read_parquet(paths[1])
    assert list(one.columns) == list(other.columns)
    for column in one:
        if one[column].dtype.kind in "fi":
            assert np.array_equal(
                one[column].to_numpy(np.float32), other[column].to_numpy(np.float32, na_value=np.nan), equal_nan=True
            ), column


def test_probabilities_survive_csv_to_the_last_bit(raw: pa.Table) -> None:
    table = tidy(raw, AUS, THRESHOLDS)
    again = read_back(table)
    for au in AUS:
        assert np.array_equal(again[au].to_numpy(np.float32), table[au].to_numpy(), equal_nan=True)
    assert sigmoid(np.array([-200, 200], np.float32)).tolist() == [0, 1]


def test_py_feat_reads_both(raw: pa.Table, tmp_path: Path) -> None:
    """With Py-Feat's own readers, where it is installed; it is no dependency of ours."""
    reader = pytest.importorskip("feat.utils.io")
    for name in ("pyfeat", "openface"):
        write_tables([tmp_path / f"{name}.csv"], [FORMATS[name].table(raw, AUS, THRESHOLDS)])
    fex = reader.read_feat(str(tmp_path / "pyfeat.csv"))
    shapes = {"aus": 21, "emotions": 7, "faceboxes": 5, "landmarks": 136, "poses": 6}
    assert {name: getattr(fex, name).shape for name in shapes} == {name: (3, n) for name, n in shapes.items()}
    openface_fex = reader.read_openface(str(tmp_path / "openface.csv"))
    assert openface_fex.aus.shape == (3, 35) and openface_fex.landmarks.shape == (3, 136)
