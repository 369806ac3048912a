"""Curves: the right lines are drawn, and the caller's settings stay as they were."""

import json
from pathlib import Path

import matplotlib
import matplotlib.pyplot
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from metafacs.analysis import curves
from metafacs.analysis.curves import training_curves
from metafacs.errors import InputError
from tests.analysis.drawings import keep_figures, training_run


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    return keep_figures(monkeypatch, curves)


def bold_lines(figure: Figure, panel: int) -> dict[str, np.ndarray]:
    lines = figure.axes[panel].get_lines()
    return {str(line.get_label()): line.get_xydata() for line in lines if not str(line.get_label()).startswith("_")}


def test_training_curves_show_both_tasks_of_both_methods(tmp_path: Path, drawn: list[Figure]) -> None:
    runs = [training_run(tmp_path, "mtl"), training_run(tmp_path, "mal")]
    files = training_curves(runs, tmp_path / "out" / "curves", smoothing=0.0)
    assert [file.name for file in files] == ["curves.png", "curves.pdf"]
    assert Image.open(files[0]).width == 1003  # 8.5 cm at 300 dots an inch
    assert files[1].read_bytes().startswith(b"%PDF")
    losses, weights = bold_lines(drawn[0], 0), bold_lines(drawn[0], 1)
    assert set(losses) == {"AU, MTL", "AU, MAL", "FE, MTL", "FE, MAL"}
    assert set(weights) == {"AU, MAL", "FE, MAL"}
    np.testing.assert_allclose(weights["FE, MAL"][-1], (2000, 0.2))
    np.testing.assert_allclose(weights["AU, MAL"][0], (50, 0.5075))


def test_without_learned_weights_there_is_one_panel(tmp_path: Path, drawn: list[Figure]) -> None:
    training_curves([training_run(tmp_path, "stl"), training_run(tmp_path, "mtl")], tmp_path / "curves.png")
    assert len(drawn[0].axes) == 1
    assert set(bold_lines(drawn[0], 0)) == {"AU, STL", "AU, MTL", "FE, MTL"}


def test_several_seeds_are_averaged_over_the_steps_they_share(tmp_path: Path, drawn: list[Figure]) -> None:
    runs = [training_run(tmp_path, "mtl", seed, lines) for seed, lines in ((0, 40), (1, 30))]
    training_curves(runs, tmp_path / "curves", smoothing=0.0)
    records = [[json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()[:-1]] for run in runs]
    expected = np.mean([[record["loss_primary"] for record in rows[:30]] for rows in records], axis=0)
    np.testing.assert_allclose(bold_lines(drawn[0], 0)["AU, MTL"][:, 1], expected)


def test_moving_average_is_the_two_sided_exponential_one() -> None:
    values = np.random.default_rng(0).random(25)
    found = curves.moving_average(pd.Series(values), 0.8).to_numpy()
    distance = np.abs(np.arange(25)[:, None] - np.arange(25))
    weights = 0.8**distance * np.where(distance == 0, 2, 1)  # each side counts the value itself
    np.testing.assert_allclose(found, weights @ values / weights.sum(axis=1))


def test_training_curves_refuse_what_they_cannot_draw(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="smoothing"):
        training_curves([], tmp_path / "curves", smoothing=1.0)
    with pytest.raises(InputError, match="nothing to draw"):
        training_curves([], tmp_path / "curves")
    run = training_run(tmp_path, "mtl")
    (run / "metrics.jsonl").write_text('{"event": "validation", "step": 1, "average_f1": 0.5}\n')
    with pytest.raises(InputError, match="no training loss"):
        training_curves([run], tmp_path / "curves")


def test_drawing_leaves_no_trace_in_the_callers_matplotlib(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    training_curves([training_run(tmp_path, "mal")], tmp_path / "curves")
    assert dict(matplotlib.rcParams) == before
    assert matplotlib.pyplot.get_fignums() == []


def test_pdf_is_the_same_for_the_same_runs(tmp_path: Path) -> None:
    run = training_run(tmp_path, "mal")
    first = training_curves([run], tmp_path / "a")[1].read_bytes()
    assert training_curves([run], tmp_path / "b")[1].read_bytes() == first


def test_of_many_methods_the_papers_are_shown(tmp_path: Path, drawn: list[Figure]) -> None:
    runs = [training_run(tmp_path, method) for method in ("dwa", "pcgrad", "mal", "stl", "mtl")]
    training_curves(runs, tmp_path / "curves")
    assert {label.split(", ")[1] for label in bold_lines(drawn[0], 0)} == {"MAL", "STL", "MTL"}


def test_fixed_weights_are_no_curve(tmp_path: Path, drawn: list[Figure]) -> None:
    run = training_run(tmp_path, "mtl")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()[:-1]]
    text = "".join(json.dumps({**line, "weight_primary": 0.5, "weight_auxiliary": 0.5}) + "\n" for line in lines)
    (run / "metrics.jsonl").write_text(text)
    training_curves([run], tmp_path / "curves")
    assert len(drawn[0].axes) == 1
