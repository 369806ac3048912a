"""Several training runs side by side, with bars that show how far they are."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import TaskID

from metafacs.analysis.records import metrics_record
from metafacs.config import TrainConfig
from metafacs.errors import InputError
from metafacs.evaluation.predictions import PREDICTIONS_FILE
from metafacs.experiments.launching import Launch, Launched
from metafacs.progress import bars, can_show_bars, plain_lines
from metafacs.runs import DONE, METRICS

_SHOWN = {"loss_primary": "AU loss", "loss_auxiliary": "FE loss", "weight_auxiliary": "FE weight"}


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

    def last_line(self) -> tuple[int, str]:
        """The step of the last training line in the log, and what to show of it."""
        path = self.run / METRICS
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        trained = [record for line in lines if (record := metrics_record(line)) and record["event"] == "train"]
        if not trained:
            return 0, ""
        shown = [f"{text} {trained[-1][key]:.3f}" for key, text in _SHOWN.items() if trained[-1].get(key)]
        return int(trained[-1]["step"]), ", ".join(shown)

    def failure(self) -> str | None:
        """What went wrong, with the end of the log, or None."""
        status = self.launched.poll() if self.launched else None
        if status in (None, 0):
            return None
        said = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if self.log.exists() else []
        end = "\n".join(said[-5:]) or "it said nothing"
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
    try:
        with _Bars(jobs, console) as shown:
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


class _Bars:
    """A bar for all jobs together and one for each that runs; or else a line for every tenth of the whole."""

    def __init__(self, jobs: Sequence[Job], console: Console) -> None:
        self._progress = bars(console)
        self._steps = {job.name: job.steps if job.done else 0 for job in jobs}
        self._total = sum(job.steps for job in jobs)
        self._whole = self._progress.add_task(f"{len(jobs)} runs", total=self._total, note="")
        self._progress.update(self._whole, completed=sum(self._steps.values()))
        self._tasks: dict[str, TaskID] = {}
        self._lines = None if can_show_bars(console) else plain_lines(f"{len(jobs)} runs, steps", console)

    def __enter__(self) -> "_Bars":
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def show(self, job: Job) -> None:
        """Brings a running job's bar, and the whole's, up to date."""
        step, text = job.last_line()
        self._steps[job.name] = step
        if job.name not in self._tasks:
            self._tasks[job.name] = self._progress.add_task(job.name, total=job.steps, note="")
        self._progress.update(self._tasks[job.name], completed=step, note=text)
        if job.launched is not None and job.launched.poll() is not None:
            self._progress.update(self._tasks[job.name], visible=False)
        self._progress.update(self._whole, completed=sum(self._steps.values()))
        if self._lines:
            update, note = self._lines
            note(f"({job.name}: {text})" if text else "")
            update(sum(self._steps.values()), self._total)
