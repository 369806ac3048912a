"""Uncertainty weighting: every task's loss divided by a learned variance.

Paper: Kendall, Gal & Cipolla, Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and Semantics,
CVPR 2018, Eq. 10. Both tasks here are classification, so with s_t = log sigma_t^2 learned beside the network

    loss = sum_t [exp(-s_t) L_t + s_t / 2].

Differs from the paper in: the loss is half of that sum, so that with s = 0, the start, it is MTL's; s has an optimiser
of its own, Adam with a constant rate, where the paper trains it with the network's.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from metafacs.errors import InputError
from metafacs.methods.base import METHODS, AUOptions, Setup
from metafacs.methods.losses import JointOptions
from metafacs.methods.task_weighting import TASKS, TaskWeighting, task_means


class Variances(nn.Module):
    """The logarithm of every task's variance; 0 at the start."""

    def __init__(self) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.zeros(TASKS))

    def gradient(self, losses: Tensor) -> Tensor:
        """Of sum_t exp(-s_t) L_t + s_t / 2 by s; `losses` are the L_t, (2,)."""
        return 0.5 - torch.exp(-self.log.detach()) * losses


@dataclass(frozen=True)
class UncertaintyOptions(JointOptions):
    """Options of `Uncertainty`."""

    rate: float = 0.01
    """learning rate of the log-variances (Adam); 0 freezes them."""

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise InputError(f"uncertainty weighting's rate is {self.rate}; it must not be negative")


@METHODS.register("uncertainty")
class Uncertainty(TaskWeighting):
    """Weights each task by one over its learned variance."""

    Options: ClassVar[type[AUOptions]] = UncertaintyOptions

    def __init__(self, setup: Setup, options: UncertaintyOptions = UncertaintyOptions()) -> None:
        super().__init__(setup, options)
        self.variances = Variances().to(self.like)
        self.modules["variances"] = self.variances
        self.optimisers["variances"] = torch.optim.Adam(self.variances.parameters(), lr=options.rate)

    def task_weights(self, losses: Tensor, primary: int) -> Tensor:
        """exp(-s); then s takes its own step on the same losses."""
        weights = torch.exp(-self.variances.log.detach())
        self.variances.log.grad = self.variances.gradient(task_means(losses, primary))
        self.optimisers["variances"].step()
        return weights
