from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metafacs.data.prepared import DatasetCard, PreparedDataset, PreparedWriter, Problem, true_levels, validate
from tests.data.test_prepared import jpeg, make_rows

ROWS = 6


def write(folder: Path, changes: dict[int, dict[str, Any]], truths: dict[str, str] | None = None) -> PreparedDataset:
    card = DatasetCard("noise", "", "", ["AU01", "AU12"], crop={"size": 16}, truths=truths or {})
    rows = [{**row, "AU12": 1} for part in range(2) for row in make_rows(part)]
    for row, change in changes.items():
        rows[row] |= change
    writer = PreparedWriter(folder, card, {})
    writer.write_part(0, rows)
    return writer.finish(1)


def test_a_sound_dataset_has_no_problems(
    tmp_path: Path, au_dataset: PreparedDataset, fe_dataset: PreparedDataset
) -> None:
    assert validate(write(tmp_path / "a", {})) == []
    assert validate(au_dataset) == []
    assert validate(fe_dataset) == []


@pytest.mark.parametrize(
    ("change", "column", "message"),
    [
        ({"AU01": 2}, "AU01", "impossible label 2; it must be 0 to 1 or null"),
        ({"AU01": -1}, "AU01", "impossible label -1; it must be 0 to 1 or null"),
        ({"AU01": 9}, "AU01", "impossible label 9; it must be 0 to 1 or null"),
        ({"AU12_intensity": 6}, "AU12_intensity", "impossible intensity 6; it must be 0 to 5 or null"),
        ({"AU12_intensity": -1}, "AU12_intensity", "impossible intensity -1; it must be 0 to 5 or null"),
        ({"AU12_intensity": 0}, "AU12", "label 1 with intensity 0: impossible whatever intensity counts as present"),
        (
            {"AU12": 0, "AU12_intensity": 5},
            "AU12",
            "label 0 with intensity 5: impossible whatever intensity counts as present",
        ),
        ({"fold": "P1"}, "fold", "subject S1 is in several folds: P1, P2"),
        ({"subject": None}, "subject", "AU labels but no subject, so it cannot be kept out of a test fold"),
        ({"frame": 0}, "frame", "frame 0 of sequence T1, subject S1, is there more than once"),
        (
            {"expression": "boredom"},
            "expression",
            "unknown expression 'boredom'; the card lists neutral, happiness, surprise, sadness, anger, disgust, fear",
        ),
        ({"votes": [1, 2]}, "votes", "2 votes, but 7 expressions"),
        ({"votes": [1, 2, -1, 0, 0, 0, 0]}, "votes", "negative or missing votes: [1, 2, -1, 0, 0, 0, 0]"),
        ({"votes": [0] * 7}, "votes", "no annotator voted; use null where votes are not known"),
        (
            {"votes": [0, 9, 1, 0, 0, 0, 0], "expression": "fear"},
            "votes",
            "no annotator chose the expression 'fear'",
        ),
        ({"landmarks": np.zeros((49, 2))}, "landmarks", "49 landmarks instead of 68"),
        ({"landmarks": np.full((68, 2), np.inf)}, "landmarks", "landmarks that are not finite numbers"),
        ({"image": b"no picture"}, "image", "an unreadable image: no known format"),
        ({"image": jpeg(1, side=12)}, "image", "12x12 pixels, the card says 16x16"),
        ({"true_AU01": 7}, "true_AU01", "impossible intensity 7; it must be 0 to 5 or null"),
        ({"true_AU01_left": -1}, "true_AU01_left", "impossible intensity -1; it must be 0 to 5 or null"),
    ],
)
def test_each_problem_is_found_in_its_row(tmp_path: Path, change: dict[str, Any], column: str, message: str) -> None:
    truths = true_levels(["AU01"], sides=True) if "true_AU01" in next(iter(change)) else {}
    dataset = write(tmp_path / "a", {4: change}, truths)
    assert validate(dataset) == [Problem(4, column, message)]


@pytest.mark.parametrize(
    "change",
    [
        {"AU01": None, "AU12": None, "subject": None},
        {"AU12": 0, "AU12_intensity": 4},
        {"AU12_intensity": 1},
        {"votes": [3, 5, 2, 0, 0, 0, 0], "expression": "neutral"},
        {"votes": [3, 5, 2, 0, 0, 0, 0]},
        {"sequence": None, "frame": None},
        {"landmarks": np.full((68, 2), -3.5)},
    ],
)
def test_unusual_rows_are_no_problem(tmp_path: Path, change: dict[str, Any]) -> None:
    assert validate(write(tmp_path / "a", {4: change})) == []


def test_a_truncated_jpeg_is_found(tmp_path: Path) -> None:
    [problem] = validate(write(tmp_path / "a", {2: {"image": jpeg(5)[:-150]}}))
    assert problem.row == 2 and problem.column == "image" and "truncated" in problem.message


def test_an_au_without_labels_is_found(tmp_path: Path) -> None:
    dataset = write(tmp_path / "a", {row: {"AU12": None} for row in range(ROWS)})
    assert validate(dataset) == [Problem(None, "AU12", "no row is labelled for this AU, though the card lists it")]


def test_a_dataset_without_labels_is_found(tmp_path: Path) -> None:
    dataset = write(tmp_path / "a", {row: {"AU01": None, "AU12": None} for row in range(ROWS)})
    assert validate(dataset) == [Problem(None, "expression", "no row has an AU label or an expression")]


def test_problems_are_sorted_and_images_can_be_skipped(tmp_path: Path) -> None:
    dataset = write(tmp_path / "a", {5: {"AU01": 3}, 1: {"AU12": 4}, 3: {"image": b"x"}})
    assert [problem.row for problem in validate(dataset)] == [1, 3, 5]
    assert [problem.row for problem in validate(dataset, images=False)] == [1, 5]


def test_a_changed_pixel_is_found_by_the_hash(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", {}).folder
    data = (folder / "faces.arrow").read_bytes()
    place = data.index(make_rows(1)[2]["image"]) + 400
    (folder / "faces.arrow").write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    problems = validate(PreparedDataset.open(folder))
    assert (problems[0].row, problems[0].column) == (None, "")
    assert "faces.arrow is not the file its card describes" in problems[0].message


def test_progress_counts_the_images(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    validate(write(tmp_path / "a", {}), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, ROWS) for done in range(1, ROWS + 1)]
