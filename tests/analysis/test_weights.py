"""Figures of weights: groups, order and numbers are those of the table."""

from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from metafacs.analysis import findings
from metafacs.analysis import weights as module
from metafacs.analysis.sample_weights import ACTIVE, MethodWeights, read_method_weights
from metafacs.analysis.weights import active_figure, cause_figure, consistency_figure, dataset_figure
from metafacs.data.prepared import PreparedDataset
from metafacs.errors import InputError
from tests.analysis.drawings import keep_figures, smallest_letters, weighted_run

DRAWS = (consistency_figure, active_figure, cause_figure)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    return keep_figures(monkeypatch, module)


@pytest.fixture
def weights(tmp_path: Path, fe_dataset: PreparedDataset) -> MethodWeights:
    return read_method_weights([weighted_run(tmp_path, fe_dataset)])["mal"]


def without(weights: MethodWeights, **columns: object) -> MethodWeights:
    return MethodWeights("mal", weights.images.assign(**columns), weights.by_run)


def test_most_trusted_cause_comes_first(tmp_path: Path, drawn: list[Figure], weights: MethodWeights) -> None:
    cause_figure(weights, tmp_path / "cause")
    labels = [tick.get_text() for tick in drawn[0].axes[0].get_yticklabels()]
    means = weights.images.groupby("cause")["weight"].agg(["mean", "size"]).sort_values("mean", ascending=False)
    assert labels == [f"{cause} ({row['size']:.0f})" for cause, row in means.iterrows()]


def test_consistency_figure_says_spearman(tmp_path: Path, drawn: list[Figure], weights: MethodWeights) -> None:
    consistency_figure(weights, tmp_path / "consistency")
    legend = drawn[0].axes[0].get_legend()
    assert legend is not None and str(weights.correlation("consistency")) in legend.get_title().get_text()
    assert len(drawn[0].axes[0].collections[0].get_offsets()) == 48


def test_mean_weight_by_active_aus(tmp_path: Path, drawn: list[Figure], weights: MethodWeights) -> None:
    active_figure(weights, tmp_path / "active")
    line = drawn[0].axes[0].containers[0].lines[0]
    groups = weights.images.groupby(ACTIVE)["weight"].agg(["mean", "size"])
    expected = groups[groups["size"] >= 5]["mean"]
    assert line.get_xdata().tolist() == expected.index.tolist()
    assert line.get_ydata().tolist() == pytest.approx(expected.tolist())


def test_mean_weight_by_dataset(tmp_path: Path, drawn: list[Figure], weights: MethodWeights) -> None:
    images = weights.images.assign(dataset=["one", "other"] * (len(weights.images) // 2))
    dataset_figure(MethodWeights("mal", images, weights.by_run), tmp_path / "dataset")
    means = images.groupby("dataset")["weight"].mean()
    shown = [container.lines[0] for container in drawn[0].axes[0].containers]
    assert [line.get_ydata()[0] for line in shown] == pytest.approx(means.tolist())
    assert findings.dataset(MethodWeights("mal", images, weights.by_run)).count(f"{means.max():.3f}") == 1


def test_what_is_not_known_is_not_drawn(tmp_path: Path, weights: MethodWeights) -> None:
    for draw, column in zip(DRAWS, ("consistency", ACTIVE, "cause"), strict=True):
        with pytest.raises(InputError, match=f"known {column}"):
            draw(without(weights, **{column: None}), tmp_path / "none")


def test_equal_weights_and_huge_ones_can_be_drawn(tmp_path: Path, drawn: list[Figure], weights: MethodWeights) -> None:
    huge = pd.Series(0.5, weights.images.index)
    for values in (huge, huge.where(huge.index != 3, 500.0)):
        for draw in DRAWS:
            draw(without(weights, weight=values), tmp_path / draw.__name__)
    assert drawn[3].axes[0].get_ylim()[1] < 500 and "1 images lie outside" in drawn[3].axes[0].get_title("right")
    assert min(map(smallest_letters, drawn)) >= 7
