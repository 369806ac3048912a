"""Damaged pictures and videos, read in a process of its own so that a crash of a decoder is seen."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("av")

ROOT = Path(__file__).parents[2]
SHORT = {"pictures": 60, "videos": 25}
LONG = {"pictures": 1000, "videos": 300}
"""Damaged files of each kind."""
AT_ONCE = 500
"""Files of one process."""


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    check_all([(kind, 0, count) for kind, count in SHORT.items()], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", LONG)
def test_many_damaged_files_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    for first in range(0, LONG[kind], AT_ONCE):
        check_all([(kind, first, min(AT_ONCE, LONG[kind] - first))], tmp_path)


def check_all(jobs: Sequence[tuple[str, int, int]], folder: Path) -> None:
    """Lets one process read them; every file must be read or refused, and each kind in both ways."""
    lines, status, said = decode(jobs, folder)
    begun = lines[-1].get("begins") if lines else jobs[0]
    assert not status, f"{begun}: ended with {status}: {said[-1500:]}"
    results = [line for line in lines if "result" in line]
    wrong = [str(line) for line in results if line["result"] not in ("read", "refused")]
    assert not wrong, f"{len(wrong)} of {len(results)}:\n" + "\n".join(wrong[:20])
    for kind, _, count in jobs:
        found = Counter(line["result"] for line in results if line["kind"] == kind)
        assert found["read"] + found["refused"] == count, (kind, found)
        assert found["refused"] > count / 20 and found["read"], (kind, found)


def decode(jobs: Sequence[tuple[str, int, int]], folder: Path) -> tuple[list[dict[str, object]], int, str]:
    """What the process said, its exit status (negative: the signal that ended it) and its error output."""
    path = os.pathsep.join(map(str, (ROOT, ROOT / "src")))
    told = [":".join(map(str, job)) for job in jobs]
    command = [sys.executable, "-m", "tests.faults.decoding", str(folder), *told]
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=1800)
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode, done.stderr
