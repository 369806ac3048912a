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
SHORT = (("prepare", 0.7), ("detect_video", 0.6))
LONG = [(name, share) for name in NAMES for share in (0.0, 0.02, 0.1, 0.25, 0.4, 0.5, 0.65, 0.85, 0.97)]


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


@pytest.mark.parametrize("name", [marked("detect_video"), *(marked(name, slow=True) for name in NAMES)])
def test_a_disk_that_turns_read_only(
    name: str,
    commands: Callable[[str], Command],
    undisturbed: Callable[[str], Path],
    launcher: Launcher,
    disk: Disk,
    tmp_path: Path,
) -> None:
    command, whole = commands(name), undisturbed(name)
    out = disk.folder / "out"
    out.mkdir()
    disk.remount("ro")
    said(*launcher.run(command.arguments(out), tmp_path / "log", command.setup), disk.folder)
    disk.remount("rw")
    assert list(out.iterdir()) == []
    disk.leave(int(0.5 * room(whole)))
    said(*launcher.run(command.arguments(out), tmp_path / "log", command.setup), disk.folder)
    disk.free()
    disk.remount("ro")
    before = sorted(out.rglob("*"))
    again = [*command.arguments(out), *command.again]
    said(*launcher.run(again, tmp_path / "log", command.setup), disk.folder)
    assert sorted(out.rglob("*")) == before
    disk.remount("rw")
    status, printed = launcher.run(again, tmp_path / "log", command.setup)
    assert status == 0, printed
    command.check(out, whole)
