"""Activation checkpointing: parts of a network keep what enters them, and are computed again for the backward pass.

The whole batch goes through every part at once, both times, so that BatchNorm's statistics are those of the batch and
the mathematics is unchanged; random layers draw the same masks again, and running statistics are counted once.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from timm.models.resnet import ResNet
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

Part = tuple[nn.Module, ...]
"""Modules that are called one after the other, each with what the one before gave."""


def parts_of(backbone: nn.Module) -> list[Part]:
    """What `recomputed` takes of `backbone`: its blocks, each alone, and a ResNet's stem, half of all it would keep."""
    found: list[Part] = [(block,) for block in blocks(backbone)]
    if found and isinstance(backbone, ResNet):
        found.insert(0, (backbone.conv1, backbone.bn1, backbone.act1, backbone.maxpool))
    return found


def blocks(network: nn.Module) -> list[nn.Module]:
    """The repeated building blocks of `network`: members of its sequences that hold several layers.

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
def recomputed(parts: Sequence[Part]) -> Iterator[None]:
    """Within, a pass that builds a graph keeps of each of `parts` its input alone; the rest is left as it is.

    The backward pass may come later, outside, and more than once: each computes the parts again, at the parameters
    they had in the forward pass (`functional_call` has put the network's own back by then).
    """
    for part in parts:
        first, *others = part
        first.forward = _Recomputed(part)
        for other in others:  # the first one's stand-in has done their work
            other.forward = _identity
    try:
        yield
    finally:
        for part in parts:
            for module in part:
                del module.__dict__["forward"]


def _identity(x: Tensor) -> Tensor:
    return x


class _Recomputed:
    """Stands for the forward of the first module of a part."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.whole = part[0] if len(part) == 1 else nn.Sequential(*part)

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        if not torch.is_grad_enabled():
            with self._plain():
                return self.whole(*inputs, **options)
        return checkpoint(self._first_then_again(), *inputs, use_reentrant=False, **options)

    def _first_then_again(self) -> Callable[..., Any]:
        parameters: dict[str, Tensor] = dict(self.whole.named_parameters())
        buffers = {name: b.clone() for name, b in self.whole.named_buffers()}
        first = True

        def run(*inputs: Any, **options: Any) -> Any:
            nonlocal first
            with self._plain():
                if first:
                    first = False
                    return self.whole(*inputs, **options)
                # on clones: the running statistics have counted this batch already
                again = {**parameters, **{name: b.clone() for name, b in buffers.items()}}
                return functional_call(self.whole, again, inputs, options)

        return run

    @contextmanager
    def _plain(self) -> Iterator[None]:
        """Within, the modules have their own forwards."""
        outside = [module.__dict__.pop("forward", None) for module in self.part]
        try:
            yield
        finally:
            for module, forward in zip(self.part, outside, strict=True):
                if forward is not None:
                    module.__dict__["forward"] = forward
