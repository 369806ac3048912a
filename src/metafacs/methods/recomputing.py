"""Activation checkpointing: blocks of a network keep what enters them, and are computed again for the backward pass.

The whole batch goes through every block at once, both times, so that BatchNorm's statistics are those of the batch and
the mathematics is unchanged; random layers draw the same masks again, and running statistics are counted once.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from timm.models.resnet import ResNet
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from metafacs.errors import InputError
from metafacs.methods.lookahead import Call

Block = tuple[nn.Module, ...]
"""Modules that are called one after the other."""


def blocks(backbone: nn.Module) -> list[Block]:
    """The repeated building blocks of a backbone, and a ResNet's stem, which would keep as much as all of these.

    Raises:
        InputError: there are none.
    """
    repeated: list[Block] = [(block,) for block in _repeated(backbone)]
    if not repeated:
        raise InputError(
            f"a {type(backbone).__name__} has no repeated blocks to compute again; leave checkpointing out"
        )
    if isinstance(backbone, ResNet):
        repeated.append((backbone.conv1, backbone.bn1, backbone.act1, backbone.maxpool))
    return repeated


def _repeated(network: nn.Module) -> list[nn.Module]:
    """Members of sequences that hold several layers; one that holds such members itself (a stage) is looked into."""
    members: list[nn.Module] = []
    for child in network.children():
        inner = _repeated(child)
        layers = sum(any(True for _ in module.parameters(recurse=False)) for module in child.modules())
        sequence = isinstance(network, nn.Sequential | nn.ModuleList)
        if not inner and sequence and not isinstance(child, nn.Sequential | nn.ModuleList) and layers > 1:
            inner = [child]
        members += inner
    return members


@contextmanager
def recomputed(blocks: Sequence[Block]) -> Iterator[None]:
    """Within, a pass that builds a graph keeps of each block its input alone; the backward pass must come later.

    It computes the blocks again, at the parameters that they had in the forward pass (`functional_call` has put the
    network's own back by then).
    """
    for block in blocks:
        whole = block[0] if len(block) == 1 else nn.Sequential(*block)
        block[0].forward = partial(_first_then_again, whole, [module.forward for module in block])
        for module in block[1:]:  # the first one's stand-in does their work
            module.forward = nn.Identity().forward
    try:
        yield
    finally:
        for block in blocks:
            for module in block:
                del module.__dict__["forward"]


def _first_then_again(whole: nn.Module, forwards: Sequence[Call], *inputs: Any, **options: Any) -> Any:
    parameters: dict[str, Tensor] = dict(whole.named_parameters())
    buffers = {name: b.clone() for name, b in whole.named_buffers()}
    first = True

    def run(*inputs: Any, **options: Any) -> Any:
        nonlocal first
        if not first:  # on clones: the running statistics have counted this batch already
            again = {**parameters, **{name: b.clone() for name, b in buffers.items()}}
            return functional_call(whole, again, inputs, options)
        first = False
        for forward in forwards:
            inputs, options = (forward(*inputs, **options),), {}
        return inputs[0]

    if not torch.is_grad_enabled():
        return run(*inputs, **options)
    return checkpoint(run, *inputs, use_reentrant=False, **options)
