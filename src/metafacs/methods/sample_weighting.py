"""What methods that weight images by a look-ahead share: the pass over the training images, and the meta loss.

The pass at theta serves the virtual step, the meta gradient and the network's own step. With several processes, each
runs the network on its share of the images; features, weights and their gradients are those of the whole batch
everywhere, so that every process computes the same weights.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from math import ceil
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from metafacs import distributed
from metafacs.errors import InputError
from metafacs.methods.base import Batch, Method, Setup, Stream
from metafacs.methods.joint import JointForward, JointOptions
from metafacs.methods.lookahead import LossesAt, Parameters, RandomState, Way, isolated, pick_way
from metafacs.methods.losses import au_losses, balanced_au_losses, expression_losses
from metafacs.methods.recomputing import parts_of, recomputed
from metafacs.methods.training_pass import PassInParts, Scope, TrainingPass, parts, sees_the_batch
from metafacs.models.network import Output

__all__ = [
    "Checkpointing",
    "LookAheadOptions",
    "SampleWeighting",
    "Scope",
    "Thrift",
    "TrainingPass",
    "WayOption",
    "weight_means",
]

WayOption = Literal["auto", "forward", "difference", "second-order"]
Checkpointing = Literal["none", "meta", "all"]


class Thrift(NamedTuple):
    """How memory is saved."""

    checkpointing: Checkpointing = "none"
    """whose activations are computed again in the backward pass: nobody's, the reserved images', or all images'."""
    meta_part: int = 0
    """reserved images that go through the network at a time; 0: all."""
    training_part: int = 0
    """training images that do; 0: all."""


@dataclass(frozen=True)
class LookAheadOptions(JointOptions):
    """Options of methods that look one step ahead."""

    way: WayOption = "auto"
    """how the meta gradient is found: "auto" (forward mode where every layer has a forward-mode rule, else central
    differences, with a warning), "forward", "difference" or "second-order" (the slow reference)."""


class SampleWeighting(Method):
    """Weights images by what a virtual step on them does to the loss of reserved AU images."""

    streams: ClassVar[tuple[Stream, ...]] = ("primary", "auxiliary", "meta")

    def __init__(
        self,
        setup: Setup,
        options: LookAheadOptions = LookAheadOptions(),
        balanced_meta: bool = True,
        thrift: Thrift = Thrift(),
    ) -> None:
        super().__init__(setup, options)
        if setup.class_weights is None:
            raise InputError(f"{type(self).__name__} needs the class weights of the reserved AU images")
        self.balance = setup.class_weights
        self.balanced_meta = balanced_meta
        self.thrift = thrift
        self._check_thrift(options.way)
        again = self._recomputing if thrift.checkpointing != "none" else nullcontext
        self._meta_thrift: Callable[[], AbstractContextManager[None]] = again
        everywhere = again if thrift.checkpointing == "all" else nullcontext
        self.joint = JointForward(setup, options, everywhere)
        self.way: Way | None = None if options.way == "auto" else options.way
        self.like = next(setup.network.parameters()).detach()

    def forward_pass(self, batch: Mapping[Stream, Batch], looks_ahead: bool = True) -> TrainingPass:
        """The network, in training mode, on the training images; the one pass of a step that counts for BatchNorm.

        Args:
            batch: the streams.
            looks_ahead: whether `TrainingPass.look_ahead` will be asked.
        """
        self.network.train()
        if self.way is None and looks_ahead:
            self.way = pick_way(self.network, batch["primary"].images[:2])
        kind = PassInParts if self.thrift.training_part else TrainingPass
        return kind(self, batch, self.way if looks_ahead else None)

    def meta_losses_at(self, meta: Batch) -> list[LossesAt]:
        """Terms whose sum is the meta loss (`meta_loss_at`), one for each part of the reserved images."""
        size, whole = self.thrift.meta_part, len(meta) * distributed.count()
        if not size or size >= len(meta):
            return [self.meta_loss_at(meta)]
        return [self._meta_term_at(part, whole) for part in parts(meta, ceil(len(meta) / size))]

    def meta_loss_at(self, meta: Batch) -> LossesAt:
        """The AU loss of reserved images as a function of the parameters, without side effects.

        The network normalises the batch by its own BatchNorm statistics, as in training.
        """
        term_at = self._meta_term_at(meta, len(meta) * distributed.count())

        def meta_loss(parameters: Parameters) -> Tensor:
            with RandomState(meta.images).replayed():
                return term_at(parameters)

        return meta_loss

    def _meta_term_at(self, meta: Batch, whole: int) -> LossesAt:
        """The share of `meta` in the meta loss of `whole` images; advances the random state."""
        passes = isolated(self.network, self._meta_thrift)
        positive, negative = self.balance
        reduction = self.joint.au_reduction

        def meta_term(parameters: Parameters) -> Tensor:
            with self.autocast():
                logits = Output(*passes(parameters, meta.images)).au_logits
            if not self.balanced_meta:
                return au_losses(logits, meta.labels, reduction).sum() / whole
            return balanced_au_losses(logits, meta.labels, positive, negative, reduction).sum() / whole

        return meta_term

    def _recomputing(self) -> AbstractContextManager[None]:
        return recomputed(self._recomputed)

    def _check_thrift(self, way: WayOption) -> None:
        checkpointing, meta_part, training_part = self.thrift
        if min(meta_part, training_part) < 0:
            raise InputError(f"parts of a batch have at least 1 image (0: all); found {meta_part} and {training_part}")
        if way == "second-order" and self.thrift != Thrift():
            raise InputError('way "second-order" is the reference and saves no memory; take "forward"')
        if (meta_part or training_part) and sees_the_batch(self.network.train()):
            raise InputError(
                "BatchNorm normalises an image by the whole batch, so a batch in parts would be another method "
                f"(found meta_part {meta_part}, training_part {training_part}); checkpointing saves memory without "
                "changing anything, or take a backbone without BatchNorm, such as resnet50_gn or convnext_tiny"
            )
        self._recomputed = parts_of(self.network.backbone) if checkpointing != "none" else []
        if checkpointing != "none" and not self._recomputed:
            kind = type(self.network.backbone).__name__
            raise InputError(f"a {kind} has no repeated blocks to compute again; leave checkpointing at none")

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
