from pathlib import Path

import pytest

from metafacs.datasets.rafau import RAFAU
from metafacs.errors import InputError
from tests.datasets.trees import picture, text


def tree(raw: Path, lines: list[str], named: str = "aligned/{:04d}_aligned.jpg") -> None:
    text(raw / "RAFAU_label.txt", lines)
    for number in range(1, len(lines) + 1):
        picture(raw / named.format(number))


def test_aus_with_and_without_sides(tmp_path: Path) -> None:
    tree(tmp_path, ["0001.jpg 1+2+25", "0002.jpg null", "0003.jpg L12+R4+4 ", "0004.jpg AU6"])
    listing = RAFAU(aus="1,4,6,12,25").read(tmp_path)
    assert listing.rows[listing.aus].to_numpy().tolist() == [
        [1, 0, 0, 0, 1],
        [0, 0, 0, 0, 0],
        [0, 1, 0, 1, 0],
        [0, 0, 1, 0, 0],
    ]
    assert "1 images have no AU at all ('null'): all AUs count as absent" in listing.notes
    listing = RAFAU(unlabelled="skip").read(tmp_path)
    assert listing.rows["subject"].tolist() == ["0001", "0003", "0004"]
    assert [skip.reason for skip in listing.skipped] == ["no AU (null)"]


def test_original_photographs_and_short_names(tmp_path: Path) -> None:
    tree(tmp_path, ["1.jpg 1", "2.jpg 2"], "original/{:04d}.jpg")
    assert RAFAU(images="original").read(tmp_path).rows["image"].tolist() == ["original/0001.jpg", "original/0002.jpg"]


def test_test_images_from_a_list(tmp_path: Path) -> None:
    tree(tmp_path, ["0001.jpg 1", "0002.jpg 2"])
    test = text(tmp_path / "test.txt", ["0002.jpg"])
    assert RAFAU(test=str(test)).read(tmp_path).rows["fold"].tolist() == ["train", "test"]
    assert RAFAU().read(tmp_path).rows["fold"].tolist() == ["", ""]


def test_strange_tokens_and_repeats_are_counted(tmp_path: Path) -> None:
    tree(tmp_path, ["0001.jpg 1", "0002.jpg Q3", "0001.jpg 1"])
    assert [skip.reason for skip in RAFAU().read(tmp_path).skipped] == ["'Q3' is not an AU", "repeats an image"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0002.jpg", r"line 2: '0002\.jpg' is not a name and AUs; cut off there\?"),
        ("0002.jpg 1+", "cut off there"),
        ("0001.jpg 4", "lines 1 and 2 give 0001 different AUs"),
    ],
)
def test_damage_names_file_and_line(line: str, message: str, tmp_path: Path) -> None:
    tree(tmp_path, ["0001.jpg 1", line])
    with pytest.raises(InputError, match=message):
        RAFAU().read(tmp_path)
