"""What methods that weight images by a look-ahead share: the pass over the training images, and the meta loss.

The pass at theta serves the virtual step, the meta gradient and the network's own step. With several processes, each
runs the network on its share of the images; features, weights and their gradients are those of the whole batch
everywhere, so that every process computes the same weights.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar, Literal

import torch
from torch import Tensor

from metafacs import processes
from metafacs.errors import InputError
from metafacs.methods.base import Batch, Method, OptimiserFactory, Stream
from metafacs.methods.joint import JointForward, StatisticsMode
from metafacs.methods.lookahead import (
    LossesAt,
    Parameters,
    RandomState,
    Way,
    WeightGradient,
    differentiable_attention,
    isolated,
    pick_way,
    weight_gradient,
    weighted_gradient,
)
from metafacs.methods.losses import AUReduction, au_losses, balanced_au_losses, expression_losses
from metafacs.methods.tangents import Record
from metafacs.models.network import Network, Output

WayOption = Literal["auto", "forward", "difference", "second-order"]
Scope = Literal["full", "heads"]
"""What the virtual step moves."""

HEADS = ("au_head.", "expression_head.")


class TrainingPass:
    """The training images of one step at theta. What speaks of images has the AU images first.

    Attributes:
        feature: (B1 + B2, F) of all processes, without a graph.
        losses: (B1 + B2,) of all processes, without a graph.
        au_labels: (B1, A) of all processes.
        expressions: (B2,) of all processes.
        primary: B1.
    """

    def __init__(self, method: "SampleWeighting", batch: Mapping[Stream, Batch], way: Way) -> None:
        primary, auxiliary = batch["primary"], batch["auxiliary"]
        self._own_primary, self._method, self._way = len(primary), method, way
        self._losses_at = method.joint.replay(primary, auxiliary)
        self._meta_loss_at = method.meta_loss_at(batch["meta"])
        self._record = Record() if way == "forward" else None
        with differentiable_attention() if way == "second-order" else self._record or nullcontext():
            feature, self._own_losses = method.joint(primary, auxiliary)
        self.primary = len(primary) * processes.count()
        self.feature = self._everywhere(feature.detach())
        self.losses = self._everywhere(self._own_losses.detach())
        self.au_labels, self.expressions = processes.gather(primary.labels), processes.gather(auxiliary.labels)

    def look_ahead(self, u: Tensor, alpha: float, scope: Scope = "full") -> WeightGradient:
        """What weights `u`, (B1 + B2,), of a virtual step of length `alpha` do to the reserved images.

        It can be asked once: the record of the pass is used up.
        """
        parameters = dict(self._method.network.named_parameters())
        losses_at, meta_loss_at = self._losses_at, self._meta_loss_at
        if scope == "heads":
            still = {name: p.detach() for name, p in parameters.items() if not name.startswith(HEADS)}
            parameters = {name: p for name, p in parameters.items() if name not in still}
            losses_at, meta_loss_at = _with(still, losses_at), _with(still, meta_loss_at)
        found = weight_gradient(
            self._own_losses,
            losses_at,
            meta_loss_at,
            parameters,
            self._here(u.detach()),
            alpha,
            self._way,
            self._record,
        )
        return WeightGradient(self._everywhere(found.gradient), found.meta_loss)

    def gradient(self, u: Tensor) -> dict[str, Tensor]:
        """Of sum_i u_i l_i by theta; the graph is gone afterwards."""
        parameters = dict(self._method.network.named_parameters())
        return weighted_gradient(self._own_losses, parameters, self._here(u))

    def task_losses(self) -> dict[str, Tensor]:
        """The mean losses of this process's images, for the log."""
        n, losses = self._own_primary, self._own_losses.detach()
        return {"loss_primary": losses[:n].mean(), "loss_auxiliary": losses[n:].mean()}

    def _everywhere(self, values: Tensor) -> Tensor:
        """The whole batch's values from this process's."""
        n = self._own_primary
        return torch.cat([processes.gather(values[:n]), processes.gather(values[n:])])

    def _here(self, values: Tensor) -> Tensor:
        """The inverse of `_everywhere`."""
        streams = values.split([self.primary, len(values) - self.primary])
        return torch.cat([stream[processes.share(len(stream))] for stream in streams])


