"""What several training processes say to each other; with one process every function is the identity."""

import os
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor


def count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if count() > 1 else 0


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


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
