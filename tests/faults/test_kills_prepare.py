"""`metafacs prepare` killed at random moments and started again ends with what it makes undisturbed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.killing import Command, survive
from tests.launcher import Launcher

CASES = [
    ("prepare", 3),
    pytest.param("prepare", 30, marks=pytest.mark.slow),
    pytest.param("prepare_two_workers", 8, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "kills"), CASES)
def test_killed_again_and_again(
    name: str, kills: int, commands: Callable[[str], Command], launcher: Launcher, tmp_path: Path
) -> None:
    assert survive(commands(name), launcher, tmp_path, kills).total >= kills
