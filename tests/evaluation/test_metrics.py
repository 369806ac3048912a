"""Scores against the definitions typed anew, on examples done by hand and on generated ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metafacs.errors import InputError
from metafacs.evaluation.metrics import (
    au_scores,
    average_scores,
    best_threshold_scores,
    f1_from_counts,
    undefined_scores,
)

AUS = ["AU01", "AU02", "AU04"]


def f1_by_definition(label: np.ndarray, present: np.ndarray) -> float:
    hits = np.sum((label == 1) & present)
    precision = hits / present.sum() if present.sum() else 0.0
    recall = hits / np.sum(label == 1) if np.sum(label == 1) else 0.0
    return 2 * precision * recall / (precision + recall) if hits else 0.0


def auc_by_definition(label: np.ndarray, probability: np.ndarray) -> float:
    """Chance that a random positive ranks above a random negative; a tie counts half."""
    positive, negative = probability[label == 1], probability[label == 0]
    if not len(positive) or not len(negative):
        return np.nan
    above = (positive[:, None] > negative).mean()
    return float(above + 0.5 * (positive[:, None] == negative).mean())


@st.composite
def samples(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(1, 30))
    cells = n * len(AUS)
    labels = draw(st.lists(st.sampled_from([0.0, 1.0, np.nan]), min_size=cells, max_size=cells))
    # Few different values, so that ties and values at the threshold are common.
    probabilities = draw(st.lists(st.sampled_from(np.linspace(0, 1, 9).tolist()), min_size=cells, max_size=cells))
    return np.array(labels).reshape(n, -1), np.array(probabilities).reshape(n, -1)


@settings(max_examples=80, deadline=None)
@given(samples(), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))
def test_scores_are_those_of_the_definitions(sample: tuple[np.ndarray, np.ndarray], threshold: float) -> None:
    labels, probabilities = sample
    scores = au_scores(labels, probabilities, AUS, threshold)
    for k, au in enumerate(AUS):
        known = ~np.isnan(labels[:, k])
        label, probability = labels[known, k], probabilities[known, k]
        found = scores.loc[au]
        assert found["n"] == len(label)
        assert found["positives"] == label.sum()
        if len(label) == 0:
            assert found[["f1", "accuracy", "auc", "f1_all_positive"]].isna().all()
            continue
        present = probability >= threshold
        assert found["f1"] == pytest.approx(f1_by_definition(label, present), abs=1e-6)
        assert found["accuracy"] == pytest.approx(np.mean(present == (label == 1)), abs=1e-6)
        assert found["f1_all_positive"] == pytest.approx(f1_by_definition(label, np.ones_like(present)), abs=1e-6)
        assert found["auc"] == pytest.approx(auc_by_definition(label, probability), abs=1e-6, nan_ok=True)
        assert found["true_positives"] == np.sum(present & (label == 1))
        assert found["false_positives"] == np.sum(present & (label == 0))
        counted = f1_from_counts(found["true_positives"], found["false_positives"], found["positives"])
        assert found["f1"] == pytest.approx(float(counted), abs=1e-6)


@settings(max_examples=80, deadline=None)
@given(samples())
def test_best_threshold_is_the_best_of_all_that_differ(sample: tuple[np.ndarray, np.ndarray]) -> None:
    labels, probabilities = sample
    best = best_threshold_scores(labels, probabilities, AUS)
    for k, au in enumerate(AUS):
        known = ~np.isnan(labels[:, k])
        label, probability = labels[known, k], probabilities[known, k]
        threshold, f1 = best.loc[au, "best_threshold"], best.loc[au, "f1_at_best_threshold"]
        if len(label) == 0:
            assert np.isnan(threshold)
            assert np.isnan(f1)
        elif label.sum() == 0:
            assert np.isnan(threshold)
            assert f1 == 0
        else:
            candidates = [f1_by_definition(label, probability >= t) for t in np.unique(probability)]
            assert f1 == pytest.approx(max(candidates), abs=1e-6)
            assert f1 == pytest.approx(f1_by_definition(label, probability >= threshold), abs=1e-6)
            assert f1 >= au_scores(labels, probabilities, AUS).loc[au, "f1"] - 1e-6


def test_example_done_by_hand() -> None:
    labels = np.array([[1, 1], [1, 0], [0, 0], [0, np.nan]])
    probabilities = np.array([[0.9, 0.2], [0.4, 0.3], [0.6, 0.6], [0.1, 0.9]])
    scores = au_scores(labels, probabilities, ["AU06", "AU12"])
    assert scores.loc["AU06"].tolist() == pytest.approx([0.5, 0.5, 0.75, 2 / 3, 4, 2, 1, 1])
    assert scores.loc["AU12"].tolist() == pytest.approx([0, 1 / 3, 0, 0.5, 3, 1, 0, 1])
    assert average_scores(scores)[["f1", "auc", "aus_f1", "aus_auc"]].tolist() == pytest.approx([0.25, 0.375, 2, 2])


def test_what_cannot_be_measured_is_left_out_of_the_average_and_said() -> None:
    labels = np.array([[1, 0, np.nan, 1], [0, 0, np.nan, 1]])
    probabilities = np.array([[0.9, 0.1, 0.5, 0.9], [0.1, 0.2, 0.5, 0.9]])
    scores = au_scores(labels, probabilities, ["AU01", "AU02", "AU04", "AU06"])
    assert scores["f1"].tolist() == pytest.approx([1, 0, np.nan, 1], nan_ok=True)
    assert scores["auc"].tolist() == pytest.approx([1, np.nan, np.nan, np.nan], nan_ok=True)
    average = average_scores(scores)
    assert average["f1"] == pytest.approx(2 / 3)
    assert average["auc"] == 1
    assert average[["aus_f1", "aus_auc"]].tolist() == [3, 1]
    sentences = undefined_scores(scores)
    assert [sentence.split()[0] for sentence in sentences] == ["AU2", "AU4", "AU6"]
    assert "no positive among 2" in sentences[0]


def test_probability_at_the_threshold_counts_as_present() -> None:
    scores = au_scores(np.array([[1.0]]), np.array([[0.5]]), ["AU01"], 0.5)
    assert scores.loc["AU01", "f1"] == 1


def test_every_au_has_its_own_threshold() -> None:
    labels, probabilities = np.ones((1, 2)), np.full((1, 2), 0.4)
    assert au_scores(labels, probabilities, ["AU01", "AU02"], [0.3, 0.5])["f1"].tolist() == [1, 0]


def test_auc_is_exact_on_as_many_images_as_a_real_fold_has() -> None:
    random = np.random.default_rng(1)
    label = (random.random(50_000) < 0.05).astype(float)
    probability = np.clip(random.normal(0.4 + 0.1 * label, 0.15), 0, 1)
    found = au_scores(label[:, None], probability[:, None], ["AU09"]).loc["AU09", "auc"]
    order = np.empty(len(label))
    order[np.argsort(probability)] = np.arange(1, len(label) + 1)
    positives = label.sum()
    # Mann-Whitney; the few ties (clipped values) are no matter at this tolerance.
    expected = (order[label == 1].sum() - positives * (positives + 1) / 2) / (positives * (len(label) - positives))
    assert found == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(
    ("labels", "probabilities", "threshold", "message"),
    [
        ([[2.0]], [[0.5]], 0.5, "label"),
        ([[1.0]], [[1.5]], 0.5, "probability"),
        ([[1.0]], [[np.nan]], 0.5, "probability"),
        ([[1.0]], [[0.5]], 2.0, "threshold"),
        ([[1.0, 0.0]], [[0.5]], 0.5, "do not fit"),
        ([1.0], [0.5], 0.5, "do not fit"),
    ],
)
def test_impossible_input_is_refused(labels: list, probabilities: list, threshold: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        au_scores(np.array(labels), np.array(probabilities), ["AU01"], threshold)
