"""JAA-Net: landmarks and AUs learned together, the landmarks placing the attention of each AU.

Paper: Shao, Liu, Cai & Ma, Deep Adaptive Attention for Joint Facial Action Unit Detection and Face Alignment, ECCV 2018
(version 1), and JAA-Net: Joint Facial Action Unit Detection and Face Alignment via Adaptive Attention, IJCV 2021
(version 2), after the authors' code. With p the probability, t the label and w_a = (1 / r_a) A / sum_b (1 / r_b), r the
rates of the AUs in the training rows,

    L = mean_a w_a [CE_a + 1 - (2 p t + 1) / (p^2 + t^2 + 1)] + 1/2 L_land + 1e-4 L_refine
    L_land = sum over 49 points |point - true|^2 / (2 D^2),    D the distance of the eyes' centres
    L_refine = sum_a mean over pixels BCE(refined map, map as it was drawn);  twice the learning rate for the refinement

Version 2 has the first term for each AU's own branch too, and no L_refine. No gradient goes through the drawn maps.
Differs from the paper in: one logit an AU where the authors have two and their softmax; the second term by image, as
in their first code, not summed over the batch; L_refine a mean over pixels, not a sum of weight 1e-7; an image without
landmarks has no L_land; unknown labels are left out; one protocol's optimiser and schedule.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from metafacs.methods.base import METHODS, AUOptions, Batch, Facts, Setup, Stream
from metafacs.methods.stl import STL
from metafacs.models.jaa import MARKUP, JAANetwork


@dataclass(frozen=True)
class JAANetOptions(AUOptions):
    """Options of `JAANet`."""

    version: Literal[1, 2] = 1
    """of 2018 (1) or of 2021 (2)."""


@METHODS.register("jaa_net")
class JAANet(STL):
    """Trains landmarks and AUs together, on `metafacs_jaa`."""

    Options: ClassVar[type[AUOptions]] = JAANetOptions
    options: JAANetOptions
    network: JAANetwork
    needs: ClassVar[str | None] = "metafacs_jaa"
    uses_landmarks: ClassVar[bool] = True

    def __init__(self, setup: Setup, options: JAANetOptions = JAANetOptions()) -> None:
        network = JAANetwork(setup.network, setup.facts.aus, options.version)
        super().__init__(replace(setup, network=network), options)
        self.rarity = rarity(setup.facts).to(network.au_head.weight)
        if options.version == 1:
            refining = set(network.refine.parameters())
            base = setup.optimiser([p for p in network.parameters() if p not in refining])
            base.add_param_group({"params": list(network.refine.parameters()), "lr": 2 * base.param_groups[0]["lr"]})
            self.optimisers["base"] = base

    def losses(self, batch: Mapping[Stream, Batch]) -> Tensor:
        """(B,): all terms."""
        primary = batch["primary"]
        whole = self.network.whole(primary.sample)
        losses = weighted_losses(whole.output.au_logits, primary.labels, self.rarity)
        losses = losses + 0.5 * landmark_losses(whole.points, primary.sample.landmarks)
        if whole.local_logits is not None:
            return losses + weighted_losses(whole.local_logits, primary.labels, self.rarity)
        drawn = F.interpolate(whole.drawn, whole.refined.shape[2:])
        with torch.autocast(drawn.device.type, enabled=False):
            refining = F.binary_cross_entropy(whole.refined.to(drawn.dtype), drawn, reduction="none")
        return losses + 1e-4 * refining.mean((2, 3)).sum(1)


def rarity(facts: Facts) -> Tensor:
    """(A,) weights of the AUs: the rarer the higher, 1 on average; an AU that is never seen counts as seen once."""
    labels = facts.labels
    rates = labels.nanmean(0).nan_to_num(1.0).clamp(min=1 / max(len(labels), 1))
    return 1 / rates / (1 / rates).mean()


def weighted_losses(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """(N,): cross-entropy and Dice loss over the labelled AUs of each image, weighted; both (N, A), weights (A,)."""
    labelled, t = ~labels.isnan(), labels.nan_to_num(0.0)
    wide = logits.to(weights.dtype)
    p = torch.sigmoid(wide)
    dice = 1 - (2 * p * t + 1) / (p.square() + t.square() + 1)
    each = weights * (F.binary_cross_entropy_with_logits(wide, t, reduction="none") + dice)
    return torch.where(labelled, each, 0.0).sum(1) / labelled.sum(1).clamp(min=1)


def landmark_losses(points: Tensor, landmarks: Tensor | None) -> Tensor:
    """(N,): squared distance of 49 points from the true ones, by that of the eyes; 0 where a true one is not known.

    Args:
        points: (N, 49, 2), pixels.
        landmarks: (N, 68, 2) true ones, NaN not known.
    """
    if landmarks is None:
        return points.new_zeros(len(points))
    true = landmarks[:, list(MARKUP)].to(points.dtype)
    known = true.isfinite().all(2).all(1)
    true = torch.where(known[:, None, None], true, 0.0)
    eyes = landmarks[:, 36:42].mean(1) - landmarks[:, 42:48].mean(1)
    squared = eyes.square().sum(1).nan_to_num(1.0).clamp(min=1.0)
    distance = torch.where(known[:, None, None], points - true, 0.0).square().sum((1, 2))
    return distance / (2 * squared).to(points.dtype)
