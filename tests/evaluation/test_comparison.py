"""Comparisons against means and differences taken by hand, and what they refuse or have to say."""

from pathlib import Path

import numpy as np
import pytest

from metafacs.errors import InputError
from metafacs.evaluation.comparison import AVERAGE, compare
from metafacs.evaluation.metrics import au_scores, average_scores
from metafacs.evaluation.predictions import read_predictions
from tests.evaluation.runs import AUS, ids, labels_of_fold, write_run

FOLDS = ("P1", "P2", "P3")


@pytest.fixture
def grid(tmp_path: Path) -> list[Path]:
    return [
        write_run(tmp_path, method, fold, seed, skill=skill)
        for method, skill in (("stl", 0.5), ("mal", 1.0))
        for seed in (0, 1)
        for fold in FOLDS
    ]


def average_f1(run: Path) -> float:
    found = read_predictions(run)
    return average_scores(au_scores(found.labels(), found.probabilities(), found.aus))["f1"]


def test_means_and_deviations_follow_the_protocol(grid: list[Path]) -> None:
    comparison = compare(grid)
    assert comparison.methods == ["stl", "mal"]
    assert comparison.folds == list(FOLDS)
    scores = np.array([average_f1(run) for run in grid]).reshape(2, 2, 3)  # method, seed, fold
    by_seed = scores.mean(axis=2)
    np.testing.assert_allclose(comparison.means()[AVERAGE], by_seed.mean(axis=1))
    np.testing.assert_allclose(comparison.deviations()[AVERAGE], by_seed.std(axis=1, ddof=1))
    np.testing.assert_allclose(comparison.deviations(over="cells")[AVERAGE], scores.reshape(2, 6).std(axis=1, ddof=1))
    assert comparison.counts().to_numpy().tolist() == [[2, 6], [2, 6]]
    assert comparison.warnings == []


def test_pooled_protocol_scores_the_images_of_all_folds_together(grid: list[Path]) -> None:
    comparison = compare(grid, protocol="pooled")
    for seed in (0, 1):
        files = [read_predictions(run) for run in grid if "mal--P" in run.name and run.name.endswith(f"-{seed}")]
        labels = np.concatenate([file.labels() for file in files])
        pooled = au_scores(labels, np.concatenate([file.probabilities() for file in files]), AUS)
        for metric in ("f1", "accuracy", "f1_all_positive"):
            found = comparison.by_seed(metric).loc[("mal", seed), AUS]
            np.testing.assert_allclose(found.to_numpy(float), pooled[metric].to_numpy(float), atol=1e-6)
    assert not np.allclose(comparison.means()[AVERAGE], compare(grid).means()[AVERAGE])
    np.testing.assert_allclose(comparison.means("auc"), compare(grid).means("auc"))


def test_differences_are_paired_by_fold_and_seed(grid: list[Path]) -> None:
    found = compare(grid).differences().loc[("mal", AVERAGE)]
    scores = np.array([average_f1(run) for run in grid]).reshape(2, 6)
    difference = scores[1] - scores[0]
    half = 2.5706 * difference.std(ddof=1) / np.sqrt(6)  # t for 5 degrees of freedom
    assert found["mean"] == pytest.approx(difference.mean())
    assert found["sd"] == pytest.approx(difference.std(ddof=1))
    assert found["low"] == pytest.approx(difference.mean() - half, abs=1e-5)
    assert found["high"] == pytest.approx(difference.mean() + half, abs=1e-5)
    assert found["pairs"] == 6


def test_order_of_the_runs_does_not_change_a_score(grid: list[Path]) -> None:
    forwards, backwards = compare(grid), compare(grid[::-1], reference="stl")
    assert backwards.methods == forwards.methods
    np.testing.assert_allclose(forwards.means(), backwards.means())
    np.testing.assert_allclose(forwards.differences(), backwards.differences())


