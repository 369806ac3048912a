import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metafacs.datasets.ferplus import FERPlus, winner
from metafacs.errors import InputError
from metafacs.facs import EXPRESSIONS
from tests.datasets.trees import ferplus, read_table, table

# neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, NF
VOTES = [
    [0, 9, 1, 0, 0, 0, 0, 0, 0, 0],
    [4, 0, 0, 3, 0, 0, 0, 0, 3, 0],
    [2, 0, 0, 0, 0, 0, 0, 0, 8, 0],
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 10],
    [1, 0, 0, 0, 0, 0, 0, 9, 0, 0],
    [0, 0, 0, 0, 0, 0, 9, 0, 0, 0],
]
USAGES = ["Training", "Training", "Training", "PrivateTest", "Training", "PublicTest"]


def test_rows_are_paired_in_order(tmp_path: Path) -> None:
    ferplus(tmp_path, VOTES, USAGES, nameless=[3])
    listing = FERPlus().read(tmp_path)
    assert listing.rows["expression"].tolist() == ["happiness", "fear"]
    assert listing.rows["sequence"].tolist() == ["fer0000000", "fer0000005"]
    assert listing.rows["fold"].tolist() == ["train", "validation"]
    assert listing.rows["votes"].tolist() == [[0, 9, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 9]]
    assert len(listing.rows["votes"][0]) == len(EXPRESSIONS)
    for pixels, value in zip(listing.rows["pixels"], (0, 5), strict=True):
        image = np.asarray(Image.open(io.BytesIO(pixels)))
        assert image.shape == (48, 48) and (image == value).all()


def test_left_out_rows_are_counted_by_reason(tmp_path: Path) -> None:
    ferplus(tmp_path, VOTES, USAGES, nameless=[3])
    listing = FERPlus().read(tmp_path)
    assert [(skip.where, skip.reason) for skip in listing.skipped] == [
        ("fer2013new.csv, line 3", "no majority"),
        ("fer2013new.csv, line 4", "most votes for unknown"),
        ("fer2013new.csv, line 5", "most votes for NF"),
        ("fer2013new.csv, line 6", "most votes for contempt"),
    ]


def test_the_real_files_oddities_are_read_and_told(tmp_path: Path) -> None:
    ferplus(tmp_path, VOTES, USAGES, nameless=[0, 3])
    listing = FERPlus().read(tmp_path)
    assert listing.rows["sequence"].tolist() == ["fer0000005", "row0000000"]
    assert "2 rows have no image name (as in the real file)" in listing.notes
    assert any(note.startswith("1 rows have other than ten votes") for note in listing.notes)


@pytest.mark.parametrize(
    ("votes", "majority", "most"),
    [
        ([0, 9, 1, 0, 0, 0, 0, 0, 0, 0], "happiness", "happiness"),
        ([4, 0, 0, 3, 0, 0, 0, 0, 3, 0], None, "neutral"),
        # Single votes are dropped before the majority is taken: 4 of 4 + 3.
        ([4, 1, 1, 3, 1, 0, 0, 0, 0, 0], "neutral", "neutral"),
        # Just half of what is left, 4 of 8, is no majority.
        ([4, 0, 0, 2, 2, 0, 0, 0, 1, 1], None, "neutral"),
        ([5, 5, 0, 0, 0, 0, 0, 0, 0, 0], None, None),
        ([3, 0, 0, 0, 0, 0, 0, 0, 3, 4], None, None),
        ([2, 0, 0, 0, 0, 0, 0, 0, 8, 0], None, None),
        ([1, 1, 1, 1, 1, 1, 1, 1, 1, 1], None, None),
        ([0, 0, 0, 0, 0, 0, 0, 6, 0, 4], None, None),
        ([0] * 10, None, None),
    ],
)
def test_rules(votes: list[int], majority: str | None, most: str | None) -> None:
    assert winner(votes, "majority")[0] == majority
    assert winner(votes, "most")[0] == most
    assert all(bool(reason) != bool(name) for name, reason in (winner(votes, "majority"), winner(votes, "most")))


def spoil(path: Path, line: int, column: int, cell: str) -> None:
    rows = read_table(path)
    rows[line - 1][column] = cell
    table(path, rows)


@pytest.mark.parametrize(
    ("file", "line", "column", "cell", "message"),
    [
        ("fer2013.csv", 1, 1, "picture", r"fer2013\.csv, line 1: no column 'pixels'"),
        ("fer2013.csv", 3, 1, "0 1 2", r"fer2013\.csv, line 3: 3 of 2304 pixels; cut off there"),
        ("fer2013.csv", 3, 1, "256 " * 2304, r"fer2013\.csv, line 3: a pixel .* 0 to 255"),
        ("fer2013.csv", 3, 2, "Test", r"fer2013\.csv, line 3: usage 'Test'; known: Training, PublicTest, PrivateTest"),
        ("fer2013.csv", 3, 2, "PublicTest", r"fer2013\.csv, line 3 is of PublicTest, its partner .* of Training"),
        ("fer2013new.csv", 1, 11, "nf2", r"fer2013new\.csv, line 1: no column 'NF'"),
        ("fer2013new.csv", 4, 5, "", r"fer2013new\.csv, line 4: nothing where a vote should be"),
        ("fer2013new.csv", 4, 5, "-1", r"fer2013new\.csv, line 4: -1 votes"),
    ],
)
def test_damage_names_file_and_line(file: str, line: int, column: int, cell: str, message: str, tmp_path: Path) -> None:
    ferplus(tmp_path, VOTES, USAGES)
    spoil(tmp_path / file, line, column, cell)
    with pytest.raises(InputError, match=message):
        FERPlus().read(tmp_path)


