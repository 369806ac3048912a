"""Figures of scores show what the comparison says."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from metafacs.analysis import scores
from metafacs.analysis.scores import average_figure, gains_figure, per_au_figure
from metafacs.analysis.style import COLUMN
from metafacs.evaluation.comparison import AVERAGE, Comparison, compare
from tests.analysis.drawings import keep_figures, smallest_letters
from tests.evaluation.runs import write_run


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    return keep_figures(monkeypatch, scores)


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    skills = {"stl": 1.0, "mtl": 1.5, "mal": 3.0}
    return compare([write_run(tmp_path, m, seed=s, skill=k) for m, k in skills.items() for s in (0, 1, 2)])


def test_per_au_figure_draws_every_method_and_the_floor(
    tmp_path: Path, drawn: list[Figure], comparison: Comparison
) -> None:
    files = per_au_figure(comparison, tmp_path / "per_au")
    assert all(file.exists() for file in files)
    axis = drawn[0].axes[0]
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["AU1", "AU4", "AU12", "Avg."]
    _, labels = axis.get_legend_handles_labels()
    assert labels == ["all present (floor)", "STL", "MTL", "MAL"]
    np.testing.assert_allclose(axis.containers[2].lines[0].get_xdata(), comparison.means().loc["mal"] * 100)


def test_of_many_methods_the_best_are_drawn(tmp_path: Path, drawn: list[Figure]) -> None:
    names = ["stl", "a", "b", "c", "d", "e", "f", "mal"]
    runs = [write_run(tmp_path, name, skill=0.2 if name in ("a", "mal") else 2 + k) for k, name in enumerate(names)]
    comparison = compare(runs)
    per_au_figure(comparison, tmp_path / "per_au")
    assert drawn[0].axes[0].get_legend_handles_labels()[1][1:] == ["STL", "b", "c", "d", "e", "f", "MAL"]


def test_average_figure_puts_the_best_on_top(tmp_path: Path, drawn: list[Figure], comparison: Comparison) -> None:
    average_figure(comparison, tmp_path / "average")
    axis = drawn[0].axes[0]
    means = comparison.means()[AVERAGE].sort_values()
    assert [tick.get_text().lower() for tick in axis.get_yticklabels()] == list(means.index)
    assert [text.get_text() for text in axis.texts] == [f"{100 * mean:.1f}" for mean in means]


def test_gains_are_filled_only_where_the_interval_leaves_out_zero(
    tmp_path: Path, drawn: list[Figure], comparison: Comparison
) -> None:
    gains_figure(comparison, tmp_path / "gains")
    differences = comparison.differences()
    for axis, method in zip(drawn[0].axes, ("mtl", "mal"), strict=True):
        dots = [line for line in axis.get_lines() if line.get_marker() == "o"]
        own = differences.loc[method]
        np.testing.assert_allclose([float(dot.get_xdata()[0]) for dot in dots], own["mean"] * 100)
        hollow = [dot.get_markerfacecolor() == "white" for dot in dots]
        assert hollow == [bool(low <= 0 <= high) for low, high in zip(own["low"], own["high"], strict=True)]


def test_gains_without_an_interval_are_hollow(tmp_path: Path, drawn: list[Figure]) -> None:
    comparison = compare([write_run(tmp_path, "stl"), write_run(tmp_path, "mal", skill=3)])
    gains_figure(comparison, tmp_path / "gains")
    dots = [line for line in drawn[0].axes[0].get_lines() if line.get_marker() == "o"]
    assert len(dots) == 4 and all(dot.get_markerfacecolor() == "white" for dot in dots)


def test_all_fit_a_column_and_can_be_read(tmp_path: Path, drawn: list[Figure], comparison: Comparison) -> None:
    for draw in (per_au_figure, average_figure, gains_figure):
        draw(comparison, tmp_path / draw.__name__)
    for figure in drawn:
        assert figure.get_size_inches()[0] == pytest.approx(COLUMN)
        assert smallest_letters(figure) >= 7
