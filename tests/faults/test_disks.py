"""A disk that is full or read-only ends a command with status 2; nothing is lost, and it goes on when it can."""

import math
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.faults.disks import Disk
from tests.faults.killing import Command
from tests.faults.reading import check_readable
from tests.launcher import Launcher
from tests.toy_runs import leftovers

PAGE = 4096
RENDERS = pytest.mark.skipif(not (find_spec("anny") and find_spec("warp")), reason="needs the synth extra")
NAMES = ("synth", "synth_raw", "prepare", "train", "benchmark", "detect_pictures", "detect_video")
SHORT = (("synth", 0.5), ("prepare", 0.7), ("detect_video", 0.6))
LONG = [(name, share) for name in NAMES for share in (0.0, 0.1, 0.4, 0.65, 0.97)]


def marked(name: str, *more: object, slow: bool = False) -> object:
    marks = [RENDERS] * name.startswith("synth") + [pytest.mark.slow] * slow
    return pytest.param(name, *more, marks=marks)


def room(folder: Path) -> int:
    """What the files of a folder take on a disk, bytes."""
    return sum(PAGE * math.ceil(path.stat().st_size / PAGE) for path in folder.rglob("*") if path.is_file())


def said(status: int, printed: str, place: Path) -> None:
    """A clear error that names a place on the disk."""
    assert status == 2, printed
    assert str(place) in printed and "Traceback" not in printed, printed


@pytest.mark.parametrize(
    ("name", "share"), [*(marked(*case) for case in SHORT), *(marked(*case, slow=True) for case in LONG)]
)
def test_a_full_disk(
    name: str,
    share: float,
    commands: Callable[[str], Command],
    undisturbed: Callable[[str], Path],
    launcher: Launcher,
    disk: Disk,
    tmp_path: Path,
) -> None:
    command, whole = commands(name), undisturbed(name)
    out = disk.folder / "out"
    out.mkdir()
    (disk.folder / "precious").write_text("mine")
    disk.leave(int(share * room(whole)))
    again: tuple[str, ...] = ()
    for _ in range(2):  # nor does a second try, which meets what the first has left
        status, printed = launcher.run([*command.arguments(out), *again], tmp_path / "log", command.setup)
        said(status, printed, disk.folder)
        assert "the disk is full" in printed, printed
        check_readable(out)
        assert not [path for path in leftovers(out) if not path.name.endswith(".partial.csv")]
        again = tuple(command.again)
    assert (disk.folder / "precious").read_text() == "mine"
    disk.free()
    status, printed = launcher.run([*command.arguments(out), *again], tmp_path / "log", command.setup)
    assert status == 0, printed
    command.check(out, whole)
    assert not leftovers(out)
