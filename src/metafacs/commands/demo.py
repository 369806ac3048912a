"""`metafacs demo`: from nothing to a table of STL, MTL and MAL, on rendered faces."""

from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from rich.console import Console

from metafacs.commands import figures, synth
from metafacs.commands.parsing import parse, parser
from metafacs.config import DataConfig, LoopConfig, NetworkConfig, OptimiserConfig, TrainConfig
from metafacs.experiments.launching import start_process
from metafacs.files import LOCK, lock, write_text
from metafacs.pool import cores

DESCRIPTION = """From nothing to a table: renders a small AU dataset and a small expression dataset, trains STL, MTL and
MAL on the CPU, scores them on people they never saw, prints F1 per AU, its average, AUC and the all-positive floor, and
draws the paper's curves. What is there already is reused; what was interrupted goes on. One fold and one seed keep it
short: enough to see everything work, too little to say which method is better."""
METHODS = ("mal", "mtl", "stl")
"""The longest first, so that the others run beside it."""


def main(prog: str, arguments: Sequence[str]) -> None:
    """Runs the command."""
    flags = parser(prog, DESCRIPTION)
    flags.add_argument("--out", type=Path, default=Path("demo"), help="folder for data, runs, table and figures.")
    settings = parse(flags, arguments)
    out: Path = settings.out
    with lock(out / LOCK, f"another process is at the demo in {out}; wait for it, or choose another --out"):
        _demonstrate(out, Console(soft_wrap=True, highlight=False))


def _demonstrate(out: Path, console: Console) -> None:
    from metafacs.evaluation.comparison import compare
    from metafacs.evaluation.tables import forms, tables, to_text
    from metafacs.experiments.jobs import Job, run_jobs
    from metafacs.training.data import steps_of

    console.rule("1 of 3: rendering faces")
    synth.render_preset(out / "data", "small")
    console.rule("2 of 3: training STL, MTL and MAL, and scoring them on people they never saw")
    configs = [demo_config(out, method) for method in METHODS]
    jobs = [Job(config, steps_of(config), config.method.upper()) for config in configs]
    run_jobs(jobs, cores(), console, start_process)
    runs = [job.run for job in reversed(jobs)]
    console.rule("3 of 3: table and figures")
    comparison = compare(runs)
    chosen = tables(comparison)
    for ending, text in forms(chosen, comparison).items():
        write_text(out / f"table.{ending}", text)
    console.print(to_text(chosen), markup=False)
    figures.draw(runs, out / "figures")
    console.rule("what to try next")
    for purpose, command in next_commands(out):
        console.print(f"{purpose}:\n    {command}", markup=False)


def next_commands(out: Path) -> list[tuple[str, str]]:
    """Three things to try after the demo in `out`: what for, and the command."""
    data = f"--data.primary {quote(str(out / 'data' / 'au'))} --data.auxiliary {quote(str(out / 'data' / 'fe'))}"
    small = "--network.backbone test_resnet --network.weights scratch --data.resize 72 --data.side 64"
    runs = " ".join(quote(str(out / "runs" / method)) for method in METHODS)
    report, grid = quote(str(out / "report.html")), quote(str(out / "grid"))
    return [
        (
            "one page with the tables, figures and settings",
            f"metafacs report {runs} --out {report}",
        ),
        ("AUs in photographs and videos of your own, on a page in your browser", "metafacs serve"),
        (
            "methods compared on all folds, with differences and intervals",
            f"metafacs benchmark --methods stl,mtl,mal --seeds 0 {data} {small} --loop.steps 1500 --out {grid}",
        ),
    ]


def demo_config(out: Path, method: str) -> TrainConfig:
    """A run of the demo: a ResNet small enough for a CPU, at a size at which AUs can still be seen."""
    from metafacs.methods import METHODS as ALL

    data = DataConfig(
        out / "data" / "au",
        out / "data" / "fe",
        resize=72,
        side=64,
        batch_primary=32,
        batch_auxiliary=32,
        batch_meta=64,
    )
    return TrainConfig(
        out / "runs" / method,
        data,
        method,
        options=ALL[method].Options(au_reduction="mean"),  # the table of README was made so
        network=NetworkConfig("test_resnet", "scratch"),
        optimiser=OptimiserConfig(learning_rate=3e-3, schedule="one-cycle"),
        loop=LoopConfig(steps=1500, device="cpu", threads=1),
    )