def test_reference_swaps_the_sign_of_the_differences(grid: list[Path]) -> None:
    comparison = compare(grid, reference="mal")
    assert comparison.reference == "mal"
    one, other = comparison.differences().loc[("stl", AVERAGE)], compare(grid).differences().loc[("mal", AVERAGE)]
    assert one["mean"] == pytest.approx(-other["mean"])
    assert one["low"] == pytest.approx(-other["high"])
    with pytest.raises(InputError, match="reference method 'mtan'"):
        compare(grid, reference="mtan")


def test_one_run_has_no_spread_and_no_differences(tmp_path: Path) -> None:
    comparison = compare([write_run(tmp_path)])
    assert comparison.deviations().isna().all(axis=None)
    assert comparison.differences().empty


def test_floor_is_the_all_positive_f1(tmp_path: Path) -> None:
    comparison = compare([write_run(tmp_path)])
    labels = labels_of_fold("P1")
    rate = np.array([np.nanmean(labels[:, k]) for k in range(3)])
    expected = 2 * rate / (1 + rate)
    np.testing.assert_allclose(comparison.floor()[AUS].to_numpy(float), expected, atol=1e-6)
    assert comparison.floor()[AVERAGE] == pytest.approx(expected.mean(), abs=1e-6)


def test_missing_cells_are_named_and_incomplete_seeds_left_out_of_the_mean(grid: list[Path]) -> None:
    comparison = compare(grid[:-1])
    assert any("MAL has no run on P3 seed 1" in warning for warning in comparison.warnings)
    assert any("seed 1 of MAL lacks a fold" in warning for warning in comparison.warnings)
    assert comparison.counts().loc["mal"].tolist() == [1, 5]
    np.testing.assert_allclose(comparison.means().loc["mal", AVERAGE], np.mean([average_f1(run) for run in grid[6:9]]))
    assert comparison.differences().loc[("mal", AVERAGE), "pairs"] == 5


def test_folds_that_a_method_lacks_are_left_out_of_every_row(grid: list[Path]) -> None:
    comparison = compare([*grid[:6], grid[6], grid[9]])
    assert comparison.folds == ["P1"]
    assert comparison.counts()["cells"].tolist() == [2, 2]
    assert any("only fold P1 is scored" in warning and "MAL" in warning for warning in comparison.warnings)
    np.testing.assert_allclose(
        comparison.means().loc["stl", AVERAGE], np.mean([average_f1(grid[0]), average_f1(grid[3])])
    )


def test_methods_without_a_common_fold_are_refused(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, "stl", "P1"), write_run(tmp_path, "mal", "P2")]
    with pytest.raises(InputError, match=r"no test fold in common \(stl: P1; mal: P2\)"):
        compare(runs)


def test_method_without_a_complete_seed_is_refused(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, "stl", fold, seed) for fold, seed in (("P1", 0), ("P2", 1))]
    with pytest.raises(InputError, match="no seed that was tested on all of the folds P1, P2"):
        compare(runs)


def test_different_datasets_are_refused(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, "stl"), write_run(tmp_path, "mal", dataset="DISFA")]
    with pytest.raises(InputError, match=r"'rendered-au' and .* on 'DISFA'"):
        compare(runs)


def test_different_aus_are_refused_unless_chosen(tmp_path: Path) -> None:
    labels = labels_of_fold("P1")
    runs = [write_run(tmp_path, "stl"), write_run(tmp_path, "mal", labels=labels[:, [2, 0]], aus=["AU12", "AU01"])]
    with pytest.raises(InputError, match=r"choose AUs that all have \(AU01, AU12\)"):
        compare(runs)
    assert list(compare(runs, aus=["AU01", "AU12"]).means().columns) == ["AU01", "AU12", AVERAGE]
    with pytest.raises(InputError, match="does not predict AU04"):
        compare(runs, aus=["AU01", "AU04"])


