"""`metafacs demo`: from nothing to a table of STL, MTL and MAL, on rendered faces."""

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import Namespace
from rich.console import Console

from metafacs.commands import figures, synth, train
from metafacs.commands.evaluate import predict_run
from metafacs.commands.parsing import parse, parser
from metafacs.evaluation.comparison import compare
from metafacs.evaluation.tables import tables, to_csv, to_markdown, to_text
from metafacs.files import write_text
from metafacs.training.run import DONE

DESCRIPTION = """From nothing to a table: renders a small AU dataset and a small expression dataset, trains STL, MTL and MAL
on the CPU, scores them on people they never saw, prints F1 per AU, its average, AUC and the all-positive floor, and draws
the paper's curves. What is there already is reused; what was interrupted goes on. One fold and one seed keep it short:
enough to see everything work, too little to say which method is better."""
METHODS = ("stl", "mtl", "mal")
FACES = {"size": 80, "seed": 0}
AU_FACES = {"subjects": 24, "frames": 100}
FE_FACES = {"images": 3000}
TRAINING = """
data.test_fold: P1
"""


def main(prog: str, arguments: Sequence[str]) -> None:
    """Runs the command."""
    made = parser(prog, DESCRIPTION)
    made.add_argument("--out", type=Path, default=Path("demo"), help="folder for data, runs, table and figures.")
    settings = parse(made, arguments)
    console = Console(soft_wrap=True, highlight=False)
    out: Path = settings.out
    console.rule("1 of 4: rendering faces")
    synth.render("au", out / "data" / "au", **AU_FACES, **FACES)
    synth.render("fe", out / "data" / "fe", **FE_FACES, **FACES)
    console.rule("2 of 4: training STL, MTL and MAL")
    runs = [_train(method, out, console) for method in METHODS]
    console.rule("3 of 4: scoring on people never seen in training")
    for run in runs:
        predict_run(run)
    console.rule("4 of 4: table and figures")
    comparison = compare(runs)
    found = tables(comparison)
    for ending, text in {"txt": to_text(found), "md": to_markdown(found), "csv": to_csv(comparison)}.items():
        write_text(out / f"table.{ending}", text)
    console.print(to_text(found), markup=False)
    for path in figures.draw(runs, out / "figures"):
        console.print(str(path), markup=False)
