"""How near cheaper look-aheads come to the exact meta gradient of MAL, on a finished run's network and data.

    python benchmarks/look_ahead_accuracy.py --run demo/runs/mal --batches 16

Takes the network and the data of the run as they are and steps nothing. For every batch it finds the gradient of the
meta loss by the meta network's parameters phi (at their start: a detector file has none, every weight is one half),
exactly, with the run's number of reserved images, and compares with it, by cosine and by relative distance:

    meta 1/2, 1/4, 1/8   a smaller reserved batch (the first images of the same one)
    float32, bf16        forward mode and central differences in that precision (bf16: autocast), against float64
    bf16 throughout      central differences as they would be if they did not leave autocast out

"all reserved" says how near the exact gradient of one batch comes to that of all reserved images, the noise that
MAL has anyway. Writes `results/look_ahead_accuracy.csv`.
"""

import argparse
import csv
import datetime
import subprocess
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from rich.console import Console
from torch import Tensor
from torch.nn.functional import cosine_similarity

from metafacs.api import Run
from metafacs.config import TrainConfig
from metafacs.data.streams import training_batches
from metafacs.methods import Batch, Setup
from metafacs.methods.base import Stream
from metafacs.methods.lookahead import Call, LookAhead
from metafacs.methods.losses import over_batches
from metafacs.methods.mal import MAL, MALOptions
from metafacs.models.network import build_network
from metafacs.runs import DETECTOR
from metafacs.sample import Sample
from metafacs.training.data import TrainingData, open_data

HERE = Path(__file__).resolve().parent
ALPHA = 0.1
SHARES = (2, 4, 8)
Batches = Mapping[Stream, Batch]


def settled(run: Path, meta: int | None) -> tuple[TrainingData, TrainConfig]:
    """The data of a run and its settings, with `meta` reserved images a step if given."""
    settings = Run(run).config
    settings.data.batch_meta = meta or settings.data.batch_meta
    return open_data(settings.data, ("auxiliary",), settings.seed, Console(quiet=True)), settings


def phi_gradient(
    method: MAL, batch: Batches, dtype: torch.dtype, meta: int | None = None, throughout: bool = False
) -> Tensor:
    """d meta loss / d phi of one batch, flat, in float64.

    Args:
        method: is put into `dtype`; its way and autocast are its own.
        batch: images in [0, 1].
        dtype: of the parameters and images.
        meta: reserved images to use; None: all of the batch's.
        throughout: whether central differences are taken in autocast too.
    """
    torch.manual_seed(0)
    cut = {
        name: Batch(Sample(b.sample.images.to(dtype)), b.labels.to(dtype) if name != "auxiliary" else b.labels)
        for name, b in batch.items()
    }
    cut["meta"] = Batch(cut["meta"].sample[:meta], cut["meta"].labels[:meta])
    running = {name: b.clone() for name, b in method.network.named_buffers()}
    method.network.train()
    primary, auxiliary = cut["primary"], cut["auxiliary"]

    def forward(network: Call) -> tuple[Any, Tensor]:
        with method.autocast() if throughout else nullcontext():
            return method.joint.through(primary, auxiliary, network)

    images = LookAhead(method.network, forward, method.options.way, method.autocast)
    u = over_batches(method.weigh(method.known(images, primary, auxiliary), len(primary))[1], len(primary))
    v, _ = images.gradient_at(images.virtual_step(u, ALPHA), partial(method.meta_loss, cut["meta"]))
    phi = list(method.meta_network.parameters())
    gradients = torch.autograd.grad(u, phi, grad_outputs=(-ALPHA * images.alignment(v)).to(u.dtype))
    for name, b in method.network.named_buffers():
        b.copy_(running[name])
    return torch.cat([g.reshape(-1) for g in gradients]).double()


class Comparison:
    """What was found, by name: cosine with, and relative distance from, what should have been."""

    def __init__(self) -> None:
        self.cosines: dict[str, list[float]] = {}
        self.distances: dict[str, list[float]] = {}

    def add(self, name: str, found: Tensor, exact: Tensor) -> None:
        self.cosines.setdefault(name, []).append(cosine_similarity(found, exact, dim=0).item())
        self.distances.setdefault(name, []).append(((found - exact).norm() / exact.norm()).item())

    def rows(self) -> list[dict[str, object]]:
        return [
            {
                "look_ahead": name,
                "batches": len(found),
                "cosine": round(mean(found), 6),
                "cosine_min": round(min(found), 6),
                "distance": f"{mean(self.distances[name]):.2e}",
            }
            for name, found in self.cosines.items()
        ]


