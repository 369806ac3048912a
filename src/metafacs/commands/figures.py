"""`metafacs figures`: run folders or a benchmark in, the paper's figures out."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from metafacs.commands.parsing import parse, parser

DESCRIPTION = """Draws figures from saved tables, as PNG and PDF, one column (8.5 cm) wide: losses and weights over
training as in the paper's Fig. 3 and 4, average F1, F1 per AU with the floor, gains over the reference, and for every
method that learned sample weights the faces by weight (Fig. 5 and 6; needs the prepared expression dataset that the
run's config names), weight against consistency and active AUs, and by cause of ambiguity."""


def main(prog: str, arguments: Sequence[str]) -> None:
    """Runs the command."""
    command = parser(prog, DESCRIPTION)
    command.add_argument("runs", nargs="+", type=Path, help="run folders, or folders of `metafacs benchmark`.")
    command.add_argument("--out", type=Path, required=True, help="folder to write the figures to.")
    command.add_argument(
        "--reference",
        type=str | None,
        default=None,
        help="method that the others are compared with; STL, or else the first.",
    )
    settings = parse(command, arguments)
    draw(settings.runs, settings.out, settings.reference)


def draw(folders: Sequence[Path], out: Path, reference: str | None = None) -> list[Path]:
    """Draws every figure that the runs have the tables for, says what was left out, and returns the files."""
    from metafacs.analysis.figures import compare_scored, draw_all
    from metafacs.analysis.records import find_runs

    runs, notes = find_runs(folders)
    gallery = draw_all(runs, compare_scored(runs, reference), out)
    console = Console(soft_wrap=True, highlight=False)
    seen = [f"{drawn.title}: {drawn.finding}" for drawn in gallery.figures]
    for line in [*map(str, gallery.files), *seen, *notes, *gallery.notes]:
        console.print(line, markup=False)
    return gallery.files
