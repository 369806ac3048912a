"""The study of real faces, on drawn numbers; with real pictures where REAL_FACES names their folder."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

STUDIES = Path(__file__).parents[2] / "studies"
pytest.importorskip("scipy")
AUS = ["AU01", "AU02", "AU04", "AU05", "AU06", "AU10", "AU12", "AU25", "AU26"]


@pytest.fixture(scope="module")
def study() -> Any:
    sys.path.insert(0, str(STUDIES))
    try:
        import real_faces
    finally:
        sys.path.remove(str(STUDIES))
    return real_faces


def faces(study: Any, count: int = 40) -> Any:
    """So many faces of each expression; blendshapes are the face's place in its expression."""
    rows = [("london", kind) for kind in ("neutral", "smile")] + [("ferplus", one) for one in study.EXPRESSIONS]
    table = pd.DataFrame(
        [
            {"name": f"{source}{kind}{k}", "source": source, "expression": kind, "person": str(k), "found": True,
             "sex": "female" if k % 2 else "male", "age": 20.0 + k, "ethnicity": "white", "error": 0.01 + 0.002 * k}
            for source, kind in rows
            for k in range(count)
        ]
    )  # fmt: skip
    names = sorted({name for group in study.SHAPES.values() for name in group})
    place = np.tile(np.arange(count) / count, len(rows))
    shapes = pd.DataFrame(dict.fromkeys(names, place))
    return study.RealFaces(table, np.zeros((len(table), 2, 2)), shapes, Path())


def value(table: pd.DataFrame, **where: str) -> float:
    chosen = table[np.logical_and.reduce([table[name] == what for name, what in where.items()])]
    (found,) = chosen["value"]
    return float(found)


def test_what_a_perfect_and_a_blind_detector_get(study: Any) -> None:
    real = faces(study)
    crops = [np.zeros((8, 8, 3), np.uint8)] * len(real.table)
    place = np.tile(np.arange(40) / 40, 9)
    shown = (real.table["expression"] != "neutral").to_numpy()
    perfect = np.repeat((4.0 * shown - 2 + place)[:, None], len(AUS), axis=1)
    table = study.measure(lambda some: perfect, AUS, real, crops, resamples=20)
    assert value(table, measure="auc", group="all", au="mean") == 1
    assert value(table, measure="present", group="all", au="mean") == 0
    assert value(table, measure="rank", group="all", au="mean") == pytest.approx(1)
    assert value(table, measure="eyes", au="median") == pytest.approx(0.049)
    assert set(table["group"]) >= {"all", "sex: female", "sex: male", "age: below 30", "age: 30 and more"}
    by_expression = np.repeat(np.where(shown, 2.0, 1.0)[:, None], len(AUS), axis=1)
    table = study.measure(lambda some: by_expression, AUS, real, crops, resamples=0, groups=False)
    assert value(table, measure="rank", group="all", au="mean") == 0  # it only knows the expression
    assert value(table, measure="present", group="all", au="mean") == 100
    assert table["low"].isna().all()


def test_faces_that_were_not_found_are_left_out(study: Any) -> None:
    real = faces(study)
    crops = [None if k % 2 else np.zeros((8, 8, 3), np.uint8) for k in range(len(real.table))]
    table = study.measure(lambda some: np.ones((len(some), len(AUS))), AUS, real, crops, resamples=0)
    assert table.loc[(table["measure"] == "auc") & (table["au"] == "AU12"), "n"].iloc[0] == 40


def test_the_study_of_the_starter(study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.environ.get("REAL_FACES")
    if not real:
        pytest.skip("set REAL_FACES to a folder with london/ and fer2013plus.zip")
    flags = ["--real", real, "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"), "--most", "5"]
    monkeypatch.setattr(sys, "argv", ["real_faces.py", *flags])
    study.main()
    table = pd.read_csv(tmp_path / "out" / "real_faces.csv")
    assert value(table, measure="auc", group="all", expression="smile", au="AU12") > 0.7
    assert (tmp_path / "out" / "real_faces.png").stat().st_size > 1000
    assert not list((tmp_path / "cache").rglob("*.[jp][pn]g"))
