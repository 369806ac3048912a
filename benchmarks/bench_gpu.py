"""Time and memory of a training step on a GPU, every way and precision, and what the paper's training would take.

    make bench-gpu                                         # ResNet-34, 224 px, 64 + 64 + 256 images
    python benchmarks/bench_gpu.py --device cpu --small    # shows in minutes that it works; its figures mean nothing

Every row is measured in a process of its own: warm-up steps (with `torch.compile` they compile), then timed ones. What
does not run, for want of memory, of a package or of a rule in the compiler, has its reason in the last column.
Projected hours: 30 epochs of 147,000 AU images, 64 a step, the step's time alone (the paper: about 54 h on a Titan X).
Share of peak: floating-point operations of the step, counted by torch, by what a large matrix product reaches on this
device in this precision. Writes `results/bench_gpu.csv` and prints the table in Markdown.
"""

import argparse
import csv
import datetime
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from step_cost import commit, peak_mib, resident_mib
from step_variants import OTHERS, VARIANTS, Workload

HERE = Path(__file__).resolve().parent
ROWS, EPOCHS, PAPER_HOURS = 147_000, 30, 54
STEPS = {**VARIANTS, **OTHERS}
COLUMNS = (
    *("date", "commit", "machine", "torch", "backbone", "side", "primary", "auxiliary", "meta"),
    *("variant", "precision", "compiled", "seconds", "ratio", "images_per_second", "peak_mib"),
    *("tflop_per_step", "share_of_peak", "hours", "share_of_paper_hours", "failed"),
)


def parsed(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda or cpu")
    parser.add_argument("--backbone", default="resnet34", help="timm name")
    parser.add_argument("--size", default="224:64", metavar="SIDE:B", help="B AU + B expression + 4 B reserved images")
    parser.add_argument("--variants", nargs="+", default=list(STEPS), choices=list(STEPS), help="mtl is always run")
    parser.add_argument("--precisions", nargs="+", default=["fp32", "tf32", "bf16"], choices=["fp32", "tf32", "bf16"])
    parser.add_argument("--compile", nargs="+", default=["no", "yes"], choices=["no", "yes"])
    parser.add_argument("--steps", type=int, default=20, help="timed steps of a row (a multiple of 4)")
    parser.add_argument("--limit", type=int, default=600, help="seconds after which a row is given up")
    parser.add_argument("--small", action="store_true", help="a tiny network, 32 px, few steps, without compile")
    parser.add_argument("--out", type=Path, help="CSV file; default: results/bench_gpu.csv, none with --small")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.small:
        options.backbone, options.size, options.steps, options.compile = "test_resnet", "32:4", 4, ["no"]
    elif options.out is None:
        options.out = HERE / "results" / "bench_gpu.csv"
    return options


def work(settings: dict[str, Any]) -> dict[str, Any]:
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
    steps: int = settings["steps"]
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
    for _ in range(max(1, steps // 4)):
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


def measured(variant: str, workload: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """What a process of its own found, or why it failed."""
    settings = json.dumps({"variant": variant, "workload": workload, "steps": options.steps})
    command = [sys.executable, "-W", "ignore", str(HERE / "bench_gpu.py"), "--worker", settings]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=options.limit, check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {options.limit} s"}
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit status {done.returncode}"]
        errors = [line for line in last if "Error" in line] or last
        return {"failed": errors[-1].strip()[:200]}
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def row(figures: dict[str, Any], unit: dict[str, Any], workload: dict[str, Any]) -> dict[str, Any]:
    """The figures of the table from what was measured; `unit` is MTL's, of the same precision, not compiled."""
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
        "ratio": round(seconds / unit["seconds"], 3) if "seconds" in unit else None,
        "images_per_second": round(images / seconds, 1),
        "peak_mib": round(figures["peak_mib"]),
        "tflop_per_step": operations and round(operations, 4),
        "share_of_peak": share and round(share, 4),
        "hours": round(hours, 2),
        "share_of_paper_hours": round(hours / PAPER_HOURS, 4),
    }


def show(rows: list[dict[str, Any]]) -> None:
    """The table in Markdown."""
    print(
        "\n| variant | precision | compiled | s / step | x MTL | images / s | MiB | of peak | 30 epochs, h | paper's |"
    )
    print("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for r in rows:
        begin = f"| `{r['variant']}` | {r['precision']} | {r['compiled']} |"
        if r.get("failed"):
            print(f"{begin} {r['failed']} |" + " |" * 6)
            continue
        share = "" if r["share_of_peak"] is None else f"{r['share_of_peak']:.0%}"
        print(
            f"{begin} {r['seconds']:.4f} | {r['ratio']} | {r['images_per_second']} | {r['peak_mib']} | {share} | "
            f"{r['hours']} | {r['share_of_paper_hours']:.1%} |"
        )


def main() -> None:
    """Fills the table."""
    options = parsed(sys.argv[1:])
    if options.worker:
        print(json.dumps(work(json.loads(options.worker))))
        return
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("torch sees no GPU; `--device cpu --small` shows that the benchmark works")
    side, b = map(int, options.size.split(":"))
    layout = {"backbone": options.backbone, "side": side, "primary": b, "auxiliary": b, "meta": 4 * b}
    fixed = {"date": datetime.datetime.now(datetime.UTC).date().isoformat(), "commit": commit(), **layout}
    names = ["mtl", *(name for name in options.variants if name != "mtl")]
    rows: list[dict[str, Any]] = []
    for precision in options.precisions:
        unit: dict[str, Any] = {}
        for compiled in options.compile:
            for name in names:
                chosen = {"device": options.device, "precision": precision, "compiled": compiled == "yes"}
                workload = {**layout, **chosen, "channels_last": True}
                figures = measured(name, workload, options)
                unit = unit or figures
                rows.append({**fixed, "variant": name, "precision": precision, "compiled": compiled})
                rows[-1] |= row(figures, unit, workload)
                result = figures.get("failed") or figures["seconds"]
                print(f"{name}, {precision}, compiled: {compiled}: {result}", flush=True)
    show(rows)
    if options.out:
        with options.out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
