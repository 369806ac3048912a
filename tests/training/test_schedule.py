import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metafacs.training.schedule import Schedule, learning_rate_factor

SCHEDULES: list[Schedule] = ["constant", "cosine", "one-cycle"]


@given(
    steps=st.integers(1, 300), schedule=st.sampled_from(SCHEDULES), warmup=st.floats(0, 1), where=st.floats(0, 0.999)
)
def test_the_factor_is_above_zero_and_at_most_one(steps: int, schedule: Schedule, warmup: float, where: float) -> None:
    assert 0 < learning_rate_factor(int(where * steps), steps, schedule, warmup) <= 1


@given(steps=st.integers(1, 300), schedule=st.sampled_from(SCHEDULES), warmup=st.floats(0, 1))
def test_it_rises_then_falls(steps: int, schedule: Schedule, warmup: float) -> None:
    factors = [learning_rate_factor(k, steps, schedule, warmup) for k in range(steps)]
    top = factors.index(max(factors))
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)


def test_a_tenth_of_warming_up() -> None:
    factors = [learning_rate_factor(k, 40, "constant", 0.1) for k in range(6)]
    assert factors == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])


def test_the_cosine_after_the_rise() -> None:
    for k in range(10, 100):
        expected = 0.5 * (1 + math.cos(math.pi * (k - 10) / 90))
        assert learning_rate_factor(k, 100, "cosine", 0.1) == pytest.approx(expected)


def test_one_cycle_is_highest_after_three_tenths_whatever_the_warmup() -> None:
    for warmup in (0.0, 0.5):
        factors = [learning_rate_factor(k, 100, "one-cycle", warmup) for k in range(100)]
        assert factors.index(1.0) == 30 and factors[0] < 0.04 and factors[-1] < 0.001


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_single_step_moves(schedule: Schedule) -> None:
    assert learning_rate_factor(0, 1, schedule, 0.05) == 1
