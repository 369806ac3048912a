from pathlib import Path

import pandas as pd
import pytest

from metafacs.datasets.base import Listing, RowTable
from metafacs.datasets.listed import LISTING_FILE, MOST_SUBJECTS, Clip, Listed
from metafacs.errors import InputError


def listing(raw: Path) -> Listing:
    table = RowTable(["AU01", "AU12"])
    for frame in range(4):
        labels = {"AU01": frame % 2, "AU12": None if frame == 3 else 1}
        place = {"video": "a.avi", "video_frame": frame} if frame < 2 else {"image": f"{frame}.jpg"}
        own = {"subject": f"S{frame // 2}", "sequence": "T", "frame": frame, "fold": "P1" if frame < 3 else ""}
        table.add({**place, **own, **labels, "expression": "fear" if frame else None})
    return table.listing(raw, [], ["a note"], "bp4d")


def test_counts_come_back_from_the_file(tmp_path: Path) -> None:
    found = Listed.of(listing(tmp_path), tmp_path)
    assert found == Listed(
        protocol="bp4d",
        notes=["a note"],
        rows=4,
        people=2,
        subjects={"S0": 2, "S1": 2},
        folds={"": 1, "P1": 3},
        aus={"AU01": [4, 2], "AU12": [3, 3]},
        expressions={"": {"fear": 1}, "P1": {"fear": 2}},
        videos=[Clip("a.avi", 0, 1, None)],
    )
    found.write(tmp_path)
    assert Listed.read(tmp_path) == found


def test_the_length_of_a_video_is_kept(tmp_path: Path) -> None:
    pytest.importorskip("av")
    from tests.faces.test_video import make_video

    make_video(tmp_path / "a.avi", "mpeg4", frames=7)
    assert Listed.of(listing(tmp_path), tmp_path).videos == [Clip("a.avi", 0, 1, 7)]


def test_of_many_people_only_the_number_is_kept(tmp_path: Path) -> None:
    many = listing(tmp_path)
    many.rows = pd.concat([many.rows.iloc[2:3]] * (MOST_SUBJECTS + 1), ignore_index=True)
    many.rows["subject"] = [f"S{k}" for k in range(len(many.rows))]
    found = Listed.of(many, tmp_path)
    assert found.subjects == {} and found.people == MOST_SUBJECTS + 1


@pytest.mark.parametrize("text", ["{", "[]", '{"rows": 3}', '{"videos": [{"x": 1}]}'])
def test_a_damaged_file_is_an_error(text: str, tmp_path: Path) -> None:
    assert Listed.read(tmp_path) is None
    (tmp_path / LISTING_FILE).write_text(text)
    with pytest.raises(InputError, match=r"listing\.json cannot be read .* prepare the dataset again"):
        Listed.read(tmp_path)
