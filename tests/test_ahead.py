"""Work done ahead: the same results in order, errors in their place, threads that end with their user."""

import threading
from collections.abc import Iterator

import pytest

from metafacs.ahead import ahead, iterated_ahead


def test_results_come_in_order_whatever_the_lead() -> None:
    for lead, threads in ((0, 1), (1, 1), (3, 2), (50, 4)):
        assert list(ahead(lambda k: k * k, range(20), lead, threads)) == [k * k for k in range(20)]
    assert list(iterated_ahead(iter([None, 0, False]))) == [None, 0, False]


def test_errors_come_in_their_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("broken")

    for results in (iterated_ahead(items()), ahead(lambda k: 1 // k, [1, 0])):
        assert next(results) == 1
        with pytest.raises((OSError, ZeroDivisionError)):
            next(results)


@pytest.mark.parametrize("lead", [0, 1, 3, 9])
def test_results_are_made_only_so_far_ahead(lead: int) -> None:
    made: list[int] = []

    def make(step: int) -> int:
        made.append(step)
        return step * step

    for k, value in enumerate(ahead(make, range(5), lead)):
        assert value == k * k and len(made) <= k + lead + 1
    assert made == list(range(5))


@pytest.mark.parametrize("lead", [0, 2])
def test_what_fails_ahead_fails_at_its_own_step(lead: int) -> None:
    def make(step: int) -> int:
        return [10, 11][step]

    steps = ahead(make, range(3), lead)
    assert [next(steps), next(steps)] == [10, 11]
    with pytest.raises(IndexError):
        next(steps)


def test_only_so_much_is_made_and_the_thread_ends_with_its_user() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for k in range(1000):
            made.append(k)
            yield k

    before = threading.active_count()
    results = iterated_ahead(items(), 3)
    assert next(results) == 0 and threading.active_count() == before + 1
    results.close()
    assert len(made) <= 5 and threading.active_count() == before
