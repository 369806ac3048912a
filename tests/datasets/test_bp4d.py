from pathlib import Path

import pandas as pd
import pytest

from metafacs.datasets.bp4d import BP4D
from metafacs.errors import InputError
from metafacs.facs import AU_SETS, au_column
from tests.datasets.trees import bp4d, picture, read_table, table, text

RECORDINGS = {("F001", "T1"): range(2440, 2450), ("M011", "T8"): range(95, 105), ("F007", "T2"): range(1, 4)}
IMAGES = (
    "img/{subject}/{task}/{frame}.jpg",
    "{subject}/{task}/{frame:04d}.jpg",
    "BP4D/{subject}/{task}/{frame:03d}.JPG",
    "aligned_images/{subject}/{task}/{frame:05d}.png",
    "2D+3D/{subject}/{task}/{subject}_{task}_{frame:06d}.jpeg",
)


def labels(rows: pd.DataFrame, aus: list[str]) -> dict[tuple[str, int], dict[str, int | None]]:
    """Sequence and frame -> AU column -> label, None where it is missing."""
    kept = rows[aus].astype(object).where(rows[aus].notna(), None).to_dict("records")
    return dict(zip(zip(rows["sequence"], rows["frame"], strict=True), kept, strict=True))


@pytest.mark.parametrize("images", IMAGES)
@pytest.mark.parametrize("top", ["", "BP4D"])
def test_every_label_subject_fold_and_picture_comes_back(images: str, top: str, tmp_path: Path) -> None:
    truth = bp4d(tmp_path / top, RECORDINGS, images)
    listing = BP4D().read(tmp_path)
    assert listing.aus == [au_column(code) for code in AU_SETS["bp4d"]]
    assert labels(listing.rows, listing.aus) == truth
    assert None in {value for values in truth.values() for value in values.values()}, "no 9 in this tree"
    rows = listing.rows.set_index(["sequence", "frame"])
    assert rows.groupby("subject")["fold"].unique().map(list).to_dict() == {
        "F001": ["P1"],
        "M011": ["P2"],
        "F007": ["P3"],
    }
    for (sequence, frame), row in rows.iterrows():
        subject, task = sequence.split("/")
        assert row["image"] == f"{top}/".lstrip("/") + images.format(subject=subject, task=task, frame=frame)
    assert not listing.skipped and listing.protocol == "bp4d"


@pytest.mark.parametrize("name", ["F001_T1.avi", "clips/2F01_T1.AVI", "Videos/F001/F001_T1.mp4"])
def test_clips_are_counted_from_the_frame_number_less_one(name: str, tmp_path: Path) -> None:
    truth = bp4d(tmp_path, {("F001", "T1"): range(2440, 2443)}, images=None)
    picture(tmp_path / name)
    rows = BP4D().read(tmp_path).rows
    assert rows["video"].unique().tolist() == [name]
    assert rows["video_frame"].tolist() == [2439, 2440, 2441]
    assert labels(rows, list(next(iter(truth.values())))) == truth
    assert BP4D(first_frame=0).read(tmp_path).rows["video_frame"].tolist() == [2440, 2441, 2442]


def test_a_frame_before_the_first_of_its_clip_is_left_out(tmp_path: Path) -> None:
    bp4d(tmp_path, {("F001", "T1"): range(3)}, images=None)
    picture(tmp_path / "F001_T1.avi")
    listing = BP4D().read(tmp_path)
    assert listing.rows["frame"].tolist() == [1, 2]
    assert "is --first_frame 1 right?" in listing.skipped[0].reason


def test_bom_crlf_spaces_and_upper_case_do_not_matter(tmp_path: Path) -> None:
    truth = bp4d(tmp_path, RECORDINGS)
    for path in sorted((tmp_path / "AUCoding/AU_OCC").iterdir()):
        rows = read_table(path)
        path.unlink()
        lines = [" , ".join(row) + " " for row in rows]
        text(path.with_suffix(".CSV"), ["\ufeff" + lines[0], "", *lines[1:], "", "  "], newline="\r\n")
    assert labels(BP4D().read(tmp_path).rows, BP4D().au_columns) == truth


