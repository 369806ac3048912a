"""Where runs are carried out: as processes of this machine, or as tasks of a Ray cluster."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from metafacs.clusters import join_ray


class Launched(Protocol):
    """A run that was started."""

    def poll(self) -> int | None:
        """Its exit status, or None while it runs."""

    def stop(self) -> None:
        """Ends it; what it saved stays."""


Launch = Callable[[Sequence[str], Path], Launched]
"""Starts a run, given the arguments of `metafacs.experiments.cell` and the file to print to."""


def start_process(arguments: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """A process that carries out one run on one core and ends with this process, however that ends."""
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "metafacs.experiments.cell", *arguments]
    with log.open("wb") as file:
        one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file, stderr=file, env=one_thread)


class LocalProcess:
    """A run as a process of this machine."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        self._process = start_process(arguments, log)

    def poll(self) -> int | None:
        """Its exit status, or None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """Ends it and waits for its end."""
        self._process.terminate()
        self._process.wait()


class RayTasks:
    """Starts runs as tasks of a Ray cluster whose machines share the file system.

    Args:
        address: of a running cluster; None takes the one that Ray finds, or starts one on this machine.
        at_once: how many runs a cluster that is started here carries out side by side.
        gpus: GPUs for each run, may be a fraction.

    Raises:
        InputError: Ray is not installed, or the cluster cannot be reached.
    """

    def __init__(self, address: str | None, at_once: int, gpus: float = 0.0) -> None:
        ray = join_ray(address, at_once)
        self._ray = ray
        options: dict[str, Any] = {"num_cpus": 1, "max_retries": 3, **({"num_gpus": gpus} if gpus else {})}
        self._task = ray.remote(**options)(_carry_out)

    def __call__(self, arguments: Sequence[str], log: Path) -> "RayTask":
        """Starts one run."""
        return RayTask(self._ray, self._task.remote(list(arguments), str(log.resolve()), str(Path.cwd())))


def _carry_out(arguments: list[str], log: str, folder: str) -> int:
    os.chdir(folder)
    return start_process(arguments, Path(log)).wait()


class RayTask:
    """A run as a task of a Ray cluster."""

    def __init__(self, ray: Any, reference: Any) -> None:
        self._ray, self._reference = ray, reference

    def poll(self) -> int | None:
        """Its exit status, or None while it waits or runs; 1 where the cluster lost it."""
        done, _ = self._ray.wait([self._reference], timeout=0)
        if not done:
            return None
        try:
            return int(self._ray.get(self._reference))
        except self._ray.exceptions.RayError:
            return 1

    def stop(self) -> None:
        """Cancels it."""
        self._ray.cancel(self._reference, force=True)
