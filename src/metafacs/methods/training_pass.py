"""The pass over the training images that methods share which weight images by a look-ahead, whole or in parts.

The pass at theta serves the virtual step, the meta gradient and the network's own step. In parts, a few images at a
time with a graph of their own, it takes less memory and computes more: nothing can be kept from one use to the next.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from math import ceil
from typing import TYPE_CHECKING, Literal

import torch
from timm.models import group_parameters
from torch import Tensor, nn

from metafacs import distributed
from metafacs.errors import InputError
from metafacs.methods.base import Batch, Stream
from metafacs.methods.lookahead import (
    LossesAt,
    Parameters,
    Way,
    WeightGradient,
    add_up,
    alignment,
    differentiable_attention,
    look_ahead,
    own_gradient,
    weight_gradient,
    weighted_gradient,
)
from metafacs.methods.tangents import Record

if TYPE_CHECKING:
    from metafacs.methods.sample_weighting import SampleWeighting

Scope = Literal["full", "last-stage", "heads"]
"""What the virtual step moves."""

HEADS = ("au_head.", "expression_head.")


class TrainingPass:
    """The training images of one step at theta. What speaks of images has the AU images first.

    Args:
        method: whose step it is.
        batch: the streams.
        way: how the meta gradient is found; None: this step does not look ahead.

    Attributes:
        feature: (B1 + B2, F) of all processes, without a graph.
        losses: (B1 + B2,) of all processes, without a graph.
        au_labels: (B1, A) of all processes.
        expressions: (B2,) of all processes.
        primary: B1.
    """

    def __init__(self, method: "SampleWeighting", batch: Mapping[Stream, Batch], way: Way | None) -> None:
        primary, auxiliary = batch["primary"], batch["auxiliary"]
        self._own_primary, self._network, self._way = len(primary), method.network, way
        self._meta_loss_at = method.meta_losses_at(batch["meta"]) if way else []
        feature, self._own_losses = self._run(method, primary, auxiliary)
        self.primary = len(primary) * distributed.count()
        self.feature = self._everywhere(feature.detach())
        self.losses = self._everywhere(self._own_losses.detach())
        self.au_labels, self.expressions = distributed.gather(primary.labels), distributed.gather(auxiliary.labels)

    def _run(self, method: "SampleWeighting", primary: Batch, auxiliary: Batch) -> tuple[Tensor, Tensor]:
        """This process's features and losses."""
        way = self._way
        if way:
            self._losses_at = method.joint.replay(primary, auxiliary, full_precision=way == "difference")
        keep = way == "forward" and method.thrift.checkpointing != "all"
        self._record = Record() if keep else None
        with differentiable_attention() if way == "second-order" else self._record or nullcontext():
            return method.joint(primary, auxiliary)

    def look_ahead(self, u: Tensor, alpha: float, scope: Scope = "full") -> WeightGradient:
        """What weights `u`, (B1 + B2,), of a virtual step of length `alpha` do to the reserved images.

        It can be asked once: the record of the pass is used up.
        """
        parameters, still = split(self._network, scope)
        meta_losses_at = [_with(still, term_at) for term_at in self._meta_loss_at]
        meta_loss_at = meta_losses_at[0] if len(meta_losses_at) == 1 else meta_losses_at
        found = self._found(meta_loss_at, parameters, still, self._here(u.detach()), alpha)
        return WeightGradient(self._everywhere(found.gradient), found.meta_loss)

    def _found(
        self,
        meta_loss_at: LossesAt | list[LossesAt],
        parameters: Parameters,
        still: Parameters,
        u: Tensor,
        alpha: float,
    ) -> WeightGradient:
        """The look-ahead of this process."""
        losses_at, way = _with(still, self._losses_at), _asked(self._way)
        return weight_gradient(self._own_losses, losses_at, meta_loss_at, parameters, u, alpha, way, self._record)

    def gradient(self, u: Tensor) -> dict[str, Tensor]:
        """Of sum_i u_i l_i by theta; the graph is gone afterwards."""
        return weighted_gradient(self._own_losses, dict(self._network.named_parameters()), self._here(u))

    def task_losses(self) -> dict[str, Tensor]:
        """The mean losses of this process's images, for the log."""
        n, losses = self._own_primary, self._own_losses.detach()
        return {"loss_primary": losses[:n].mean(), "loss_auxiliary": losses[n:].mean()}

    def _everywhere(self, values: Tensor) -> Tensor:
        """The whole batch's values from this process's."""
        n = self._own_primary
        return torch.cat([distributed.gather(values[:n]), distributed.gather(values[n:])])

    def _here(self, values: Tensor) -> Tensor:
        """The inverse of `_everywhere`."""
        streams = values.split([self.primary, len(values) - self.primary])
        return torch.cat([stream[distributed.share(len(stream))] for stream in streams])


