"""What one training step costs: MTL, MAL in its two ways, brute force, and the public `higher` package.

The last two come in two forms: `meta_loss.backward()`, as such training loops are usually written (`higher`'s own
examples too), which also computes a second-order gradient of the base network that nobody reads; and "-phi", written
with care, which asks for the meta network's gradient alone.

    python benchmarks/step_cost.py            # the table of docs/speed.md
    python benchmarks/step_cost.py --quick    # under two minutes
    python benchmarks/step_cost.py --device cuda --backbones resnet34 --sizes 224:64

Every variant runs in a process of its own, so that its peak memory is its own. The processes take turns, and an MTL
step is timed before and after every turn: a ratio compares neighbours in time, so that a machine that others use too,
or whose clock drifts, moves numerator and denominator alike.
"""

import argparse
import csv
import datetime
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NAMES = (
    *("mtl", "mal-forward", "mal-difference"),
    *("brute-force", "higher", "brute-force-phi", "higher-phi"),
)
MORE = (
    *("torchopt", "torchopt-phi", "mixed-mode", "mixed-mode-phi"),
    *("mal-checkpointing-meta", "mal-checkpointing-all"),
)
"""Run when asked for: `torchopt` is a package to install."""
COLUMNS = (
    *("date", "commit", "machine", "cores", "threads", "torch", "clock"),
    *("backbone", "side", "primary", "auxiliary", "meta", "channels_last"),
    *("variant", "rounds", "seconds", "ratio", "ratio_min", "ratio_max", "images_per_second"),
    *("peak_mib", "peak_ratio", "phi_error", "theta_error"),
)
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=["resnet34", "resnet18"], help="timm names")
    parser.add_argument(
        "--sizes",
        nargs="+",
        default=["112:16", "64:32"],
        metavar="SIDE:B",
        help="image side and batch: B AU + B expression + 4 B reserved images a step",
    )
    parser.add_argument("--variants", nargs="+", default=list(NAMES), choices=(*NAMES, *MORE), help="mtl is always run")
    parser.add_argument("--rounds", type=int, default=7, help="turns of every variant")
    parser.add_argument("--steps", type=int, default=1, help="timed steps a turn")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--clock", choices=list(CLOCKS), default="wall", help="cpu: processor time, for a machine that others use too"
    )
    parser.add_argument("--threads", type=int, default=0, help="of torch on the CPU; 0: torch's choice")
    parser.add_argument("--channels-last", action="store_true", help="memory format of images and convolutions")
    parser.add_argument("--quick", action="store_true", help="ResNet-18, one size, three rounds; no file is written")
    parser.add_argument("--out", type=Path, help="CSV file; default: results/step_cost_DEVICE.csv beside this file")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.quick:
        options.backbones, options.sizes, options.rounds = ["resnet18"], ["64:8"], 3
    elif options.out is None:
        options.out = HERE / "results" / f"step_cost_{options.device}.csv"
    return options


