"""The t interval against printed tables and against simulation."""

import math

import numpy as np
import pytest

from metafacs.evaluation.intervals import mean_interval

# Two-sided 95 % and 99 %, from printed tables.
PRINTED = {1: (12.706, 63.657), 2: (4.303, 9.925), 3: (3.182, 5.841), 8: (2.306, 3.355), 29: (2.045, 2.756)}


@pytest.mark.parametrize("freedom", PRINTED)
def test_quantiles_are_those_of_printed_tables(freedom: int) -> None:
    values = np.arange(freedom + 1.0)
    error = values.std(ddof=1) / math.sqrt(len(values))
    for level, quantile in zip((0.95, 0.99), PRINTED[freedom], strict=True):
        low, high = mean_interval(values, level)
        assert (high - low) / 2 / error == pytest.approx(quantile, abs=6e-4)


def test_interval_covers_the_true_mean_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    ends = np.array([mean_interval(values) for values in random.normal(3, 2, (2000, 4))])
    assert ((ends[:, 0] < 3) & (ends[:, 1] > 3)).mean() == pytest.approx(0.95, abs=0.015)


def test_one_value_has_no_interval_and_equal_values_a_point() -> None:
    assert all(map(math.isnan, mean_interval([1.0])))
    assert all(map(math.isnan, mean_interval([])))
    assert mean_interval([2.0, 2.0, 2.0]) == (2.0, 2.0)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_an_impossible_level_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        mean_interval([1.0, 2.0], level)
