"""What MAL costs on a GPU, and what it is worth where there is something to win: one script, at most eight minutes.

    make gpu GPU="--primary AU --auxiliary FE --truth dataset --bad FERPLUS"
    python benchmarks/gpu.py --small --device cpu --primary AU --auxiliary FE    # shows in minutes that it works

**The step table** (`steps.csv`): time and memory of a training step, every way and precision, and what the paper's
training would take. Every row is measured in a process of its own: warm-up steps (with `torch.compile` they compile),
then timed ones. What does not run, for want of memory, of a package or of a rule in the compiler, has its reason in the
last column. Projected hours: 30 epochs of 147,000 AU images, 64 a step, the step's time alone (the paper: about 54 h on
a Titan X). Share of peak: floating-point operations of the step, counted by torch, by what a large matrix product
reaches on this device in this precision.

**The cells** (`cells.csv`), if prepared datasets are given: STL, MTL with five task weights and the one that scores
best on the reserve (`tuned`), MAL, MAL in the paper's form, and the controls (docs/methods.md), every seed, several
runs side by side on the one GPU.

A row is written as soon as it is known; what has a row is not done again, and a run that was cut off goes on. At the
end of `--limit` seconds everything stops: the same command goes on.
"""

import argparse
import csv
import datetime
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from metafacs.analysis.records import read_metrics
from metafacs.api import Run
from metafacs.config import DataConfig, LoopConfig, NetworkConfig, OptimiserConfig, TrainConfig
from metafacs.evaluation.comparison import AVERAGE
from metafacs.experiments.jobs import Job
from metafacs.experiments.launching import start_process
from metafacs.methods import METHODS
from metafacs.runs import SAMPLE_WEIGHTS
from step_cost import commit, peak_mib, resident_mib
from step_variants import OTHERS, VARIANTS, Workload

