"""A clock that is set, and files from the past and the future, change nothing."""

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.faults.killing import Command
from tests.launcher import Launcher

RENDERS = pytest.mark.skipif(not (find_spec("anny") and find_spec("warp")), reason="needs the synth extra")
JUMPING = """
import datetime, os, random, time
os.environ["FORCE_COLOR"] = "1"  # progress bars, with the time that is left
def jumping(clock, seed):
    by, moments = [0.0], random.Random(seed)
    def now():
        if moments.random() < 0.3:
            by[0] = moments.choice([-400 * 86400.0, -5 * 3600.0, -1.0, 0.0, 7 * 3600.0, 20 * 365 * 86400.0])
        return clock() + by[0]
    return now
time.time = jumping(time.time, 0)
time.time_ns = lambda: int(time.time() * 1e9)
class Jumping(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)
    @classmethod
    def utcnow(cls):
        return cls.fromtimestamp(time.time(), datetime.timezone.utc).replace(tzinfo=None)
datetime.datetime = Jumping
"""
DAYS = (0, 86400, 4102444800)
"""Times of files: 1970, a day later, 2100."""
COMMANDS = [pytest.param("synth", marks=RENDERS), "train", "detect_video"]
MORE = [pytest.param("synth_raw", marks=[RENDERS, pytest.mark.slow]), pytest.param("prepare", marks=pytest.mark.slow)]


@pytest.mark.parametrize("name", [*COMMANDS, pytest.param("benchmark", marks=pytest.mark.slow), *MORE])
def test_a_clock_that_jumps(
    name: str,
    commands: Callable[[str], Command],
    undisturbed: Callable[[str], Path],
    launcher: Launcher,
    tmp_path: Path,
) -> None:
    command, whole = commands(name), undisturbed(name)
    status, printed = launcher.run(command.arguments(tmp_path / "out"), tmp_path / "log", JUMPING + command.setup)
    assert status == 0 and "Traceback" not in printed, printed
    assert name != "detect_video" or "left" in printed  # of a bar, which says how long
    assert "-1 day" not in printed and "0:-" not in printed and "-0:" not in printed, printed
    command.check(tmp_path / "out", whole)


@pytest.mark.parametrize("name", ["detect_video", pytest.param("synth", marks=[RENDERS, pytest.mark.slow]), *MORE])
def test_unfinished_work_from_the_past_and_the_future(
    name: str,
    commands: Callable[[str], Command],
    undisturbed: Callable[[str], Path],
    launcher: Launcher,
    tmp_path: Path,
) -> None:
    command, whole, out = commands(name), undisturbed(name), tmp_path / "out"
    kill = f"from tests.faults.killing import strike; strike({str(out)!r}, 14, True)\n"
    assert launcher.run(command.arguments(out), tmp_path / "log", kill + command.setup)[0] == -9
    for number, path in enumerate(sorted(out.rglob("*"))):
        os.utime(path, (DAYS[number % 3],) * 2)
    again = [*command.arguments(out), *command.again]
    status, printed = launcher.run(again, tmp_path / "log", JUMPING + command.setup)
    assert status == 0, printed
    command.check(out, whole)
