"""Real `metafacs` processes that start in no time: one process imports everything once and forks the others.

The forking process never computes gradients, because autograd does not survive a fork.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PRELOADED = (
    "metafacs.commands.benchmark",
    "metafacs.commands.demo",
    "metafacs.commands.evaluate",
    "metafacs.commands.train",
    "torch.utils.tensorboard",
    "torch._dynamo",
    "torch._decomp.decompositions_for_jvp",
)


class Launcher:
    """Starts `metafacs` processes; use as a context manager.

    Args:
        module: what is run as the forking process: this module, or one that calls `serve` with more to import.
    """

    def __init__(self, module: str = "tests.launcher") -> None:
        self._module = module

    def __enter__(self) -> "Launcher":
        root = Path(__file__).parents[1]
        path = os.pathsep.join(map(str, (root, root / "src")))  # this tree's package, wherever another is installed
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
        self._forker = subprocess.Popen(
            [sys.executable, "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        return self

    def __exit__(self, *error: object) -> None:
        self._forker.communicate()

    def start(self, arguments: Sequence[object], log: Path, before: str = "") -> "Running":
        """Starts `metafacs ARGUMENTS`, what it prints going to `log`, after the Python code `before`."""
        return Running(self._ask(arguments=list(map(str, arguments)), log=str(log), before=before), self._ask, log)

    def run(self, arguments: Sequence[object], log: Path, before: str = "") -> tuple[int, str]:
        """The exit status (negative: the signal that killed it) and everything printed."""
        return self.start(arguments, log, before).wait()

    def _ask(self, **request: Any) -> int:
        assert self._forker.stdin and self._forker.stdout
        self._forker.stdin.write(json.dumps(request) + "\n")
        self._forker.stdin.flush()
        return int(self._forker.stdout.readline())


class Running:
    """One process."""

    def __init__(self, pid: int, ask: Callable[..., int], log: Path) -> None:
        self.pid, self._ask, self._log = pid, ask, log

    def send(self, what: signal.Signals) -> None:
        os.kill(self.pid, what)

    def wait_for(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Waits until `condition` holds or the process has ended."""
        end, status = time.monotonic() + seconds, Path(f"/proc/{self.pid}/stat")
        while not condition() and status.read_text().rsplit(")")[-1].split()[0] != "Z":
            assert time.monotonic() < end, f"waited in vain; it printed {self._log.read_text()}"
            time.sleep(0.01)

    def wait(self) -> tuple[int, str]:
        return self._ask(wait=self.pid), self._log.read_text()


def serve(preloaded: Sequence[str] = PRELOADED) -> None:
    """The forking process: imports, then forks whenever its standard input asks for it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for module in preloaded:
        __import__(module)
    for line in sys.stdin:
        request = json.loads(line)
        answer = _ended(request["wait"]) if "wait" in request else _forked(**request)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _forked(arguments: list[str], log: str, before: str) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for stream, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, target), (2, target)):
            os.dup2(file, stream)
        exec(before, {})
        from metafacs.cli import main

        status = main(arguments)
    except SystemExit as exit:
        status = int(exit.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    serve()
