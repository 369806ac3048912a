"""Lines in place of bars."""

import io
import time

import pytest
from rich.console import Console

from metafacs.progress import plain_lines


@pytest.mark.parametrize(
    ("pace", "expected"),
    [
        (0.01, ["work: 0/20", "work: 20/20"]),
        (0.25, ["work: 0/20", "work: 4/20, 4 s left", "work: 8/20, 3 s left", "work: 12/20, 2 s left"]),
        (3.0, ["work: 0/20", "work: 2/20, 54 s left", "work: 4/20, 48 s left", "work: 6/20, 42 s left"]),
    ],
)
def test_a_line_for_every_tenth_but_not_more_than_one_a_second(
    pace: float, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.StringIO()
    update, _ = plain_lines("work", Console(file=written, width=80))
    for done in range(21):
        monkeypatch.setattr(time, "monotonic", lambda done=done: 100 + pace * done)
        update(done, 20)
    lines = written.getvalue().splitlines()
    assert lines[: len(expected)] == expected and lines[-1] == "work: 20/20"
