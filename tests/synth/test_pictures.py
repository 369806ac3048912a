from pathlib import Path

import pytest
from PIL import Image

from metafacs.errors import InputError
from metafacs.synth.pictures import au_sheet, faces_picture


def test_the_au_sheet_has_a_face_for_each_au_and_person(tmp_path: Path) -> None:
    au_sheet(tmp_path / "aus.png", (4, 12), people=2, size=40, rays=1)
    with Image.open(tmp_path / "aus.png") as picture:
        assert picture.size == (3 * 40, 2 * 40 + 18)


def test_the_sample_has_two_rows_of_frames_and_two_of_expressions(tmp_path: Path) -> None:
    faces_picture(tmp_path / "faces.png", columns=2, size=40, rays=1)
    with Image.open(tmp_path / "faces.png") as picture:
        assert picture.size == (2 * 40, 4 * 40)


def test_what_cannot_be_shown_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot render AU 99"):
        au_sheet(tmp_path / "aus.png", (99,))
    with pytest.raises(InputError, match="0 people"):
        au_sheet(tmp_path / "aus.png", people=0)
