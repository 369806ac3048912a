"""Sentences on figures say what is there, and do not guess who is seen."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metafacs.analysis import findings
from metafacs.analysis.curves import training_records
from metafacs.analysis.sample_weights import MethodWeights, read_method_weights
from metafacs.data.prepared import PreparedDataset
from tests.analysis.drawings import training_run, weighted_run


def test_weights_that_rise_with_agreement_are_as_the_paper_says(tmp_path: Path, fe_dataset: PreparedDataset) -> None:
    weights = read_method_weights([weighted_run(tmp_path, fe_dataset)])["mal"]
    said = findings.consistency(weights)
    assert (
        "more the more annotators agree, as the paper says" in said and str(weights.correlation("consistency")) in said
    )
    fallen = type(weights)("mal", weights.images, 1 - weights.by_run)
    assert "reverse of what the paper says" in findings.consistency(fallen)
    assert "nothing is guessed" in findings.extreme(weights)


@pytest.mark.parametrize(("gap", "words"), [(0.3, "as the paper says"), (-0.3, "says that they"), (0.0, "than chance")])
def test_ambiguous_images_weigh_less_only_where_that_is_more_than_chance(gap: float, words: str) -> None:
    weight = 0.5 + 0.1 * np.random.default_rng(0).standard_normal(200) + np.repeat([gap, 0.0], 100)
    images = pd.DataFrame({"stream": "auxiliary", "weight": weight, "cause": np.repeat(["clear", "blend"], 100)})
    assert words in findings.cause(MethodWeights("mal", images, pd.DataFrame()))


def test_faces_of_low_weight_that_are_older_are_said_to_be() -> None:
    age = np.r_[np.full(50, 52.0), np.full(150, 32.0), np.nan]
    columns = {"true_age": age, "true_tone": np.r_[np.tile([0.25, 0.75], 100), 0.5]}
    table = SimpleNamespace(column_names=list(columns))
    dataset: Any = SimpleNamespace(table=table, column=columns.__getitem__)
    said = findings.lean(pd.DataFrame({"row": range(201), "weight": np.arange(201.0)}), dataset)
    assert "lowest 50 are older: mean 52 against 37" in said and "highest 50 are younger: mean 32 against 37" in said
    assert "skin" not in said


def test_curves_that_go_another_way_than_the_papers(tmp_path: Path) -> None:
    said = findings.curves(training_records([training_run(tmp_path, "mal")]))
    assert "in the paper's Fig. 3 it rises" in said
    assert "STL's AU loss goes from" in findings.curves(training_records([training_run(tmp_path, "stl")]))
