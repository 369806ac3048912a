"""Only what a resting face shows is taken away, and nothing is ever raised."""

import numpy as np
import pyarrow as pa
import pytest

from metafacs.faces import Face
from metafacs.faces.video import Frame
from metafacs.inference.calibration import FEWEST, REST, by_baseline, by_frame, lowered
from metafacs.inference.rows import empty_row, face_row, logit_column, raw_table, sigmoid

AUS = ["AU04", "AU12"]
LOGITS = [logit_column(au) for au in AUS]
FACE = Face((0.0, 0.0, 9.0, 9.0), 1.0, np.zeros((5, 2)), np.zeros((2, 2)))


def video(frames: int) -> list[pa.Table]:
    """Face 0 seems to frown at rest (logit 1) and smiles in the last fifth; face 1 is there for ten frames."""
    rows, logits = [empty_row(0, "v", Frame(0, 0.0, None))], []
    for k in range(1, frames):
        rows.append(face_row(0, "v", Frame(k, k / 25, None), 0, FACE))
        logits.append([1.0, 3.0 if k > 0.8 * frames else -4.0])
        if k <= 10:
            rows.append(face_row(0, "v", Frame(k, k / 25, None), 1, FACE))
            logits.append([2.0, 2.0])
    table = raw_table(rows, np.array(logits, np.float32), AUS)
    return [table.slice(0, 40), table.slice(40)]


def of_face(parts: list[pa.Table], number: int) -> np.ndarray:
    table = pa.concat_tables(parts).to_pandas()
    return table[table["face"] == number][LOGITS].to_numpy()


def test_baseline() -> None:
    parts = video(4 * FEWEST)
    rests = by_baseline(parts, LOGITS)
    assert list(rests) == [(0, 0)] and rests[0, 0] == pytest.approx([1, -4])
    done = [lowered(part, LOGITS, rests) for part in parts]
    before, after = of_face(parts, 0), of_face(done, 0)
    assert sigmoid(after[:, 0]) == pytest.approx(REST)
    assert np.array_equal(after[:, 1], before[:, 1])  # its rest is below REST
    assert np.array_equal(of_face(done, 1), of_face(parts, 1))  # too few frames
    assert done[0].schema == parts[0].schema and np.isnan(done[0][LOGITS[0]].to_pylist()[0] or np.nan)


def test_a_neutral_frame() -> None:
    parts = video(100)
    rests = by_frame(parts, LOGITS, 5)
    assert set(rests) == {(0, 0), (0, 1)}
    done = [lowered(part, LOGITS, rests) for part in parts]
    assert sigmoid(of_face(done, 1)) == pytest.approx(REST)
    assert by_frame(parts, LOGITS, 0) == {}


def test_one_rest_for_everybody_divides_the_odds_alike() -> None:
    parts = video(100)
    done = [lowered(part, LOGITS, {}, np.array([0.0, -9.0])) for part in parts]
    shift = of_face(parts, 0) - of_face(done, 0)
    assert shift[:, 0] == pytest.approx(np.log((1 - REST) / REST)) and (shift[:, 1] == 0).all()
