import re
from pathlib import Path

import pytest

from metafacs.datasets.ckplus import CODES, CKPlus
from metafacs.errors import InputError
from tests.datasets.trees import ckplus, text

SEQUENCES = {
    ("S005", "001", 11): ({9: 4, 17: 0}, 3),
    ("S010", "002", 3): ({1: 2, 64: 0}, None),
    ("S010", "004", 5): ({12: 5}, 2),
    ("S999", "001", 4): ({}, 7),
}


def tree(raw: Path) -> None:
    ckplus(raw, {key: value for key, value in SEQUENCES.items() if value[0]})
    ckplus(raw, {("S999", "001", 4): ({1: 0}, 7)})
    text(raw / "FACS/S999/001/S999_001_00000004_facs.txt", [""])


def test_the_peak_frame_is_labelled(tmp_path: Path) -> None:
    tree(tmp_path)
    listing = CKPlus(aus="1,9,12,17").read(tmp_path)
    rows = listing.rows.set_index("sequence")
    assert rows["frame"].to_dict() == {"S005/001": 11, "S010/002": 3, "S010/004": 5, "S999/001": 4}
    assert rows.loc["S005/001", "image"] == "cohn-kanade-images/S005/001/S005_001_00000011.png"
    assert rows[listing.aus].to_numpy().tolist() == [[0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert rows["expression"].tolist() == ["disgust", None, None, "surprise"]
    assert rows["AU09_intensity"].tolist() == [4, 0, 0, 0]
    assert rows["AU17_intensity"].isna().tolist() == [True, False, False, False], "0 means not given"
    assert rows["fold"].tolist() == ["P1", "P2", "P2", "P3"]
    assert any("1 sequences show contempt" in note for note in listing.notes)


def test_codes_of_expressions() -> None:
    assert CODES == ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")


def test_first_frames_are_neutral(tmp_path: Path) -> None:
    tree(tmp_path)
    rows = CKPlus(neutral_frames=True).read(tmp_path).rows
    first = rows[rows["frame"] == 1]
    assert len(rows) == 8 and len(first) == 4
    assert (first["expression"] == "neutral").all() and not first["AU09"].any()


def test_folders_that_archives_add(tmp_path: Path) -> None:
    tree(tmp_path / "plain")
    around = tmp_path / "CK+"
    around.mkdir()
    for name, place in (("FACS", "FACS_labels/FACS"), ("Emotion", "Emotion_labels/Emotion")):
        (around / place).parent.mkdir()
        (tmp_path / "plain" / name).rename(around / place)
    (around / "extended-cohn-kanade-images").mkdir()
    (tmp_path / "plain/cohn-kanade-images").rename(around / "extended-cohn-kanade-images/cohn-kanade-images")
    assert len(CKPlus().read(around).rows) == 4


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["9.0 4.0", "17.0"], r"facs\.txt, line 2: '17\.0' is not an AU and its intensity; cut off"),
        (["9.0 7.0"], r"facs\.txt, line 1: intensity 7; 0 \(not given\) to 5 are known"),
        (["9.0 4.0", "9.0 3.0"], r"line 2: AU9 once more with another intensity"),
        ([], r"facs\.txt \(AU codes\) is empty, 0 bytes"),
        (["9.5 4.0"], r"line 1: '9\.5' where the AU should be"),
    ],
)
def test_damage_names_file_and_line(lines: list[str], message: str, tmp_path: Path) -> None:
    tree(tmp_path)
    text(tmp_path / "FACS/S005/001/S005_001_00000011_facs.txt", lines, end="\n" if lines else "")
    listing = CKPlus().read(tmp_path)
    (skip,) = listing.skipped
    assert len(listing.rows) == 3 and skip.where == "S005_001_00000011_facs.txt"
    assert re.search(message, skip.reason)


def test_other_faults(tmp_path: Path) -> None:
    tree(tmp_path)
    (tmp_path / "cohn-kanade-images/S005/001/S005_001_00000011.png").unlink()
    (skip,) = CKPlus().read(tmp_path).skipped
    assert skip.reason == "no picture cohn-kanade-images/S005/001/S005_001_00000011.png"
    path = text(tmp_path / "Emotion/S005/001/S005_001_00000011_emotion.txt", ["8.0"])
    with pytest.raises(InputError, match="one expression code from 0 to 7"):
        CKPlus().read(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"emotion\.txt \(the expression\) is empty"):
        CKPlus().read(tmp_path)
