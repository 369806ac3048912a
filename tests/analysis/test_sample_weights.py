"""Weights of several runs are put together by image, with what each image shows."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metafacs.analysis.sample_weights import ACTIVE, dataset_of, read_method_weights
from metafacs.analysis.statistics import spearman
from metafacs.data.prepared import PreparedDataset
from metafacs.errors import InputError
from tests.analysis.drawings import weighted_run


def test_an_image_has_the_mean_weight_of_its_runs(tmp_path: Path, fe_dataset: PreparedDataset) -> None:
    runs = [weighted_run(tmp_path, fe_dataset, seed=seed) for seed in (0, 1)]
    found = read_method_weights([*runs, tmp_path])
    assert list(found) == ["mal"] and found["mal"].by_run.shape == (48, 2)
    each = [pd.read_parquet(run / "sample_weights.parquet")["weight"] for run in runs]
    np.testing.assert_allclose(found["mal"].images["weight"], (each[0] + each[1]) / 2)


def test_correlation_is_that_within_a_run(tmp_path: Path, fe_dataset: PreparedDataset) -> None:
    runs = [weighted_run(tmp_path, fe_dataset, seed=seed, noise=0.3) for seed in (0, 1)]
    weights = read_method_weights(runs)["mal"]
    x = fe_dataset.consistency().astype(float)
    each = [spearman(x, pd.read_parquet(run / "sample_weights.parquet")["weight"].to_numpy()) for run in runs]
    found = weights.correlation("consistency")
    assert found.value == pytest.approx(np.mean(each)) and found.low < found.value < found.high
    assert [one.value for one in weights.each_run("consistency").values()] == pytest.approx(each)


def test_active_aus_are_looked_up_where_the_table_has_none(tmp_path: Path, fe_dataset: PreparedDataset) -> None:
    run = weighted_run(tmp_path, fe_dataset)
    truths = fe_dataset.matrix([f"true_{au}" for au in fe_dataset.aus])
    expected = (truths >= 2).sum(axis=1)
    assert read_method_weights([run])["mal"].images[ACTIVE].tolist() == expected.tolist()
    table = pd.read_parquet(run / "sample_weights.parquet").assign(true_AU01=np.array([5] * 48, np.int8))
    table.to_parquet(run / "sample_weights.parquet")
    assert read_method_weights([run])["mal"].images[ACTIVE].eq(1).all()


def test_another_dataset_in_the_place_of_the_right_one_is_noticed(
    tmp_path: Path, fe_dataset: PreparedDataset, au_dataset: PreparedDataset
) -> None:
    run = weighted_run(tmp_path, fe_dataset)
    copy = tmp_path / "data"
    shutil.copytree(au_dataset.folder, copy)
    text = (run / "config.yaml").read_text().replace(str(fe_dataset.folder), str(copy))
    (run / "config.yaml").write_text(text)
    weights = read_method_weights([run])["mal"]
    assert weights.images[ACTIVE].isna().all() and "other faces" in weights.notes[0]
    with pytest.raises(InputError, match="other faces"):
        dataset_of(weights.images)
    shutil.rmtree(copy)
    with pytest.raises(InputError, match="no folder"):
        dataset_of(weights.images)
