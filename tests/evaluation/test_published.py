"""The paper's tables as shipped with the package."""

import numpy as np
import pytest

from metafacs.errors import InputError
from metafacs.evaluation.published import PAPER_TABLES, paper_aus, paper_scores
from metafacs.facs import AU_SETS, au_column


@pytest.mark.parametrize("dataset", PAPER_TABLES)
def test_columns_are_the_benchmarks_aus_in_their_order(dataset: str) -> None:
    assert paper_aus(paper_scores(dataset)) == [au_column(code) for code in AU_SETS[dataset]]


@pytest.mark.parametrize(
    ("dataset", "average", "gain"), [("bp4d", 62.2, 3.0), ("disfa", 58.0, 6.7), ("gft", 59.8, 6.8)]
)
def test_mal_and_its_gain_over_stl_are_as_printed(dataset: str, average: float, gain: float) -> None:
    scores = paper_scores(dataset)
    assert scores.loc["MAL", "average"] == average
    assert scores.loc["MAL", "average"] - scores.loc["STL", "average"] == pytest.approx(gain)
    assert not scores.loc[["STL", "MTL", "MAL"], "quoted"].any()


def test_averages_that_disagree_with_their_row_are_marked() -> None:
    marked = {dataset: [*rows.index[rows["disagrees"]]] for dataset in PAPER_TABLES for rows in [paper_scores(dataset)]}
    assert marked == {"bp4d": ["DRML", "EAC-Net"], "disfa": ["DRML", "EAC-Net", "OFS-CNN", "TAE"], "gft": []}
    assert paper_scores("disfa").loc["EAC-Net", "row_mean"] == pytest.approx(57.41, abs=0.005)


def test_row_without_printed_aus_has_only_its_average() -> None:
    row = paper_scores("bp4d").loc["gBN"]
    assert row["average"] == 57.0
    assert np.isnan(row["row_mean"])
    assert not row["disagrees"]


def test_unknown_table_is_refused() -> None:
    with pytest.raises(InputError, match="'ck'; it has bp4d, disfa, gft"):
        paper_scores("ck")
