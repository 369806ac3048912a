from pathlib import Path

import pytest

from metafacs.datasets.lists import Lists
from metafacs.errors import InputError
from tests.datasets.trees import miniature, picture, text


def test_me_graphau_lists(tmp_path: Path) -> None:
    miniature("lists", tmp_path)
    for fold, subjects in ((1, ("F001", "M011")), (2, ("F001", "F007"))):
        paths = [f"{subject}/T1/{frame}.jpg" for subject in subjects for frame in (9, 10)]
        text(tmp_path / f"list/BP4D_train_img_path_fold{fold}.txt", paths)
        text(tmp_path / f"list/BP4D_train_label_fold{fold}.txt", ["0 1 0 1 0 1 0 1 0 1 0 1", "1 " * 12] * 2)
    listing = Lists().read(tmp_path)
    rows = listing.rows
    assert rows["sequence"].tolist() == ["F001/T1"] * 2 + ["F007/T1"] * 2 + ["M011/T1"] * 2
    assert rows["frame"].tolist() == [9, 10] * 3
    assert rows["image"].tolist() == [
        f"img/{sequence}/{frame}.jpg" for sequence, frame in zip(rows["sequence"], rows["frame"], strict=True)
    ]
    assert rows["fold"].tolist() == ["P1"] * 2 + ["P3"] * 2 + ["P2"] * 2
    assert rows[listing.aus].to_numpy().tolist() == [[0, 1] * 6, [1] * 12] * 3
    assert listing.protocol == "bp4d"
    assert any("5 pairs of lists; 8 rows are in more than one" in note for note in listing.notes)


def test_jaa_net_lists_with_unknown_labels(tmp_path: Path) -> None:
    text(tmp_path / "list/DISFA_part1_path.txt", ["SN001/0.jpg ", "SN001/1.jpg"], "\r\n")
    text(tmp_path / "list/DISFA_part1_AUoccur.txt", ["\ufeff0 1 9 0 0 0 1 1", "1.0 0 0 0 0 0 0 -1", ""], "\r\n")
    for frame in (0, 1):
        picture(tmp_path / f"imgs/SN001/{frame:04d}.png")
    rows = Lists().read(tmp_path).rows
    assert rows["image"].tolist() == ["imgs/SN001/0000.png", "imgs/SN001/0001.png"]
    assert rows["AU04"].isna().tolist() == [True, False] and rows["AU26"].isna().tolist() == [False, True]
    assert rows["AU02"].tolist() == [1, 0]
    assert rows["fold"].tolist() == ["P1", "P1"] and rows["sequence"].tolist() == ["SN001", "SN001"]


def test_named_lists_of_anything(tmp_path: Path) -> None:
    text(tmp_path / "names.txt", ["a/1.jpg", "a\\2.jpg"])
    text(tmp_path / "labels.txt", ["0 1", "1 0"])
    for number in (1, 2):
        picture(tmp_path / f"a/{number}.jpg")
    listing = Lists(paths="names.txt", labels="labels.txt", aus="1,12").read(tmp_path)
    assert listing.rows["AU12"].tolist() == [1, 0] and listing.rows["fold"].tolist() == ["", ""]
    with pytest.raises(InputError, match=r"names\.txt: .* say with --aus"):
        Lists(paths="names.txt", labels="labels.txt").read(tmp_path)
    with pytest.raises(InputError, match="give both, or neither"):
        Lists(paths="names.txt")


@pytest.mark.parametrize(
    ("paths", "labels", "message"),
    [
        (
            ["F001/T1/1.jpg", "F001/T1/2.jpg"],
            ["0 " * 12],
            r"path.* has 2 rows, .*label.* 1: .*label_fold1\.txt was cut off",
        ),
        (
            ["F001/T1/1.jpg", "F001/T1/2.j"],
            ["0 " * 12] * 2,
            r"path_fold1\.txt, line 2: 'F001/T1/2\.j' is not a picture's path",
        ),
        (["F001/T1/1.jpg"], ["0 " * 11], r"label_fold1\.txt, line 1: 11 labels for 12 AUs"),
        (
            ["F001/T1/1.jpg"],
            ["0 " * 11 + "7"],
            r"label_fold1\.txt, line 1: AU24 is 7; labels are 0, 1 or unknown",
        ),
        (["F001/T1/1.jpg"] * 2, ["0 " * 12, "1 " * 12], r"give F001/T1/1\.jpg different labels"),
    ],
)
def test_damage_names_file_and_line(paths: list[str], labels: list[str], message: str, tmp_path: Path) -> None:
    text(tmp_path / "BP4D_test_img_path_fold1.txt", paths)
    text(tmp_path / "BP4D_test_label_fold1.txt", labels)
    picture(tmp_path / "F001/T1/1.jpg")
    with pytest.raises(InputError, match=message):
        Lists().read(tmp_path)


def test_a_list_without_partner_and_a_missing_picture(tmp_path: Path) -> None:
    miniature("lists", tmp_path)
    (tmp_path / "img/F001/T1/9.jpg").unlink()
    (skip,) = Lists().read(tmp_path).skipped
    assert skip.where == "BP4D_test_img_path_fold3.txt, line 1"
    assert skip.reason.startswith("no picture img/F001/T1/9.jpg or ")
    (tmp_path / "list/BP4D_test_label_fold1.txt").unlink()
    with pytest.raises(InputError, match=r"has no list of labels beside it; expected BP4D_test_label_fold1\.txt"):
        Lists().read(tmp_path)
