"""Figures: both files are written, the right lines are drawn, and the caller's settings stay as they were."""

import json
from pathlib import Path

import matplotlib
import matplotlib.pyplot
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from metafacs.analysis import figures
from metafacs.analysis.figures import per_au_figure, training_curves, weights_by_cause
from metafacs.errors import InputError
from metafacs.evaluation.comparison import compare
from tests.evaluation.runs import write_run


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were saved, so that tests can look into them."""
    kept: list[Figure] = []
    save = figures._save

    def keep(figure: Figure, out: Path) -> list[Path]:
        kept.append(figure)
        return save(figure, out)

    monkeypatch.setattr(figures, "_save", keep)
    return kept


def training_run(folder: Path, method: str, seed: int = 0, lines: int = 40) -> Path:
    random = np.random.default_rng([seed, len(method)])
    run = folder / f"{method}-{seed}"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(f"method: {method}\ndata: {{test_fold: P1}}\nseed: {seed}\n")
    with (run / "metrics.jsonl").open("w") as file:
        for k in range(1, lines + 1):
            record = {"event": "train", "step": 50 * k, "loss_primary": 1 / k + 0.05 * random.random()}
            if method != "stl":
                record["loss_auxiliary"] = 2 / k + 0.05 * random.random()
            if method == "mal":
                weight = 0.5 + 0.3 * k / lines
                record |= {"weight_primary": weight, "weight_auxiliary": 1 - weight}
            file.write(json.dumps(record) + "\n")
        file.write('{"event": "train", "st')
    return run


def bold_lines(figure: Figure, panel: int) -> dict[str, np.ndarray]:
    lines = figure.axes[panel].get_lines()
    return {str(line.get_label()): line.get_xydata() for line in lines if not str(line.get_label()).startswith("_")}


def test_training_curves_show_both_tasks_of_both_methods(tmp_path: Path, drawn: list[Figure]) -> None:
    runs = [training_run(tmp_path, "mtl"), training_run(tmp_path, "mal")]
    files = training_curves(runs, tmp_path / "out" / "curves", smoothing=0.0)
    assert [file.name for file in files] == ["curves.png", "curves.pdf"]
    assert Image.open(files[0]).size == (2100, 765)
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
    found = figures._moving_average(pd.Series(values), 0.8).to_numpy()
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


def test_per_au_figure_draws_every_method_and_the_floor(tmp_path: Path, drawn: list[Figure]) -> None:
    runs = [write_run(tmp_path, method, seed=seed, skill=2) for method in ("stl", "mal") for seed in (0, 1)]
    comparison = compare(runs)
    files = per_au_figure(comparison, tmp_path / "per_au")
    assert all(file.exists() for file in files)
    axis = drawn[0].axes[0]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["AU1", "AU4", "AU12", "Avg."]
    _, labels = axis.get_legend_handles_labels()
    assert labels == ["all present (floor)", "STL", "MAL"]
    np.testing.assert_allclose(axis.containers[1].lines[0].get_ydata(), comparison.means().loc["mal"] * 100)


def sample_weights(folder: Path, **columns: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    n = 300
    table = {
        "stream": np.where(np.arange(n) < 50, "primary", "auxiliary"),
        "row": range(n),
        "consistency": random.random(n),
        "cause": random.choice(["clear", "unreadable"], n),
        "step": 10,
    }
    table["weight"] = np.where(table["cause"] == "clear", 0.6, 0.3) + 0.05 * random.random(n)
    pd.DataFrame(table | columns).to_parquet(folder / "sample_weights.parquet")
    return folder


def test_weights_by_cause_puts_the_most_trusted_cause_first(tmp_path: Path, drawn: list[Figure]) -> None:
    files = weights_by_cause([sample_weights(tmp_path)], tmp_path / "weights")
    assert all(file.exists() for file in files)
    left, right = drawn[0].axes
    ticks = [tick.get_text() for tick in left.get_xticklabels()]
    assert [tick.split("\n")[0] for tick in ticks] == ["clear", "unreadable"]
    assert sum(int(tick.split("= ")[1]) for tick in ticks) == 250
    assert "annotators" in right.get_xlabel()


def test_weights_by_cause_leaves_out_the_panel_that_has_no_data(tmp_path: Path, drawn: list[Figure]) -> None:
    weights_by_cause([sample_weights(tmp_path, cause=None)], tmp_path / "weights")
    assert len(drawn[0].axes) == 1
    with pytest.raises(InputError, match="nothing to draw"):
        weights_by_cause([sample_weights(tmp_path, cause=None, consistency=None)], tmp_path / "weights")
    with pytest.raises(InputError, match="nothing to draw"):
        weights_by_cause([sample_weights(tmp_path, stream="primary")], tmp_path / "weights")


def test_equal_weights_can_be_drawn(tmp_path: Path) -> None:
    weights_by_cause([sample_weights(tmp_path, weight=0.5)], tmp_path / "weights")


def test_drawing_leaves_no_trace_in_the_callers_matplotlib(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    training_curves([training_run(tmp_path, "mal")], tmp_path / "curves")
    assert dict(matplotlib.rcParams) == before
    assert matplotlib.pyplot.get_fignums() == []


def test_pdf_is_the_same_for_the_same_runs(tmp_path: Path) -> None:
    run = training_run(tmp_path, "mal")
    first = training_curves([run], tmp_path / "a")[1].read_bytes()
    assert training_curves([run], tmp_path / "b")[1].read_bytes() == first
