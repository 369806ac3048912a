"""Runs side by side: what is said of the time left."""

import io
import json
import time
from pathlib import Path

import pytest
from rich.console import Console

from metafacs.config import DataConfig, TrainConfig
from metafacs.experiments.jobs import Job, _Board
from metafacs.runs import METRICS


def test_the_slowest_run_tells_the_time_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = DataConfig(tmp_path / "au")
    slow, quick = jobs = [Job(TrainConfig(tmp_path / method, data, method), steps=100) for method in ("mal", "stl")]
    written = io.StringIO()
    with _Board(jobs, at_once=2, console=Console(file=written, width=200)) as board:
        for clock, slow_step, quick_step in ((0.0, 0, 0), (10.0, 10, 20), (20.0, 15, 50), (30.0, 20, 100)):
            monkeypatch.setattr(time, "monotonic", lambda clock=clock: clock)
            for job, step in ((slow, slow_step), (quick, quick_step)):
                job.run.mkdir(exist_ok=True)
                (job.run / METRICS).write_text(json.dumps({"event": "train", "step": step}) + "\n", encoding="utf-8")
                board.show(job)
    lines = written.getvalue().splitlines()
    assert lines[:2] == ["2 runs, steps: 0/200", "2 runs, steps: 30/200"]  # nothing is known of the pace yet
    assert lines[-1].startswith("2 runs, steps: 120/200, 2 min 40 s left")  # 80 steps at 2 s, not 80 at a quarter
