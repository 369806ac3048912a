"""Commands killed at random moments and started again, again and again, end with what they make undisturbed."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.faults.killing import Command, survive
from tests.launcher import Launcher

NEEDED = {"synth": ("anny", "warp"), "detect": ("av", "dlib")}
SHORT = {"synth": 1, "prepare": 1, "detect_video": 1}
"""Of `train`, `tests/commands/test_train_resume.py` has more."""
LONG = {**dict.fromkeys((*SHORT, "train", "detect_pictures"), 30), "benchmark": 6, "synth_raw": 12}
LONG |= {"synth_two_workers": 6, "prepare_two_workers": 8, "train_two_workers": 8}


def case(name: str, kills: int, slow: bool) -> Any:
    missing = [package for package in NEEDED.get(name.split("_")[0], ()) if find_spec(package) is None]
    marks = [pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")]
    return pytest.param(name, kills, marks=[*marks, pytest.mark.slow] if slow else marks)


CASES = [*(case(name, kills, False) for name, kills in SHORT.items()), *(case(*one, True) for one in LONG.items())]


@pytest.mark.parametrize(("name", "kills"), CASES)
def test_killed_again_and_again(
    name: str, kills: int, commands: Callable[[str], Command], launcher: Launcher, tmp_path: Path
) -> None:
    assert survive(commands(name), launcher, tmp_path, kills) >= kills
