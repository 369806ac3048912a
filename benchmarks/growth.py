"""How start-up, memory and speed of training grow with the data, the batch, the image side and the number of AUs.

Everything is measured in processes of their own. Data sizes: datasets of repeated pictures are written to a temporary
folder; time to open one and to make it ready (split, labels, streams), images decoded a second, and memory that the
process has to itself (not the memory map's pages, which the system takes back) at the start and after each quarter of
some steps of STL. The rest: a step of MAL on random images. Times are processor time: the machine may be busy.

    python benchmarks/growth.py --rows 1000 10000 50000 147000 200000
"""

import argparse
import gc
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import torch
from jsonargparse import Namespace
from rich.console import Console

from large_data import write_dataset
from metafacs.data.prepared import PreparedDataset
from metafacs.data.streams import training_batches
from metafacs.methods import METHODS, Batch, Setup
from metafacs.methods.losses import class_balance
from metafacs.models.network import Network, build_network
from metafacs.training.data import open_data

CPU = torch.device("cpu")
STANDARD = {"batch": 8, "side": 64, "aus": 12}
GROWTH: Mapping[str, tuple[int, ...]] = {"batch": (4, 8, 16, 32), "side": (32, 64, 96, 128), "aus": (2, 12, 24, 48)}
EXPRESSIONS = 7
QUARTERS = 4


def own_mib() -> float:
    """Memory that this process shares with nobody and no file, MiB."""
    gc.collect()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def seconds(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.01)


def made_network(backbone: str, aus: int) -> Network:
    torch.manual_seed(0)
    return build_network(backbone, aus, EXPRESSIONS, "scratch")


def data_size(folder: str, steps: int, backbone: str, side: int) -> dict[str, float]:
    """What a dataset costs: to open, to make ready, to decode from, and in memory while a network trains on it."""
    opening = seconds(lambda: PreparedDataset.open(folder))
    settings = {"primary": folder, "auxiliary": None, "test_fold": "P1", "aus": "all", "reserve_fraction": 0.02}
    settings |= {"reserve_minimum": 128, "reserve_people": 0.0, "resize": side + 8, "side": side, "workers": 0}
    settings |= {"batch_primary": 16, "batch_auxiliary": 16, "batch_meta": 16, "cache_gib": 0, "device_cache_gib": 0}
    start = time.process_time()
    data = open_data(Namespace(**settings), False, 0, Console(quiet=True))
    ready = time.process_time() - start
    stream, drawn = data.streams["primary"], range(200)
    decoding = seconds(lambda: stream.faces.images(drawn)) / len(drawn)
    method = METHODS["stl"](Setup(made_network(backbone, len(data.aus)), sgd))
    memory = [own_mib()]
    batches = training_batches({"primary": stream}, range(QUARTERS * steps), side, 0, CPU)
    times = []
    for step, batch in enumerate(batches):
        times.append(seconds(partial(method.training_step, {"primary": Batch(*batch["primary"])})))
        if (step + 1) % steps == 0:
            memory.append(own_mib())
    return {
        "open_seconds": opening,
        "ready_seconds": ready,
        "decoded_per_second": 1 / decoding,
        "step_seconds": median(times),
        **{f"own_mib_{k}": value for k, value in enumerate(memory)},
    }


def step_size(batch: int, side: int, aus: int, backbone: str, steps: int) -> dict[str, float]:
    """What a MAL step costs with `batch` AU images, as many expression images and four times as many reserved ones."""
    generator = torch.Generator().manual_seed(0)

    def images(count: int) -> torch.Tensor:
        return torch.rand(count, 3, side, side, generator=generator).to(memory_format=torch.channels_last)

    labels = (torch.rand(4 * batch, aus, generator=generator) < 0.4).float()
    batches = {
        "primary": Batch(images(batch), labels[:batch]),
        "auxiliary": Batch(images(batch), torch.randint(0, EXPRESSIONS, (batch,), generator=generator)),
        "meta": Batch(images(4 * batch), labels),
    }
    network = made_network(backbone, aus).to(memory_format=torch.channels_last)
    method = METHODS["mal"](Setup(network, sgd, class_balance(labels)))
    before = own_mib()
    times = [seconds(lambda: method.training_step(batches)) for _ in range(steps + 1)][1:]  # type: ignore[arg-type]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "step_seconds": median(times),
        "images_per_second": 6 * batch / median(times),
        "own_mib_before": before,
        "peak_mib": peak,
    }


def apart(function: str, **arguments: Any) -> dict[str, Any]:
    """What a function of this module returns in a process of its own."""
    command = [sys.executable, __file__, "--call", function, json.dumps(arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rows", type=int, nargs="*", default=[1000, 10_000, 50_000, 147_000, 200_000])
    asked.add_argument("--picture", type=int, default=128, help="side of the stored pictures, pixels.")
    asked.add_argument("--side", type=int, default=32, help="of the crops that the network sees in the data sizes.")
    asked.add_argument("--steps", type=int, default=25, help="in each quarter.")
    asked.add_argument("--backbone", default="test_efficientnet", help="for the data sizes.")
    asked.add_argument("--step-backbone", default="resnet10t", help="for batch, side and AUs.")
    asked.add_argument("--step-repeats", type=int, default=3)
    asked.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    asked.add_argument("--call", nargs=2, help=argparse.SUPPRESS)
    given = asked.parse_args()
    torch.set_num_threads(1)
    if given.call:
        name, arguments = given.call
        print(json.dumps({"data_size": data_size, "step_size": step_size}[name](**json.loads(arguments))))  # type: ignore[operator]
        return
    found: list[dict[str, Any]] = []
    for rows in given.rows:
        with tempfile.TemporaryDirectory() as folder:
            data = write_dataset(Path(folder) / "data", rows, given.picture)
            gib = sum(path.stat().st_size for path in data.iterdir()) / 2**30
            facts = apart("data_size", folder=str(data), steps=given.steps, backbone=given.backbone, side=given.side)
        found.append({"rows": rows, "gib": gib, **facts})
        print(found[-1], flush=True)
    if found:
        pd.DataFrame(found).round(4).to_csv(given.out / "growth_rows.csv", index=False)
    steps: list[dict[str, Any]] = []
    for what, values in GROWTH.items():
        for value in values if given.step_repeats else ():
            sizes = {**STANDARD, what: value}
            facts = apart("step_size", **sizes, backbone=given.step_backbone, steps=given.step_repeats)
            steps.append({"grows": what, **sizes, **facts})
            print(steps[-1], flush=True)
    if steps:
        pd.DataFrame(steps).round(4).to_csv(given.out / "growth_step.csv", index=False)


if __name__ == "__main__":
    main()
