from pathlib import Path

import pytest

from metafacs.datasets.folders import PictureFolders, files_below, find_file, find_folder
from metafacs.errors import InputError
from tests.datasets.trees import picture, text


def test_a_folder_is_found_below_what_archives_add(tmp_path: Path) -> None:
    (tmp_path / "release/BP4D/AUCoding/au_occ").mkdir(parents=True)
    assert find_folder(tmp_path, ["AU_OCC"]) == tmp_path / "release/BP4D/AUCoding/au_occ"
    assert find_folder(tmp_path / "release/BP4D/AUCoding/au_occ", ["AU_OCC"]).name == "au_occ"
    assert find_folder(tmp_path, ["AU_INT"]) is None


def test_two_folders_of_one_name_are_ambiguous(tmp_path: Path) -> None:
    for top in "ab":
        (tmp_path / top / "AU_OCC").mkdir(parents=True)
    with pytest.raises(InputError, match=r"more than one AU_OCC: .*a/AU_OCC, .*b/AU_OCC"):
        find_folder(tmp_path, ["AU_OCC"])


def test_a_folder_with_the_name_of_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").mkdir()
    with pytest.raises(InputError, match=r"fer2013\.csv is a folder"):
        find_file(tmp_path, ["fer2013.csv"])


def test_hidden_files_of_archives_are_no_pictures(tmp_path: Path) -> None:
    for name in ("1.jpg", "._1.jpg", "__x/.2.jpg", ".cache/3.jpg", "b/4.PNG", "b/notes.txt"):
        picture(tmp_path / name)
    assert list(files_below(tmp_path, frozenset({".jpg", ".png"}))) == ["1.jpg", "b/4.PNG"]


def test_links_are_followed_once(tmp_path: Path) -> None:
    picture(tmp_path / "disk/a/1.jpg")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/img").symlink_to(tmp_path / "disk")
    (tmp_path / "disk/a/loop").symlink_to(tmp_path / "disk")
    assert list(files_below(tmp_path / "raw", frozenset({".jpg"}))) == ["img/a/1.jpg"]


def test_pictures_are_found_whatever_case_ending_and_padding(tmp_path: Path) -> None:
    for name in ("a/0111.JPG", "a/Face.png", "a/7.jpg", "a/007.jpg", "top.jpeg"):
        picture(tmp_path / name)
    text(tmp_path / "a/8.txt", ["no picture"])
    pictures = PictureFolders(tmp_path)
    assert pictures.find("a/0111.jpg") == "a/0111.JPG"
    assert pictures.find("a/111.jpg") is None
    assert pictures.find("a/111.jpg", by_number=True) == "a/0111.JPG"
    assert pictures.find("a/face.jpg") == "a/Face.png"
    assert pictures.find("a/face") == "a/Face.png"
    assert pictures.find("top.jpeg") == "top.jpeg"
    assert pictures.find("a/7.jpg", by_number=True) == "a/7.jpg"
    assert pictures.find("a/0007.jpg", by_number=True) is None, "7.jpg and 007.jpg could both be meant"
    assert pictures.find("a/8", by_number=True) is None
    assert pictures.find("b/1.jpg") is None


def test_a_link_to_itself_and_a_digit_that_is_none_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "around" / "FACS").mkdir(parents=True)
    (tmp_path / "loop").symlink_to("loop")
    assert find_folder(tmp_path, ["FACS"]) == tmp_path / "around" / "FACS"
    picture(tmp_path / "img" / "².jpg")
    picture(tmp_path / "img" / "0007.jpg")
    assert PictureFolders(tmp_path).find("img/7", by_number=True) == "img/0007.jpg"
    assert PictureFolders(tmp_path).find("y" * 300 + "/7.jpg") is None


def test_a_picture_of_any_name_is_found_where_the_whole_name_is_given(tmp_path: Path) -> None:
    (tmp_path / "img" / "8").mkdir(parents=True)
    for name in ("photo.jpg_large", "8.jfif"):
        (tmp_path / "img" / name).touch()
    pictures = PictureFolders(tmp_path)
    assert pictures.find("img/photo.jpg_large") == "img/photo.jpg_large" and pictures.find("img/8") == "img/8.jfif"
    assert pictures.find("img/photo") is None
