"""`metafacs demo`: from nothing to a table of STL, MTL and MAL, on rendered faces."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from metafacs import distributed
from metafacs.commands import figures, synth
from metafacs.commands.parsing import parse, parser
from metafacs.evaluation.comparison import compare
from metafacs.evaluation.tables import tables, to_csv, to_markdown, to_text
from metafacs.experiments.jobs import Job, run_jobs
from metafacs.files import LOCK, lock, write_text

DESCRIPTION = """From nothing to a table: renders a small AU dataset and a small expression dataset, trains STL, MTL and
MAL on the CPU, scores them on people they never saw, prints F1 per AU, its average, AUC and the all-positive floor, and
draws the paper's curves. What is there already is reused; what was interrupted goes on. One fold and one seed keep it
short: enough to see everything work, too little to say which method is better."""
METHODS = ("mal", "mtl", "stl")
"""The longest first, so that the others run beside it."""
STEPS = 1500
SETTINGS = {
    "seed": 0,
    "data.test_fold": "P1",
    "data.resize": 72,
    "data.side": 64,
    "data.batch_primary": 32,
    "data.batch_auxiliary": 32,
    "data.batch_meta": 64,
    "network.backbone": "test_resnet",
    "network.weights": "scratch",
    "optimiser.learning_rate": 3e-3,
    "optimiser.schedule": "one-cycle",
    "loop.steps": STEPS,
    "loop.device": "cpu",
    "loop.threads": 1,
}
"""A ResNet small enough for a CPU, at a size at which AUs can still be seen."""


def main(prog: str, arguments: Sequence[str]) -> None:
    """Runs the command."""
    made = parser(prog, DESCRIPTION)
    made.add_argument("--out", type=Path, default=Path("demo"), help="folder for data, runs, table and figures.")
    settings = parse(made, arguments)
    out: Path = settings.out
    with lock(out / LOCK, f"another process is at the demo in {out}; wait for it, or choose another --out"):
        _demonstrate(out, Console(soft_wrap=True, highlight=False))


def _demonstrate(out: Path, console: Console) -> None:
    console.rule("1 of 3: rendering faces")
    synth.render_preset(out / "data", "small")
    console.rule("2 of 3: training STL, MTL and MAL, and scoring them on people they never saw")
    data = ["--data.primary", str(out / "data" / "au"), "--data.auxiliary", str(out / "data" / "fe")]
    flags = [text for key, value in SETTINGS.items() for text in (f"--{key}", str(value))]
    jobs = [Job(m.upper(), out / "runs" / m, [*data, "--method", m, *flags], STEPS) for m in METHODS]
    run_jobs(jobs, distributed.cores(), console)
    runs = [job.run for job in reversed(jobs)]
    console.rule("3 of 3: table and figures")
    comparison = compare(runs)
    found = tables(comparison)
    for ending, text in {"txt": to_text(found), "md": to_markdown(found), "csv": to_csv(comparison)}.items():
        write_text(out / f"table.{ending}", text)
    console.print(to_text(found), markup=False)
    figures.draw(runs, out / "figures")
