"""The report is one whole document that fetches nothing and says what the tables say."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from metafacs.analysis.figures import Gallery, compare_scored, draw_all
from metafacs.analysis.report import report
from metafacs.evaluation.comparison import AVERAGE
from metafacs.evaluation.tables import tables
from tests.analysis.test_cautions import settled, study
from tests.evaluation.runs import write_run
from tests.pages import Document


def test_nothing_comes_from_elsewhere(tmp_path: Path) -> None:
    runs = study(tmp_path, dataset="real")
    comparison = compare_scored(runs)
    document = Document(report(runs, comparison, draw_all(runs, comparison, tmp_path / "figures")))
    assert sum(source.startswith("data:") for source in document.sources) == 4


def test_every_number_of_the_tables_is_there(tmp_path: Path) -> None:
    runs = study(tmp_path, dataset="real")
    comparison = compare_scored(runs)
    assert comparison is not None and comparison.reference == "stl"
    texts = Document(report(runs, comparison, Gallery())).texts
    for made in tables(comparison, spread=True):
        assert {entry for row in made.rows for entry in row if entry} <= set(texts)
    assert any("Different from STL in average F1, with 95 % intervals: MAL" in text for text in texts)
    assert "Nothing out of the ordinary was found." in texts


def test_the_lead_says_what_is_not_known(tmp_path: Path) -> None:
    never = np.zeros((60, 3))
    runs = [settled(write_run(tmp_path, method, probabilities=never), method=method) for method in ("stl", "mal")]
    comparison = compare_scored(runs)
    assert comparison is not None
    lead = " ".join(Document(report(runs, comparison, Gallery())).texts)
    floor = 100 * float(comparison.floor()[AVERAGE])
    assert "No method reaches" in lead and f"{floor:.1f}" in lead and "STL with 0.0" in lead
    assert "two pairs of runs with STL" in lead and "no training saw" in lead
    unknown = replace(comparison, subject_exclusive=False)
    lead = " ".join(Document(report(runs, unknown, Gallery())).texts)
    assert "NOT SUBJECT-EXCLUSIVE" in lead and "no training saw" not in lead


def test_names_cannot_become_markup(tmp_path: Path) -> None:
    label = "<script>alert(1)</script>"
    run = write_run(tmp_path / "a", "mal")
    other = write_run(tmp_path / "b", "mal", seed=1)
    for folder in (run, other):
        (folder / "config.yaml").write_text(json.dumps({"method": "mal", "label": label, "data": {"side": label}}))
    comparison = compare_scored([run, other])
    text = report([run, other], comparison, Gallery(notes=[label]), notes=[label])
    assert label not in text and "&lt;script&gt;" in text
    Document(text)


def test_runs_without_predictions_are_reported_by_their_curves(tmp_path: Path) -> None:
    run = study(tmp_path)[0]
    (run / "predictions.parquet").unlink()
    assert compare_scored([run]) is None
    texts = Document(report([run], None, draw_all([run], None, tmp_path / "figures"))).texts
    assert "Training runs of AU detectors" in texts and "Losses and weights over training" in texts
