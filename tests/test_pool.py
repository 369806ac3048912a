import os
import signal

import pytest

from metafacs.errors import InputError
from metafacs.pool import run_parts


def square(number: int) -> int:
    return number * number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def fail(number: int) -> int:
    raise InputError(f"part {number} is odd")


@pytest.mark.parametrize("workers", [1, 2])
def test_every_part_is_done_once(workers: int) -> None:
    assert sorted(run_parts(square, range(7), workers)) == [k * k for k in range(7)]
    assert list(run_parts(square, [], workers)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_part_raises_comes_through(workers: int) -> None:
    with pytest.raises(InputError, match=r"part [03] is odd"):
        list(run_parts(fail, [0, 3], workers))


def test_a_killed_process_is_told() -> None:
    with pytest.raises(InputError, match=r"a testing process was killed.*fewer workers than 2"):
        list(run_parts(die, [0, 1, 2], 2, what="testing"))
