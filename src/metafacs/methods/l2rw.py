"""L2RW, learning to reweight: every step's weights are what a virtual step from zero weights asks for.

Paper: Ren, Zeng, Yang & Urtasun, Learning to Reweight Examples for Robust Deep Learning, ICML 2018, Eq. 4-8 and 12-14,
Algorithm 1. With epsilon_i the weight of image i in the virtual step and L_v the loss of reserved images,

    theta'(epsilon) = theta - alpha * grad sum_i epsilon_i l_i,    u_i = max(- d L_v(theta') / d epsilon_i at 0, 0),

    w_i = u_i / sum_j u_j  (all zero if the sum is),    theta <- theta - gamma * grad sum_i w_i l_i.

At epsilon = 0 theta' is theta, and alpha cancels.

Differs from the paper in: the weighted images are those of both streams, AU and expression images, normalised
together; the reserved images' loss is the class-balanced AU loss of MAL, so that both look ahead to the same thing; the
gradient is computed without a second-order graph (`lookahead.py`), exactly.

The weights live for one step and belong to no function of an image, so that there are none to report after training.
"""

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from metafacs import distributed
from metafacs.methods.base import METHODS, AUOptions, Batch, Method, Setup, Stream
from metafacs.methods.lookahead import LookAhead, weighted_gradient
from metafacs.methods.losses import JointForward, LookAheadOptions, everywhere, here, task_losses


def rectified(gradient: Tensor) -> Tensor:
    """Weights that add up to one from d meta loss / d epsilon, (n,): only images that lower the meta loss count."""
    helpful = (-gradient).clamp(min=0)
    return helpful / helpful.sum().clamp(min=torch.finfo(helpful.dtype).tiny)


@METHODS.register("l2rw")
class L2RW(Method):
    """Weights the images of each step by how well their gradients agree with that of reserved AU images."""

    streams: ClassVar[tuple[Stream, ...]] = ("primary", "auxiliary", "meta")
    Options: ClassVar[type[AUOptions]] = LookAheadOptions
    options: LookAheadOptions

    def __init__(self, setup: Setup, options: LookAheadOptions = LookAheadOptions()) -> None:
        super().__init__(setup, options)
        self.joint = JointForward(setup, options)

    def training_step(self, batch: Mapping[Stream, Batch]) -> dict[str, Tensor]:
        """Look ahead from zero weights, where theta' is theta, then step with what that says."""
        self.network.train()
        primary, auxiliary, meta = batch["primary"], batch["auxiliary"], batch["meta"]
        n = len(primary) * distributed.count()
        forward = partial(self.joint.through, primary, auxiliary)
        images = LookAhead(self.network, forward, self.options.way, self.autocast)
        virtual = images.virtual_step(torch.zeros_like(images.losses), alpha=1.0)
        v, meta_loss = images.gradient_at(virtual, partial(self.joint.meta_loss, meta, True))
        weights = rectified(everywhere(-images.alignment(v), len(primary)))
        self.update_base(weighted_gradient(images.losses, images.theta, here(weights, n)))
        return {
            **task_losses(images.losses, len(primary)),
            "meta_loss": meta_loss,
            "weight_primary": weights[:n].sum(),
            "weight_auxiliary": weights[n:].sum(),
            "zero_weights": (weights == 0).to(weights.dtype).mean(),
        }
