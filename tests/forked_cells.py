"""Cells of a grid that are forked off the process that starts them, which saves them all their imports."""

import functools
import os
import sys
import time
import types
from collections.abc import Callable, Sequence
from pathlib import Path

FORKED_CELLS = "from tests.forked_cells import fork_cells; fork_cells()\n"
"""For a `Launcher`, to run before a command."""


def fork_cells() -> None:
    """Called before a benchmark or the demo: their cells are forked off and not started anew.

    As when they are started, a pipe that the benchmark holds is their standard input.
    """
    from metafacs.commands import demo
    from metafacs.experiments import benchmark, jobs

    benchmark.start_process = demo.start_process = _Cell  # type: ignore[assignment,misc]
    waits = {"sleep": lambda seconds: time.sleep(seconds / 25), "monotonic": time.monotonic}
    jobs.time = types.SimpleNamespace(**waits)  # type: ignore[assignment]


class _Cell:
    """A forked cell, with what `run_jobs` needs of a `Popen`."""

    _held: list[int] = []  # noqa: RUF012 - the pipes of all cells, which a new one must not keep open

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        from metafacs.experiments import cell

        log.parent.mkdir(parents=True, exist_ok=True)
        taken, held = os.pipe()
        self._status: int | None = None
        self._pid = os.fork()
        if self._pid:
            os.close(taken)
            self._held.append(held)
            return
        for other in (*self._held, held):
            os.close(other)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for stream, source in ((0, taken), (1, file), (2, file)):
            os.dup2(source, stream)
        _leave(functools.partial(cell.main, arguments))

    def poll(self) -> int | None:
        return self.wait(os.WNOHANG)

    def wait(self, options: int = 0) -> int | None:
        if self._status is None:
            pid, status = os.waitpid(self._pid, options)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status

    def terminate(self) -> None:
        os.kill(self._pid, 15)


def _leave(work: Callable[[], int]) -> None:
    """Ends a forked process with the status of its work."""
    status = 1
    try:
        status = work()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
