"""What methods with two task weights share: MTL's step, the weights of the two tasks found anew in every one.

Papers on task weighting add the tasks' losses up, with weights that add up to the number of tasks. Here the loss is the
mean over the two tasks: with weights of one each it is MTL's to the last bit, and a learning rate means the same.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from metafacs import distributed
from metafacs.methods.base import Batch, Method, Setup, Stream
from metafacs.methods.lookahead import weighted_gradient
from metafacs.methods.losses import JointForward, JointOptions, over_batches, task_losses

TASKS = 2


class TaskWeighting(Method):
    """Trains on the mean over both tasks of weight times mean loss. A subclass provides `task_weights`."""

    streams: ClassVar[tuple[Stream, ...]] = ("primary", "auxiliary")

    def __init__(self, setup: Setup, options: JointOptions) -> None:
        super().__init__(setup, options)
        self.joint = JointForward(setup, options)
        self.like = next(setup.network.parameters()).detach()

    @abstractmethod
    def task_weights(self, losses: Tensor, primary: int) -> Tensor:
        """The weights of this step, (2,): AU task, expression task; without a graph.

        Args:
            losses: (B1 + B2,) of this process's images, the AU images' first, with their graph.
            primary: B1.
        """

    def training_step(self, batch: Mapping[Stream, Batch]) -> dict[str, Tensor]:
        """One gradient step on the weighted mean of the two tasks' mean losses."""
        self.network.train()
        n = len(batch["primary"])
        losses = self.joint(batch["primary"], batch["auxiliary"])[1]
        weights = self.task_weights(losses, n) / TASKS
        parameters = dict(self.network.named_parameters())
        self.update_base(weighted_gradient(losses, parameters, over_images(weights, n, len(losses))))
        return {
            **task_losses(losses, n),
            "weight_primary": weights[0],
            "weight_auxiliary": weights[1],
        }


def over_images(weights: Tensor, primary: int, images: int) -> Tensor:
    """Task weights (2,) -> the weight of every one of this process's images in the loss of all processes, (images,).

    Args:
        weights: of the AU task and of the expression task.
        primary: how many of the images, the first ones, are AU images.
        images: of both streams.
    """
    each = torch.cat([weights[:1].expand(primary), weights[1:].expand(images - primary)])
    return over_batches(each, primary) / distributed.count()


def task_means(losses: Tensor, primary: int) -> Tensor:
    """The mean loss of each task over the images of all processes, (2,), detached.

    Args:
        losses: (B1 + B2,) of this process, the AU images' first.
        primary: B1.
    """
    means = torch.stack([losses[:primary].detach().mean(), losses[primary:].detach().mean()])
    return distributed.total([means])[0] / distributed.count()