class PassInParts(TrainingPass):
    """The same, `method.thrift.training_part` images at a time, for networks whose images do not see each other."""

    def _run(self, method: "SampleWeighting", primary: Batch, auxiliary: Batch) -> tuple[Tensor, Tensor]:
        count = min(ceil((len(primary) + len(auxiliary)) / method.thrift.training_part), len(primary), len(auxiliary))
        self._sizes = [[len(part) for part in parts(stream, count)] for stream in (primary, auxiliary)]
        self._losses_of: list[LossesAt] = []
        self._aligned_at: list[LossesAt] = []
        features, losses = [], []
        for part in zip(parts(primary, count), parts(auxiliary, count), strict=True):
            self._losses_of.append(method.joint.replay(*part))
            self._aligned_at.append(method.joint.replay(*part, full_precision=self._way == "difference"))
            with torch.no_grad():
                feature, loss = method.joint(*part)
            features.append(feature)
            losses.append(loss)
        return self._joined(features), self._joined(losses)

    def _found(
        self,
        meta_loss_at: LossesAt | list[LossesAt],
        parameters: Parameters,
        still: Parameters,
        u: Tensor,
        alpha: float,
    ) -> WeightGradient:
        v, meta_loss = look_ahead(self._gradient_of(u, parameters, still), meta_loss_at, parameters, alpha)
        way = _asked(self._way)
        aligned = [alignment(_with(still, at), parameters, v, way) for at in self._aligned_at]
        return WeightGradient(-alpha * self._joined(aligned), meta_loss)

    def gradient(self, u: Tensor) -> dict[str, Tensor]:
        """Of sum_i u_i l_i by theta."""
        return self._gradient_of(self._here(u), dict(self._network.named_parameters()), {})

    def _gradient_of(self, u: Tensor, parameters: Parameters, still: Parameters) -> dict[str, Tensor]:
        """The sum over parts and processes."""
        n, (first, second) = self._own_primary, self._sizes
        sums: dict[str, Tensor] = {}
        weights = zip(u[:n].split(first), u[n:].split(second), strict=True)
        for losses_at, own in zip(self._losses_of, weights, strict=True):
            losses = losses_at({**still, **parameters})
            add_up(sums, own_gradient(losses, parameters, torch.cat(own)))
            del losses  # with its graph, before the next part's
        return dict(zip(sums, distributed.total(list(sums.values())), strict=True))

    def _joined(self, values: list[Tensor]) -> Tensor:
        """What every part gave for its images, in the order of the whole: AU images first."""
        pairs = [value.split(sizes) for value, *sizes in zip(values, *self._sizes, strict=True)]
        return torch.cat([*(pair[0] for pair in pairs), *(pair[1] for pair in pairs)])


def parts(batch: Batch, count: int) -> list[Batch]:
    """`batch` in `count` nearly equal parts, in order."""
    pieces = zip(batch.images.tensor_split(count), batch.labels.tensor_split(count), strict=True)
    return [Batch(images, labels) for images, labels in pieces]


def split(network: nn.Module, scope: Scope) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters that a virtual step of `scope` moves, and the others, detached."""
    parameters: dict[str, Tensor] = dict(network.named_parameters())
    if scope == "full":
        return parameters, {}
    moved = HEADS if scope == "heads" else (*HEADS, *last_stage(network))
    still = {name: p.detach() for name, p in parameters.items() if not name.startswith(moved)}
    return {name: p for name, p in parameters.items() if name not in still}, still


def last_stage(network: nn.Module) -> list[str]:
    """Names of the parameters of the backbone's last stage and of what follows it, as timm groups them.

    Raises:
        InputError: the backbone does not tell its stages.
    """
    backbone = network.backbone
    try:
        groups = group_parameters(backbone, backbone.group_matcher(coarse=True))  # type: ignore[operator,union-attr]
    except (AttributeError, TypeError) as error:
        raise InputError(
            f"a {type(backbone).__name__} does not tell its stages, which the look-ahead of the last stage needs; "
            'take "full" or "heads"'
        ) from error
    names: list[str] = []
    own = dict(backbone.named_parameters())  # type: ignore[union-attr]
    for group in sorted(groups, reverse=True):
        names += [f"backbone.{name}" for name in groups[group]]
        if any(own[name].dim() > 1 for name in groups[group]):  # more than a closing normalisation
            break
    return names


def sees_the_batch(network: nn.Module) -> bool:
    """Whether some layer of `network`, in the mode it is in, normalises an image by the others of its batch."""
    layers = (m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))
    return any(layer.training or layer.running_mean is None for layer in layers)


def _asked(way: Way | None) -> Way:
    if way is None:
        raise RuntimeError("this pass was made for a step without a look-ahead")
    return way


def _with(still: Parameters, function: LossesAt) -> LossesAt:
    """`function` of the other parameters, with those in `still` where they are."""
    return (lambda parameters: function({**still, **parameters})) if still else function
