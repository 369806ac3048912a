"""GradNorm: task weights learned so that both tasks train at similar rates.

Paper: Chen, Badrinarayanan, Lee & Rabinovich, GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep
Multitask Networks, ICML 2018, Eq. 1-2, Algorithm 1. With g_t the norm of the gradient of L_t by the last shared layer's
weights, G_t = w_t g_t, and r_t = (L_t / L_t(0)) / mean over tasks of the same,

    L_grad = sum_t | G_t - mean_i(G_i) r_t^alpha |,    the second term taken as a constant;

w takes a step down L_grad and is scaled to add up to the number of tasks; the network's step has the w of before.

Differs from the paper in: the last shared layer is the last convolution of a ResNet's main branch (`last_shared`),
since both heads are linear on the pooled feature; w stays above 0.01, which the paper leaves open; the loss is the mean
over the tasks, not their sum.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from timm.models.resnet import ResNet
from torch import Tensor, nn

from metafacs import distributed
from metafacs.errors import InputError
from metafacs.methods.base import METHODS, AUOptions, Setup
from metafacs.methods.losses import JointOptions
from metafacs.methods.task_weighting import TASKS, TaskWeighting, over_images, task_means

SMALLEST = 0.01
"""Weights are kept above this before they are scaled: a negative one would train its task backwards."""


class Balance(nn.Module):
    """The task weights, which add up to 2, and every task's first loss."""

    initial: Tensor
    steps: Tensor

    def __init__(self, like: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(TASKS, dtype=like.dtype, device=like.device))
        self.register_buffer("initial", torch.zeros(TASKS, dtype=like.dtype, device=like.device))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))  # on the CPU: nothing waits for the GPU

    @torch.no_grad()
    def renormalise(self) -> None:
        """Scales the weights to add up to 2."""
        self.weights.clamp_(min=SMALLEST)
        self.weights.mul_(TASKS / self.weights.sum())


def weights_gradient(weights: Tensor, norms: Tensor, losses: Tensor, initial: Tensor, alpha: float) -> Tensor:
    """Of L_grad by the weights.

    Args:
        weights: w, (2,).
        norms: g, (2,), of the unweighted losses' gradients.
        losses: L, (2,).
        initial: L(0), (2,).
        alpha: strength with which training rates are pulled together.
    """
    ratio = losses / initial.clamp(min=torch.finfo(initial.dtype).tiny)
    target = (weights * norms).mean() * (ratio / ratio.mean()) ** alpha
    return torch.sign(weights * norms - target) * norms


def last_shared(backbone: nn.Module) -> nn.Parameter:
    """The weights of the last convolution of a ResNet's main branch, or of another backbone's last layer.

    Raises:
        InputError: the backbone has no weights.
    """
    if isinstance(backbone, ResNet):
        block = backbone.layer4[-1]  # a gate on its channels (squeeze and excitation) comes after
        return (block.conv3 if hasattr(block, "conv3") else block.conv2).weight
    matrices = [parameter for parameter in backbone.parameters() if parameter.dim() > 1]
    if not matrices:
        raise InputError("GradNorm needs a layer that both tasks share, but the backbone has no weights")
    return matrices[-1]


@dataclass(frozen=True)
class GradNormOptions(JointOptions):
    """Options of `GradNorm`."""

    alpha: float = 1.5
    """strength with which training rates are pulled together; 0 makes the gradient norms equal."""
    rate: float = 0.025
    """learning rate of the task weights (Adam)."""

    def __post_init__(self) -> None:
        if self.alpha < 0 or self.rate < 0:
            raise InputError(f"GradNorm's alpha and rate must not be negative; found {self.alpha} and {self.rate}")


@METHODS.register("gradnorm")
class GradNorm(TaskWeighting):
    """Learns task weights that bring the gradient norms of both tasks to what their training rates ask for."""

    Options: ClassVar[type[AUOptions]] = GradNormOptions

    def __init__(self, setup: Setup, options: GradNormOptions = GradNormOptions()) -> None:
        super().__init__(setup, options)
        self.alpha = options.alpha
        self.last_shared = last_shared(setup.network.backbone)
        self.balance = Balance(self.like)
        self.modules["balance"] = self.balance
        self.optimisers["balance"] = torch.optim.Adam(self.balance.parameters(), lr=options.rate)

    def task_weights(self, losses: Tensor, primary: int) -> Tensor:
        """The weights so far; then they take their own step on the same losses."""
        weights, means = self.balance.weights.detach().clone(), task_means(losses, primary)
        if not self.balance.steps:
            self.balance.initial.copy_(means)
        self.balance.steps += 1
        self.balance.weights.grad = weights_gradient(
            weights, self.gradient_norms(losses, primary), means, self.balance.initial, self.alpha
        )
        self.optimisers["balance"].step()
        self.balance.renormalise()
        return weights

    def gradient_norms(self, losses: Tensor, primary: int) -> Tensor:
        """g, (2,): the norm of each task's mean loss's gradient (of all processes) by the last shared layer."""
        gradients = []
        for task in torch.eye(TASKS, dtype=losses.dtype, device=losses.device):
            each = over_images(task, primary, len(losses))
            gradients.append(torch.autograd.grad(losses, self.last_shared, grad_outputs=each, retain_graph=True)[0])
        return torch.stack([torch.linalg.vector_norm(gradient) for gradient in distributed.total(gradients)])
