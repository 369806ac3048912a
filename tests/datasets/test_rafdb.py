from pathlib import Path

import pytest

from metafacs.datasets.rafdb import RAFDB
from metafacs.errors import InputError
from tests.datasets.trees import picture, text

NAMES = {1: "surprise", 2: "fear", 3: "disgust", 4: "happiness", 5: "sadness", 6: "anger", 7: "neutral"}
LINES = [
    f"{part}_{number:05d}.jpg {(number + shift) % 7 + 1}"
    for shift, part in enumerate(("train", "test"))
    for number in range(1, 9)
]
TRUTH = {line.split(".")[0]: NAMES[int(line.split()[1])] for line in LINES}


@pytest.mark.parametrize("images", ["aligned", "original"])
@pytest.mark.parametrize("top", ["", "basic/"])
def test_codes_and_folds_of_the_list(images: str, top: str, tmp_path: Path) -> None:
    text(tmp_path / f"{top}EmoLabel/list_patition_label.txt", ["\ufeff" + LINES[0], "", *LINES[1:], " "], "\r\n")
    for name in TRUTH:
        picture(tmp_path / f"{top}Image/{images}/{name}{'_aligned' if images == 'aligned' else ''}.jpg")
    listing = RAFDB(images).read(tmp_path)
    assert listing.rows.set_index("sequence")["expression"].to_dict() == TRUTH
    assert (listing.rows["fold"] == listing.rows["sequence"].str.split("_").str[0]).all()
    assert listing.rows["image"].str.startswith(f"{top}Image/{images}/").all()
    assert listing.aus == [] and not listing.skipped and listing.protocol == "rafdb"


@pytest.mark.parametrize("named", ["{name}_aligned.jpg", "{number}.png"])
def test_folders_named_by_codes(named: str, tmp_path: Path) -> None:
    for name, code in ((line.split(".")[0], line.split()[1]) for line in LINES):
        part, number = name.split("_")
        picture(tmp_path / f"DATASET/{part}/{code}/{named.format(name=name, number=number)}")
    assert RAFDB().read(tmp_path).rows.set_index("sequence")["expression"].to_dict() == TRUTH


def test_an_image_in_two_folders_is_left_out(tmp_path: Path) -> None:
    for code in (1, 2):
        picture(tmp_path / f"train/{code}/train_00001_aligned.jpg")
    picture(tmp_path / "train/3/train_00002_aligned.jpg")
    listing = RAFDB().read(tmp_path)
    assert len(listing.rows) == 1
    assert listing.skipped[0].rows == 2 and "lies in several folders" in listing.skipped[0].reason
    picture(tmp_path / "train/8/train_00003_aligned.jpg")
    with pytest.raises(InputError, match="folder 8 is not a code of RAF-DB; they are 1 surprise, 2 fear"):
        RAFDB().read(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train_00002.jpg 8", r"line 2: code 8; RAF-DB's basic set has 1 surprise"),
        ("train_00002.jpg", r"line 2: 'train_00002\.jpg' is not a name and a code; cut off there\?"),
        ("train_00002.jpg x", r"line 2: 'x' where the code should be"),
        ("valid_00002.jpg 1", "has no fold"),
        ("train_00001.jpg 3", "lines 1 and 2 give train_00001 different codes"),
    ],
)
def test_damage_names_file_and_line(line: str, message: str, tmp_path: Path) -> None:
    text(tmp_path / "list_patition_label.txt", ["train_00001.jpg 2", line])
    picture(tmp_path / "aligned/train_00001_aligned.jpg")
    with pytest.raises(InputError, match=message):
        RAFDB().read(tmp_path)


def test_missing_pictures_and_repeats_are_counted(tmp_path: Path) -> None:
    text(tmp_path / "list_patition_label.txt", ["train_00001.jpg 2", "train_00001.jpg 2", "train_00002.jpg 2"])
    picture(tmp_path / "aligned/train_00001_aligned.jpg")
    repeat, missing = RAFDB().read(tmp_path).skipped
    assert repeat.reason == "repeats an image"
    assert missing.reason == "no picture aligned/train_00002_aligned.jpg"
