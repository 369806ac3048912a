from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facsynth.pictures import au_sheet, faces_picture
from metafacs.errors import InputError


def test_the_au_sheet_has_a_row_for_each_au_with_all_intensities(tmp_path: Path) -> None:
    au_sheet(tmp_path / "aus.png", (4, 12, 26), people=2, blocks=1, size=50, rays=1)
    with Image.open(tmp_path / "aus.png") as picture:
        assert picture.size == (7 * 50, 9 + 3 * 50)
        faces = np.asarray(picture).astype(float)[9:].reshape(3, 50, 7, 50, 3)[:, :, 1:]
    change = np.abs(faces - faces[:, :, :1]).mean(axis=(1, 3, 4))
    assert (np.diff(change, axis=1) > 0).all()  # the stronger, the farther from rest
    first, second, third = faces[:, :, 0]
    assert np.abs(first - third).max() == 0 < np.abs(first - second).max()  # two people take turns


def test_the_sample_has_two_rows_of_frames_and_two_of_expressions(tmp_path: Path) -> None:
    faces_picture(tmp_path / "faces.png", columns=2, size=40, rays=1)
    with Image.open(tmp_path / "faces.png") as picture:
        assert picture.size == (2 * 40, 4 * 40)


def test_what_cannot_be_shown_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot render AU 99"):
        au_sheet(tmp_path / "aus.png", (99,))
    with pytest.raises(InputError, match="0 AUs"):
        au_sheet(tmp_path / "aus.png", ())
    with pytest.raises(InputError, match="0 people"):
        au_sheet(tmp_path / "aus.png", people=0)
