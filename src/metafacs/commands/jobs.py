"""Several training runs side by side, each a process of its own with a bar of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from metafacs.commands.progress import bars, plain_lines
from metafacs.errors import InputError
from metafacs.training.run import DONE, METRICS

_SHOWN = {"loss_primary": "AU loss", "loss_auxiliary": "FE loss", "weight_auxiliary": "FE weight"}


@dataclass
class Job:
    """One run of `metafacs train`.

    Attributes:
        name: for the bar.
        run: its run folder.
        flags: of `metafacs train`, without `--out` and `--resume`.
        steps: that it will take, for the bar.
    """

    name: str
    run: Path
    flags: Sequence[str]
    steps: int
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def log(self) -> Path:
        """Where the process prints to."""
        return self.run.with_name(f"{self.run.name}.log")

    @property
    def done(self) -> bool:
        """Whether the run is finished."""
        return (self.run / DONE).exists()

    def start(self) -> None:
        """Starts the process, or goes on with an unfinished run, on one core."""
        self.run.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "metafacs.cli", "train", *self.flags, "--out", str(self.run), "--resume"]
        with self.log.open("wb") as log:
            one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=one_thread)

    def last_line(self) -> tuple[int, str]:
        """The step of the last training line in the log, and what to show of it."""
        path = self.run / METRICS
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
        trained = [line for line in map(json.loads, lines) if line["event"] == "train"]
        if not trained:
            return 0, ""
        shown = [f"{text} {trained[-1][key]:.3f}" for key, text in _SHOWN.items() if trained[-1].get(key)]
        return int(trained[-1]["step"]), ", ".join(shown)

    def check(self) -> None:
        """Raises InputError with the end of the log if the process has failed."""
        if self.process is not None and self.process.poll() not in (None, 0):
            said = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            end = "\n".join(said[-5:]) or "it said nothing"
            raise InputError(f"{self.name} failed (exit {self.process.returncode}), its log is {self.log}:\n{end}")


def run_jobs(jobs: Sequence[Job], at_once: int, console: Console) -> None:
    """Runs all jobs that are not done, `at_once` at a time, with progress bars.

    Raises:
        InputError: a job failed; the others are stopped and can be resumed.
    """
    waiting = [job for job in jobs if not job.done]
    running: list[Job] = []
    try:
        with _Bars(waiting, console) as shown:
            while waiting or running:
                while waiting and len(running) < at_once:
                    running.append(waiting.pop(0))
                    running[-1].start()
                time.sleep(0.5)
                for job in running:
                    shown.show(job)
                    job.check()
                running = [job for job in running if job.process is None or job.process.poll() is None]
    finally:
        for job in running:
            if job.process is not None and job.process.poll() is None:
                job.process.terminate()
                job.process.wait()


class _Bars:
    """A bar a job; where the output is no terminal, a line for every tenth of a job."""

    def __init__(self, jobs: Sequence[Job], console: Console) -> None:
        self._progress = bars(console)
        self._tasks = {
            job.name: self._progress.add_task(f"training {job.name}", total=job.steps, note="", start=False)
            for job in jobs
        }
        plain = not console.is_terminal
        self._lines = {job.name: plain_lines(f"training {job.name}", console) for job in jobs if plain}

    def __enter__(self) -> "_Bars":
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def show(self, job: Job) -> None:
        """Brings a running job's bar up to date."""
        step, text = job.last_line()
        task = self._tasks[job.name]
        self._progress.start_task(task)
        self._progress.update(task, completed=step, note=text)
        if job.name in self._lines:
            update, note = self._lines[job.name]
            note(text)
            update(step, job.steps)
