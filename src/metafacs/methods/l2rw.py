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
from typing import ClassVar

import torch
from torch import Tensor

from metafacs.methods.base import METHODS, AUOptions, Batch, Stream
from metafacs.methods.sample_weighting import LookAheadOptions, SampleWeighting


def rectified(gradient: Tensor) -> Tensor:
    """Weights that add up to one from d meta loss / d epsilon, (n,): only images that lower the meta loss count."""
    helpful = (-gradient).clamp(min=0)
    return helpful / helpful.sum().clamp(min=torch.finfo(helpful.dtype).tiny)


@METHODS.register("l2rw")
class L2RW(SampleWeighting):
    """Weights the images of each step by how well their gradients agree with that of reserved AU images."""

    Options: ClassVar[type[AUOptions]] = LookAheadOptions

    def training_step(self, batch: Mapping[Stream, Batch]) -> dict[str, Tensor]:
        """Look ahead from zero weights, then step with what that says."""
        images = self.forward_pass(batch)
        found = images.look_ahead(torch.zeros_like(images.losses), alpha=1.0)
        u = rectified(found.gradient)
        self.update_base(images.gradient(u))
        return {
            **images.task_losses(),
            "meta_loss": found.meta_loss,
            "weight_primary": u[: images.primary].sum(),
            "weight_auxiliary": u[images.primary :].sum(),
            "zero_weights": (u == 0).to(u.dtype).mean(),
        }
