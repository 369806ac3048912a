"""Two processes with half the batch each take the step of one process with all of it."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from metafacs import distributed
from metafacs.methods import METHODS, Batch
from metafacs.methods.losses import class_balance
from metafacs.models.network import Network
from metafacs.models.synchronised import synchronise
from tests.methods.networks import AUS, EXPRESSIONS, batches, build, small_resnet, tiny_network

PROCESSES, STEPS = 2, 3
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "stl": ("stl", {}),
    "mtl": ("mtl", {"auxiliary_weight": 0.3}),
    "mtl, separate": ("mtl", {"statistics": "separate"}),
    "mal": ("mal", {"alpha": 0.3, "beta": 0.5, "meta_optimiser": "sgd"}),
    "mal, adam": ("mal", {"alpha": 0.3, "beta": 0.05, "meta_optimiser": "adam"}),
    "mal, separate": ("mal", {"alpha": 0.3, "beta": 0.5, "meta_optimiser": "sgd", "statistics": "separate"}),
    "cross-stitch": ("cross_stitch", {"auxiliary_weight": 0.3}),
    "l2t-ww": ("l2t_ww", {"source_share": 0.4, "alpha": 0.05}),
    "maxl": ("maxl", {"alpha": 0.3, "subclasses": 2}),
    "mal, difference": ("mal", {"alpha": 0.3, "beta": 0.5, "meta_optimiser": "sgd", "way": "difference"}),
    "mal, task weights": ("mal", {"alpha": 0.3, "beta": 0.5, "meta_optimiser": "sgd", "weights": "task"}),
    "mal, told more": ("mal", {"inputs": "feature+label+loss", "normalised_features": True, "normalise": False}),
    "l2rw": ("l2rw", {}),
    "meta_weight_net": ("meta_weight_net", {"alpha": 0.3, "beta": 0.05}),
    "density_ratio": ("density_ratio", {"rate": 0.1}),
    "uncertainty": ("uncertainty", {}),
    "dwa": ("dwa", {"window": 1}),
    "gradnorm": ("gradnorm", {}),
    "pcgrad": ("pcgrad", {}),
    "loss_balanced": ("loss_balanced", {}),
    "stl, batch norm": ("stl", {}),
    "mtl, batch norm": ("mtl", {"auxiliary_weight": 0.3, "statistics": "separate"}),
    "mal, batch norm": ("mal", {"alpha": 0.3, "beta": 0.5, "meta_optimiser": "sgd"}),
    "mal, separate batch norm": ("mal", {"alpha": 0.3, "beta": 0.5, "meta_optimiser": "sgd", "statistics": "separate"}),
    "mal, difference, batch norm": ("mal", {"alpha": 0.3, "beta": 0.5, "meta_optimiser": "sgd", "way": "difference"}),
    "mal, permuted": (
        "mal",
        {"permuted": True, "inputs": "feature+task", "beta": 0.5, "task_beta": 0.5, "alpha": "rate"},
    ),
    "mtl, balanced": ("mtl", {"balanced": True}),
    "l2t-ww, batch norm": ("l2t_ww", {"source_share": 0.4, "alpha": 0.05}),
    "maxl, batch norm": ("maxl", {"alpha": 0.3, "subclasses": 2}),
}
"""With BatchNorm: synchronised over the processes, against torch's own in one process. Without: GroupNorm."""


class Norm(nn.GroupNorm):
    """Of each image by itself, in the place of BatchNorm."""

    def __init__(self, channels: int, **options: Any) -> None:
        super().__init__(2, channels, **options)