def _with(still: Parameters, function: LossesAt) -> LossesAt:
    """`function` of the other parameters, with those in `still` where they are."""
    return lambda parameters: function({**still, **parameters})


class SampleWeighting(Method):
    """Weights images by what a virtual step on them does to the loss of reserved AU images.

    Args:
        network: the base network.
        optimiser: makes the base optimiser.
        class_weights: weights of present and absent AUs in the meta loss.
        autocast: mixed precision.
        way: how the meta gradient is found; "auto": in forward mode where every layer has a forward-mode rule.
        au_reduction: "mean" or "sum" over the labelled AUs of an image.
        statistics: BatchNorm statistics of the two streams: "joint" or "separate".
        balanced_meta: whether the meta loss is class-balanced.
    """

    streams: ClassVar[tuple[Stream, ...]] = ("primary", "auxiliary", "meta")

    def __init__(
        self,
        network: Network,
        optimiser: OptimiserFactory,
        class_weights: tuple[Tensor, Tensor] | None,
        autocast: Callable[[], AbstractContextManager[object]],
        way: WayOption,
        au_reduction: AUReduction,
        statistics: StatisticsMode,
        balanced_meta: bool = True,
    ) -> None:
        super().__init__(network, optimiser, class_weights, autocast)
        if class_weights is None:
            raise InputError(f"{type(self).__name__} needs the class weights of the reserved AU images")
        self.balance = class_weights
        self.balanced_meta = balanced_meta
        self.joint = JointForward(network, au_reduction, statistics, autocast)
        self.way: Way | None = None if way == "auto" else way
        self.like = next(network.parameters()).detach()

    def forward_pass(self, batch: Mapping[Stream, Batch]) -> TrainingPass:
        """The network, in training mode, on the training images; the one pass of a step that counts for BatchNorm."""
        self.network.train()
        if self.way is None:
            self.way = pick_way(self.network, batch["primary"].images[:2])
        return TrainingPass(self, batch, self.way)

    def meta_loss_at(self, meta: Batch) -> LossesAt:
        """The AU loss of reserved images as a function of the parameters, without side effects.

        The network normalises the batch by its own BatchNorm statistics, as in training.
        """
        passes = isolated(self.network)
        positive, negative = self.balance
        whole, reduction = len(meta) * processes.count(), self.joint.au_reduction

        def meta_loss(parameters: Parameters) -> Tensor:
            with RandomState(meta.images).replayed(), self.autocast():
                logits = Output(*passes(parameters, meta.images)).au_logits
            if not self.balanced_meta:
                return au_losses(logits, meta.labels, reduction).sum() / whole
            return balanced_au_losses(logits, meta.labels, positive, negative, reduction).sum() / whole

        return meta_loss

    def _update_meta(self, u: Tensor, gradient: Tensor) -> None:
        """phi <- phi - beta * (d meta loss / d u) (d u / d phi)."""
        phi = [parameter for group in self.optimisers["meta"].param_groups for parameter in group["params"]]
        for parameter, g in zip(phi, torch.autograd.grad(u, phi, grad_outputs=gradient), strict=True):
            parameter.grad = g
        self.optimisers["meta"].step()

    @torch.no_grad()
    def _outside_training(self, images: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Features (N, F) and, where labels are given, losses (N,) as the network sees them outside training."""
        self.network.eval()
        with self.autocast():
            output = self.network(images)
        if labels is None:
            return output.feature, None
        if labels.dim() == 2:
            return output.feature, au_losses(output.au_logits, labels, self.joint.au_reduction)
        return output.feature, expression_losses(output.expression_logits, labels)


def weight_means(weights: Tensor, primary: int) -> dict[str, Tensor]:
    """The mean weight of the AU images, the first `primary` ones, and of the FE images, for the log."""
    return {"weight_primary": weights[:primary].mean(), "weight_auxiliary": weights[primary:].mean()}