def test_au_order_is_as_asked(tmp_path: Path) -> None:
    truth = bp4d(tmp_path, RECORDINGS)
    listing = BP4D(aus="24,1").read(tmp_path)
    assert listing.aus == ["AU24", "AU01"]
    assert [column for column in listing.rows if column.startswith("AU")] == ["AU24", "AU01"]
    expected = {key: {column: values[column] for column in ("AU24", "AU01")} for key, values in truth.items()}
    assert labels(listing.rows, listing.aus) == expected


def test_intensities_stand_beside_occurrence(tmp_path: Path) -> None:
    bp4d(tmp_path, {("F001", "T1"): range(4, 8)}, levels=True)
    rows = BP4D().read(tmp_path).rows
    graded = [column for column in rows if column.endswith("_intensity")]
    assert graded == [f"AU{au:02d}_intensity" for au in AU_SETS["bp4d_intensity"]]
    assert rows["AU06_intensity"].isna().tolist() == [False, True, False, False], "9 is unknown"
    assert rows["AU06_intensity"].dropna().tolist() == [4, 0, 1]
    assert not any(column.endswith("_intensity") for column in BP4D(intensities=False).read(tmp_path).rows)
    table(tmp_path / "AUCoding/AU_INT/AU06/F001_T1_AU06.csv", [[4, 6]])
    with pytest.raises(InputError, match=r"F001_T1_AU06\.csv, line 1: intensity 6"):
        BP4D().read(tmp_path)


def test_missing_and_doubtful_pictures_are_counted_with_the_path_tried(tmp_path: Path) -> None:
    bp4d(tmp_path, RECORDINGS)
    for frame in (2441, 2442, 2445):
        (tmp_path / f"img/F001/T1/{frame}.jpg").unlink()
    picture(tmp_path / "img/F001/T1/02449.jpg")
    listing = BP4D().read(tmp_path)
    assert len(listing.rows) == 23 - 4
    missing, double = listing.skipped
    assert (missing.where, missing.rows) == ("F001/T1, frames 2441-2442, 2445", 3)
    assert missing.reason == "no picture img/{subject}/{task}/{frame}, whatever the zero padding"
    assert double.where == "F001/T1, frame 2449" and "2 pictures have this number" in double.reason


def test_pictures_without_labels_are_counted_not_used(tmp_path: Path) -> None:
    bp4d(tmp_path, RECORDINGS)
    for frame in (1, 2, 3):
        picture(tmp_path / f"img/F001/T1/{frame}.jpg")
    picture(tmp_path / "img/F002/T1/1.jpg")
    notes = " ".join(BP4D().read(tmp_path).notes)
    assert "3 pictures have no labels" in notes
    assert "pictures of 1 recordings without a label file, not used: F002/T1" in notes


def test_a_shift_by_one_is_suspected(tmp_path: Path) -> None:
    bp4d(tmp_path, {("F001", "T1"): range(10, 20)}, images=None)
    for frame in range(9, 19):
        picture(tmp_path / f"img/F001/T1/{frame}.jpg")
    (note,) = [note for note in BP4D().read(tmp_path).notes if "counted from another number" in note]
    assert note.startswith("F001/T1: frame 19 has labels and no picture, picture 9 has no labels")


def test_several_kinds_of_pictures_must_be_chosen_from(tmp_path: Path) -> None:
    bp4d(tmp_path, RECORDINGS)
    bp4d(tmp_path, RECORDINGS, "aligned_images/{subject}/{task}/{frame:05d}.jpg")
    with pytest.raises(InputError, match=r"several kinds: aligned_images/\{subject\}/\{task\}/\{frame\} \(23\), img/"):
        BP4D().read(tmp_path)
    assert BP4D(images="aligned").read(tmp_path).rows["image"].str.startswith("aligned_images/").all()
    with pytest.raises(InputError, match=r"neither pictures .* whose path begins with 'other'"):
        BP4D(images="other").read(tmp_path)


def test_strangers_to_the_folds_are_kept_without_one(tmp_path: Path) -> None:
    bp4d(tmp_path, {("F001", "T1"): range(3), ("F082", "T1"): range(3)})
    listing = BP4D().read(tmp_path)
    assert listing.rows.groupby("subject")["fold"].first().to_dict() == {"F001": "P1", "F082": ""}
    assert any("not among the 41 people" in note and note.endswith("F082") for note in listing.notes)


