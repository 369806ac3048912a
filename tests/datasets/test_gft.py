import json
from pathlib import Path

import pytest
import yaml

from metafacs.datasets.gft import GFT
from metafacs.errors import InputError
from metafacs.facs import AU_SETS, au_column
from tests.datasets.trees import miniature, picture, table, text


def test_subjects_folds_and_labels_through_flags(tmp_path: Path) -> None:
    options = miniature("gft", tmp_path)
    listing = GFT(**options).read(tmp_path)
    rows = listing.rows
    assert listing.aus == [au_column(code) for code in AU_SETS["gft"]]
    assert rows["subject"].tolist() == ["101"] * 3 + ["102"] * 3
    assert rows["fold"].tolist() == ["train"] * 3 + ["test"] * 3
    assert rows["image"].tolist() == [
        f"frames/{subject}/{frame:04d}.jpg" for subject in (101, 102) for frame in (1, 2, 3)
    ]
    assert rows["AU14"].tolist() == [1, 0, 1] * 2
    assert any("never tried on the real release" in note for note in listing.notes)


@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump])
def test_a_mapping_file_with_declared_columns_and_videos(write, tmp_path: Path) -> None:
    names = {au_column(code): f"code_{code}" for code in AU_SETS["gft"]}
    rows = [[person, frame, *(5 if frame == 3 else frame % 2 for _ in names)] for person in "xy" for frame in (1, 2, 3)]
    table(tmp_path / "all.csv", [["who", "t", *names.values()], *rows])
    for person in "xy":
        picture(tmp_path / f"videos/{person}.mp4")
    mapping = {"files": "all.csv", "columns": {"subject": "who", "frame": "t", **names}}
    mapping |= {"video": "videos/{subject}.mp4", "unknown": [5]}
    text(tmp_path / "mapping.txt", [write(mapping)])
    rows = GFT(mapping=str(tmp_path / "mapping.txt")).read(tmp_path).rows
    assert rows["subject"].tolist() == ["x"] * 3 + ["y"] * 3
    assert rows["video"].tolist() == ["videos/x.mp4"] * 3 + ["videos/y.mp4"] * 3
    assert rows["video_frame"].tolist() == [0, 1, 2] * 2
    assert rows["AU01"].isna().tolist() == [False, False, True] * 2
    assert rows["AU01"].dropna().tolist() == [1, 0] * 2
    assert (rows["fold"] == "").all()


def test_missing_pictures_strangers_and_repeats_are_told(tmp_path: Path) -> None:
    options = miniature("gft", tmp_path)
    (tmp_path / "frames/101/0002.jpg").unlink()
    text(tmp_path / "test.txt", ["103"])
    listing = GFT(**options).read(tmp_path)
    (skip,) = listing.skipped
    assert (skip.where, skip.reason) == ("101, frame 2", "no picture frames/{subject}/{frame}.jpg")
    assert any(note.endswith("so without a fold: 102") for note in listing.notes)


def test_one_table_of_folds_in_place_of_two_lists(tmp_path: Path) -> None:
    options = {**miniature("gft", tmp_path), "train": "", "test": "", "files": "**/*.csv"}
    path = table(tmp_path / "partition.csv", [["Subject", "Group", "Partition"], [101, 10, "train"], [102, 10, "test"]])
    rows = GFT(**options, partition=str(path)).read(tmp_path).rows
    assert rows["fold"].tolist() == ["train"] * 3 + ["test"] * 3
    with pytest.raises(InputError, match="the folds are given twice"):
        GFT(**{**options, "train": "x"}, partition=str(path)).read(tmp_path)
    table(path, [["Subject", "Partition"], [101, "train"], [101, "test"]])
    with pytest.raises(InputError, match=r"partition\.csv, line 3: '101' in fold 'test'; each subject needs one fold"):
        GFT(**options, partition=str(path)).read(tmp_path)
    table(path, [["Subject", "Group"], [101, "train"]])
    with pytest.raises(InputError, match=r"partition\.csv, line 1: no column fold"):
        GFT(**options, partition=str(path)).read(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"files": "other/*.csv"}, r"no file in .* fits --files 'other/\*\.csv'"),
        ({"image": ""}, "where are GFT's pictures"),
        ({"image": "frames/{person}.jpg"}, r"is not a path with \{subject\} and \{frame\}"),
        ({"columns": {"frame": "Time"}}, r"101\.csv, line 1: no column 'Time'"),
        ({"subjects": r"P(\d+)"}, r"has no column of subjects and does not fit"),
        ({"aus": "1,2,5"}, r"101\.csv, line 1: no column for AU5"),
    ],
)
def test_faults_say_what_to_declare(options: dict, message: str, tmp_path: Path) -> None:
    good = miniature("gft", tmp_path)
    with pytest.raises(InputError, match=message):
        GFT(**{**good, **options}).read(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{files: [", "is neither JSON nor YAML"),
        ("colour: red", "colour; a mapping gives any of files, columns"),
        ("first_frame: one", "first_frame is 'one'; an example is 1"),
        ("- a", "no pairs"),
    ],
)
def test_mapping_files_are_checked(content: str, message: str, tmp_path: Path) -> None:
    text(tmp_path / "m.yaml", [content])
    with pytest.raises(InputError, match=message):
        GFT(mapping=str(tmp_path / "m.yaml"))
