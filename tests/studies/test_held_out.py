"""The people whom the starter detector is scored on, rendered again: the same pictures, and only they are scored."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from metafacs.data.prepared import PreparedDataset
from metafacs.export.cost import calibration_rows, scored_rows
from metafacs.runs import DETECTOR
from metafacs.starter import starter_run
from metafacs.training.checkpoint import load_detector

STARTER = Path(__file__).parents[2] / "studies" / "starter"
pytest.importorskip("anny")
pytest.importorskip("warp")


def test_held_out_people_are_scored_and_others_calibrate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(STARTER))
    held_out, faces = importlib.import_module("held_out"), importlib.import_module("faces")
    flags = ["--out", str(tmp_path / "data"), "--held_out", "2", "--trained", "1", "--workers", "1"]
    monkeypatch.setattr(sys, "argv", ["held_out.py", *flags])
    held_out.main()
    dataset, card = PreparedDataset.open(tmp_path / "data"), load_detector(starter_run() / DETECTOR)[1]
    subjects = dataset.column("subject")
    assert sorted(set(subjects)) == ["S00000", "S00001", "S00010"] and len(dataset) == 3 * faces.FRAMES
    assert set(subjects[scored_rows(dataset, card, card.aus)]) == {"S00000", "S00010"}
    assert set(subjects[calibration_rows(dataset, card)]) == {"S00001"}
    expected = [one.row for one in faces.pictures(10, 0)]
    found = dataset.au_labels(card.aus)[subjects == "S00010"]
    wanted = [[np.nan if row[au] is None else row[au] for au in card.aus] for row in expected]
    np.testing.assert_array_equal(found, np.array(wanted, float))
