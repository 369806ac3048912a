"""A grid of training runs, every variant on every fold from every seed, and the table that comes of it."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pandas as pd
from rich.console import Console

from metafacs.analysis.records import RUNS
from metafacs.config import TrainConfig
from metafacs.errors import InputError
from metafacs.evaluation.comparison import Comparison, compare, method_title
from metafacs.evaluation.costs import costs
from metafacs.evaluation.tables import Table, beside_paper, forms, tables, to_text
from metafacs.experiments.jobs import Job, run_jobs
from metafacs.experiments.launching import Launch, RayTasks, start_process
from metafacs.experiments.paper_tables import dataset_of, printed
from metafacs.files import LOCK, lock, naming, refuse_files, write_text
from metafacs.pool import cores
from metafacs.runs import CONFIG, check_settings
from metafacs.training.data import steps_of

RESULTS = ("table.txt", "table.md", "table.tex", "table.csv", "costs.csv")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


@dataclass
class BenchmarkConfig:
    """A grid.

    Attributes:
        out: folder of the grid: its tables, and its runs in `runs`.
        variants: a row of the table each, named by its `label` or else its method; the grid sets their `out`, `seed`
            and `data.test_fold`.
        folds: test folds.
        seeds: seeds.
        jobs: runs side by side; 0 means one a core.
        cluster: "ray": run them on a Ray cluster whose machines share files.
        address: of the Ray cluster; without one, a cluster starts here.
        reference: the variant that the others are compared with; the first where not given.
        paper: add this table of the paper's own below.
        table: the variants are the rows of this table of the paper ("I", "II" or "III"); print its numbers beside them.
    """

    out: Path
    variants: Sequence[TrainConfig]
    folds: Sequence[str] = ("P1", "P2", "P3")
    seeds: Sequence[int] = (0, 1, 2)
    jobs: int = 0
    cluster: Literal["ray"] | None = None
    address: str | None = None
    reference: str | None = None
    paper: Literal["bp4d", "disfa", "gft"] | None = None
    table: Literal["I", "II", "III"] | None = None

    def __post_init__(self) -> None:
        self.out = Path(self.out).absolute()
        names = [config.label or config.method for config in self.variants]
        for what, entries in {"--methods": names, "--folds": self.folds, "--seeds": self.seeds}.items():
            twice = sorted({str(entry) for entry in entries if list(entries).count(entry) > 1})
            if twice or not entries:
                problem = f"{', '.join(twice)} comes twice" if twice else "nothing was named"
                raise InputError(f"{what}: {problem}; name each once (variants of a method by labels of their own)")
        for name in names:
            if not _NAME.fullmatch(name):
                raise InputError(
                    f"--methods: '{name}' cannot name a run; use letters, digits, dots, dashes, underscores"
                )

    def cells(self) -> list[TrainConfig]:
        """The runs, a seed and a fold after the other, so that whole rows of the table are done early."""
        return [
            replace(
                variant,
                out=self.out / RUNS / f"{variant.label or variant.method}_{fold}_seed{seed}",
                data=replace(
                    variant.data,
                    test_fold=fold,
                    primary=_real(variant.data.primary),
                    auxiliary=variant.data.auxiliary and _real(variant.data.auxiliary),
                ),
                seed=seed,
            )
            for seed in self.seeds
            for fold in self.folds
            for variant in self.variants
        ]


def _real(folders: list[Path] | Path) -> list[Path] | Path:
    """The same without links and relative parts."""
    if isinstance(folders, list):
        return [Path(os.path.realpath(folder)) for folder in folders]
    return Path(os.path.realpath(folders))


@dataclass(frozen=True)
class Benchmark:
    """What came of a grid.

    Attributes:
        runs: folders of the runs that are done and scored.
        failures: what went wrong in each of the others, with the end of its log.
        comparison: of the runs; None where none is done.
        costs: of a training step, one row per method, as `evaluation.costs.costs` returns them.
        cost_reference: the method whose cost is 1.
        beside: the average scores beside the paper's, where its table was asked for.
    """

    runs: list[Path]
    failures: list[str]
    comparison: Comparison | None = None
    costs: pd.DataFrame = field(default_factory=pd.DataFrame)
    cost_reference: str = "mtl"
    beside: Sequence[Table] = ()

    def _repr_html_(self) -> str:
        shown = self.comparison._repr_html_() if self.comparison else ""
        return shown + (f"<p>{len(self.failures)} runs failed; see <code>failures</code></p>" if self.failures else "")

    def text(self, paper: str | None = None) -> str:
        """The tables and the costs, for a terminal; empty where no run is done."""
        if self.comparison is None:
            return ""
        shown = self.costs.assign(method=[method_title(str(name)) for name in self.costs.index])
        for column, source in {"ms a step": "seconds_per_step", "processor ms": "processor_seconds_per_step"}.items():
            shown[column] = (1000 * shown[source]).round(1)
        one = method_title(self.cost_reference)
        columns = ["method", "ms a step", "processor ms", f"processor ms / {one}", f"memory / {one}"]
        shown[columns[3]], shown[columns[4]] = shown["time_ratio"].round(2), shown["memory_ratio"].round(2)
        title = "Cost of a training step (time by the clock and of all processors; memory that training adds):"
        shown_tables = [*tables(self.comparison, paper), *self.beside]
        steps = shown[columns].to_string(index=False, na_rep="–")
        return f"{to_text(shown_tables)}\n{title}\n{steps}"


def benchmark(config: BenchmarkConfig) -> Benchmark:
    """Trains and scores every cell of a grid that is not done, and writes the tables of those that are.

    What is done is not done again; what was killed goes on; a run that fails is named with its log, and the rest is
    done.

    Raises:
        InputError: before anything runs: a dataset or fold that cannot be used, a run in `out` with other settings, or
            files in the way of the tables.
    """
    steps: dict[str, int] = {}  # seeds hardly change them
    jobs = []
    for cell in config.cells():
        key = repr((cell.data, cell.loop))
        steps[key] = steps.get(key) or steps_of(cell)
        jobs.append(Job(cell, steps[key]))
    out, console = config.out, Console(stderr=True, soft_wrap=True, highlight=False)
    with lock(out / LOCK, f"another process is at the grid in {out}; wait for it, or choose another --out"):
        if not (out / RUNS).exists():
            refuse_files(out, RESULTS, "move that, or choose another --out")
        for job in jobs:
            if (job.run / CONFIG).exists():
                check_settings(job.run, job.config.values(), job.config.defaults())
        with naming(out):
            at_once = config.jobs or cores()
            launch: Launch = start_process
            if config.cluster:
                on_gpu = any(variant.loop.device == "cuda" for variant in config.variants)
                launch = RayTasks(config.address, at_once, gpus=float(on_gpu))
                at_once = len(jobs) if config.address else at_once
            failures = run_jobs(jobs, at_once, console, launch, keep_going=True)
            runs = [job.run for job in jobs if job.done]
            if not runs:
                return Benchmark(runs, failures)
            reference = "STL" if config.table else "mtl"
            comparison, cost = compare(runs, reference=config.reference), costs(runs, reference)
            beside: list[Table] = []
            if config.table:
                beside = [beside_paper(comparison, dataset_of(config.table), printed(config.table))]
            shown = [*tables(comparison, config.paper), *beside]
            for ending, text in forms(shown, comparison, config.paper).items():
                write_text(out / f"table.{ending}", text)
            write_text(out / "costs.csv", cost.round(4).to_csv())
    return Benchmark(runs, failures, comparison, cost, reference, beside)
