"""The two tasks: their losses, one value an image, and the pass of both streams through one network that gives them."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metafacs import distributed
from metafacs.methods.base import AUOptions, AUReduction, Balance, Setup
from metafacs.methods.lookahead import Call, Way, isolated
from metafacs.sample import Batch, Sample, concatenated

StatisticsMode = Literal["joint", "separate"]


def au_losses(logits: Tensor, labels: Tensor, reduction: AUReduction = "sum", balance: Balance | None = None) -> Tensor:
    """Sigmoid cross-entropy over the labelled AUs of each image (Eq. 1).

    Args:
        logits: (N, A).
        labels: (N, A), 1 present, 0 absent, NaN not labelled.
        reduction: over the labelled AUs of an image. The copy of the paper at hand lost the normaliser of
            Eq. 1. With the sum every labelled AU is a task as heavy as the expression task; the mean keeps images with
            few labelled AUs on the scale of the others.
        balance: weights of present and of absent AUs (`class_balance`), for the loss of the meta-test step.

    Returns:
        (N,); 0 for an image without any labelled AU.
    """
    labelled = ~labels.isnan()
    loss = F.binary_cross_entropy_with_logits(logits, labels.nan_to_num(0.0), reduction="none")
    loss = torch.where(labelled, loss, torch.zeros_like(loss))
    if balance:
        loss = torch.where(labels == 1, *balance) * loss
    return loss.sum(1) if reduction == "sum" else loss.sum(1) / labelled.sum(1).clamp(min=1)


def expression_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy over the expressions of each image (Eq. 2).

    Args:
        logits: (N, E).
        labels: (N,), index of the expression.
    """
    return F.cross_entropy(logits, labels, reduction="none")


def class_balance(labels: Tensor) -> Balance:
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


@dataclass(frozen=True)
class JointOptions(AUOptions):
    """Options of methods that send both streams through one network."""

    statistics: StatisticsMode = "joint"
    """BatchNorm statistics of the two streams: "joint" (one forward for both, as the paper shares it, so that BatchNorm
    normalises by the mixture) or "separate" (one forward each; only AU images, which are what test images are like,
    enter the running statistics)."""
    expression_scale: float = 1.0
    """factor of every expression loss: what a badly scaled second task does to a method, for studies."""


@dataclass(frozen=True)
class LookAheadOptions(JointOptions):
    """Options of methods that look one step ahead."""

    way: Way = "auto"
    """how the meta gradient is found: "auto" (forward mode where every layer has a forward-mode rule, else central
    differences, with a warning), "forward" or "difference"."""


class JointForward:
    """What the network gives for an AU batch and an expression batch, and the losses.

    Args:
        setup: of the method.
        options: of the method.
        balanced: whether the AU losses of training images are class-balanced, too, as meta losses may be.
    """

    def __init__(self, setup: Setup, options: JointOptions, balanced: bool = False) -> None:
        self.setup, self.balance = setup, setup.balance(balanced)
        self.network, self.autocast = setup.network, setup.autocast
        self.au_reduction, self.statistics = options.au_reduction, options.statistics
        self.expression_scale = options.expression_scale

    def __call__(self, primary: Batch, auxiliary: Batch) -> tuple[Tensor, Tensor]:
        """Features (B1 + B2, F) and losses (B1 + B2,), AU images first.

        This is the one pass of a step that counts for BatchNorm's running statistics.
        """
        with self.autocast():
            outputs, losses = self.through(primary, auxiliary, self.network)
        return torch.cat([output.feature for output in outputs]), losses

    def through(self, primary: Batch, auxiliary: Batch, network: Call) -> tuple[tuple[Any, Any], Tensor]:
        """What `network` (or its stand-in) gives for AU and for expression images, and the losses, AU images first."""
        n = len(primary)
        if self.statistics == "joint":
            both = network(concatenated([primary.sample, auxiliary.sample]))
            first, second = both._make(x[:n] for x in both), both._make(x[n:] for x in both)
        else:
            first = network(primary.sample)
            if isinstance(network, nn.Module):  # the pass that counts: it must not count these images
                network = partial(isolated(network), dict(network.named_parameters()))
            second = network(auxiliary.sample)
        au = au_losses(first.au_logits, primary.labels, self.au_reduction, self.balance)
        expression = self.expression_scale * expression_losses(second.expression_logits, auxiliary.labels)
        return (first, second), torch.cat([au, expression])

    def meta_loss(self, meta: Batch, balanced: bool, network: Call) -> Tensor:
        """This process's share of the mean AU loss of reserved images, normalised by their own BatchNorm statistics."""
        logits = network(meta.sample).au_logits
        losses = au_losses(logits, meta.labels, self.au_reduction, self.setup.balance(balanced))
        return losses.sum() / (len(meta) * distributed.count())

    @torch.no_grad()
    def outside_training(self, sample: Sample, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Features (N, F) and, where labels of either task are given, losses (N,), as seen outside training."""
        self.network.eval()
        with self.autocast():
            output = self.network(sample)
        if labels is None:
            return output.feature, None
        if labels.dim() == 2:
            return output.feature, au_losses(output.au_logits, labels, self.au_reduction)
        return output.feature, self.expression_scale * expression_losses(output.expression_logits, labels)


def over_batches(weights: Tensor, primary: int) -> Tensor:
    """Per-sample weights (B1 + B2,), each divided by the size of its own stream's batch.

    Args:
        weights: the AU images' first.
        primary: B1.
    """
    return torch.cat([weights[:primary] / primary, weights[primary:] / (len(weights) - primary)])


def everywhere(values: Tensor, primary: int) -> Tensor:
    """The values of all processes' images from those of this one's, of which the first `primary` are AU images."""
    return torch.cat([distributed.gather(values[:primary]), distributed.gather(values[primary:])])


def here(values: Tensor, primary: int) -> Tensor:
    """The inverse of `everywhere`: `primary` counts the AU images of all processes."""
    first, second = values[:primary], values[primary:]
    return torch.cat([first[distributed.share(len(first))], second[distributed.share(len(second))]])


def task_losses(losses: Tensor, primary: int) -> dict[str, Tensor]:
    """The mean losses of this process's images, the first `primary` of which are AU images, for the log."""
    return {"loss_primary": losses[:primary].detach().mean(), "loss_auxiliary": losses[primary:].detach().mean()}
