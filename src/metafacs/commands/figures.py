"""`metafacs figures`: run folders in, the paper's curves out."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from metafacs.analysis.figures import per_au_figure, training_curves, weights_by_cause
from metafacs.commands.parsing import parse, parser
from metafacs.evaluation.comparison import compare
from metafacs.evaluation.predictions import PREDICTIONS_FILE
from metafacs.training.run import SAMPLE_WEIGHTS

DESCRIPTION = """Draws figures from saved tables, as PNG and PDF: iteration-loss and iteration-weight curves as in the
paper's Fig. 3, F1 per AU with the floor, and, where a run learned sample weights, what it trusts: weight by cause of
ambiguity and against the annotators' consistency."""


def main(prog: str, arguments: Sequence[str]) -> None:
    """Runs the command."""
    made = parser(prog, DESCRIPTION)
    made.add_argument("runs", nargs="+", type=Path, help="run folders of `metafacs train`.")
    made.add_argument("--out", type=Path, required=True, help="folder to write the figures to.")
    settings = parse(made, arguments)
    for path in draw(settings.runs, settings.out):
        Console(soft_wrap=True, highlight=False).print(str(path), markup=False)


def draw(runs: Sequence[Path], out: Path) -> list[Path]:
    """Draws every figure that the runs have the tables for; returns the files."""
    written = training_curves(runs, out / "curves")
    scored = [run for run in runs if (run / PREDICTIONS_FILE).exists()]
    if scored:
        written += per_au_figure(compare(scored), out / "f1_per_au")
    weighted = [run for run in runs if (run / SAMPLE_WEIGHTS).exists()]
    if weighted:
        written += weights_by_cause(weighted, out / "sample_weights")
    return written
