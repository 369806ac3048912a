"""LBTW, loss-balanced task weighting: the further a task's loss has fallen in an epoch, the less weight it gets.

Paper: Liu, Liang & Gitter, Loss-Balanced Task Weighting to Reduce Negative Transfer in Multi-Task Learning, AAAI 2019
(student abstract), Algorithm 1. In every step, with L_t the task's loss on the batch and L_t(0) that on the first batch
of the epoch,

    w_t = (L_t / L_t(0)) ^ alpha.

Differs from the paper in: an epoch is a window of steps, since the two streams have epochs of different length; the
weights are scaled to add up to the number of tasks, as the authors' code does and the paper does not say, and the
loss is the mean over the tasks, not their sum.
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


@METHODS.register("loss_balanced")
class LossBalanced(TaskWeighting):
    """Weights each task by how little its loss has fallen since the start of an epoch.

    Args:
        network: the base network.
        optimiser: makes the base optimiser.
        class_weights: not used.
        autocast: mixed precision.
        alpha: exponent; 0 is MTL.
        window: steps after which the initial losses are taken anew; the paper's epoch. 0: never.
        au_reduction: "mean" or "sum" over the labelled AUs of an image.
        statistics: BatchNorm statistics of the two streams: "joint" or "separate", as for MTL.
    """

    def __init__(
        self,
        network: Network,
        optimiser: OptimiserFactory,
        class_weights: tuple[Tensor, Tensor] | None = None,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
        alpha: float = 0.5,
        window: int = 50,
        au_reduction: AUReduction = "mean",
        statistics: StatisticsMode = "joint",
    ) -> None:
        super().__init__(network, optimiser, class_weights, autocast, au_reduction, statistics)
        if alpha < 0 or window < 0:
            raise InputError(f"LBTW's alpha and window must not be negative; found {alpha} and {window}")
        self.alpha, self.window = alpha, window
        self.start = InitialLosses(self.like)
        self.modules["start"] = self.start

    def task_weights(self, losses: Tensor, primary: int) -> Tensor:
        """Of the losses of this step."""
        means, steps = task_means(losses, primary), int(self.start.steps)
        if steps == 0 or (self.window and steps % self.window == 0):
            self.start.initial.copy_(means)
        self.start.steps += 1
        return balanced_weights(means, self.start.initial, self.alpha)
