"""`metafacs serve` under mixed load for minutes: no answer lost, memory, files and threads level, nothing left behind.

`METAFACS_SOAK_MINUTES=60 make test-faults` (or `python benchmarks/soak.py --minutes 60`) makes it an hour.
"""

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("dlib")
pytest.importorskip("av")

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MINUTES = float(os.environ.get("METAFACS_SOAK_MINUTES", "5"))


@pytest.fixture
def soaking(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("soak")


def test_a_rising_memory_is_seen(soaking: Any) -> None:
    looks = [(2.0 * k, 900.0 + k + 5 * (k % 3), 20.0, 10.0) for k in range(150)]
    assert soaking.growth(looks) == pytest.approx(149, abs=2) and soaking.growth(looks) > soaking.GROWTH_MB
    assert abs(soaking.growth([(2.0 * k, 900.0 + 5 * (k % 3), 20.0, 10.0) for k in range(150)])) < 1


@pytest.mark.slow
def test_a_server_under_load_for_minutes(soaking: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = soaking.make_run(tmp_path / "run", "resnet18")
    figures, broken = soaking.soak(run, MINUTES, 120.0, tmp_path)
    with capsys.disabled():
        sys.stdout.write("\n" + "".join(f"{name:26} {value}\n" for name, value in figures.items()))
    assert not broken, "\n".join(broken)