def test_order_of_the_aus_in_a_file_does_not_matter(tmp_path: Path) -> None:
    labels, probabilities = labels_of_fold("P1"), np.random.default_rng(0).random((60, 3))
    runs = [write_run(tmp_path, "stl", probabilities=probabilities)]
    order = [2, 0, 1]
    shuffled = {"labels": labels[:, order], "probabilities": probabilities[:, order]}
    runs.append(write_run(tmp_path, "mal", aus=[AUS[k] for k in order], threshold=[0.5, 0.5, 0.5], **shuffled))
    means = compare(runs).means()
    np.testing.assert_array_equal(means.loc["stl"], means.loc["mal"])


def test_different_test_images_are_refused_unless_the_shared_ones_are_wanted(tmp_path: Path) -> None:
    labels = labels_of_fold("P1")
    rows = ids(60)
    fewer = {"labels": labels[5:], "rows": rows.iloc[5:]}
    runs = [write_run(tmp_path, "stl"), write_run(tmp_path, "mal", **fewer)]
    with pytest.raises(InputError, match=r"different images \(.*: 60, .*: 55; 55 shared\)"):
        compare(runs)
    comparison = compare(runs, shared_rows=True)
    assert "scored on the 55 (of 60) that all share" in comparison.warnings[0]
    assert comparison.cells["n"].max() <= 55
    own = read_predictions(runs[0])
    expected = average_scores(au_scores(labels[5:], own.probabilities()[5:], AUS))["f1"]
    assert comparison.means().loc["stl", AVERAGE] == pytest.approx(expected)


def test_order_of_the_rows_does_not_matter(tmp_path: Path) -> None:
    labels, order = labels_of_fold("P1"), np.random.default_rng(0).permutation(60)
    shuffled = {"labels": labels[order], "rows": ids(60).iloc[order]}
    assert compare([write_run(tmp_path, "stl"), write_run(tmp_path, "mal", **shuffled)]).warnings == []


def test_different_labels_of_the_same_images_are_refused(tmp_path: Path) -> None:
    labels = labels_of_fold("P1")
    labels[3, 1] = 1 - np.nan_to_num(labels[3, 1])
    with pytest.raises(InputError, match="different labels for the same images of fold P1"):
        compare([write_run(tmp_path, "stl"), write_run(tmp_path, "mal", labels=labels)])


def test_the_same_cell_twice_is_refused_and_labels_tell_variants_apart(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "a", "mal"), write_run(tmp_path / "b", "mal", skill=2)]
    with pytest.raises(InputError, match="both mal on fold P1 with seed 0"):
        compare(runs)
    other = write_run(tmp_path, "mal", skill=2, label="MAL, no normaliser")
    assert compare([runs[0], other]).methods == ["mal", "MAL, no normaliser"]


def test_backbone_is_named_where_a_method_has_several(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, "mal", backbone=name) for name in ("resnet18", "resnet34")]
    assert compare([*runs, write_run(tmp_path, "stl")]).methods == ["mal (resnet18)", "mal (resnet34)", "stl"]


def test_thresholds_of_the_files_are_used_and_said_where_they_differ(tmp_path: Path) -> None:
    probabilities = np.full((60, 3), 0.6)
    runs = [write_run(tmp_path, "stl", probabilities=probabilities)]
    runs.append(write_run(tmp_path, "mal", probabilities=probabilities, threshold=0.7))
    comparison = compare(runs)
    assert comparison.thresholds == [0.5, 0.7]
    assert any("different thresholds" in warning for warning in comparison.warnings)
    assert comparison.means().loc["mal", AVERAGE] == 0
    np.testing.assert_allclose(comparison.means().loc["stl"], comparison.floor())


def test_aus_that_cannot_be_measured_in_a_fold_are_said(tmp_path: Path) -> None:
    labels = labels_of_fold("P1")
    labels[:, 0] = 0
    labels[:, 1] = np.nan
    comparison = compare([write_run(tmp_path, "stl", labels=labels)])
    assert [warning.split(":")[0] for warning in comparison.warnings] == ["fold P1", "fold P1"]
    means = comparison.means().loc["stl"]
    assert means["AU01"] == 0
    assert np.isnan(means["AU04"])
    assert means[AVERAGE] == pytest.approx(means["AU12"] / 2)


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(InputError, match="nothing to compare"):
        compare([])