HERE = Path(__file__).resolve().parent
ROWS, EPOCHS, PAPER_HOURS = 147_000, 30, 54
STEPS = {**VARIANTS, **OTHERS}
USUAL = ["mtl", "mal-forward", "mal-checkpointing-all", "brute-force", "higher", "torchopt"]
TABLE_SHARE = 0.4
"""Of the time limit; the cells have the rest."""
STEP_COLUMNS = (
    *("date", "commit", "machine", "torch", "backbone", "side", "primary", "auxiliary", "meta"),
    *("variant", "precision", "compiled", "seconds", "ratio", "images_per_second", "peak_mib"),
    *("tflop_per_step", "share_of_peak", "hours", "share_of_paper_hours", "failed"),
)
STEP_KEY = ("backbone", "side", "primary", "variant", "precision", "compiled")
CELL_COLUMNS = (
    *("date", "commit", "gpu", "primary", "auxiliary", "backbone", "side", "steps", "cell", "fold", "seed"),
    *("f1", "auc", "reserve_f1", "au_weight", "fe_weight", "fe_weight_by_dataset", "seconds_per_step", "chosen"),
    "f1_by_au",
)
CELL_KEY = ("primary", "auxiliary", "steps", "cell", "fold", "seed")
TASK_WEIGHTS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Of the expression task; the tuned MTL is the best of them on the reserve."""
Row = dict[str, Any]


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda or cpu")
    parser.add_argument("--out", type=Path, help="folder of the CSVs; default: results/gpu, work/gpu with --small")
    parser.add_argument("--runs", type=Path, help="folder of the runs, which are large; default: work/gpu/runs")
    parser.add_argument("--limit", type=int, default=470, help="seconds after which everything stops")
    parser.add_argument("--small", action="store_true", help="a tiny network and images, few steps")
    table = parser.add_argument_group("step table")
    table.add_argument("--backbone", default="resnet34", help="timm name, of the cells too")
    table.add_argument("--size", default="224:64", metavar="SIDE:B", help="B AU + B expression + 4 B reserved images")
    table.add_argument("--variants", nargs="*", default=USUAL, choices=list(STEPS), help="mtl is run, if any is")
    table.add_argument("--precisions", nargs="+", default=["fp32", "tf32", "bf16"], choices=["fp32", "tf32", "bf16"])
    table.add_argument("--compile", nargs="+", default=["no"], choices=["no", "yes"])
    table.add_argument("--timed", type=int, default=20, help="timed steps of a row (a multiple of 4)")
    cells = parser.add_argument_group("cells")
    cells.add_argument("--primary", type=Path, nargs="+", help="prepared AU datasets")
    cells.add_argument("--auxiliary", type=Path, nargs="+", help="prepared expression datasets")
    cells.add_argument("--truth", help="column of the expression dataset that tells bad images; without it no oracle")
    cells.add_argument("--bad", default="0", help="its values that mean bad, comma-separated")
    cells.add_argument("--folds", default="P1", help="test folds, comma-separated")
    cells.add_argument("--seeds", default="0,1,2", help="comma-separated")
    cells.add_argument("--cells", help="only these, comma-separated, such as mal,mtl_0.5,replayed")
    cells.add_argument("--steps", type=int, default=1000, help="of a run")
    cells.add_argument("--weights", default="scratch", help="as `metafacs train --network.weights`")
    cells.add_argument("--precision", default="no", choices=["no", "bf16"])
    cells.add_argument("--jobs", type=int, default=8, help="runs side by side")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.small:
        options.backbone, options.size, options.timed, options.steps, options.jobs = "test_resnet", "32:4", 4, 6, 2
        options.seeds = "0"
    options.out = options.out or (Path("work/gpu") if options.small else HERE / "results" / "gpu")
    options.runs = options.runs or Path("work/gpu/runs")
    return options


# The step table


def work(settings: Row) -> Row:
    """The worker's side: one row."""
    workload = Workload(**settings["workload"])
    cuda = workload.device.startswith("cuda")
    fast = workload.precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = fast
    torch.backends.cudnn.benchmark = True
    if not cuda:
        torch.set_num_threads(1)
    idle = resident_mib()
    step = STEPS[settings["variant"]](workload).step
    for _ in range(4):
        step()
    counter = FlopCounterMode(display=False)
    tflop = None
    if not workload.compiled:  # a compiled graph cannot be looked into; it does the same arithmetic
        with counter:
            for _ in range(4):
                step()
        tflop = counter.get_total_flops() / 4e12
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    clock = time.perf_counter if cuda else time.process_time
    turns = []
    for _ in range(max(1, settings["timed"] // 4)):
        start = clock()
        for _ in range(4):
            step()
        if cuda:
            torch.cuda.synchronize()
        turns.append((clock() - start) / 4)
    return {
        "machine": torch.cuda.get_device_name() if cuda else "CPU, one thread, processor time",
        "torch": torch.__version__,
        "seconds": statistics.median(turns),
        "peak_mib": torch.cuda.max_memory_allocated() / 2**20 if cuda else peak_mib() - idle,
        "tflop": tflop,
        "peak_tflops": _matrix_product(workload, clock),
    }


def _matrix_product(workload: Workload, clock: Callable[[], float]) -> float:
    """Tera-operations a second of a large matrix product in this precision."""
    cuda = workload.device.startswith("cuda")
    size, dtype = (8192 if cuda else 512), torch.bfloat16 if workload.precision == "bf16" else torch.float32
    a = torch.randn(size, size, device=workload.device, dtype=dtype)
    best = float("inf")
    for _ in range(5):
        start = clock()
        a @ a
        if cuda:
            torch.cuda.synchronize()
        best = min(best, clock() - start)
    return 2 * size**3 / best / 1e12


def measured(variant: str, workload: Row, timed: int, limit: float) -> Row:
    """What a process of its own found, or why it failed."""
    settings = json.dumps({"variant": variant, "workload": workload, "timed": timed})
    command = [sys.executable, "-W", "ignore", str(HERE / "gpu.py"), "--worker", settings]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {limit:.0f} s"}
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit status {done.returncode}"]
        errors = [line for line in last if "Error" in line] or last
        return {"failed": errors[-1].strip()[:200]}
    figures: Row = json.loads(done.stdout.splitlines()[-1])
    return figures


def row(figures: Row, unit: float | None, workload: Row) -> Row:
    """The figures of the table from what was measured; `unit` is MTL's seconds, of the same precision, not compiled."""
    if "failed" in figures:
        return {"failed": figures["failed"]}
    seconds, images = figures["seconds"], workload["primary"] + workload["auxiliary"]
    hours = EPOCHS * ROWS / workload["primary"] * seconds / 3600
    operations = figures["tflop"]
    share = operations / seconds / figures["peak_tflops"] if operations else None
    return {
        "machine": figures["machine"],
        "torch": figures["torch"],
        "seconds": round(seconds, 5),
        "ratio": unit and round(seconds / unit, 3),
        "images_per_second": round(images / seconds, 1),
        "peak_mib": round(figures["peak_mib"]),
        "tflop_per_step": operations and round(operations, 4),
        "share_of_peak": share and round(share, 4),
        "hours": round(hours, 2),
        "share_of_paper_hours": round(hours / PAPER_HOURS, 4),
    }


def step_table(options: argparse.Namespace, deadline: float) -> None:
    """Measures the rows that are missing, as far as time allows, and prints the table in Markdown."""
    side, b = map(int, options.size.split(":"))
    layout = {"backbone": options.backbone, "side": side, "primary": b, "auxiliary": b, "meta": 4 * b}
    names = dict.fromkeys(["mtl", *options.variants]) if options.variants else {}
    table = Table(options.out / "steps.csv", STEP_COLUMNS, STEP_KEY)
    for precision in options.precisions:
        for compiled in options.compile:
            for name in names:
                key = {**layout, "variant": name, "precision": precision, "compiled": compiled}
                left = deadline - time.monotonic()
                if table.has(key) or left < 0:
                    continue
                on = {"device": options.device, "precision": precision, "compiled": compiled == "yes"}
                workload = {**layout, **on, "channels_last": True}
                figures = measured(name, workload, options.timed, max(left, 30))
                if name == "mtl" and compiled == "no":
                    unit = figures.get("seconds")
                else:
                    unit = table.number("seconds", {**key, "variant": "mtl", "compiled": "no"})
                table.add({**key, **row(figures, unit, workload)})
    _show(table.rows)


def _show(rows: Sequence[Row]) -> None:
    """The step table in Markdown."""
    print("\n| variant | precision | compiled | s / step | x MTL | images / s | MiB | of peak | 30 epochs | paper's |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for r in rows:
        begin = f"| `{r['variant']}` | {r['precision']} | {r['compiled']} |"
        if r["failed"]:
            print(f"{begin} {r['failed']} |" + " |" * 6)
            continue
        share, paper = r["share_of_peak"] and f"{float(r['share_of_peak']):.0%}", float(r["share_of_paper_hours"])
        speed = f"{float(r['seconds']):.4f} | {r['ratio']} | {r['images_per_second']}"
        print(f"{begin} {speed} | {r['peak_mib']} | {share} | {r['hours']} h | {paper:.1%} |")


# The cells


@dataclass(frozen=True, eq=False)
class Cell:
    """A run: `name` of the method with its options, test fold, seed; `after` is the cell whose weights it replays."""

    name: str
    fold: str
    seed: str
    method: str
    options: Mapping[str, Any]
    after: str | None = None

    def folder(self, runs: Path, name: str | None = None) -> Path:
        """Of the run, or of the cell `name` of the same fold and seed."""
        return runs / f"{name or self.name}_{self.fold}_seed{self.seed}"


def key_of(options: argparse.Namespace, cell: str, fold: str, seed: str) -> Row:
    """By which the row of a cell is known."""
    data = {name: "+".join(folder.name for folder in getattr(options, name)) for name in ("primary", "auxiliary")}
    return {**data, "steps": options.steps, "cell": cell, "fold": fold, "seed": seed}


def cells_of(options: argparse.Namespace) -> list[Cell]:
    """All runs, a seed after the other, the longest first."""
    methods: dict[str, tuple[Any, ...]] = {
        "mal": ("mal", {}),
        "mal_paper": ("mal", {"alpha": 0.1, "fixed_length": False, "inputs": "feature"}),
        "permuted": ("mal", {"permuted": True}),
        **{f"mtl_{weight}": ("mtl", {"auxiliary_weight": weight}) for weight in TASK_WEIGHTS},
        "balanced": ("mtl", {"balanced": True}),
        "oracle": ("mtl", {"truth": options.truth, "bad": options.bad}),
        "stl": ("stl", {}),
        "replayed": ("mtl", {}, "mal"),
    }
    if not options.truth:
        del methods["oracle"]
    chosen = options.cells.split(",") if options.cells else list(methods)
    return [
        Cell(name, fold, seed, *methods[name])
        for seed in options.seeds.split(",")
        for fold in options.folds.split(",")
        for name in methods
        if name in chosen
    ]


def config_of(cell: Cell, options: argparse.Namespace) -> TrainConfig:
    """The run of a cell."""
    chosen = dict(cell.options)
    if cell.after:
        chosen["replay"] = str(cell.folder(options.runs, cell.after))
    data: Row = {"resize": 124, "side": 112, "batch_primary": 64, "batch_auxiliary": 64, "batch_meta": 128}
    if options.small:
        data = {"resize": 36, "side": 32, "reserve_minimum": 16}
        data |= {"batch_primary": 8, "batch_auxiliary": 8, "batch_meta": 8}
    return TrainConfig(
        cell.folder(options.runs),
        DataConfig(options.primary, options.auxiliary, test_fold=cell.fold, **data),
        cell.method,
        cell.name if cell.name != cell.method else None,
        NetworkConfig(options.backbone, options.weights),
        OptimiserConfig(learning_rate=1e-3, schedule="one-cycle"),
        LoopConfig(steps=options.steps, device=options.device, threads=1, precision=options.precision),
        int(cell.seed),
        METHODS[cell.method].Options(**chosen),
    )


def train_cells(options: argparse.Namespace, deadline: float) -> None:
    """Trains the cells that have no row, several at once; a row for each as soon as it is done."""
    table = Table(options.out / "cells.csv", CELL_COLUMNS, CELL_KEY)
    cells = cells_of(options)
    jobs = {cell: Job(config_of(cell, options), options.steps) for cell in cells}
    keys = {cell: key_of(options, cell.name, cell.fold, cell.seed) for cell in cells}
    missing = [cell for cell in cells if not table.has(keys[cell])]
    needed = {cell.folder(options.runs, cell.after) for cell in missing if cell.after}
    waiting = [cell for cell in cells if cell in missing or (jobs[cell].run in needed and not jobs[cell].done)]
    running: list[Cell] = []
    try:
        while (waiting or running) and time.monotonic() < deadline:
            ready = [c for c in waiting if not c.after or (c.folder(options.runs, c.after) / "done").exists()]
            for cell in ready[: options.jobs - len(running)]:
                waiting.remove(cell)
                running.append(cell)
                jobs[cell].start(start_process)
            if not running:
                print(f"left out, as the run that they replay is not done: {', '.join(c.name for c in waiting)}")
                break
            time.sleep(0.2)
            for cell in list(running):
                launched = jobs[cell].launched
                if launched is not None and launched.poll() is not None:
                    running.remove(cell)
                    if failure := jobs[cell].failure():
                        print(failure, flush=True)
                    elif not table.has(keys[cell]):
                        table.add({**keys[cell], **_results(jobs[cell].config)})
            _add_tuned(table, options)
    finally:
        for cell in running:
            launched = jobs[cell].launched
            if launched is not None and launched.poll() is None:
                launched.terminate()
                launched.wait()
    if table.rows:
        numbers = pd.DataFrame(table.rows).astype({"f1": float, "auc": float})
        print(numbers.groupby("cell")[["f1", "auc"]].agg(["mean", "std", "count"]).round(2).to_string())
    if waiting or running:
        print(f"{len(waiting) + len(running)} cells are left; the same command goes on")


def _results(config: TrainConfig) -> Row:
    """What is known of a finished run."""
    run = Run(config.out)
    scores, metrics = run.evaluate(), read_metrics(config.out)
    trained = metrics[metrics["event"] == "train"].iloc[-1]
    reserve = metrics[metrics["event"] == "validation"].iloc[-1]
    by_dataset = ""
    if (config.out / SAMPLE_WEIGHTS).exists():
        weights = pd.read_parquet(config.out / SAMPLE_WEIGHTS)
        means = weights[weights["stream"] == "auxiliary"].groupby("dataset")["weight"].mean()
        by_dataset = json.dumps(means.round(4).to_dict())
    return {
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        "backbone": config.network.backbone,
        "side": config.data.side,
        "f1": round(100 * scores["f1"][AVERAGE], 3),
        "auc": round(100 * scores["auc"][AVERAGE], 3),
        "reserve_f1": round(100 * reserve["average_f1"], 3),
        "au_weight": trained.get("weight_primary"),
        "fe_weight": trained.get("weight_auxiliary"),
        "fe_weight_by_dataset": by_dataset,
        "seconds_per_step": round(trained["seconds_per_step"], 5),
        "f1_by_au": json.dumps((100 * scores["f1"].drop(AVERAGE)).round(2).to_dict()),
    }


def _add_tuned(table: "Table", options: argparse.Namespace) -> None:
    """A row for the MTL whose task weight is best on the reserve, once all of a fold and seed are there."""
    for fold in options.folds.split(","):
        for seed in options.seeds.split(","):
            keys = [key_of(options, f"mtl_{weight}", fold, seed) for weight in TASK_WEIGHTS]
            tuned = key_of(options, "tuned", fold, seed)
            if not table.has(tuned) and all(map(table.has, keys)):
                best = max(keys, key=lambda key: table.number("reserve_f1", key) or 0.0)
                table.add({**table.find(best), **tuned, "chosen": best["cell"]})


class Table:
    """A CSV file that grows by rows; a row is known by the columns of its key.

    Args:
        path: the file; made if it is not there.
        columns: of the file.
        key: those by which a row is known.
    """

    def __init__(self, path: Path, columns: Sequence[str], key: Sequence[str]) -> None:
        self.path, self.columns, self.key = path, columns, key
        self.rows: list[Row] = []
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                self.rows = list(csv.DictReader(file))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write(dict(zip(columns, columns, strict=True)))

    def find(self, key: Row) -> Row:
        """The row of that key; empty if there is none."""
        return next((r for r in self.rows if all(r[name] == str(key[name]) for name in self.key)), {})

    def has(self, key: Row) -> bool:
        return bool(self.find(key))

    def number(self, column: str, key: Row) -> float | None:
        """What the row of that key has in a column."""
        text = self.find(key).get(column)
        return float(text) if text else None

    def add(self, values: Row) -> None:
        """Appends a row, and shows it."""
        today = {"date": datetime.datetime.now(datetime.UTC).date().isoformat(), "commit": commit()}
        filled = {name: {**today, **values}.get(name) for name in self.columns}
        self.rows.append({name: "" if value is None else str(value) for name, value in filled.items()})
        self._write(self.rows[-1])
        print(", ".join(f"{name} {value}" for name, value in values.items() if value not in (None, "")), flush=True)

    def _write(self, values: Row) -> None:
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self.columns, lineterminator="\n").writerow(values)


def main() -> None:
    """Both halves, within the limit."""
    options = parsed(sys.argv[1:])
    if options.worker:
        print(json.dumps(work(json.loads(options.worker))))
        return
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("torch sees no GPU; `--device cpu --small` shows that the benchmark works")
    begin = time.monotonic()
    cells = options.primary and options.auxiliary
    step_table(options, begin + options.limit * (TABLE_SHARE if cells else 1))
    if cells:
        train_cells(options, begin + options.limit)


if __name__ == "__main__":
    main()