def spoil(tmp_path: Path, line: int, old: str, new: str) -> None:
    """Writes a good tree, then changes one line of F001_T1.csv."""
    bp4d(tmp_path, RECORDINGS)
    path = tmp_path / "AUCoding/AU_OCC/F001_T1.csv"
    lines = path.read_text().splitlines()
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    path.write_text("\n".join(lines))


@pytest.mark.parametrize(
    ("line", "old", "new", "message"),
    [
        (1, ",24,", ",240,", r"F001_T1\.csv, line 1: no column '24'; one is needed\. Its columns are: 0, 1, 2"),
        (1, ",23,", ",24,", r"line 1: no column '23'|2 columns '24'"),
        (3, "2441,", "2441,7,", r"F001_T1\.csv, line 3: 25 of 24 columns"),
        (4, "2442,", "x2442,", r"line 4: 'x2442' where the frame number should be"),
        (5, "2443,", "2442,", r"lines 4 and 5 give frame 2442 different codes"),
    ],
)
def test_damage_names_file_and_line(line: int, old: str, new: str, message: str, tmp_path: Path) -> None:
    spoil(tmp_path, line, old, new)
    with pytest.raises(InputError, match=message):
        BP4D().read(tmp_path)


def test_an_impossible_code_is_refused(tmp_path: Path) -> None:
    table(tmp_path / "AU_OCC/F001_T1.csv", [[0, 1], [5, 0], [6, 7]])
    picture(tmp_path / "img/F001/T1/5.jpg")
    with pytest.raises(InputError, match=r"F001_T1\.csv, line 3: AU1 is 7; 0 \(absent\), 1 \(present\) and 9"):
        BP4D(aus="1").read(tmp_path)


def test_an_exact_repeat_is_counted(tmp_path: Path) -> None:
    table(tmp_path / "AU_OCC/F001_T1.csv", [[0, 1], [5, 0], [5, 0], [6, 9]])
    for frame in (5, 6):
        picture(tmp_path / f"img/F001/T1/{frame}.jpg")
    listing = BP4D(aus="1").read(tmp_path)
    assert len(listing.rows) == 2 and listing.rows["AU01"].isna().tolist() == [False, True]
    assert [(skip.where, skip.reason) for skip in listing.skipped] == [("F001_T1.csv, line 3", "repeats a frame")]
    assert "1 codes are 9 (unknown): left empty" in listing.notes


def test_a_ten_thousand_line_file_cut_in_the_middle_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "AU_OCC/F001_T1.csv"
    table(path, [[0, 1, 2], *([frame, 0, 1] for frame in range(9_999))])
    picture(tmp_path / "img/F001/T1/5.jpg")
    path.write_bytes(path.read_bytes()[: -len("998,0,1\n") + 3])
    with pytest.raises(InputError, match=r"line 10,000: 1 of 3 columns; the last line: the file was cut off"):
        BP4D(aus="1,2").read(tmp_path)
    table(path, [[0, 1, 2], *([frame, 0, 1] for frame in range(9_999))])
    path.write_bytes(path.read_bytes()[: -len("1\n")])
    with pytest.raises(InputError, match=r"line 10,000: nothing where AU2 should be"):
        BP4D(aus="1,2").read(tmp_path)


def test_other_faults_have_messages_of_their_own(tmp_path: Path) -> None:
    bp4d(tmp_path, RECORDINGS)
    folder = tmp_path / "AUCoding/AU_OCC"
    (folder / "F002_T1.csv").mkdir()
    with pytest.raises(InputError, match=r"F002_T1\.csv is a folder"):
        BP4D().read(tmp_path)
    (folder / "F002_T1.csv").rmdir()
    (folder / "F002_T1.csv").touch()
    with pytest.raises(InputError, match=r"F002_T1\.csv \(occurrence codes\) is empty, 0 bytes"):
        BP4D().read(tmp_path)
    table(folder / "F002_T1.csv", [[0, *AU_SETS["bp4d"]]])
    with pytest.raises(InputError, match=r"F002_T1\.csv has a header and no rows"):
        BP4D().read(tmp_path)
    table(folder / "F002_T1.csv", read_table(folder / "F001_T1.csv"))
    table(folder / "f02_t1.csv", read_table(folder / "F001_T1.csv"))
    with pytest.raises(InputError, match="two label files of F002_T1"):
        BP4D().read(tmp_path)
