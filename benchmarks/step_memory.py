"""Peak memory of one training step at any size, counted without computing it.

    python benchmarks/step_memory.py                       # ResNet-34, 224 px, 64 + 64 + 256 images
    python benchmarks/step_memory.py --backbone resnet50_gn --variants mal mal-parts-16

The step runs on tensors that have a shape and no values (`FakeTensorMode`); every storage that is made is counted from
its birth to its death. Counted are parameters, gradients, optimiser state, images, what autograd keeps and what is on
the way, in the memory a GPU would be asked for. Not counted are workspaces of cuDNN, the allocator's rounding and
fragmentation, and the CUDA context: leave a card 10 to 15 % for those.
"""

import argparse
import csv
import datetime
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from metafacs.methods import Setup
from metafacs.methods.losses import class_balance
from metafacs.methods.mal import MAL, MALOptions
from metafacs.methods.mtl import MTL
from step_variants import ALPHA, BETA, Trainee, Usual, Workload, usual

HERE = Path(__file__).resolve().parent
MIB = 2**20


class Counted(TorchDispatchMode):
    """Bytes of the storages that are alive, and the most there have been."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._alive: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Calls `func` and counts what it gave."""
        out = func(*args, **(kwargs or {}))
        tree_map_only(Tensor, self.see, out)
        return out

    def see(self, tensor: Tensor) -> None:
        """Counts the storage of `tensor` until it dies; once."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._alive:
            return
        self._alive[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self.now -= self._alive.pop(key, 0)


def adamw(parameters: Any) -> torch.optim.Optimizer:
    """metafacs's default."""
    return torch.optim.AdamW(parameters, lr=1e-3)


def mal(**options: Any) -> Callable[[Workload], Trainee]:
    """metafacs's MAL with its own options."""

    def build(work: Workload) -> Trainee:
        network, batches = work.network(), work.batches()
        balance = class_balance(batches["meta"].labels)
        chosen = {"alpha": ALPHA, "beta": BETA, "way": "forward", **options}
        method = MAL(Setup(network, adamw, balance, work.autocast), MALOptions(**chosen))
        return Trainee(lambda: method.training_step(batches), network, method.meta_network)

    return build


def mtl(work: Workload) -> Trainee:
    """metafacs's MTL."""
    network, batches = work.network(), work.batches()
    method = MTL(Setup(network, adamw, autocast=work.autocast))
    return Trainee(lambda: method.training_step(batches), network, None)


class WithAdamW(Usual):
    """Second-order autograd with the same optimiser."""

    base = staticmethod(adamw)


VARIANTS: dict[str, Callable[[Workload], Trainee]] = {
    "mtl": mtl,
    "mal": mal(),
    "mal-checkpointing-meta": mal(checkpointing="meta"),
    "mal-checkpointing-all": mal(checkpointing="all"),
    "mal-last-stage": mal(lookahead="last-stage"),
    "mal-parts-64": mal(meta_part=64),
    "mal-parts-16": mal(meta_part=16, training_part=16),
    "brute-force-phi": usual(WithAdamW, backward=False),
}
PLAIN = ("mtl", "mal", "mal-checkpointing-meta", "mal-checkpointing-all", "mal-last-stage", "brute-force-phi")


def peak(build: Callable[[Workload], Trainee], work: Workload) -> int:
    """Most bytes alive in the second step, when the optimiser has its state."""
    # parameters without values cannot be converted, and need not be: all are float32 on one device
    stay = mock.patch.object(nn.Module, "to", lambda module, *args, **options: module)
    with stay, FakeTensorMode(allow_non_fake_inputs=True), Counted() as counted:
        trainee = build(work)
        trainee.step()
        counted.most = counted.now
        trainee.step()
    return counted.most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet34")
    parser.add_argument("--size", default="224:64", metavar="SIDE:B", help="B AU + B expression + 4 B reserved images")
    parser.add_argument("--variants", nargs="+", default=list(PLAIN), choices=list(VARIANTS))
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"], choices=["fp32", "bf16"])
    parser.add_argument("--out", type=Path, help="CSV file to add rows to")
    given = parser.parse_args()
    side, b = map(int, given.size.split(":"))
    rows = []
    for precision in given.precisions:
        for name in given.variants:
            work = Workload(given.backbone, side, b, b, 4 * b, precision=precision)
            mib = round(peak(VARIANTS[name], work) / MIB)
            print(f"{given.backbone} {side} px {b}+{b}+{4 * b} {precision}  {name:24} {mib:7d} MiB", flush=True)
            rows.append(
                {
                    "date": datetime.datetime.now(datetime.UTC).date(),
                    "backbone": given.backbone,
                    "side": side,
                    "primary": b,
                    "auxiliary": b,
                    "meta": 4 * b,
                    "precision": precision,
                    "variant": name,
                    "peak_mib": mib,
                }
            )
    if given.out:
        new = not given.out.exists()
        with given.out.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
