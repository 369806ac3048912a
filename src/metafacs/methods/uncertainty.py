"""Uncertainty weighting: every task's loss divided by a learned variance.

Paper: Kendall, Gal & Cipolla, Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and Semantics,
CVPR 2018, Eq. 10. Both tasks here are classification, so with s_t = log sigma_t^2 learned beside the network

    loss = sum_t exp(-s_t) L_t + s_t / 2.

Differs from the paper in: the loss is half of that sum, so that with s = 0, the start, it is MTL's; s has an optimiser
of its own, Adam with a constant rate, where the paper trains it with the network's.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from metafacs.errors import InputError
from metafacs.methods.base import METHODS, OptimiserFactory
from metafacs.methods.joint import StatisticsMode
from metafacs.methods.losses import AUReduction
from metafacs.methods.task_weighting import TASKS, TaskWeighting, task_means
from metafacs.models.network import Network


class Variances(nn.Module):
    """The logarithm of every task's variance; 0 at the start."""

    def __init__(self) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.zeros(TASKS))

    def gradient(self, losses: Tensor) -> Tensor:
        """Of sum_t exp(-s_t) L_t + s_t / 2 by s; `losses` are the L_t, (2,)."""
        return 0.5 - torch.exp(-self.log.detach()) * losses


@METHODS.register("uncertainty")
class Uncertainty(TaskWeighting):
    """Weights each task by one over its learned variance.

    Args:
        network: the base network.
        optimiser: makes the base optimiser.
        class_weights: not used.
        autocast: mixed precision.
        rate: learning rate of the log-variances (Adam); 0 freezes them.
        au_reduction: "mean" or "sum" over the labelled AUs of an image.
        statistics: BatchNorm statistics of the two streams: "joint" or "separate", as for MTL.
    """

    def __init__(
        self,
        network: Network,
        optimiser: OptimiserFactory,
        class_weights: tuple[Tensor, Tensor] | None = None,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
        rate: float = 0.01,
        au_reduction: AUReduction = "mean",
        statistics: StatisticsMode = "joint",
    ) -> None:
        super().__init__(network, optimiser, class_weights, autocast, au_reduction, statistics)
        if rate < 0:
            raise InputError(f"uncertainty weighting's rate is {rate}; it must not be negative")
        self.variances = Variances().to(self.like)
        self.modules["variances"] = self.variances
        self.optimisers["variances"] = torch.optim.Adam(self.variances.parameters(), lr=rate)

    def task_weights(self, losses: Tensor, primary: int) -> Tensor:
        """exp(-s); then s takes its own step on the same losses."""
        weights = torch.exp(-self.variances.log.detach())
        self.variances.log.grad = self.variances.gradient(task_means(losses, primary))
        self.optimisers["variances"].step()
        return weights
