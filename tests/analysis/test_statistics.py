"""Rank correlation agrees with an independent computation, and its interval covers."""

import numpy as np
import pandas as pd
import pytest

from metafacs.analysis.statistics import spearman, spearman_interval


@pytest.mark.parametrize("levels", [5, 1000])
def test_spearman_with_and_without_ties(levels: int) -> None:
    random = np.random.default_rng(levels)
    x, y = random.integers(0, levels, 200).astype(float), random.integers(0, levels, 200) + 0.0
    y += x * random.random(200)
    assert spearman(x, y) == pytest.approx(pd.Series(x).rank().corr(pd.Series(y).rank()))


def test_nothing_correlates_with_a_constant() -> None:
    assert np.isnan(spearman(np.arange(5.0), np.ones(5)))
    assert np.isnan(spearman(np.ones(1), np.ones(1)))


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    true, covered = 6 / np.pi * np.arcsin(0.5 / 2), 0
    for _ in range(60):
        x = random.normal(size=150)
        y = 0.5 * x + np.sqrt(0.75) * random.normal(size=150)
        found = spearman_interval(x, y, replicates=200)
        covered += found.low < true < found.high
    assert covered >= 51


def test_images_of_one_person_count_as_one() -> None:
    random = np.random.default_rng(2)
    x, y = random.normal(size=40), random.normal(size=40)
    people = np.repeat(np.arange(40), 10)
    alone = spearman_interval(np.repeat(x, 10), np.repeat(y, 10))
    together = spearman_interval(np.repeat(x, 10), np.repeat(y, 10), people)
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_runs_are_averaged() -> None:
    random = np.random.default_rng(3)
    x, y = random.random(80), random.random((2, 80)) + np.arange(80) / 80
    expected = (spearman(x, y[0]) + spearman(x, y[1])) / 2
    found = spearman_interval(x, y)
    assert found.value == pytest.approx(expected) and found.low < expected < found.high and found.n == 80


def test_runs_that_saw_different_images_count_each_with_its_own() -> None:
    x = np.arange(10.0)
    first, second = x.copy(), -x
    first[:5], second[5:] = np.nan, np.nan
    assert spearman_interval(x, np.stack([first, second])).value == pytest.approx(0.0)
    assert spearman_interval(x, np.stack([first, -second])).value == pytest.approx(1.0)
    alone = spearman_interval(x[5:], first[5:])
    assert spearman_interval(x, first).value == pytest.approx(alone.value)
