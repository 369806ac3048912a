"""What the single-task methods with networks of regions share: their loss."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from metafacs.methods.base import AUOptions, AUReduction, Batch, Stream
from metafacs.methods.losses import au_losses
from metafacs.methods.stl import STL


@dataclass(frozen=True)
class RegionOptions(AUOptions):
    """Options of methods with networks of regions."""

    loss: Literal["ace", "bce"] = "ace"
    """the authors' cross-entropy, which is bounded ("ace"), or everybody's ("bce")."""
    units: int = 150
    """of the layer at the end of each region's branch."""


class RegionMethod(STL):
    """STL on a network of regions."""

    Options: ClassVar[type[AUOptions]] = RegionOptions
    options: RegionOptions
    needs: ClassVar[str | None] = "vgg19"
    uses_landmarks: ClassVar[bool] = True

    def losses(self, batch: Mapping[Stream, Batch]) -> Tensor:
        """(B,): loss of each image."""
        return self.losses_of(self.network(batch["primary"].sample).au_logits, batch["primary"])

    def losses_of(self, logits: Tensor, primary: Batch) -> Tensor:
        """(B,): loss of each image."""
        function = ace_losses if self.options.loss == "ace" else au_losses
        return function(logits, primary.labels, self.options.au_reduction)


def ace_losses(logits: Tensor, labels: Tensor, reduction: AUReduction = "mean") -> Tensor:
    """-[t log((p + 0.05) / 1.05) + (1 - t) log((1.05 - p) / 1.05)] over the labelled AUs of each image.

    Args:
        logits: (N, A), of p.
        labels: (N, A), t; NaN not labelled.
        reduction: over the labelled AUs of an image.

    Returns:
        (N,); 0 for an image without any labelled AU.
    """
    labelled, t, p = ~labels.isnan(), labels.nan_to_num(0.0), torch.sigmoid(logits)
    each = -(t * ((p + 0.05) / 1.05).log() + (1 - t) * ((1.05 - p) / 1.05).log())
    total = torch.where(labelled, each, 0.0).sum(1)
    return total if reduction == "sum" else total / labelled.sum(1).clamp(min=1)
