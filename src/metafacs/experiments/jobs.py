"""Several training runs side by side, with bars that show how far they are."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import disk_usage

from rich.console import Console, Group
from rich.live import Live
from rich.progress import TextColumn
from rich.table import Table

from metafacs.analysis.records import metrics_record
from metafacs.config import TrainConfig
from metafacs.errors import InputError
from metafacs.evaluation.predictions import PREDICTIONS_FILE
from metafacs.experiments.launching import Launch, Launched
from metafacs.progress import bars, can_show_bars, duration, plain_lines
from metafacs.runs import DONE, METRICS

_SHOWN = {"loss_primary": "AU loss", "loss_auxiliary": "FE loss", "weight_auxiliary": "FE weight"}


@dataclass(frozen=True)
class State:
    """How far a run is.

    Attributes:
        step: the last one in its log.
        text: what to show of it.
        reserve_f1: average F1 on the reserved images, in [0, 1], if it was validated.
    """

    step: int
    text: str = ""
    reserve_f1: float | None = None


@dataclass
class Job:
    """One run: training, then predictions on its test fold.

    Attributes:
        config: of the run.
        steps: that it will take, for the bar.
        name: for the bar; that of the run folder where empty.
    """

    config: TrainConfig
    steps: int
    name: str = ""
    launched: Launched | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.name = self.name or self.run.name

    @property
    def run(self) -> Path:
        """Its run folder."""
        return self.config.out

    @property
    def log(self) -> Path:
        """Where it prints to."""
        return self.run.with_name(f"{self.run.name}.log")

    @property
    def done(self) -> bool:
        """Whether the run is trained and has its predictions."""
        return (self.run / DONE).exists() and (self.run / PREDICTIONS_FILE).exists()

    def start(self, launch: Launch) -> None:
        """Starts it, or goes on where it stopped."""
        self.launched = launch([str(self.run), json.dumps(self.config.values())], self.log)

    @property
    def method(self) -> str:
        """How tables name it."""
        return self.config.label or self.config.method

    def state(self) -> "State":
        """How far it is, by its log."""
        path = self.run / METRICS
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        records = [record for line in lines if (record := metrics_record(line))]
        last = {record["event"]: record for record in records}
        trained, score = last.get("train", {"step": 0}), last.get("validation", {}).get("average_f1")
        shown = [f"{text} {trained[key]:.3f}" for key, text in _SHOWN.items() if trained.get(key)]
        return State(int(trained["step"]), ", ".join(shown), score)

    def failure(self) -> str | None:
        """What went wrong, with the end of the log, or None."""
        status = self.launched.poll() if self.launched else None
        if status in (None, 0):
            return None
        said = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if self.log.exists() else []
        end = "\n".join(said[-5:]) or ("it said nothing" if disk_usage(self.log.parent).free else "the disk is full")
        return f"{self.name} failed (exit {status}), its log is {self.log}:\n{end}"


def run_jobs(
    jobs: Sequence[Job], at_once: int, console: Console, launch: Launch, keep_going: bool = False
) -> list[str]:
    """Carries out all jobs that are not done, `at_once` at a time, with progress bars.

    Args:
        jobs: the runs.
        at_once: how many side by side.
        console: for the bars.
        launch: where they are carried out, such as `start_process`.
        keep_going: whether the rest is done when a job fails.

    Returns:
        What went wrong in each job that failed.

    Raises:
        InputError: a job failed and `keep_going` is off; the others are stopped and can be resumed.
    """
    waiting = [job for job in jobs if not job.done]
    running: list[Job] = []
    failures: list[str] = []
    if waiting:
        logs = waiting[0].log.with_name("NAME.log")
        console.print(f"{len(waiting)} of {len(jobs)} runs to do, {at_once} at a time; logs: {logs}", markup=False)
    try:
        with _Board(jobs, at_once, console) as shown:
            while waiting or running:
                while waiting and len(running) < at_once:
                    running.append(waiting.pop(0))
                    running[-1].start(launch)
                time.sleep(0.5)
                for job in running:
                    shown.show(job)
                    if (failed := job.failure()) is None:
                        continue
                    if not keep_going:
                        raise InputError(failed)
                    failures.append(failed)
                    console.print(failed, markup=False)
                running = [job for job in running if job.launched is None or job.launched.poll() is None]
    finally:
        for job in running:
            if job.launched is not None and job.launched.poll() is None:
                job.launched.terminate()
                job.launched.wait()
    return failures


class _Board:
    """A bar for all jobs and a table with a row for each method; or else a line for every tenth of the whole."""

    def __init__(self, jobs: Sequence[Job], at_once: int, console: Console) -> None:
        self._jobs, self._at_once, self._console = jobs, at_once, console
        self._states = {job.name: job.state() for job in jobs}
        self._first: dict[str, tuple[float, int]] = {}  # of each run: when its first step of this process was seen
        self._paces: dict[str, float] = {}  # of each method: seconds a step
        self._total = sum(job.steps for job in jobs)
        self._progress = bars(console, TextColumn("{task.fields[left]}"))
        self._whole = self._progress.add_task(f"{len(jobs)} runs, steps", total=self._total, note="", left="")
        self._lines = plain_lines(f"{len(jobs)} runs, steps", console, self._left)
        self._live = Live(console=console, refresh_per_second=2, get_renderable=self._render)
        self._moves = can_show_bars(console)

    def __enter__(self) -> "_Board":
        if self._moves:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._moves:
            self._live.stop()

    def show(self, job: Job) -> None:
        """Brings what is said of a running job up to date."""
        before, state = self._states[job.name], job.state()
        self._states[job.name] = state
        if state.step > before.step:
            began, first = self._first.setdefault(job.name, (time.monotonic(), state.step))
            if state.step > first:
                self._paces[job.method] = (time.monotonic() - began) / (state.step - first)
        done = sum(each.step for each in self._states.values())
        left = self._left()
        self._progress.update(self._whole, completed=done, left="" if left is None else duration(left))
        if not self._moves:
            update, note = self._lines
            note(f"{job.name}: {state.text}" if state.text else "")
            update(done, self._total)

    def _left(self) -> float | None:
        """Seconds: the runs share the places evenly, but the whole takes no less than its longest run."""
        if not self._paces:
            return None
        typical = sum(self._paces.values()) / len(self._paces)  # of a method of which nothing ran yet
        each = [self._paces.get(job.method, typical) * (job.steps - self._states[job.name].step) for job in self._jobs]
        return max(sum(each) / self._at_once, *each)

    def _render(self) -> Group:
        table = Table("method", "done", "running", "F1 on the reserve", box=None)
        for method in dict.fromkeys(job.method for job in self._jobs):
            jobs = [job for job in self._jobs if job.method == method]
            running = [job for job in jobs if job.launched is not None and job.launched.poll() is None]
            states = [(job, self._states[job.name]) for job in running]
            shown = [f"{job.name} {state.step / job.steps:.0%} {state.text}" for job, state in states]
            scores = [score for job in jobs if (score := self._states[job.name].reserve_f1) is not None]
            mean = f"{100 * sum(scores) / len(scores):.1f}" if scores else ""
            table.add_row(method, f"{sum(job.done for job in jobs)} of {len(jobs)}", "\n".join(shown), mean)
        return Group(self._progress, table)
