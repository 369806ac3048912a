"""What MAL costs on a GPU: time and memory of a training step, and what the paper's training would take.

    python benchmarks/gpu.py [--precisions tf32 bf16] [--variants mal-forward higher]
    python benchmarks/gpu.py --small --device cpu    # shows in minutes that it works

A row of `steps.csv` for every way and precision. Every row is measured in a process of its own: warm-up steps (with
`torch.compile` they compile), then timed ones. What does not run, for want of memory, of a package or of a rule in the
compiler, has its reason in the last column. Projected hours: 30 epochs of 147,000 AU images, 64 a step, the step's time
alone (the paper: about 54 h on a Titan X). Share of peak: floating-point operations of the step, counted by torch, by
what a large matrix product reaches on this device in this precision.

A row is written as soon as it is known, and what has a row is not measured again. At the end of `--limit` seconds
everything stops: the same command goes on.
"""

import argparse
import csv
import datetime
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from step_cost import commit, peak_mib, resident_mib
from step_variants import OTHERS, VARIANTS, Workload

HERE = Path(__file__).resolve().parent
ROWS, EPOCHS, PAPER_HOURS = 147_000, 30, 54
STEPS = {**VARIANTS, **OTHERS}
USUAL = ["mtl", "mal-forward", "mal-checkpointing-all", "brute-force", "higher", "torchopt"]
STEP_COLUMNS = (
    *("date", "commit", "machine", "torch", "backbone", "side", "primary", "auxiliary", "meta"),
    *("variant", "precision", "compiled", "seconds", "ratio", "images_per_second", "peak_mib"),
    *("tflop_per_step", "share_of_peak", "hours", "share_of_paper_hours", "failed"),
)
STEP_KEY = ("backbone", "side", "primary", "variant", "precision", "compiled")
Row = dict[str, Any]


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda or cpu")
    parser.add_argument("--out", type=Path, help="folder of steps.csv; default: results/gpu, work/gpu with --small")
    parser.add_argument("--limit", type=int, default=470, help="seconds after which everything stops")
    parser.add_argument("--small", action="store_true", help="a tiny network and images, few steps")
    parser.add_argument("--backbone", default="resnet34", help="timm name")
    parser.add_argument("--size", default="224:64", metavar="SIDE:B", help="B AU + B expression + 4 B reserved images")
    parser.add_argument("--variants", nargs="*", default=USUAL, choices=list(STEPS), help="mtl is run, if any is")
    parser.add_argument("--precisions", nargs="+", default=["fp32", "tf32", "bf16"], choices=["fp32", "tf32", "bf16"])
    parser.add_argument("--compile", nargs="+", default=["no"], choices=["no", "yes"])
    parser.add_argument("--timed", type=int, default=20, help="timed steps of a row (a multiple of 4)")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.small:
        options.backbone, options.size, options.timed = "test_resnet", "32:4", 4
    options.out = options.out or (Path("work/gpu") if options.small else HERE / "results" / "gpu")
    return options


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
    """The table, within the limit; or, as a worker, one row."""
    options = parsed(sys.argv[1:])
    if options.worker:
        print(json.dumps(work(json.loads(options.worker))))
        return
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("torch sees no GPU; `--device cpu --small` shows that the benchmark works")
    step_table(options, time.monotonic() + options.limit)


if __name__ == "__main__":
    main()
