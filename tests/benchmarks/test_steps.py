"""The step benchmarks: rivals do the same mathematics, and the GPU script works without a GPU."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


def test_mixed_mode_is_brute_force():
    from step_variants import Workload, gradient_errors

    work = Workload("test_resnet", 32, 3, 3, 6, dtype=torch.float64)
    for name in ("mixed-mode-phi", "mal-checkpointing-all"):
        assert max(gradient_errors(name, work)) < 1e-9, name


def test_hours_and_shares_follow_from_the_seconds():
    from gpu import row

    figures = {"machine": "m", "torch": "t", "seconds": 0.5, "peak_mib": 10.0, "tflop": 3.0, "peak_tflops": 12.0}
    line = row(figures, 0.25, {"primary": 64, "auxiliary": 64})
    assert line["ratio"] == 2 and line["images_per_second"] == 256 and line["share_of_peak"] == 0.5
    assert line["hours"] == pytest.approx(30 * 147_000 / 64 * 0.5 / 3600, abs=0.01)
    assert row({"failed": "no memory"}, None, {"primary": 1, "auxiliary": 1}) == {"failed": "no memory"}


def gpu(out, *arguments):
    """Runs the script as a user without a GPU would; the rows of its files."""
    command = [sys.executable, str(FOLDER / "gpu.py"), "--device", "cpu", "--small", "--out", str(out), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    tables = {}
    for path in out.glob("*.csv"):
        with path.open(encoding="utf-8") as file:
            tables[path.stem] = list(csv.DictReader(file))
    return tables, done.stdout


@pytest.mark.slow
def test_the_gpu_table_can_be_tried_without_a_gpu(tmp_path):
    variants = ["mal-forward", "brute-force"]
    table = ["--precisions", "fp32", "--variants", *variants]
    tables, printed = gpu(tmp_path, *table)
    rows = tables["steps"]
    assert [r["variant"] for r in rows] == ["mtl", *variants]
    assert all(not r["failed"] and float(r["seconds"]) > 0 and float(r["hours"]) > 0 for r in rows)
    assert "| `mal-forward` | fp32 |" in printed
    assert gpu(tmp_path, *table)[0]["steps"] == rows, "what has a row is not measured again"
