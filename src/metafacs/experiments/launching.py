"""Where runs are carried out: as processes of this machine, or as tasks of a Ray cluster."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from metafacs.clusters import join_ray


class Launched(Protocol):
    """A run that was started; a `subprocess.Popen` is one."""

    def poll(self) -> int | None:
        """Its exit status, or None while it runs."""

    def terminate(self) -> None:
        """Ends it; what it saved stays."""

    def wait(self) -> int:
        """Waits for its end; returns its exit status."""


Launch = Callable[[Sequence[str], Path], Launched]
"""Starts a run, given the arguments of `metafacs.experiments.cell` and the file to print to."""


def start_process(arguments: Sequence[str], log: Path) -> Launched:
    """A process that carries out one run on one core and ends with this process, however that ends."""
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "metafacs.experiments.cell", *arguments]
    with log.open("wb") as file:
        one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file, stderr=file, env=one_thread)


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
        self._ray = join_ray(address, at_once)
        self._task = self._ray.remote(num_cpus=1, num_gpus=gpus, max_retries=3)(_carry_out)

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
        """Its exit status, or None while it waits or runs."""
        done, _ = self._ray.wait([self._reference], timeout=0)
        return self.wait() if done else None

    def wait(self) -> int:
        """Its exit status; 1 where the cluster lost it."""
        try:
            return int(self._ray.get(self._reference))
        except self._ray.exceptions.RayError:
            return 1

    def terminate(self) -> None:
        """Cancels it."""
        self._ray.cancel(self._reference, force=True)
