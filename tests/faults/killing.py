"""Kills real `metafacs` commands again and again at random moments, starts them again, and looks at what they leave."""

import logging
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.reading import check_readable
from tests.launcher import Launcher
from tests.toy_runs import leftovers

logger = logging.getLogger(__name__)

SECONDS = 60
"""So long a process may take to end after its parent was killed, or a command when it is not killed."""


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


@dataclass
class Tally:
    """What happened: kills by kind, starts, and how long the undisturbed command took, seconds."""

    seconds: float = 0.0
    changes: int = 0
    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("group", "parent", "time", "change"), 0))
    starts: int = 0
    stories: int = 0

    @property
    def total(self) -> int:
        return self.kills["group"] + self.kills["parent"]


@dataclass(frozen=True)
class Moment:
    """When to kill, and whom.

    Attributes:
        delay: seconds after the start; or
        change: before the so-many-th change of a file.
        group: the children too, not the parent alone.
    """

    delay: float | None
    change: int | None
    group: bool


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
        group: kill the whole group of processes.
        counter: a file that gets a byte for each change that this process makes; those forked off go on counting from
            where they were.
    """
    os.setsid()
    owner, seen = os.getpid(), 0
    noted = os.open(counter, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if counter else None

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if not _changes(event, arguments, folder):
            return
        seen += 1
        if noted is not None and os.getpid() == owner:
            os.write(noted, b".")
        if seen != change:
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


def survive(command: Command, launcher: Launcher, place: Path, kills: int, seed: int = 0) -> Tally:
    """Kills a command until it was killed `kills` times, goes on each time until it ends, and checks all it leaves."""
    moments, tally, whole = random.Random(seed), Tally(), place / "undisturbed"
    _undisturbed(command, launcher, whole, tally)
    while tally.total < kills:
        tally.stories += 1
        folder, groups = place / "disturbed", []
        folder.mkdir()
        for attempt in range(100):
            moment = _moment(moments, tally) if attempt == 0 or moments.random() < 0.6 else None
            arguments = [*command.arguments(folder), *(command.again if attempt else ())]
            begun = time.monotonic()
            status, printed, group = _start(command, launcher, arguments, folder, moment)
            groups.append(group)
            tally.starts += 1
            if status == 0:
                if attempt == 0:  # the moment came too late: the first time had more to load
                    tally.seconds = min(tally.seconds, time.monotonic() - begun)
                break
            assert moment is not None and status == -signal.SIGKILL, (status, printed)
            for kind in ("group" if moment.group else "parent", "time" if moment.delay is not None else "change"):
                tally.kills[kind] += 1
            check_readable(folder)
            if command.done(folder):
                break
        wait_until_gone(groups)
        check_readable(folder)
        if not command.done(folder) or status == 0:
            assert not leftovers(folder), leftovers(folder)
        command.check(folder, whole)
        shutil.rmtree(folder)
    logger.info("%s", tally)
    return tally


def _undisturbed(command: Command, launcher: Launcher, whole: Path, tally: Tally) -> None:
    counter = whole.with_name("changes")
    before = f"from tests.faults.killing import strike; strike({str(whole)!r}, None, False, {str(counter)!r})\n"
    whole.mkdir()
    log = whole.with_name("undisturbed.log")
    launcher.run(["--version"], log)  # the forking process, which imports everything first, is not measured
    begun = time.monotonic()
    status, printed = launcher.run(command.arguments(whole), log, before + command.setup)
    tally.seconds, tally.changes = time.monotonic() - begun, counter.stat().st_size
    assert status == 0, printed
    check_readable(whole)


def _moment(moments: random.Random, tally: Tally) -> Moment:
    group = moments.random() < 0.5
    if moments.random() < 0.5:
        return Moment(moments.uniform(0, tally.seconds), None, group)
    return Moment(None, moments.randint(1, tally.changes), group)


def _start(
    command: Command, launcher: Launcher, arguments: Sequence[object], folder: Path, moment: Moment | None
) -> tuple[int, str, int]:
    """The exit status, what was printed, and the group of processes; the moment may come too late."""
    change, group = (moment.change, moment.group) if moment else (None, False)
    before = f"from tests.faults.killing import strike; strike({str(folder)!r}, {change}, {group})\n"
    log = folder.with_name("log")
    log.unlink(missing_ok=True)
    process = launcher.start(arguments, log, before + command.setup)
    if moment and moment.delay is not None:
        process.wait_for(log.exists)
        end = time.monotonic() + moment.delay
        process.wait_for(lambda: time.monotonic() >= end)
        _kill(process.pid, moment.group)
    status, printed = process.wait()
    return status, printed, process.pid


def _kill(pid: int, group: bool) -> None:
    """Before it has a group of its own, a process is killed alone."""
    try:
        own = os.getpgid(pid) == pid
    except ProcessLookupError:
        return
    (os.killpg if group and own else os.kill)(pid, signal.SIGKILL)


def wait_until_gone(groups: Sequence[int]) -> None:
    """Fails where a process outlives its killed parent for long."""
    end = time.monotonic() + SECONDS
    while left := alive(groups):
        assert time.monotonic() < end, f"processes outlived their killed parent: {left}"
        time.sleep(0.02)


def alive(groups: Sequence[int]) -> list[int]:
    """Processes of these groups that have not ended."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, group = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:3]
            except OSError:
                continue
            if int(group) in groups and state not in "ZX":
                found.append(int(entry.name))
    return found
