"""`metafacs report`: run folders or a benchmark in, one HTML file out."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console

from metafacs.commands.parsing import parse, parser
from metafacs.files import write_text

DESCRIPTION = """Writes a study into one HTML file to read, keep or send: scores, paired differences, costs, every
figure, settings and environment, and before all of it what to be careful about. Nothing is fetched from anywhere: it
opens without a network, on a phone too."""


def main(prog: str, arguments: Sequence[str]) -> None:
    """Runs the command."""
    command = parser(prog, DESCRIPTION)
    command.add_argument("runs", nargs="+", type=Path, help="folder of a benchmark, or run folders.")
    command.add_argument("--out", type=Path, default=Path("report.html"), help="the file to write.")
    command.add_argument(
        "--reference",
        type=str | None,
        default=None,
        help="method that the others are compared with; STL, or the first.",
    )
    command.add_argument(
        "--paper", type=Literal["bp4d", "disfa", "gft"] | None, default=None, help="add the paper's own table below."
    )
    settings = parse(command, arguments)
    write_report(settings.runs, settings.out, settings.reference, settings.paper)
    Console(soft_wrap=True, highlight=False).print(str(settings.out), markup=False)


def write_report(folders: Sequence[Path], out: Path, reference: str | None = None, paper: str | None = None) -> None:
    """Writes the report of runs, or of grids of them, to `out`."""
    from metafacs.analysis.figures import compare_scored, draw_all
    from metafacs.analysis.records import find_runs
    from metafacs.analysis.report import report

    runs, notes = find_runs(folders)
    comparison = compare_scored(runs, reference)
    with tempfile.TemporaryDirectory(prefix="metafacs-") as folder:  # its figures are inside the file
        text = report(runs, comparison, draw_all(runs, comparison, Path(folder)), notes, paper)
    write_text(out, text)
