from pathlib import Path

import numpy as np
import pytest

from metafacs.datasets.affectnet import AffectNet, read_code
from metafacs.errors import InputError
from tests.datasets.trees import miniature, picture, table

NAMES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger")
REASONS = [
    "contempt is none of the seven expressions",
    "expression code 8 (none)",
    "expression code 9 (uncertain)",
    "expression code 10 (no face)",
]


def test_codes_of_the_arrays(tmp_path: Path) -> None:
    miniature("affectnet", tmp_path)
    listing = AffectNet().read(tmp_path)
    train = listing.rows[listing.rows["fold"] == "train"]
    assert dict(zip(train["image"], train["expression"], strict=True)) == {
        f"train_set/images/{code}.jpg": name for code, name in enumerate(NAMES)
    }
    test = listing.rows[listing.rows["fold"] == "test"]
    assert dict(zip(test["image"], test["expression"], strict=True)) == {
        "val_set/images/0.jpg": "neutral",
        "val_set/images/1.jpg": "anger",
    }
    assert not set(train["subject"]) & set(test["subject"]), "0.jpg of either part is somebody else"
    assert [skip.reason for skip in listing.skipped] == REASONS


@pytest.mark.parametrize("header", [True, False])
def test_codes_of_the_lists(header: bool, tmp_path: Path) -> None:
    names = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
    for part, codes in (("training", range(11)), ("validation", [6])):
        rows = [[f"{part}/{code}.JPG", 1, 1, 9, 9, "1;2;3", code, 0.5, -0.5] for code in codes]
        table(tmp_path / f"Manually_Annotated_file_lists/{part}.csv", [names.split(","), *rows] if header else rows)
        for code in codes:
            picture(tmp_path / f"Manually_Annotated/Manually_Annotated_Images/{part}/{code}.jpg")
    listing = AffectNet().read(tmp_path)
    assert listing.rows["expression"].tolist() == ["anger", *NAMES]
    assert listing.rows["fold"].tolist() == ["test", *["train"] * 7]
    assert [skip.reason for skip in listing.skipped] == REASONS


def test_no_pickle_is_ever_loaded(tmp_path: Path) -> None:
    miniature("affectnet", tmp_path)
    path = tmp_path / "train_set/annotations/3_exp.npy"
    np.save(path, np.array([{"code": 3}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"3_exp\.npy .* one expression code .*pickle"):
        AffectNet().read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00", b"junk that is no array"])
def test_damaged_arrays_are_named(content: bytes, tmp_path: Path) -> None:
    miniature("affectnet", tmp_path)
    (tmp_path / "train_set/annotations/3_exp.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"3_exp\.npy (is not an array of one expression code|\(the code\) is empty)"):
        AffectNet().read(tmp_path)


@pytest.mark.parametrize("value", [2.7, np.inf, np.nan, 1j, "2.5", "two"])
def test_a_code_is_a_whole_number(value: object, tmp_path: Path) -> None:
    miniature("affectnet", tmp_path)
    np.save(tmp_path / "train_set/annotations/3_exp.npy", np.array(value))
    with pytest.raises(InputError, match=r"3_exp\.npy.*whole number"):
        AffectNet().read(tmp_path)


@pytest.mark.parametrize("value", [3, 3.0, "3", b"3", np.array([3], np.uint8), "3.0"])
def test_codes_come_in_many_types(value: object, tmp_path: Path) -> None:
    np.save(tmp_path / "3_exp.npy", np.array(value))
    assert read_code(tmp_path / "3_exp.npy") == 3


@pytest.mark.parametrize(("value", "message"), [(11, "code 11; AffectNet's are 0 to 10"), ([1, 2], "holds 2 values")])
def test_other_arrays_are_named(value: object, message: str, tmp_path: Path) -> None:
    miniature("affectnet", tmp_path)
    np.save(tmp_path / "train_set/annotations/3_exp.npy", np.array(value))
    with pytest.raises(InputError, match=message):
        AffectNet().read(tmp_path)


def test_a_missing_picture_is_counted(tmp_path: Path) -> None:
    miniature("affectnet", tmp_path)
    (tmp_path / "train_set/images/2.jpg").unlink()
    reasons = [skip.reason for skip in AffectNet().read(tmp_path).skipped]
    assert "no picture train_set/images/2.jpg" in reasons


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    table(tmp_path / "training.csv", [["subDirectory_filePath", "valence"], ["a/1.jpg", 0]])
    picture(tmp_path / "Manually_Annotated_Images/a/1.jpg")
    with pytest.raises(InputError, match=r"training\.csv, line 1: no column 'expression'"):
        AffectNet().read(tmp_path)
