"""Two commands in one folder: the second is refused and harms nothing; a killed one is in nobody's way."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from metafacs.data.prepared import DatasetCard, PreparedWriter
from metafacs.errors import InputError
from metafacs.files import LOCK, lock
from tests.faults.killing import Command
from tests.faults.reading import check_readable
from tests.launcher import Launcher, Running

RENDERS = pytest.mark.skipif(not (find_spec("anny") and find_spec("warp")), reason="needs the synth extra")
BEGUN = {
    "synth": "part-000001",
    "synth_raw": "part-000000",
    "prepare": "part-000002.arrow",
    "train": "state",
    "benchmark": "state",
    "detect_video": "part-000002",
}
"""What a command writes in the middle of its work."""


def marked(name: str, slow: bool = False) -> object:
    marks = [RENDERS] * name.startswith("synth") + [pytest.mark.slow] * slow
    return pytest.param(name, marks=marks)


@contextmanager
def paused(name: str, command: Command, launcher: Launcher, out: Path) -> Iterator[Running]:
    """The command in the middle of its work, where it waits for the file `go`, at the latest until the end."""
    out.mkdir()
    go = out.with_name("go")
    before = f"from tests.faults.killing import pause; pause({str(out)!r}, {BEGUN[name]!r}, {str(go)!r})\n"
    first = launcher.start(command.arguments(out), out.with_name("first"), before + command.setup)
    try:
        first.wait_for(out.with_name("go.waiting").exists)
        yield first
    finally:
        go.touch()


@pytest.mark.parametrize("name", [marked(name, slow=name.startswith("synth")) for name in BEGUN])
def test_a_second_one_is_refused_and_a_killed_one_is_not_in_the_way(
    name: str,
    commands: Callable[[str], Command],
    undisturbed: Callable[[str], Path],
    launcher: Launcher,
    tmp_path: Path,
) -> None:
    command, out = commands(name), tmp_path / "out"
    with paused(name, command, launcher, out) as first:
        for more in {(), tuple(command.again)}:
            status, printed = launcher.run([*command.arguments(out), *more], tmp_path / "second", command.setup)
            assert status == 2 and "Traceback" not in printed, printed
            assert "another process" in printed or (
                name == "detect_video" and "unfinished work" in printed and not more
            )
        if name.startswith("detect"):
            again = [*command.arguments(out), "--overwrite"]
            status, printed = launcher.run(again, tmp_path / "second", command.setup)
            assert status == 2 and "another process" in printed, printed
        check_readable(out)
        first.send(signal.SIGKILL)
        assert first.wait()[0] == -signal.SIGKILL
        status, printed = launcher.run([*command.arguments(out), *command.again], tmp_path / "third", command.setup)
        assert status == 0, printed
        command.check(out, undisturbed(name))


@pytest.mark.parametrize("name", [marked(name, slow=name != "detect_video") for name in BEGUN])
def test_the_first_goes_on_undisturbed(
    name: str,
    commands: Callable[[str], Command],
    undisturbed: Callable[[str], Path],
    launcher: Launcher,
    tmp_path: Path,
) -> None:
    command, out = commands(name), tmp_path / "out"
    with paused(name, command, launcher, out) as first:
        again = [*command.arguments(out), *command.again]
        assert launcher.run(again, tmp_path / "second", command.setup)[0] == 2
        (tmp_path / "go").touch()
        status, printed = first.wait()
        assert status == 0, printed
        command.check(out, undisturbed(name))


@RENDERS
def test_another_dataset_does_not_throw_the_parts_of_the_first_away(
    commands: Callable[[str], Command], undisturbed: Callable[[str], Path], launcher: Launcher, tmp_path: Path
) -> None:
    command, out = commands("synth"), tmp_path / "out"
    with paused("synth", command, launcher, out) as first:
        parts = sorted((out / "data" / "au" / ".parts").rglob("part-*.arrow"))
        assert parts
        status, printed = launcher.run([*command.arguments(out), "--seed", "5"], tmp_path / "second")
        assert status == 2 and "another process is writing the dataset in" in printed, printed
        assert sorted((out / "data" / "au" / ".parts").rglob("part-*.arrow")) == parts
        (tmp_path / "go").touch()
        assert first.wait()[0] == 0
        command.check(out, undisturbed("synth"))


def test_a_lock_is_of_one_process(launcher: Launcher, tmp_path: Path) -> None:
    hold = f"from pathlib import Path; from metafacs.files import lock; a = lock(Path({str(tmp_path / LOCK)!r}), 'x')\n"
    wait = f"import time; Path({str(tmp_path / 'held')!r}).touch(); time.sleep(600)\n"
    process = launcher.start(["--version"], tmp_path / "log", hold + wait)
    process.wait_for((tmp_path / "held").exists)
    with pytest.raises(InputError, match="it is taken"):
        lock(tmp_path / LOCK, "it is taken")
    with pytest.raises(InputError, match="it is taken"):
        lock(tmp_path / LOCK, "it is taken")
    process.send(signal.SIGKILL)
    process.wait()
    lock(tmp_path / LOCK, "it is taken").close()


def test_a_lock_whose_file_its_last_holder_removed_is_taken_anew(tmp_path: Path) -> None:
    with lock(tmp_path / "new" / LOCK, "taken") as before:
        (tmp_path / "new" / LOCK).unlink()
        with lock(tmp_path / "new" / LOCK, "taken") as now:
            assert not before.closed and (tmp_path / "new" / LOCK).stat().st_ino == os.fstat(now.fileno()).st_ino


def test_a_lock_empties_nothing_that_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / LOCK).symlink_to(tmp_path / "precious")
    lock(tmp_path / LOCK, "taken").close()
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_writer_holds_its_lock_until_it_has_finished(tmp_path: Path) -> None:
    from tests.builders import make_prepared

    writer = PreparedWriter(tmp_path / "a", DatasetCard("a", "b", "c", []), {})
    assert (tmp_path / "a" / ".parts" / LOCK).exists() and writer._lock is not None
    del writer
    assert not (make_prepared(tmp_path / "b").folder / ".parts").exists()
