"""Progress bars of the command line."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Update = Callable[[int, int], None]


@contextmanager
def progress_bar(title: str, console: Console | None = None) -> Iterator[tuple[Update, Callable[[str], None]]]:
    """A bar with rate and time left; yields a function of (done, total) and one that sets the text behind it.

    Where the output is no terminal, a line is printed for every tenth of the work instead.
    """
    shown = console or Console(stderr=True, soft_wrap=True, highlight=False)
    if not shown.is_terminal:
        yield plain_lines(title, shown)
        return
    with bars(shown) as progress:
        task = progress.add_task(title, total=None, note="")
        yield (
            lambda done, total: progress.update(task, completed=done, total=total),
            lambda note: progress.update(task, note=note),
        )


def bars(console: Console) -> Progress:
    """Bars for a terminal; a task needs the field `note`, the text behind its bar."""
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=28), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
    return Progress(*columns, *times, console=console, disable=not console.is_terminal)


def plain_lines(title: str, console: Console) -> tuple[Update, Callable[[str], None]]:
    """What takes the place of a bar where the output is no terminal: a line for every tenth of the work."""
    state = {"tenth": -1, "note": ""}

    def update(done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if tenth != state["tenth"]:
            state["tenth"] = tenth
            console.print(f"{title}: {done}/{total} {state['note']}", markup=False)

    def note(text: str) -> None:
        state["note"] = text

    return update, note
