"""`metafacs detect` killed at random moments and started again ends with what it makes undisturbed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.killing import Command, survive
from tests.launcher import Launcher

pytest.importorskip("av")

CASES = [
    ("detect_video", 2),
    ("detect_pictures", 2),
    pytest.param("detect_video", 30, marks=pytest.mark.slow),
    pytest.param("detect_pictures", 30, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "kills"), CASES)
def test_killed_again_and_again(
    name: str, kills: int, commands: Callable[[str], Command], launcher: Launcher, tmp_path: Path
) -> None:
    assert survive(commands(name), launcher, tmp_path, kills).total >= kills
