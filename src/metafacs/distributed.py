"""Several training processes: how they find their device and each other, and what they say; one needs no words."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from metafacs.config import Device, Precision
from metafacs.errors import InputError


@contextmanager
def joined(device: Device) -> Iterator[torch.device]:
    """Joins the processes that `torchrun` has started together, if it has; yields the device this one trains on.

    Args:
        device: "auto" takes the GPU where there is one: process k of a machine its k-th.

    Raises:
        InputError: a GPU was asked for and there is none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--loop.device cuda was asked for, but torch sees no GPU; use auto or cpu")
    on_gpu = device != "cpu" and torch.cuda.is_available()
    together = int(os.environ.get("WORLD_SIZE", 1)) > 1 and not dist.is_initialized()
    if not together:
        yield torch.device("cuda" if on_gpu else "cpu")
        return
    place = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if on_gpu else "gloo")
    yield place
    dist.destroy_process_group()  # after an error the others may wait for this one: its end tells them


def autocast(device: torch.device, precision: Precision) -> Callable[[], AbstractContextManager[object]]:
    """Makes the context in which forward passes run."""
    return nullcontext if precision == "no" else partial(torch.autocast, device.type, dtype=torch.bfloat16)


def wait_for_all() -> None:
    """Returns when every process has come here."""
    if count() > 1:
        dist.barrier()


def count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if count() > 1 else 0


def on_this_machine() -> int:
    """How many of them share this machine's memory; where the launcher does not say (LOCAL_WORLD_SIZE), all."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", count())) if count() > 1 else 1


def share(size: int) -> slice:
    """This process's part of `size` items that are divided evenly."""
    part = size // count()
    return slice(rank() * part, (rank() + 1) * part)


def gather(values: Tensor) -> Tensor:
    """(n, ...) of every process, concatenated in rank order, without gradient; n must agree."""
    if count() == 1:
        return values.detach()
    parts = [torch.empty_like(values) for _ in range(count())]
    dist.all_gather(parts, values.detach().contiguous())
    return torch.cat(parts)


def total(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The sum over processes of each tensor, by one all-reduce of all of them flattened."""
    if count() == 1:
        return list(tensors)
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    dist.all_reduce(flat)
    parts = flat.split([tensor.numel() for tensor in tensors])
    return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]


def mean(values: Tensor) -> Tensor:
    """The mean over processes of each number, without gradient."""
    return total([values.detach()])[0] / count()


def differing(facts: Mapping[str, object], device: torch.device) -> list[str]:
    """Names of the facts that are not the same in every process.

    Args:
        facts: by name, compared by their `repr`; every process must have the same names.
        device: that the processes speak through: the one that they train on.
    """
    hashes = [hashlib.sha256(repr(fact).encode()).digest()[:7] for fact in facts.values()]
    mine = torch.tensor([int.from_bytes(part) for part in hashes], device=device)
    everywhere = gather(mine).view(count(), -1)
    return [name for name, unlike in zip(facts, (everywhere != mine).any(0).tolist(), strict=True) if unlike]


class _Total(torch.autograd.Function):
    """The sum over processes. Being its own transpose, it is its own backward pass, and linear, so also its tangent."""

    @staticmethod
    def forward(values: Tensor) -> Tensor:
        return total([values])[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return differentiable_total(gradient)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        return differentiable_total(tangent)


def differentiable_total(values: Tensor) -> Tensor:
    """The sum over processes, through which gradients of any order and tangents pass.

    The gradient is that of the sum of all processes' losses; every process must take part in each backward pass.
    """
    return values if count() == 1 else _Total.apply(values)
