from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metafacs.data.montage import FACE, GAP, montage, sample_rows
from metafacs.data.prepared import DatasetCard, PreparedDataset, PreparedWriter
from tests.data.test_prepared import jpeg


@pytest.mark.parametrize(("count", "columns", "across", "down"), [(24, 6, 6, 4), (5, 4, 4, 2), (1, 6, 3, 1)])
def test_sheet_has_room_for_the_faces(
    au_dataset: PreparedDataset, tmp_path: Path, count: int, columns: int, across: int, down: int
) -> None:
    montage(au_dataset, tmp_path / "sheet.png", count=count, columns=columns)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == GAP + across * (FACE + GAP)
        assert down * FACE < sheet.height < down * 2 * FACE


def test_sheet_shows_the_sampled_faces_and_their_labels(fe_dataset: PreparedDataset, tmp_path: Path) -> None:
    montage(fe_dataset, tmp_path / "sheet.png", count=3, columns=3)
    rows = sample_rows(fe_dataset.to_pandas(), 3, 0)
    pixels = np.asarray(Image.open(tmp_path / "sheet.png")).astype(float)
    top = int(np.flatnonzero((pixels[:, GAP : GAP + FACE] < 230).all((1, 2)))[0])
    for place, row in enumerate(rows):
        left = GAP + place * (FACE + GAP)
        shown = pixels[top : top + FACE, left : left + FACE]
        face = np.asarray(Image.fromarray(fe_dataset.image(row)).resize((FACE, FACE), Image.Resampling.BICUBIC))
        np.testing.assert_array_equal(shown, face)
        assert (pixels[top + FACE + 4 : top + FACE + 60, left : left + FACE] < 128).any(), "no text below the face"


def test_same_seed_same_sheet(au_dataset: PreparedDataset, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        montage(au_dataset, tmp_path / name, seed=seed)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_sample_takes_turns(au_dataset: PreparedDataset, fe_dataset: PreparedDataset) -> None:
    people = au_dataset.to_pandas()
    assert people["subject"][sample_rows(people, 12, 0)].value_counts().tolist() == [2] * 6
    faces = fe_dataset.to_pandas()
    assert faces["expression"][sample_rows(faces, 7, 0)].nunique() == faces["expression"].nunique()
    assert sorted(sample_rows(faces, 1000, 0)) == list(range(48))


def test_landmarks_are_drawn_when_asked(au_dataset: PreparedDataset, tmp_path: Path) -> None:
    def green(path: Path) -> int:
        return int((np.asarray(Image.open(path)) == (0, 255, 0)).all(-1).sum())

    montage(au_dataset, tmp_path / "plain.png", count=1)
    montage(au_dataset, tmp_path / "dots.png", count=1, landmarks=True)
    assert green(tmp_path / "plain.png") == 0
    assert green(tmp_path / "dots.png") > 200


def test_damaged_and_unlabelled_rows_are_shown_too(tmp_path: Path) -> None:
    writer = PreparedWriter(tmp_path / "a", DatasetCard("odd", "", "", ["AU01"]), {})
    rows = [{"image": jpeg(0), "fold": "P1"}, {"image": b"x", "fold": "P1", "AU01": 1, "votes": [1]}]
    rows += [{"image": jpeg(1, 8), "fold": "P1", "expression": "boredom", "votes": [0] * 7}]
    writer.write_part(0, rows)
    montage(writer.finish(1), tmp_path / "sheet.png", landmarks=True)
    assert (tmp_path / "sheet.png").stat().st_size > 5000
