"""DWA, dynamic weight average: a task whose loss falls more slowly than the other's gets more weight.

Paper: Liu, Johns & Davison, End-to-End Multi-Task Learning with Attention, CVPR 2019, Eq. 7. With L_k(t) the mean loss
of task k over epoch t, K tasks and temperature T,

    r_k(t - 1) = L_k(t - 1) / L_k(t - 2),    weight_k(t) = K exp(r_k(t - 1) / T) / sum_i exp(r_i(t - 1) / T),

and r = 1 in the first two epochs.

Differs from the paper in: the averages are over windows of steps, since the two streams have epochs of different
length and a run may be shorter than two of them; the loss is the mean over the tasks, not their sum.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from metafacs.errors import InputError
from metafacs.methods.base import METHODS, AUOptions, Setup
from metafacs.methods.losses import JointOptions
from metafacs.methods.task_weighting import TASKS, TaskWeighting, task_means


def dynamic_weights(last: Tensor, before: Tensor, temperature: float) -> Tensor:
    """Weights (2,) that add up to 2 from the tasks' mean losses in the last window and in the one before, (2,) each."""
    ratio = last / before.clamp(min=torch.finfo(before.dtype).tiny)
    return TASKS * torch.softmax(ratio / temperature, 0)


class LossWindows(nn.Module):
    """The tasks' mean losses over the last two windows of steps, and their sum so far in this one.

    Args:
        window: steps.
        like: of the dtype and on the device of the losses.
    """

    sum: Tensor
    last: Tensor
    before: Tensor
    steps: Tensor

    def __init__(self, window: int, like: Tensor) -> None:
        super().__init__()
        self.window = window
        for name in ("sum", "last", "before"):
            self.register_buffer(name, torch.zeros(TASKS, dtype=like.dtype, device=like.device))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))  # on the CPU: nothing waits for the GPU

    def add(self, losses: Tensor) -> None:
        """Counts one more step's mean losses, (2,)."""
        self.sum += losses
        self.steps += 1
        if self.steps % self.window == 0:
            self.before.copy_(self.last)
            self.last.copy_(self.sum / self.window)
            self.sum.zero_()

    @property
    def full(self) -> bool:
        """Whether two windows are complete."""
        return int(self.steps) >= 2 * self.window


@dataclass(frozen=True)
class DWAOptions(JointOptions):
    """Options of `DWA`."""

    temperature: float = 2.0
    """T; the higher, the more equal the weights."""
    window: int = 50
    """steps over which losses are averaged; the paper's epoch."""

    def __post_init__(self) -> None:
        if self.temperature <= 0 or self.window < 1:
            raise InputError(
                "DWA's temperature must be positive and its window at least one step; found "
                f"{self.temperature} and {self.window}"
            )


@METHODS.register("dwa")
class DWA(TaskWeighting):
    """Weights the tasks by how fast their losses have fallen of late."""

    Options: ClassVar[type[AUOptions]] = DWAOptions

    def __init__(self, setup: Setup, options: DWAOptions = DWAOptions()) -> None:
        super().__init__(setup, options)
        self.temperature = options.temperature
        self.windows = LossWindows(options.window, self.like)
        self.modules["windows"] = self.windows

    def task_weights(self, losses: Tensor, primary: int) -> Tensor:
        """Of the two windows before this step; one each until there are two."""
        means, windows = task_means(losses, primary), self.windows
        weights = dynamic_weights(windows.last, windows.before, self.temperature) if windows.full else None
        windows.add(means)
        return torch.ones_like(means) if weights is None else weights
