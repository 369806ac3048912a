"""Scores, intervals and comparisons hold what they promise on any labels: against SciPy and the definitions."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from metafacs.analysis.statistics import spearman, spearman_interval
from metafacs.errors import InputError
from metafacs.evaluation.comparison import AVERAGE, Comparison
from metafacs.evaluation.intervals import mean_interval
from metafacs.evaluation.metrics import (
    au_scores,
    average_scores,
    best_threshold_scores,
    f1_from_counts,
    undefined_scores,
)
from tests.strategies import COUNTS, masked_labels, probabilities, run

AUS = ["AU01", "AU02", "AU12"]
stats = pytest.importorskip("scipy.stats")


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, float]:
    labels = draw(masked_labels(len(AUS)))
    return labels, probabilities(draw, labels.shape), draw(st.sampled_from([0.0, 0.25, 0.5, 1.0]))


@pytest.mark.parametrize("count", COUNTS)
def test_scores_are_those_of_the_definitions(count: int) -> None:
    @given(scored())
    def check(sample: tuple[np.ndarray, np.ndarray, float]) -> None:
        labels, given_probabilities, threshold = sample
        scores = au_scores(labels, given_probabilities, AUS, threshold)
        for k, au in enumerate(AUS):
            known = ~np.isnan(labels[:, k])
            label, probability = labels[known, k].astype(int), given_probabilities[known, k]
            own, present = scores.loc[au], (probability >= threshold).astype(int)
            assert own["n"] == len(label) and own["positives"] == label.sum()
            if not len(label):
                assert own[["f1", "accuracy", "auc", "f1_all_positive"]].isna().all()
                continue
            hits, total = (label & present).sum(), label.sum() + present.sum()
            assert own["f1"] == pytest.approx(2 * hits / total if total else 0.0)
            assert own["accuracy"] == pytest.approx((label == present).mean())
            assert own["true_positives"] == (label & present).sum()
            assert own["false_positives"] == ((1 - label) & present).sum()
            found = f1_from_counts(own["true_positives"], own["false_positives"], own["positives"])
            assert float(found) == pytest.approx(own["f1"])
            if 0 < label.sum() < len(label):
                ranks = stats.mannwhitneyu(probability[label == 1], probability[label == 0]).statistic
                assert own["auc"] == pytest.approx(ranks / (label.sum() * (1 - label).sum()))
            else:
                assert np.isnan(own["auc"])

    run(check, count)


@pytest.mark.parametrize("count", COUNTS)
def test_scores_keep_to_their_ranges_and_know_no_order(count: int) -> None:
    @given(scored(), st.randoms(use_true_random=False))
    def check(sample: tuple[np.ndarray, np.ndarray, float], random: Any) -> None:
        labels, given_probabilities, threshold = sample
        scores = au_scores(labels, given_probabilities, AUS, threshold)
        best = best_threshold_scores(labels, given_probabilities, AUS)
        values = scores[["f1", "accuracy", "auc", "f1_all_positive"]].to_numpy(float)
        assert ((values >= 0) & (values <= 1) | np.isnan(values)).all()
        upper = best["f1_at_best_threshold"].to_numpy()
        assert (np.isnan(upper) == np.isnan(scores["f1"].to_numpy())).all()
        assert not (upper < scores["f1"].to_numpy() - 1e-6).any()
        order = random.sample(range(len(labels)), len(labels))
        pd.testing.assert_frame_equal(scores, au_scores(labels[order], given_probabilities[order], AUS, threshold))
        turned = au_scores(labels[:, ::-1], given_probabilities[:, ::-1], AUS[::-1], threshold)
        pd.testing.assert_frame_equal(scores, turned.loc[AUS])
        average = average_scores(scores)
        assert average["aus_f1"] == scores["f1"].notna().sum() and average["aus_auc"] == scores["auc"].notna().sum()
        assert len(undefined_scores(scores)) == scores["auc"].isna().sum()

    run(check, count)


@pytest.mark.parametrize("count", COUNTS)
def test_unlabelled_images_change_no_score(count: int) -> None:
    @given(scored(), st.integers(1, 5), st.floats(0, 1))
    def check(sample: tuple[np.ndarray, np.ndarray, float], more: int, probability: float) -> None:
        labels, given_probabilities, threshold = sample
        longer = np.vstack([labels, np.full((more, len(AUS)), np.nan)])
        wider = np.vstack([given_probabilities, np.full((more, len(AUS)), probability)])
        before, after = au_scores(labels, given_probabilities, AUS, threshold), au_scores(longer, wider, AUS, threshold)
        pd.testing.assert_frame_equal(before, after)
        changed = np.where(np.isnan(labels), probability, given_probabilities)
        pd.testing.assert_frame_equal(before, au_scores(labels, changed, AUS, threshold))

    run(check, count)


@pytest.mark.parametrize("count", COUNTS)
def test_auc_sees_ranks_only(count: int) -> None:
    @given(masked_labels(len(AUS)), st.data())
    def check(labels: np.ndarray, data: st.DataObject) -> None:
        ranks = data.draw(st.lists(st.integers(0, 100), min_size=labels.size, max_size=labels.size))
        plain = np.array(ranks, np.float64).reshape(labels.shape) / 128
        before = au_scores(labels, plain, AUS)["auc"]
        for changed in (plain**2, plain / 4, (1 + plain) / 2):  # exact in float, so ties stay ties
            np.testing.assert_allclose(before, au_scores(labels, changed, AUS)["auc"], atol=1e-12)
        turned = au_scores(labels, 1 - plain, AUS)["auc"]
        np.testing.assert_allclose(before, 1 - turned, atol=1e-6)
        other = au_scores(1 - labels, plain, AUS)["auc"]
        np.testing.assert_allclose(before, 1 - other, atol=1e-6)

    run(check, count)


@pytest.mark.parametrize("wrong", [2.0, -1.0, 0.5, np.inf])
def test_impossible_labels_and_probabilities_are_refused(wrong: float) -> None:
    fine = np.array([[0.0, 1.0, np.nan]])
    with pytest.raises(InputError, match="label"):
        au_scores(np.array([[0.0, 1.0, wrong]]), np.abs(fine), AUS)
    for probability in (np.nan, 1.5, -0.1, np.inf):
        with pytest.raises(InputError, match="probability"):
            au_scores(fine, np.array([[0.5, 0.5, probability]]), AUS)


@pytest.mark.parametrize("count", COUNTS)
def test_intervals_are_those_of_scipy_and_hold_the_mean(count: int) -> None:
    numbers = st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=30)

    @given(numbers, st.floats(0.5, 0.999), st.floats(-10, 10), st.floats(0.1, 10))
    def check(values: list[float], level: float, shift: float, scale: float) -> None:
        low, high = mean_interval(values, level)
        mean = float(np.mean(values))
        assert low <= mean + 1e-9 and mean - 1e-9 <= high
        expected = stats.t.interval(level, len(values) - 1, loc=mean, scale=stats.sem(values))
        if not np.isnan(expected).any():
            np.testing.assert_allclose((low, high), expected, rtol=1e-6, atol=1e-6)
        moved = mean_interval(np.array(values) * scale + shift, level)
        np.testing.assert_allclose(moved, (low * scale + shift, high * scale + shift), rtol=1e-6, atol=1e-6)
        turned = mean_interval(-np.array(values), level)
        np.testing.assert_allclose(turned, (-high, -low), rtol=1e-9, atol=1e-9)
        wider = mean_interval(values, min(0.9999, level + 0.0005))
        assert wider[0] <= low + 1e-12 and high - 1e-12 <= wider[1]

    run(check, count)


def comparison(cells: dict[str, np.ndarray]) -> Comparison:
    """A comparison of methods from their F1 by (fold and seed, AU)."""
    rows = [
        {"method": method, "fold": f"P{k % 3 + 1}", "seed": k // 3, "au": au, "f1": float(value), "complete": True}
        for method, table in cells.items()
        for k, values in enumerate(table)
        for au, value in zip(AUS, values, strict=True)
    ]
    return Comparison(pd.DataFrame(rows), list(cells), AUS, "made", ["P1", "P2", "P3"], "folds", [0.5])


@pytest.mark.parametrize("count", COUNTS)
def test_paired_differences_turn_their_sign_and_hold_the_mean(count: int) -> None:
    score = st.one_of(st.floats(0, 1, width=32), st.just(float("nan")), st.just(0.5))

    @given(st.integers(1, 3), st.data())
    def check(seeds: int, data: st.DataObject) -> None:
        size = 3 * seeds * len(AUS)
        drawn = [data.draw(st.lists(score, min_size=size, max_size=size)) for _ in range(2)]
        one, other = (np.array(values).reshape(-1, len(AUS)) for values in drawn)
        there = comparison({"a": one, "b": other}).differences().loc["b"]
        back = comparison({"b": other, "a": one}).differences().loc["a"]
        np.testing.assert_allclose(there["mean"], -back["mean"], atol=1e-12)
        np.testing.assert_allclose(there["low"], -back["high"], atol=1e-9)
        np.testing.assert_allclose(there["sd"], back["sd"], atol=1e-12)
        assert (there["pairs"] == back["pairs"]).all()
        known = there.dropna()
        assert ((known["low"] <= known["mean"] + 1e-12) & (known["mean"] <= known["high"] + 1e-12)).all()
        by_hand = pd.DataFrame(other - one, columns=AUS)
        np.testing.assert_allclose(there["mean"][AUS], by_hand.mean(), atol=1e-12)
        same = comparison({"a": one, "b": one}).differences().loc["b"].drop(AVERAGE)
        assert (same["mean"].dropna() == 0).all() and (same["sd"].dropna() == 0).all()

    run(check, count)


@pytest.mark.parametrize("count", COUNTS)
def test_rank_correlation_is_that_of_scipy_and_lies_in_its_interval(count: int) -> None:
    values = st.lists(st.sampled_from([*range(6), 0.5, -3, 1e6, 1e-6]), min_size=2, max_size=20)

    @given(values, st.data())
    def check(x: list[float], data: st.DataObject) -> None:
        one = np.array(x, np.float64)
        other = np.array(data.draw(st.lists(st.sampled_from(x), min_size=len(x), max_size=len(x))), np.float64)
        found = spearman(one, other)
        if len(set(one)) == 1 or len(set(other)) == 1:
            assert math.isnan(found)
            return
        assert found == pytest.approx(stats.spearmanr(one, other).statistic, abs=1e-9)
        assert -1 - 1e-9 <= found <= 1 + 1e-9 and found == pytest.approx(spearman(other, one), abs=1e-12)
        assert found == pytest.approx(spearman(np.exp(one / 1e6), other), abs=1e-9)
        assert found == pytest.approx(-spearman(-one, other), abs=1e-9)
        estimate = spearman_interval(one, other, replicates=200)
        assume(not math.isnan(estimate.low))
        assert -1 - 1e-9 <= estimate.low <= estimate.high <= 1 + 1e-9
        assert estimate.value == pytest.approx(found, abs=1e-12)

    run(check, count)