class Plain(nn.Module):
    """No BatchNorm, whose statistics depend on how a batch is divided."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.GroupNorm(2, 8), nn.SiLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.SiLU()
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images).mean((2, 3))


def network(case: str) -> Network:
    with_batch_norm = "batch norm" in case
    if METHODS[CASES[case][0]].needs:
        return small_resnet() if with_batch_norm else small_resnet(norm_layer=Norm)
    if with_batch_norm:
        return tiny_network()
    torch.manual_seed(0)
    return Network(Plain(), 16, AUS, EXPRESSIONS).double()


def adamw(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=0.01)


def sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)


def train(case: str) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    """This process's part of some steps; the state after them and what the steps returned."""
    name, options = CASES[case]
    balance = class_balance(batches(meta=40)["meta"].labels)
    made = build(METHODS[name], network(case), balance, optimiser=adamw if name == "mtl" else sgd, **options)
    for module in made.modules.values() if distributed.count() > 1 else ():
        synchronise(module)
    made.plan(STEPS)
    values = []
    for step in range(STEPS):
        whole = batches(8, 12, 10, masked=0.3, seed=step)
        parts = {key: (b, distributed.share(len(b))) for key, b in whole.items()}
        shares = {key: Batch(b.sample[part], b.labels[part]) for key, (b, part) in parts.items()}
        torch.manual_seed(step + 1000 * distributed.rank())  # as in training, every process has one of its own
        step_values = made.training_step(shares)  # type: ignore[arg-type]
        values.append({key: value.item() for key, value in step_values.items()})
    state = {f"{m}.{key}": v for m, module in made.modules.items() for key, v in module.state_dict().items()}
    return state, values


def in_a_process(rank: int, port: int, out: str) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE=str(PROCESSES))
    dist.init_process_group("gloo")
    found = {case: train(case) for case in CASES}
    pieces = (
        distributed.gather(torch.arange(3.0) + 10 * rank),
        distributed.total([torch.ones(2), torch.full((1, 2), rank)]),
    )
    facts = (distributed.count(), distributed.rank(), distributed.share(8), pieces)
    unlike = distributed.differing({"same": [1, "a"], "other": rank, "same too": None}, torch.device("cpu"))
    said = (distributed.mean(torch.tensor([1.0, rank])), unlike, distributed.on_this_machine())
    torch.save((found, facts, said), Path(out) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What each of the processes found."""
    folder = tmp_path_factory.mktemp("processes")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with silenced_main():
        mp.spawn(in_a_process, (port, str(folder)), nprocs=PROCESSES)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(PROCESSES)]


@contextmanager
def silenced_main() -> Iterator[None]:
    """Spawned processes run the main module again; pytest's must not be."""
    main = sys.modules["__main__"]
    before = getattr(main, "__spec__", None)
    main.__spec__ = None
    try:
        yield
    finally:
        main.__spec__ = before


@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one(case: str, several: list[Any]) -> None:
    alone, alone_values = train(case)
    tolerance = 1e-6 if "difference" in case else 1e-9
    for found, *_ in several:
        state, _ = found[case]
        assert state.keys() == alone.keys()
        for name, tensor in state.items():
            assert (tensor - alone[name]).abs().max() < tolerance, name
    start = network(case).state_dict()
    assert any((alone[f"network.{k}"] - v).abs().max() > 1e-3 for k, v in start.items())
    for step, values in enumerate(alone_values):
        for name, value in values.items():
            seen = [found[case][1][step][name] for found, *_ in several]
            mean = sum(seen) / PROCESSES if name.startswith("loss") else seen[0]
            assert mean == pytest.approx(value, rel=1e-6), name
            assert name.startswith("loss") or seen[0] == seen[1]


def test_the_processes_agree_to_the_last_bit(several: list[Any]) -> None:
    for case in CASES:
        first, second = (found[case][0] for found, *_ in several)
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_what_processes_say_to_each_other(several: list[Any]) -> None:
    for rank, (_, (count, own, share, (gathered, summed)), (mean, unlike, here)) in enumerate(several):
        assert (count, own, share) == (PROCESSES, rank, slice(4 * rank, 4 * rank + 4))
        assert gathered.tolist() == [0, 1, 2, 10, 11, 12]
        assert [part.tolist() for part in summed] == [[2, 2], [[1, 1]]]
        assert (mean.tolist(), unlike, here) == ([1, 0.5], ["other"], PROCESSES)


def test_one_process_is_alone() -> None:
    assert (distributed.count(), distributed.rank(), distributed.share(7)) == (1, 0, slice(0, 7))
    values = torch.rand(3, requires_grad=True)
    assert torch.equal(distributed.gather(values), values) and not distributed.gather(values).requires_grad
    assert distributed.total([values])[0] is values and distributed.differentiable_total(values) is values
    assert torch.equal(distributed.mean(values), values.detach()) and distributed.on_this_machine() == 1
    assert not distributed.differing({"anything": 1}, torch.device("cpu"))
