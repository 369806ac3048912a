"""Per-sample losses of the two tasks; every function returns one value an image."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

AUReduction = Literal["mean", "sum"]


def au_losses(logits: Tensor, labels: Tensor, reduction: AUReduction = "mean") -> Tensor:
    """Sigmoid cross-entropy over the labelled AUs of each image (Eq. 1).

    Args:
        logits: (N, A).
        labels: (N, A), 1 present, 0 absent, NaN not labelled.
        reduction: over the labelled AUs of an image. The copy of the paper at hand lost the normaliser of
            Eq. 1; the mean keeps images with few labelled AUs on the scale of the others.

    Returns:
        (N,); 0 for an image without any labelled AU.
    """
    return _reduced(_masked_cross_entropy(logits, labels), labels, reduction)


def balanced_au_losses(
    logits: Tensor,
    labels: Tensor,
    positive_weight: Tensor,
    negative_weight: Tensor,
    reduction: AUReduction = "mean",
) -> Tensor:
    """Like `au_losses`, present and absent AUs weighted by `class_balance` (the loss of the meta-test step).

    Args:
        logits: (N, A).
        labels: (N, A), NaN not labelled.
        positive_weight: (A,), weight of an AU where it is present.
        negative_weight: (A,), weight of an AU where it is absent.
        reduction: over the labelled AUs of an image.
    """
    weight = torch.where(labels == 1, positive_weight, negative_weight)
    return _reduced(weight * _masked_cross_entropy(logits, labels), labels, reduction)


def class_balance(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Inverse-frequency weights of present and absent per AU, so that both classes count the same in total.

    Args:
        labels: (N, A) of the reserved AU images, NaN not labelled.

    Returns:
        (A,) weights of present and (A,) of absent: n / (2 n_present) and n / (2 n_absent), which average to 1
        over the labelled images. An AU seen in one class only keeps weight 1: nothing can be balanced.
    """
    present = (labels == 1).sum(0).to(labels.dtype)
    absent = (labels == 0).sum(0).to(labels.dtype)
    both = (present > 0) & (absent > 0)
    one = torch.ones_like(present)
    n = present + absent
    return torch.where(both, n / (2 * present), one), torch.where(both, n / (2 * absent), one)


def expression_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy over the expressions of each image (Eq. 2).

    Args:
        logits: (N, E).
        labels: (N,), index of the expression.
    """
    return F.cross_entropy(logits, labels, reduction="none")


def _masked_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    labelled = ~labels.isnan()
    loss = F.binary_cross_entropy_with_logits(logits, labels.nan_to_num(0.0), reduction="none")
    return torch.where(labelled, loss, torch.zeros_like(loss))


def _reduced(loss: Tensor, labels: Tensor, reduction: AUReduction) -> Tensor:
    if reduction == "sum":
        return loss.sum(1)
    return loss.sum(1) / (~labels.isnan()).sum(1).clamp(min=1)
