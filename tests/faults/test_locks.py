"""Two commands in one folder: the second is refused and harms nothing; a killed one is in nobody's way."""

import signal
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.faults.killing import Command
from tests.faults.reading import check_readable
from tests.launcher import Launcher

RENDERS = pytest.mark.skipif(not (find_spec("anny") and find_spec("warp")), reason="needs the synth extra")
BEGUN = {
    "synth": "part-000001",
    "synth_raw": "part-000000",
    "prepare": "part-000002.arrow",
    "train": "state",
    "benchmark": "P1_seed0.log",
    "detect_video": "part-000002",
}
"""What a command writes in the middle of its work."""


def case(name: str) -> Any:
    marks = [RENDERS] * name.startswith("synth") + [pytest.mark.slow] * (name not in ("prepare", "detect_video"))
    return pytest.param(name, marks=marks)


@pytest.mark.parametrize("killed", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [case(name) for name in BEGUN])
def test_a_second_one_is_refused_and_the_first_or_the_next_ends_as_if_alone(
    name: str,
    killed: bool,
    commands: Callable[[str], Command],
    undisturbed: Callable[[str], Path],
    launcher: Launcher,
    tmp_path: Path,
) -> None:
    command, out, go = commands(name), tmp_path / "out", tmp_path / "go"
    out.mkdir()
    before = f"from tests.faults.killing import pause; pause({str(out)!r}, {BEGUN[name]!r}, {str(go)!r})\n"
    first = launcher.start(command.arguments(out), tmp_path / "first", before + command.setup)
    try:
        first.wait_for((tmp_path / "go.waiting").exists)
        for more in {(), tuple(command.again), ("--overwrite",) if name == "detect_video" else ()}:
            status, printed = launcher.run([*command.arguments(out), *more], tmp_path / "second", command.setup)
            assert status == 2 and "Traceback" not in printed, printed
            assert "another process" in printed or ("unfinished work" in printed and not more), printed
        check_readable(out)
        if killed:
            first.send(signal.SIGKILL)
            assert first.wait()[0] == -signal.SIGKILL
            status, printed = launcher.run([*command.arguments(out), *command.again], tmp_path / "third", command.setup)
        else:
            go.touch()
            status, printed = first.wait()
    finally:
        go.touch()
    assert status == 0, printed
    command.check(out, undisturbed(name))
