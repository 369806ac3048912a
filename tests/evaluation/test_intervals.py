"""The t interval against printed tables and against simulation."""

import math

import numpy as np
import pytest

from metafacs.evaluation.intervals import mean_interval, t_quantile

# Two-sided 95 % and 99 %, from printed tables.
PRINTED = {1: (12.706, 63.657), 2: (4.303, 9.925), 3: (3.182, 5.841), 8: (2.306, 3.355), 29: (2.045, 2.756)}


@pytest.mark.parametrize("freedom", PRINTED)
def test_quantiles_are_those_of_printed_tables(freedom: int) -> None:
    assert t_quantile(0.95, freedom) == pytest.approx(PRINTED[freedom][0], abs=6e-4)
    assert t_quantile(0.99, freedom) == pytest.approx(PRINTED[freedom][1], abs=6e-4)


def test_many_degrees_of_freedom_approach_the_normal() -> None:
    assert t_quantile(0.95, 5000) == pytest.approx(1.9604, abs=1e-3)


def test_interval_covers_the_true_mean_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    ends = np.array([mean_interval(values) for values in random.normal(3, 2, (2000, 4))])
    assert ((ends[:, 0] < 3) & (ends[:, 1] > 3)).mean() == pytest.approx(0.95, abs=0.015)


def test_one_value_has_no_interval_and_equal_values_a_point() -> None:
    assert all(map(math.isnan, mean_interval([1.0])))
    assert all(map(math.isnan, mean_interval([])))
    assert mean_interval([2.0, 2.0, 2.0]) == (2.0, 2.0)


@pytest.mark.parametrize(("level", "freedom"), [(0.0, 3), (1.0, 3), (0.95, 0)])
def test_impossible_level_or_freedom_is_refused(level: float, freedom: int) -> None:
    with pytest.raises(ValueError, match="level"):
        t_quantile(level, freedom)
