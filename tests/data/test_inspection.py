import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from metafacs.data.inspection import Inspection, inspect, render_text
from metafacs.data.prepared import DatasetCard, PreparedDataset, PreparedWriter
from tests.data.test_prepared import jpeg


@pytest.fixture
def dataset(tmp_path: Path) -> PreparedDataset:
    """Four subjects, two in each fold, two images each; AU12 is labelled in half of them, AU04 never."""
    writer = PreparedWriter(tmp_path / "a", DatasetCard("tiny", "noise", "CC0", ["AU01", "AU12"]), {})
    rows: list[dict[str, Any]] = []
    for k in range(8):
        row = {"image": jpeg(k), "subject": f"S{k // 2}", "fold": f"P{k // 4 + 1}", "sequence": "T1", "frame": k}
        row |= {"AU01": int(k in (0, 5, 6)), "AU01_intensity": 3 if k in (0, 5) else 5 if k == 6 else 1}
        rows.append(row | ({"AU12": 1} if k < 4 else {}))
    rows[0] |= {"expression": "anger", "votes": [0, 0, 0, 2, 8, 0, 0]}
    rows[1] |= {"expression": "anger", "votes": [0, 0, 0, 4, 6, 0, 0]}
    rows[2] |= {"expression": "fear"}
    writer.write_part(0, rows)
    return writer.finish(1)


def text_of(inspection: Inspection, most: int = 20, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(render_text(inspection, most))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_counts_per_subject_and_fold(dataset: PreparedDataset) -> None:
    found = inspect(dataset)
    assert found.subjects.loc["S1"].tolist() == ["P1", 2, 1]
    assert found.subjects["faces"].sum() == 8
    assert found.folds.loc["P1"].to_dict() == {
        "faces": 4,
        "subjects": 2,
        "sequences": 2,
        "au_labelled": 4,
        "expression_labelled": 3,
    }
    assert found.folds.loc["P2", "expression_labelled"] == 0


def test_base_rates_count_only_labelled_faces(dataset: PreparedDataset) -> None:
    aus = inspect(dataset).aus
    assert aus.index.tolist() == ["AU1", "AU12"]
    assert aus.loc["AU1", ["name", "labelled", "present", "subjects"]].tolist() == ["Inner brow raiser", 8, 3, 3]
    assert aus.loc["AU1", "present_percent"] == 37.5
    assert aus.loc["AU1", ["present_percent_P1", "present_percent_P2"]].tolist() == [25, 50]
    assert aus.loc["AU12", ["labelled", "present_percent"]].tolist() == [4, 100]
    assert np.isnan(aus.loc["AU12", "present_percent_P2"])


def test_intensities_are_counted_where_known(dataset: PreparedDataset, fe_dataset: PreparedDataset) -> None:
    table = inspect(dataset).intensities
    assert table.index.tolist() == ["AU01_intensity"]
    assert table.loc["AU01_intensity"].tolist() == [0, 5, 0, 2, 0, 1]
    rendered = inspect(fe_dataset).intensities
    assert rendered.index[0] == "true_AU01" and (rendered.sum(axis=1) == len(fe_dataset)).all()


def test_consistency_is_the_mean_share_of_the_winning_votes(dataset: PreparedDataset) -> None:
    table = inspect(dataset).expressions
    assert table["faces"].to_dict() == {
        **dict.fromkeys(dataset.card.expressions, 0),
        "anger": 2,
        "fear": 1,
    }
    assert table.loc["anger", "consistency"] == pytest.approx(0.7)
    assert np.isnan(table.loc["fear", "consistency"])
    assert table["percent"].sum() == pytest.approx(100)


def test_unreadable_faces_are_less_consistent(fe_dataset: PreparedDataset) -> None:
    found = inspect(fe_dataset)
    assert found.causes["faces"].sum() == len(fe_dataset)
    assert found.causes.loc["unreadable", "consistency"] < found.causes.loc["clear", "consistency"] - 0.2
    expected = fe_dataset.consistency()[fe_dataset.column("cause") == "clear"].mean()
    assert found.causes.loc["clear", "consistency"] == pytest.approx(expected)
    assert found.aus.empty


def write_broken(folder: Path) -> PreparedDataset:
    writer = PreparedWriter(folder, DatasetCard("broken", "", "", ["AU01"]), {})
    shared = {"subject": "S1", "sequence": "T1", "AU01": 0}
    rows = [{**shared, "image": b"x", "fold": f"P{k % 2}", "frame": k, "votes": [1]} for k in range(30)]
    rows[3] |= {"AU01": 9, "expression": "boredom"}
    writer.write_part(0, rows)
    return writer.finish(1)


def test_every_problem_is_listed_with_its_row(tmp_path: Path) -> None:
    found = inspect(write_broken(tmp_path / "a"))
    problems = found.problems
    assert problems["column"].value_counts().to_dict() == {
        "image": 30,
        "votes": 30,
        "fold": 1,
        "AU01": 1,
        "expression": 1,
    }
    row = problems[problems["column"] == "AU01"].iloc[0]
    assert row[["row", "subject", "sequence", "frame"]].tolist() == [3, "S1", "T1", 3]
    assert found.aus.loc["AU1", "labelled"] == 29, "an impossible label must not count in the base rate"
    found.write(tmp_path / "tables")
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "tables" / "problems.csv")[["row", "column", "message"]],
        problems[["row", "column", "message"]],
        check_dtype=False,
    )


def test_text_shows_the_first_problems_and_counts_the_rest(tmp_path: Path) -> None:
    text = text_of(inspect(write_broken(tmp_path / "a")), most=5)
    assert text.count("unreadable image") < 5
    assert "and 58 more" in text and text.rstrip().endswith("63 problems found")


def test_text_names_every_table(dataset: PreparedDataset) -> None:
    text = text_of(inspect(dataset))
    for part in ("tiny: 8 faces of 4 subjects", "Folds", "Subjects", "AU12", "37.50", "Expressions", "0.70"):
        assert part in text
    assert text.rstrip().endswith("no problems found")


def test_text_fits_a_narrow_terminal(dataset: PreparedDataset) -> None:
    assert max(map(len, text_of(inspect(dataset), width=80).splitlines())) <= 80


def test_subjects_with_one_face_each_are_not_printed(fe_dataset: PreparedDataset) -> None:
    assert "face00003" not in text_of(inspect(fe_dataset))
    assert "face00003" in inspect(fe_dataset).subjects.index


def test_tables_are_written_as_csv(dataset: PreparedDataset, tmp_path: Path) -> None:
    found = inspect(dataset)
    found.write(tmp_path / "tables")
    names = {"subjects", "folds", "aus", "intensities", "expressions", "causes", "problems"}
    assert {path.stem for path in (tmp_path / "tables").iterdir()} == names
    for name in ("subjects", "folds", "aus", "expressions"):
        again = pd.read_csv(tmp_path / "tables" / f"{name}.csv", index_col=0)
        pd.testing.assert_frame_equal(again, found.tables()[name], check_dtype=False)
