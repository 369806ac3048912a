"""`metafacs compare`: run folders in, a table like the paper's out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console

from metafacs.commands.parsing import parse, parser
from metafacs.facs import parse_aus
from metafacs.files import write_text

DESCRIPTION = """Puts runs side by side from their saved predictions: F1 per AU and on average, mean and standard
deviation over folds and seeds, AUC, accuracy, the all-positive floor, and differences to the first method paired by
fold and seed. With --out, the same as text, CSV, Markdown and LaTeX files."""


def main(prog: str, arguments: Sequence[str]) -> None:
    """Runs the command."""
    flags = parser(prog, DESCRIPTION)
    flags.add_argument("runs", nargs="+", type=Path, help="run folders, or predictions files.")
    flags.add_argument("--reference", type=str | None, default=None, help="method that the others are compared with.")
    flags.add_argument(
        "--aus", type=str | None, default=None, help='only these AUs: a set ("disfa") or a list (1,2,4).'
    )
    flags.add_argument("--shared_rows", action="store_true", help="score only the images that all runs of a fold have.")
    flags.add_argument(
        "--protocol",
        type=Literal["folds", "pooled"],
        default="folds",
        help="average over folds, or pool their images, within a seed.",
    )
    flags.add_argument("--spread", action="store_true", help="standard deviation in every entry.")
    flags.add_argument(
        "--best_threshold", action="store_true", help="also F1 at the threshold that the test likes best."
    )
    flags.add_argument(
        "--paper", type=Literal["bp4d", "disfa", "gft"] | None, default=None, help="add the paper's own table below."
    )
    flags.add_argument("--out", type=Path | None, default=None, help="write OUT.txt, OUT.csv, OUT.md and OUT.tex.")
    settings = parse(flags, arguments)
    from metafacs.evaluation.comparison import compare
    from metafacs.evaluation.tables import forms, tables, to_text

    aus = parse_aus(settings.aus) if settings.aus else None
    comparison = compare(
        settings.runs,
        reference=settings.reference,
        aus=aus,
        shared_rows=settings.shared_rows,
        protocol=settings.protocol,
    )
    chosen = tables(comparison, settings.paper, spread=settings.spread, best_threshold=settings.best_threshold)
    Console(soft_wrap=True, highlight=False).print(to_text(chosen), markup=False)
    if settings.out:
        for ending, text in forms(chosen, comparison, settings.paper).items():
            write_text(settings.out.with_name(f"{settings.out.name}.{ending}"), text)
