"""Forward mode through a network that has just run at the same parameters.

`torch.autograd.forward_ad` computes every layer anew beside its tangent: three convolutions for each of the network's.
Here the layers' outputs are kept from the forward pass that was needed anyway (BatchNorm's backward keeps them too, so
this costs no memory there), which leaves two; and BatchNorm's tangent is taken by its fused backward kernel.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.autograd.forward_ad as forward_ad
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

_BILINEAR = frozenset({F.linear, F.conv1d, F.conv2d, F.conv3d})
"""Functions (input, weight, bias, ...) that are linear in the input and in (weight, bias)."""


class _Kept(NamedTuple):
    weight: int
    """Address of the weight: tells whether the replay has come to the same layer."""
    output: Tensor
    version: int
    """Of `output` when it was new: a layer in place after it makes it useless."""


class Record(TorchFunctionMode):
    """A context that keeps the outputs of linear and convolution layers, in order, for `Tangents`."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: deque[_Kept] = deque()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Calls `func` and keeps what it gave."""
        output = func(*args, **(kwargs or {}))
        if func in _BILINEAR and len(args) > 1:
            self.kept.append(_Kept(args[1].data_ptr(), output.detach(), output._version))
        return output

    def take(self, weight: Tensor) -> Tensor | None:
        """The next kept output, which is let go of; None if it is not what the layer of `weight` gave."""
        if not self.kept:
            return None
        kept = self.kept.popleft()
        fits = kept.weight == weight.data_ptr() and kept.version == kept.output._version
        return kept.output if fits else None


class Tangents(TorchFunctionMode):
    """A context in which dual tensors pass linear, convolution and BatchNorm layers faster, to the same result.

    Args:
        record: of the same forward pass at the same parameters; it is used up. Layers that it lacks are computed.
    """

    def __init__(self, record: Record | None = None) -> None:
        super().__init__()
        self.record = record or Record()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Calls `func`, or its faster stand-in."""
        if func in _BILINEAR and len(args) > 1:
            return self._bilinear(func, *args, **(kwargs or {}))
        if func is F.batch_norm:
            return _batch_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _bilinear(
        self,
        func: Callable[..., Tensor],
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        *rest: Any,
        **options: Any,
    ) -> Tensor:
        """y = w x + b, dy = w dx + dw x + db."""
        x, dx = forward_ad.unpack_dual(input)
        w, dw = forward_ad.unpack_dual(weight)
        b, db = (None, None) if bias is None else forward_ad.unpack_dual(bias)
        output = self.record.take(w)
        if dw is None and db is not None:
            return func(input, weight, bias, *rest, **options)
        if output is None:
            output = func(x, w, b, *rest, **options)
        terms = []
        if dx is not None:
            terms.append(func(dx, w, None, *rest, **options))
        if dw is not None:
            terms.append(func(x, dw, db, *rest, **options))
        if not terms:
            return output
        return forward_ad.make_dual(output, terms[0] if len(terms) == 1 else terms[0].add_(terms[1]))


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
    """y = w (x - mean) invstd + b over the batch: dy = J dx + (x - mean) invstd dw + db.

    J = dy / dx is symmetric (w invstd times a projection), so that the kernel of the backward pass, which takes a
    gradient g to J g, takes the tangent dx to J dx.
    """
    x, dx = forward_ad.unpack_dual(input)
    if not training or weight is None or bias is None or dx is None:
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    (w, dw), (b, db) = forward_ad.unpack_dual(weight), forward_ad.unpack_dual(bias)
    if (dw is None) != (db is None):  # one of them is frozen
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    y, mean, invstd = torch.native_batch_norm(x, w, b, running_mean, running_var, True, momentum, eps)
    dy = torch.ops.aten.native_batch_norm_backward(
        dx, x, w, running_mean, running_var, mean, invstd, True, eps, [True, False, False]
    )[0]
    if dw is not None and db is not None:
        shape = (-1, *[1] * (x.dim() - 2))
        scale = dw * invstd
        dy = dy.addcmul_(x, scale.view(shape)).add_((db - mean * scale).view(shape))
    return forward_ad.make_dual(y, dy)
