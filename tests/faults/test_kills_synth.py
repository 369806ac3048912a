"""`metafacs synth` killed at random moments and started again ends with what it makes undisturbed."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.faults.killing import Command, survive
from tests.launcher import Launcher

pytestmark = pytest.mark.skipif(not (find_spec("anny") and find_spec("warp")), reason="needs the synth extra")

CASES = [
    ("synth", 3),
    pytest.param("synth", 30, marks=pytest.mark.slow),
    pytest.param("synth_raw", 12, marks=pytest.mark.slow),
    pytest.param("synth_two_workers", 6, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "kills"), CASES)
def test_killed_again_and_again(
    name: str, kills: int, commands: Callable[[str], Command], launcher: Launcher, tmp_path: Path
) -> None:
    assert survive(commands(name), launcher, tmp_path, kills).total >= kills
