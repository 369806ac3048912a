"""Damaged pictures, videos and Parquet files, read in a process of its own so that a crash of a decoder is seen."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("av")

ROOT = Path(__file__).parents[2]
SHORT = {"pictures": 60, "videos": 25, "predictions": 60, "tables": 60}
LONG = {"pictures": 3000, "videos": 800, "predictions": 2000, "tables": 2000}
"""Damaged files of each kind."""
AT_ONCE = 500
"""Files of one process."""


@pytest.mark.parametrize("kind", SHORT)
def test_damaged_files_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    read_all(kind, SHORT[kind], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", LONG)
def test_many_damaged_files_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    read_all(kind, LONG[kind], tmp_path)


def read_all(kind: str, count: int, folder: Path) -> None:
    results = Counter[str]()
    wrong: list[str] = []
    for first in range(0, count, AT_ONCE):
        number = min(AT_ONCE, count - first)
        lines, status, said = decode(kind, first, number, folder)
        if status:
            wrong.append(f"{kind} {lines[-1].get('begins') if lines else first}: ended with {status}: {said[-1500:]}")
        for line in lines:
            if "result" in line:
                results[str(line["result"]) if line["result"] in ("read", "refused") else "wrong"] += 1
                if line["result"] not in ("read", "refused"):
                    wrong.append(str(line))
    assert not wrong, f"{len(wrong)} of {count}:\n" + "\n".join(wrong[:20])
    assert sum(results.values()) == count and results["refused"] > count / 20 and results["read"], results


def decode(kind: str, first: int, count: int, folder: Path) -> tuple[list[dict[str, object]], int, str]:
    """What the process said, its exit status (negative: the signal that ended it) and its error output."""
    path = os.pathsep.join(map(str, (ROOT, ROOT / "src")))
    command = [sys.executable, "-m", "tests.faults.decoding", kind, str(first), str(count), str(folder)]
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=1800)
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode, done.stderr