def compared(method_of: Callable[..., MAL], batches: list[Batches], reserve: Batch, precisions: int) -> Comparison:
    """Every kind of look-ahead on every batch; those of other precisions on the first `precisions` only."""
    found, single = Comparison(), method_of(torch.float32)
    exact = [phi_gradient(single, batch, torch.float32) for batch in batches]
    for batch, right in zip(batches, exact, strict=True):
        found.add("all reserved", phi_gradient(single, {**batch, "meta": reserve}, torch.float32), right)
        for share in SHARES:
            size = len(batch["meta"]) // share
            found.add(f"meta 1/{share}", phi_gradient(single, batch, torch.float32, meta=size), right)
    double = [phi_gradient(method_of(torch.float64), batch, torch.float64) for batch in batches[:precisions]]
    for way in ("forward", "difference"):
        for name, autocast in (("float32", nullcontext), ("bf16", lambda: torch.autocast("cpu", torch.bfloat16))):
            method = method_of(torch.float32, way=way, autocast=autocast)
            for batch, right in zip(batches, double, strict=False):
                found.add(f"{way}, {name}", phi_gradient(method, batch, torch.float32), right)
    for batch, right in zip(batches, double, strict=False):
        found.add("difference, bf16 throughout", phi_gradient(method, batch, torch.float32, throughout=True), right)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="a finished run of MAL")
    parser.add_argument("--batches", type=int, default=16)
    parser.add_argument("--meta", type=int, help="reserved images a batch, in place of the run's number")
    parser.add_argument("--precisions", type=int, default=4, help="batches on which precisions are compared")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "look_ahead_accuracy.csv")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = measured(given.run, given.batches, given.precisions, given.meta)
    console = Console(soft_wrap=True, highlight=False)
    with given.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        console.print(f"{row['look_ahead']:27} {row['cosine']:>9} (lowest {row['cosine_min']}) {row['distance']:>9}")


def measured(run: Path, count: int, precisions: int, meta: int | None) -> list[dict[str, object]]:
    """The table's rows."""
    from safetensors.torch import load_file

    data, settings = settled(run, meta)
    tensors = load_file(run / DETECTOR)
    own = settings.network
    side = settings.data.side

    def method_of(dtype: torch.dtype, autocast: Callable[[], Any] = nullcontext, **options: Any) -> MAL:
        network = build_network(own.backbone, len(data.aus), len(data.expressions), "scratch", dict(own.options))
        weights: dict[str, Any] = {
            "alpha": ALPHA,
            "fixed_length": False,
            "inputs": "feature",
            "way": "forward",
            "au_reduction": settings.options.au_reduction,
            **options,
        }
        present, absent = (w.to(dtype) for w in data.class_weights(torch.device("cpu")))
        method = MAL(
            Setup(network.to(dtype), lambda p: torch.optim.SGD(p, lr=0.0), (present, absent), autocast),
            MALOptions(**weights),
        )
        for name, module in method.modules.items():
            prefix = f"{name}."
            state = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            if state:
                module.load_state_dict(state, strict=False)
        return method

    streams = {name: data.streams[name] for name in ("primary", "auxiliary", "meta")}
    batches: list[Batches] = list(training_batches(streams, range(count), side, 0, torch.device("cpu")))  # type: ignore[arg-type]
    margin = (data.size - side) // 2
    everything = data.reserve.images(range(len(data.reserve)))[..., margin : margin + side, margin : margin + side]
    reserve = Batch(Sample(everything / 255), torch.from_numpy(data.reserve_labels))
    fixed = {"date": datetime.datetime.now(datetime.UTC).date(), "commit": _commit(), "backbone": own.backbone}
    sizes = {"side": side, **{name: len(batches[0][name]) for name in ("primary", "auxiliary", "meta")}}
    found = compared(method_of, batches, reserve, precisions)
    return [{**fixed, **sizes, "reserved": len(reserve), **row} for row in found.rows()]


def _commit() -> str:
    told = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=HERE, capture_output=True, text=True)
    return told.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
