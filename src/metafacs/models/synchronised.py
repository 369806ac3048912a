"""BatchNorm over the images of all processes, so that they normalise as one process with the whole batch does.

`torch.nn.SyncBatchNorm` runs on GPUs only and has no forward-mode rule, which the meta gradient takes. Here the moments
go through a sum over processes that is differentiable in every direction, on any device, at any order.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from metafacs import distributed


def synchronise(module: nn.Module) -> None:
    """Makes every BatchNorm layer in `module`, of torch or timm, normalise by all processes' images while it trains.

    All processes must then run the same passes on equally many images. Parameters, buffers and their names stay, and
    so does what the layer does outside training.
    """
    for layer in module.modules():
        if isinstance(layer, _BatchNorm) and not isinstance(layer.forward, partial):
            layer.forward = partial(_synchronised, layer.forward)  # type: ignore[method-assign]


def _synchronised(forward: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
    with _Everywhere():
        return forward(*args, **kwargs)


class _Everywhere(TorchFunctionMode):
    """A context in which `batch_norm` takes its moments over all processes."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Calls `func`, or its stand-in."""
        return (_batch_norm if func is F.batch_norm else func)(*args, **(kwargs or {}))


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if not training:
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    values = input.to(torch.promote_types(input.dtype, torch.float32))
    axes = [0, *range(2, values.dim())]
    count = values.numel() // values.shape[1] * distributed.count()
    # Two sums, the second about the mean: the difference of two large moments would lose digits in float32.
    mean = distributed.differentiable_total(values.sum(axes, keepdim=True)) / count
    centred = values - mean
    variance = distributed.differentiable_total((centred * centred).sum(axes, keepdim=True)) / count
    _update(running_mean, mean.detach().flatten(), momentum)
    _update(running_var, variance.detach().flatten() * count / max(count - 1, 1), momentum)
    scale = (variance + eps).rsqrt()
    if weight is not None:
        scale = scale * weight.view_as(scale)
    output = centred * scale
    if bias is not None:
        output = output + bias.view_as(scale)
    return output.to(input.dtype)


@torch.no_grad()
def _update(running: Tensor | None, value: Tensor, momentum: float) -> None:
    if running is not None:
        running.lerp_(value.to(running.dtype), momentum)
