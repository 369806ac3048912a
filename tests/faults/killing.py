"""Kills real `metafacs` commands again and again at random moments, starts them again, and looks at what they leave."""

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.reading import check_readable
from tests.launcher import Launcher
from tests.toy_runs import leftovers

SECONDS = 60
"""So long a process may take to end after its parent was killed."""


@dataclass(frozen=True)
class Command:
    """A command that can be killed.

    Attributes:
        arguments: of `metafacs`, given the folder that it may fill.
        check: fails where a folder that it filled is not like the one that it filled undisturbed.
        again: flags to go on with.
        setup: Python code that is run in the process before the command.
        done: whether a folder is filled, though the command was killed before it could say so.
    """

    arguments: Callable[[Path], Sequence[object]]
    check: Callable[[Path, Path], None]
    again: Sequence[str] = ()
    setup: str = ""
    done: Callable[[Path], bool] = lambda folder: False


def pause(folder: str, name: str, go: str) -> None:
    """Called in a new process: waits before it first changes a file in `folder` with that name until `go` is there."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if _changes(event, arguments, folder) and name in Path(str(arguments[0])).name and not Path(go).exists():
            Path(f"{go}.waiting").touch()
            while not Path(go).exists():
                time.sleep(0.01)

    sys.addaudithook(hook)


def strike(folder: str, change: int | None, group: bool, counter: str | None = None) -> None:
    """Called in a new process: counts the changes of files from now on, and kills before the one of number `change`.

    Of a file that is about to be synced, half is cut off first: what a power cut or a full cache would leave.

    Args:
        folder: whose files are meant.
        change: the number, from 1; None never kills.
        group: kill the whole group of processes, not the parent alone.
        counter: a file that gets a byte for each change that this process makes; those forked off go on counting from
            where they were.
    """
    os.setsid()
    owner, count = os.getpid(), 0
    noted = os.open(counter, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if counter else None

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if not _changes(event, arguments, folder):
            return
        count += 1
        if noted is not None and os.getpid() == owner:
            os.write(noted, b".")
        if count != change:
            return
        if event == "open" and ".partial" in str(arguments[0]) and arguments[1] == "r":
            os.truncate(arguments[0], Path(arguments[0]).stat().st_size // 2)
        (os.killpg if group else os.kill)(owner, signal.SIGKILL)
        time.sleep(SECONDS)  # a forked child: its parent is gone, and it goes too when it notices

    sys.addaudithook(hook)


def _changes(event: str, arguments: tuple[Any, ...], folder: str) -> bool:
    """Whether an audit event is about a change of a file: it is made, written, synced, renamed or removed."""
    if event != "open":
        return event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir")
    path, mode, flags = arguments
    if not isinstance(path, str | os.PathLike) or folder not in str(path):
        return False
    return bool(flags & (os.O_WRONLY | os.O_RDWR)) or (".partial" in str(path) and mode == "r")


def survive(command: Command, launcher: Launcher, place: Path, kills: int) -> int:
    """Kills a command until it was killed so often, goes on each time until it ends, and checks all it leaves.

    Returns:
        How often it was killed.
    """
    moments, killed, whole, counter = random.Random(0), 0, place / "undisturbed", place / "changes"
    whole.mkdir()
    count = f"from tests.faults.killing import strike; strike({str(whole)!r}, None, False, {str(counter)!r})\n"
    status, printed = launcher.run(command.arguments(whole), place / "log", count + command.setup)
    assert status == 0, printed
    check_readable(whole)
    while killed < kills:
        folder, groups, status = place / "disturbed", [], -1
        folder.mkdir()
        for attempt in range(100):
            change = moments.randint(1, counter.stat().st_size) if not attempt or moments.random() < 0.6 else None
            group = moments.random() < 0.5
            before = f"from tests.faults.killing import strike; strike({str(folder)!r}, {change}, {group})\n"
            arguments = [*command.arguments(folder), *(command.again if attempt else ())]
            process = launcher.start(arguments, place / "log", before + command.setup)
            status, printed = process.wait()
            groups.append(process.pid)
            if status == 0:
                break
            assert change is not None and status == -signal.SIGKILL, (status, printed)
            killed += 1
            check_readable(folder)
            if command.done(folder):
                break
        wait_until_gone(groups)
        check_readable(folder)
        if status == 0:
            assert not leftovers(folder), leftovers(folder)
        command.check(folder, whole)
        shutil.rmtree(folder)
    return killed


def wait_until_gone(groups: Sequence[int]) -> None:
    """Fails where a process outlives its killed parent for long."""
    end = time.monotonic() + SECONDS
    while left := alive(groups):
        assert time.monotonic() < end, f"processes outlived their killed parent: {left}"
        time.sleep(0.02)


def alive(groups: Sequence[int]) -> list[int]:
    """Processes of these groups that have not ended."""
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, group = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:3]
            except OSError:
                continue
            if int(group) in groups and state not in "ZX":
                pids.append(int(entry.name))
    return pids
