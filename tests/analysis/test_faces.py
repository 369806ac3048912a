"""Grids of faces show the right faces with the right numbers."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from metafacs.analysis import faces
from metafacs.analysis.faces import extreme_faces, ranked_faces
from metafacs.analysis.sample_weights import MethodWeights, read_method_weights
from metafacs.data.prepared import PreparedDataset
from metafacs.errors import InputError
from tests.analysis.drawings import keep_figures, smallest_letters, weighted_run


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    return keep_figures(monkeypatch, faces)


@pytest.fixture
def weights(tmp_path: Path, fe_dataset: PreparedDataset) -> MethodWeights:
    return read_method_weights([weighted_run(tmp_path, fe_dataset)])["mal"]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def test_every_expression_runs_from_its_highest_to_its_lowest_weight(
    tmp_path: Path, drawn: list[Figure], weights: MethodWeights
) -> None:
    ranked_faces(weights, tmp_path / "ranked", columns=3)
    said = texts(drawn[0])
    for name, own in weights.images.groupby("expression"):
        begin = said.index(f"{name} ({len(own)})") + 1
        assert said[begin] == f"{own['weight'].max():.2f}"
        assert said[begin + min(3, len(own)) - 1] == f"{own['weight'].min():.2f}"
    assert smallest_letters(drawn[0]) >= 7


def test_extremes_have_weight_consistency_and_label(
    tmp_path: Path, drawn: list[Figure], weights: MethodWeights
) -> None:
    extreme_faces(weights, tmp_path / "extreme", columns=4, lines=2)
    order = weights.images.sort_values("weight", ascending=False)
    said = texts(drawn[0])
    shown = [said[k : k + 3] for k, text in enumerate(said) if text.startswith("w 0")]
    expected = [*order[:8].itertuples(), *order[::-1][:8].itertuples()]
    assert shown == [[f"w {row.weight:.2f}", f"c {row.consistency:.2f}", row.expression] for row in expected]


def test_weights_that_are_nearly_equal_are_told_apart(
    tmp_path: Path, drawn: list[Figure], weights: MethodWeights
) -> None:
    close = weights.images.assign(weight=0.5 + weights.images["weight"] / 1000)
    extreme_faces(MethodWeights("mal", close, weights.by_run), tmp_path / "extreme", columns=4)
    assert f"w {close['weight'].max():.4f}" in texts(drawn[0])


def test_pictures_are_those_of_the_dataset(
    tmp_path: Path, drawn: list[Figure], weights: MethodWeights, fe_dataset: PreparedDataset
) -> None:
    extreme_faces(weights, tmp_path / "extreme")
    order = weights.images.sort_values("weight", ascending=False)
    first = drawn[0].axes[0].get_images()[0].get_array()
    np.testing.assert_array_equal(first, fe_dataset.image(int(order["row"].iloc[0])))


def test_without_the_dataset_there_is_no_grid(tmp_path: Path, weights: MethodWeights) -> None:
    away = MethodWeights("mal", weights.images.assign(folder=str(tmp_path / "away")), weights.by_run)
    for draw in (ranked_faces, extreme_faces):
        with pytest.raises(InputError, match=r"no folder .*away"):
            draw(away, tmp_path / "faces")
        with pytest.raises(InputError, match="does not name"):
            draw(MethodWeights("mal", weights.images.assign(folder=""), weights.by_run), tmp_path / "faces")
