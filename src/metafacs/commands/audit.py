"""`metafacs audit DIR`: a prepared dataset in, a verdict on it and a report out."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from metafacs.commands.parsing import parse, parser
from metafacs.datasets.audit.report import PAGE_FILE, write_audit
from metafacs.progress import progress_bar

DESCRIPTION = """Compares a prepared dataset with what is published about it (frames per fold, people, base rates,
expressions) and looks for what went wrong on the way: missing and unreadable pictures, faces not found, pictures that
come twice, videos that are longer or shorter than their labels. `metafacs prepare` ends with it; this makes it again.
Writes audit.txt (what is printed), audit.json and audit.html, one page with tables and faces, beside the dataset."""


def main(prog: str, arguments: Sequence[str]) -> None:
    """Runs the command."""
    command = parser(prog, DESCRIPTION)
    command.add_argument("folder", type=Path, help="the prepared dataset.")
    show_audit(parse(command, arguments).folder, Console(soft_wrap=True, highlight=False))


def show_audit(folder: Path, console: Console) -> None:
    """Audits a prepared dataset, prints the report and says where it lies.

    Raises:
        InputError: there is no prepared dataset, or its files are damaged.
    """
    with progress_bar("auditing") as (update, note):

        def progress(title: str, done: int, total: int) -> None:
            note(title)
            update(done, total)

        found = write_audit(folder, progress)
    console.print(found.to_text(), markup=False, end="")
    console.print(f"as a page with faces: {folder / PAGE_FILE}", markup=False)
