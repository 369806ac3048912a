"""`metafacs benchmark`: a grid of methods, folds and seeds in, the table out."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import NonNegativeInt
from rich.console import Console

from metafacs import distributed
from metafacs.commands.parsing import parse, plain
from metafacs.commands.train import train_parser
from metafacs.data.prepared import PreparedDataset
from metafacs.errors import InputError
from metafacs.evaluation.comparison import compare, method_title
from metafacs.evaluation.costs import costs
from metafacs.evaluation.tables import tables, to_csv, to_latex, to_markdown, to_text
from metafacs.experiments.grid import SETTINGS, cells, keep_settings, read_list, read_seeds, read_variants
from metafacs.experiments.jobs import Job, run_jobs
from metafacs.experiments.launching import Launch, LocalProcess, RayTasks
from metafacs.files import LOCK, lock, naming, refuse_files, write_text
from metafacs.training.data import common_aus, split_primary

DESCRIPTION = """Trains and scores every method on every fold from every seed, and prints one table: F1 per AU and on
average, mean and standard deviation, AUC, the all-positive floor, paired differences with 95 % intervals, and what each
method costs relative to MTL. All other flags are those of `metafacs train` and hold for every cell. What is done
already is not done again; what was killed goes on; a cell that fails is named with its log, and the rest is done.

Variants of a method have a name: --methods "mal,gentle=mal:alpha=0.01;optimiser.learning_rate=1e-4"."""

_OWN = ("methods", "folds", "seeds", "jobs", "cluster", "address", "reference", "paper")
RESULTS = ("table.txt", "table.md", "table.tex", "table.csv", "costs.csv")
_PER_CELL = ("out", "method", "label", "seed", "resume", "config")


def benchmark_parser(prog: str) -> ArgumentParser:
    """Flags of the command: its own, and those of `metafacs train`."""
    made = train_parser(prog, DESCRIPTION)
    made.add_argument("--methods", default="stl,mtl,mal", help="methods or named variants, comma-separated.")
    made.add_argument("--folds", default="P1,P2,P3", help="test folds, comma-separated.")
    made.add_argument("--seeds", default="0,1,2", help="seeds, comma-separated.")
    made.add_argument("--jobs", type=NonNegativeInt, default=0, help="cells side by side; 0 means one a core.")
    made.add_argument(
        "--cluster", type=Literal["ray"] | None, default=None, help="run the cells on a Ray cluster (shared files)."
    )
    made.add_argument("--address", type=str | None, default=None, help="of the Ray cluster; none starts one here.")
    made.add_argument("--reference", type=str | None, default=None, help="method that the others are compared with.")
    made.add_argument(
        "--paper", type=Literal["bp4d", "disfa", "gft"] | None, default=None, help="add the paper's own table below."
    )
    return made


def main(prog: str, arguments: Sequence[str]) -> None:
    """Runs the command."""
    made = benchmark_parser(prog)
    settings = parse(made, arguments)
    _refuse_fixed(arguments)
    variants, folds = read_variants(settings.methods), read_list(settings.folds, "--folds")
    seeds, out = read_seeds(settings.seeds), Path(settings.out).absolute()  # cells would take "-x" for a flag
    for variant in variants:  # a wrong option of a variant shows now, not after hours
        parse(made, [*arguments, *variant.flags])
    steps = _steps(settings, folds, seeds[0])
    jobs = cells(out, variants, folds, seeds, steps)
    with lock(out / LOCK, f"another process is at the grid in {out}; wait for it, or choose another --out"):
        if not (out / SETTINGS).exists():
            refuse_files(out, RESULTS, "move that, or choose another --out")
        keep_settings(out, _shared(settings))
        with naming(out):
            failures = _run(settings, jobs, out)
    if failures:
        failed = ", ".join(failure.split(" failed")[0] for failure in failures)
        raise InputError(f"{len(failures)} of {len(jobs)} cells failed ({failed}); the same command tries them again")


def _run(settings: Namespace, jobs: Sequence[Job], out: Path) -> list[str]:
    """Carries out what is not done and writes the table of what is; returns what went wrong."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    at_once = settings.jobs or distributed.cores()
    launch: Launch = LocalProcess
    if settings.cluster:
        launch = RayTasks(settings.address, at_once, gpus=float(settings.loop.device == "cuda"))
        at_once = len(jobs) if settings.address else at_once
    failures = run_jobs(jobs, at_once, console, keep_going=True, launch=launch)
    runs = [job.run for job in jobs if job.done]
    if runs:
        write_tables(runs, out, settings.reference, settings.paper)
    return failures


def write_tables(runs: Sequence[Path], out: Path, reference: str | None = None, paper: str | None = None) -> None:
    """Prints the table of `runs` and writes it to `out` as text, Markdown, LaTeX and CSV, with the costs."""
    comparison = compare(runs, reference=reference)
    found = tables(comparison, paper)
    cost = costs(runs, "mtl")
    texts = {"txt": to_text(found), "md": to_markdown(found), "tex": to_latex(found), "csv": to_csv(comparison, paper)}
    for ending, text in texts.items():
        write_text(out / f"table.{ending}", text)
    write_text(out / "costs.csv", cost.round(4).to_csv())
    console = Console(soft_wrap=True, highlight=False)
    console.print(to_text(found), markup=False)
    console.print(_cost_lines(cost), markup=False)


def _cost_lines(cost: pd.DataFrame) -> str:
    shown = cost.assign(method=[method_title(name) for name in cost.index])
    shown["ms a step"] = (1000 * shown["processor_seconds_per_step"]).round(1)
    shown["time / MTL"], shown["memory / MTL"] = shown["time_ratio"].round(2), shown["memory_ratio"].round(2)
    columns = ["method", "ms a step", "time / MTL", "memory / MTL"]
    return "Cost of a training step (processor time; memory that training adds):\n" + shown[columns].to_string(
        index=False
    )


def _refuse_fixed(arguments: Sequence[str]) -> None:
    """Flags of `train` that the grid sets itself."""
    fixed = {"--method": "--methods", "--seed": "--seeds", "--data.test_fold": "--folds", "--label": "--methods"}
    for flag, instead in fixed.items():
        if any(argument == flag or argument.startswith(f"{flag}=") for argument in arguments):
            raise InputError(f"{flag} differs from cell to cell; use {instead}")


def _shared(settings: Namespace) -> dict[str, Any]:
    """The settings that all cells have in common."""
    shared = {name: value for name, value in plain(settings).items() if name not in (*_OWN, *_PER_CELL)}
    data = shared["data"]
    data.pop("test_fold")
    return {**shared, "data": {**data, **{k: os.path.realpath(data[k]) for k in ("primary", "auxiliary") if data[k]}}}


def _steps(settings: Namespace, folds: Sequence[str], seed: int) -> dict[str, int]:
    """How many steps a run takes on each fold; a fold that cannot be tested on is an error now, not in its cell."""
    dataset = PreparedDataset.open(Path(settings.data.primary))
    if settings.data.auxiliary:
        PreparedDataset.open(Path(settings.data.auxiliary))  # one that is not there, too
    labels = dataset.au_labels(common_aus(dataset, settings.data.aus))
    steps = {}
    for fold in folds:
        images = len(split_primary(dataset, labels, settings.data, fold, seed).train)
        epochs = settings.loop.epochs * images / settings.data.batch_primary
        steps[fold] = settings.loop.steps or max(1, round(epochs))
    return steps
