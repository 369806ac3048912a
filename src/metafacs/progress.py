"""Progress bars, on a terminal and in a notebook."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Update = Callable[[int, int], None]
SPACING = 1.0
"""Seconds between lines that stand for a bar, so that work of a moment has a first and a last one."""


@contextmanager
def progress_bar(title: str, console: Console | None = None) -> Iterator[tuple[Update, Callable[[str], None]]]:
    """A bar with rate and time left; yields a function of (done, total) and one that sets the text behind it.

    Where the output can show no bar, a line is printed for every tenth of the work instead.
    """
    shown = console or Console(stderr=True, soft_wrap=True, highlight=False)
    if not can_show_bars(shown):
        yield plain_lines(title, shown)
        return
    with bars(shown) as progress:
        task = progress.add_task(title, total=None, note="")
        yield (
            lambda done, total: progress.update(task, completed=done, total=total),
            lambda note: progress.update(task, note=note),
        )


def can_show_bars(console: Console) -> bool:
    """Whether it is a terminal, or a notebook with widgets."""
    return console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)


def bars(console: Console, left: ProgressColumn | None = None) -> Progress:
    """Bars that move; a task needs the field `note`, the text behind its bar. `left` shows the time left."""
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=28), MofNCompleteColumn())
    left = left or TimeRemainingColumn()
    times = (TimeElapsedColumn(), TextColumn("left"), left, TextColumn("{task.fields[note]}"))
    return Progress(*columns, *times, console=console, disable=not can_show_bars(console))


def plain_lines(
    title: str, console: Console, left: Callable[[], float | None] | None = None
) -> tuple[Update, Callable[[str], None]]:
    """What takes the place of a bar that cannot be shown: a line for every tenth of the work, with the time left.

    Lines come `SPACING` apart. `left` returns the seconds left, None while they are unknown; without it the pace so
    far tells them.
    """
    tenth, said, begun, latest = -1, "", (0.0, 0), 0.0

    def update(done: int, total: int) -> None:
        nonlocal tenth, begun, latest
        before, tenth, now = tenth, 10 * done // max(total, 1), time.monotonic()
        if before == -1:
            begun = (now, done)
        elif before == tenth or (done < total and now < latest + SPACING):
            return
        latest = now
        parts = [f"{title}: {done:,}/{total:,}", said]
        if begun[1] < done < total:
            pace = (now - begun[0]) / (done - begun[1])
            seconds = left() if left else pace * (total - done)
            parts.insert(1, "" if seconds is None else f"{duration(seconds)} left")
        console.print(", ".join(filter(None, parts)), markup=False)

    def note(text: str) -> None:
        nonlocal said
        said = text

    return update, note


def duration(seconds: float) -> str:
    """A length of time in words.

    Example:
        >>> duration(42), duration(100), duration(7300)
        ('42 s', '1 min 40 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"
