"""LBTW, loss-balanced task weighting: the further a task's loss has fallen in an epoch, the less weight it gets.

Paper: Liu, Liang & Gitter, Loss-Balanced Task Weighting to Reduce Negative Transfer in Multi-Task Learning, AAAI 2019
(student abstract), Algorithm 1. In every step, with L_t the task's loss on the batch and L_t(0) that on the first batch
of the epoch,

    w_t = (L_t / L_t(0)) ^ alpha.

Differs from the paper in: an epoch is a window of steps, since the two streams have epochs of different length; the
weights are scaled to add up to the number of tasks, as the authors' code does and the paper does not say, and the
loss is the mean over the tasks, not their sum.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from metafacs.errors import InputError
from metafacs.methods.base import METHODS, AUOptions, Setup
from metafacs.methods.losses import JointOptions
from metafacs.methods.task_weighting import TASKS, TaskWeighting, task_means


def balanced_weights(losses: Tensor, initial: Tensor, alpha: float) -> Tensor:
    """Weights (2,) that add up to 2 from the tasks' losses on this batch and on the first one, (2,) each."""
    weights = (losses / initial.clamp(min=torch.finfo(initial.dtype).tiny)) ** alpha
    return TASKS * weights / weights.sum()


class InitialLosses(nn.Module):
    """The tasks' losses at the start of the window; and the number of steps taken."""

    initial: Tensor
    steps: Tensor

    def __init__(self, like: Tensor) -> None:
        super().__init__()
        self.register_buffer("initial", torch.zeros(TASKS, dtype=like.dtype, device=like.device))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))  # on the CPU: nothing waits for the GPU


@dataclass(frozen=True)
class LossBalancedOptions(JointOptions):
    """Options of `LossBalanced`."""

    alpha: float = 0.5
    """exponent; 0 is MTL."""
    window: int = 50
    """steps after which the initial losses are taken anew; the paper's epoch. 0: never."""

    def __post_init__(self) -> None:
        if self.alpha < 0 or self.window < 0:
            raise InputError(f"LBTW's alpha and window must not be negative; found {self.alpha} and {self.window}")


@METHODS.register("loss_balanced")
class LossBalanced(TaskWeighting):
    """Weights each task by how little its loss has fallen since the start of an epoch."""

    Options: ClassVar[type[AUOptions]] = LossBalancedOptions

    def __init__(self, setup: Setup, options: LossBalancedOptions = LossBalancedOptions()) -> None:
        super().__init__(setup, options)
        self.alpha, self.window = options.alpha, options.window
        self.start = InitialLosses(self.like)
        self.modules["start"] = self.start

    def task_weights(self, losses: Tensor, primary: int) -> Tensor:
        """Of the losses of this step."""
        means, steps = task_means(losses, primary), int(self.start.steps)
        if steps == 0 or (self.window and steps % self.window == 0):
            self.start.initial.copy_(means)
        self.start.steps += 1
        return balanced_weights(means, self.start.initial, self.alpha)
