"""Activation checkpointing: blocks of a network keep what enters them, and are computed again for the backward pass.

The whole batch goes through every block at once, both times, so that BatchNorm's statistics are those of the batch and
the mathematics is unchanged; random layers draw the same masks again, and running statistics are counted once.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint


def blocks(network: nn.Module) -> list[nn.Module]:
    """The repeated building blocks of `network`, outermost first: members of its sequences that hold several layers.

    Residual blocks of a ResNet or ConvNeXt, inverted residuals of an EfficientNet, blocks of a transformer. A member
    that holds such blocks itself (a stage) is looked into instead.
    """
    found: list[nn.Module] = []
    for child in network.children():
        inner = blocks(child)
        sequence = isinstance(network, nn.Sequential | nn.ModuleList)
        if inner:
            found += inner
        elif sequence and not isinstance(child, nn.Sequential | nn.ModuleList) and _layers(child) > 1:
            found.append(child)
    return found


def _layers(module: nn.Module) -> int:
    return sum(any(True for _ in m.parameters(recurse=False)) for m in module.modules())


@contextmanager
def recomputed(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Within, a pass that builds a graph keeps of each of `modules` its input alone; others are left as they are.

    The backward pass may come later, outside, and more than once: each computes the modules again, at the parameters
    they had in the forward pass (`functional_call` has put the network's own back by then).
    """
    for module in modules:
        module.forward = _Recomputed(module)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for module in modules:
            del module.__dict__["forward"]


class _Recomputed:
    """Stands for the forward of one module."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.plain = module, module.forward

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        if not torch.is_grad_enabled():
            return self.plain(*inputs, **options)
        return checkpoint(self._first_then_again(), *inputs, use_reentrant=False, **options)

    def _first_then_again(self) -> Callable[..., Any]:
        parameters: dict[str, Tensor] = dict(self.module.named_parameters())
        buffers = {name: b.clone() for name, b in self.module.named_buffers()}
        first = True

        def run(*inputs: Any, **options: Any) -> Any:
            nonlocal first
            if first:
                first = False
                return self.plain(*inputs, **options)
            outside = self.module.__dict__.pop("forward", None)
            try:
                # on clones: the running statistics have counted this batch already
                again = {**parameters, **{name: b.clone() for name, b in buffers.items()}}
                return functional_call(self.module, again, inputs, options)
            finally:
                if outside is not None:
                    self.module.__dict__["forward"] = outside

        return run