def test_files_of_different_lengths_are_refused(tmp_path: Path) -> None:
    ferplus(tmp_path, VOTES, USAGES)
    table(tmp_path / "fer2013new.csv", read_table(tmp_path / "fer2013new.csv")[:-1])
    with pytest.raises(InputError, match=r"fer2013new\.csv ends after 5 rows, .*fer2013new\.csv was cut off"):
        FERPlus().read(tmp_path)


def test_a_file_cut_in_its_pixels_is_refused(tmp_path: Path) -> None:
    ferplus(tmp_path, VOTES, USAGES)
    path = tmp_path / "fer2013.csv"
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError, match=r"fer2013\.csv, line 7: 2 of 3 columns; the last line: the file was cut off"):
        FERPlus().read(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    ferplus(tmp_path, VOTES, USAGES)
    (tmp_path / "fer2013new.csv").unlink()
    with pytest.raises(InputError, match=r"has no fer2013new\.csv \(FERPlus votes\)"):
        FERPlus().read(tmp_path)


def pictures(raw: Path) -> None:
    """The pictures of VOTES as FERPlus's own tool writes them, of value k; that of row 3 is missing."""
    ferplus(raw, VOTES, USAGES, nameless=[3])
    (raw / "fer2013.csv").unlink()
    folders = {"Training": "FER2013Train", "PublicTest": "FER2013Valid", "PrivateTest": "FER2013Test"}
    for index, usage in enumerate(USAGES):
        (raw / folders[usage]).mkdir(exist_ok=True)
        if index != 3:
            path = raw / folders[usage] / f"fer{index:07d}.png"
            Image.fromarray(np.full((48, 48), index, np.uint8)).save(path)


def zipped(raw: Path, inside: str = "") -> None:
    with zipfile.ZipFile(raw / "fer2013plus.zip", "w") as archive:
        for path in sorted(raw.rglob("*.png")):
            archive.write(path, inside + path.relative_to(raw).as_posix())
            path.unlink()
    for folder in [path for path in raw.iterdir() if path.is_dir()]:
        folder.rmdir()


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    pictures(tmp_path)
    (tmp_path / "FER2013Valid" / "fer0000005.png").unlink()
    listing = FERPlus().read(tmp_path)
    assert listing.rows["image"].tolist() == ["FER2013Train/fer0000000.png"]
    assert listing.rows[["expression", "fold"]].values.tolist() == [["happiness", "train"]]
    assert ("fer2013new.csv, line 7", "no such picture") in [(skip.where, skip.reason) for skip in listing.skipped]


@pytest.mark.parametrize("inside", ["", "data/"])
def test_a_zip_file_of_pictures(inside: str, tmp_path: Path) -> None:
    pictures(tmp_path)
    zipped(tmp_path, inside)
    listing = FERPlus().read(tmp_path)
    assert listing.rows["sequence"].tolist() == ["fer0000000", "fer0000005"]
    values = [int(np.asarray(Image.open(io.BytesIO(pixels))).max()) for pixels in listing.rows["pixels"]]
    assert values == [0, 5]


def test_a_damaged_zip_file_is_named(tmp_path: Path) -> None:
    pictures(tmp_path)
    zipped(tmp_path)
    path = tmp_path / "fer2013plus.zip"
    data = bytearray(path.read_bytes())
    data[60:80] = bytes(20)
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"fer2013plus\.zip: FER2013Train/fer0000000\.png cannot be read"):
        FERPlus().read(tmp_path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"fer2013plus\.zip cannot be read"):
        FERPlus().read(tmp_path)


def test_votes_in_each_folder(tmp_path: Path) -> None:
    pictures(tmp_path)
    (tmp_path / "fer2013new.csv").unlink()
    (tmp_path / "FER2013Train" / "label.csv").write_text('fer0000000.png,"(0, 0, 48, 48)",0,9,1,0,0,0,0,0,0,0\n')
    listing = FERPlus().read(tmp_path)
    assert listing.rows[["sequence", "expression", "fold"]].values.tolist() == [["fer0000000", "happiness", "train"]]


def test_a_name_that_stands_twice_is_taken_once(tmp_path: Path) -> None:
    ferplus(tmp_path, [VOTES[0], VOTES[5]], ["Training", "Training"])
    spoil(tmp_path / "fer2013new.csv", 3, 1, "fer0000000.png")
    listing = FERPlus().read(tmp_path)
    assert listing.rows["expression"].tolist() == ["happiness"]
    assert [skip.reason for skip in listing.skipped] == ["its name stood before"]


def test_lines_behind_the_last_row_of_pixels(tmp_path: Path) -> None:
    ferplus(tmp_path, VOTES, USAGES)
    whole = FERPlus().read(tmp_path)
    with (tmp_path / "fer2013.csv").open("a") as file:
        file.write("fer2013/README,,,,,\nfer2013/fer2013.bib,,,,,\n")
    listing = FERPlus().read(tmp_path)
    assert listing.rows.equals(whole.rows)
    assert any("lines behind its last row, row 6" in note for note in listing.notes)