class Worker:
    """A variant in a process of its own, which works only when told to."""

    def __init__(self, settings: dict[str, Any]) -> None:
        command = [sys.executable, "-W", "ignore", __file__, "--worker", json.dumps(settings)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.name = settings["variant"]
        self.answer("build")

    def answer(self, task: str) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        print(task, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of '{self.name}' ended; what it said is above")
        return json.loads(line)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def serve(settings: dict[str, Any]) -> None:
    """The worker's side: one line of standard input is a task, one line of standard output its answer."""
    import torch

    from step_variants import OTHERS, VARIANTS, Trainee, Workload, gradient_errors

    if settings["threads"]:
        torch.set_num_threads(settings["threads"])
    work, cuda = Workload(**settings["workload"]), settings["workload"]["device"].startswith("cuda")
    idle, clock = resident_mib(), CLOCKS[settings["clock"]]
    trainee: Trainee | None = None
    for line in sys.stdin:
        task = line.strip()
        answer: object = None
        if task == "build":
            trainee = {**VARIANTS, **OTHERS}[settings["variant"]](work)
            if cuda:
                trainee.step()  # starts the libraries, so that their memory does not count
                torch.cuda.reset_peak_memory_stats()
        elif task == "turn":
            assert trainee is not None
            answer = _turn(trainee.step, settings["steps"], cuda, clock)
        elif task == "memory":
            answer = torch.cuda.max_memory_allocated() / 2**20 if cuda else peak_mib() - idle
        elif task == "machine":
            answer = {
                "machine": torch.cuda.get_device_name() if cuda else _cpu(),
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
            }
        elif task == "errors":
            small = Workload(work.backbone, 64, 4, 4, 16, work.device, torch.float64)
            answer = gradient_errors(settings["variant"], small)
        print(json.dumps(answer), flush=True)


def _turn(step: Callable[[], object], steps: int, cuda: bool, clock: Callable[[], float]) -> float:
    """Mean seconds a step. On a GPU memory is handed back after the turn, so the first step of one is not timed."""
    import torch

    def settle() -> None:
        if cuda:
            torch.cuda.synchronize()

    if cuda:
        step()
    settle()
    start = clock()
    for _ in range(steps):
        step()
    settle()
    seconds = (clock() - start) / steps
    if cuda:
        torch.cuda.empty_cache()
    return seconds


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def resident_mib() -> float:
    status = Path("/proc/self/statm")
    if not status.exists():
        return peak_mib()
    return int(status.read_text().split()[1]) * resource.getpagesize() / 2**20


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def measure(workload: dict[str, Any], options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for every variant of one workload."""
    names = [name for name in (*NAMES, *MORE) if name in {*options.variants, "mtl"}]
    common = {"workload": workload, **{k: getattr(options, k) for k in ("threads", "steps", "clock")}}
    workers = {name: Worker({**common, "variant": name}) for name in names}
    others = [name for name in names if name != "mtl"]
    for worker in workers.values():
        worker.answer("turn")  # warm-up
    turns = [_round(workers, others) for _ in range(options.rounds)]
    memory = {name: worker.answer("memory") for name, worker in workers.items()}
    machine = workers["mtl"].answer("machine")
    errors = {name: workers[name].answer("errors") for name in others}
    for worker in workers.values():
        worker.close()
    fixed = {**machine, "clock": options.clock, **{k: v for k, v in workload.items() if k != "device"}}
    rows = []
    for name in names:
        seconds = [t for turn in turns for t in turn["mtl"]] if name == "mtl" else [t[name][0] for t in turns]
        ratios = [1.0] if name == "mtl" else [_ratio(turn, others.index(name), name) for turn in turns]
        median = statistics.median(seconds)
        phi, theta = errors.get(name, (None, None))
        rows.append(
            {
                **fixed,
                "variant": name,
                "rounds": options.rounds,
                "seconds": round(median, 4),
                "ratio": round(statistics.median(ratios), 3),
                "ratio_min": round(min(ratios), 3),
                "ratio_max": round(max(ratios), 3),
                "images_per_second": round((workload["primary"] + workload["auxiliary"]) / median, 2),
                "peak_mib": round(memory[name]),
                "peak_ratio": round(memory[name] / memory["mtl"], 3),
                "phi_error": phi if phi is None else f"{phi:.1e}",
                "theta_error": theta if theta is None else f"{theta:.1e}",
            }
        )
    return rows


def _round(workers: dict[str, Worker], others: list[str]) -> dict[str, list[float]]:
    """Seconds a step by variant: one turn of each of `others`, and of MTL before, between and after them."""
    seconds: dict[str, list[float]] = {"mtl": [workers["mtl"].answer("turn")]}
    for name in others:
        seconds[name] = [workers[name].answer("turn")]
        seconds["mtl"].append(workers["mtl"].answer("turn"))
    return seconds


def _ratio(turn: dict[str, list[float]], position: int, name: str) -> float:
    return turn[name][0] / statistics.mean(turn["mtl"][position : position + 2])


def show(rows: list[dict[str, Any]]) -> None:
    first = rows[0]
    print(
        f"\n{first['backbone']}, {first['side']} px, {first['primary']} AU + {first['auxiliary']} expression + "
        f"{first['meta']} reserved images a step ({first['machine']}, {first['threads']} threads, "
        f"torch {first['torch']}, {first['clock']} time)"
    )
    print(f"{'':17}  s/step  x MTL (min-max)      images/s  peak MiB  x MTL  gradient error phi, theta")
    for r in rows:
        spread = f"{r['ratio']:5.2f} ({r['ratio_min']:.2f}-{r['ratio_max']:.2f})"
        errors = "" if r["phi_error"] is None else f"{r['phi_error']}, {r['theta_error']}"
        print(
            f"{r['variant']:17} {r['seconds']:7.3f}  {spread:19}  {r['images_per_second']:8.1f}  "
            f"{r['peak_mib']:8d}  {r['peak_ratio']:5.2f}  {errors}",
            flush=True,
        )


def commit() -> str:
    """The commit that was measured; with "+" if the working tree had changes in the library."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=HERE, capture_output=True, text=True, check=False).stdout

    changed = git("status", "--porcelain", "--", str(HERE.parent / "src"))
    return (git("rev-parse", "--short=12", "HEAD").strip() or "unknown") + ("+" if changed.strip() else "")


def save(rows: list[dict[str, Any]], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"\nwritten: {path}")


def main() -> None:
    options = parsed(sys.argv[1:])
    if options.worker:
        serve(json.loads(options.worker))
        return
    common = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit(),
        "cores": os.cpu_count(),
    }
    rows = []
    for backbone in options.backbones:
        for size in options.sizes:
            side, b = map(int, size.split(":"))
            streams = {"primary": b, "auxiliary": b, "meta": 4 * b}
            layout = {"device": options.device, "channels_last": options.channels_last}
            found = measure({"backbone": backbone, "side": side, **streams, **layout}, options)
            show(found)
            rows += [{**common, **row} for row in found]
    if options.out:
        save(rows, options.out)


if __name__ == "__main__":
    main()
