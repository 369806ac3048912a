"""The gradient of a loss after several virtual steps, with respect to what shaped those steps.

With theta_(k+1) = theta_k - alpha * grad l_k(theta_k, phi) and L at the last theta, the chain rule from the end gives

    v_K = grad L(theta_K),
    dL/dphi -= alpha * d/dphi <grad l_k(theta_k, phi), v_(k+1)>,
    v_k = v_(k+1) - alpha * d/dtheta <grad l_k(theta_k, phi), v_(k+1)>,

so that only one step's second-order graph is alive at a time. This is exact.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from metafacs import distributed
from metafacs.methods.lookahead import LossesAt, Parameters, differentiable_attention


class UnrolledGradient(NamedTuple):
    """What some virtual steps found."""

    gradient: list[Tensor]
    """d outer loss / d phi, of all processes together."""
    outer_loss: Tensor
    """(): the outer loss after the steps, of all processes together."""


def unrolled_gradient(
    steps: Sequence[LossesAt], outer_loss_at: LossesAt, theta: Parameters, phi: Sequence[Tensor], alpha: float
) -> UnrolledGradient:
    """d outer_loss(theta_K) / d phi after one virtual SGD step on each of `steps`.

    Args:
        steps: each a scalar loss of theta (and of phi, by its graph); must give the same whenever it is called at the
            same theta. With several processes: this process's share, so that the sum over processes is the whole.
        outer_loss_at: a scalar loss of theta alone, shared in the same way.
        theta: the start, by name; left as it is.
        phi: leaves that require a gradient.
        alpha: length of a virtual step.
    """
    with differentiable_attention():
        at = [_leaves(theta)]
        for loss_at in steps:
            slope = _gradients(loss_at(at[-1]), at[-1])
            at.append(
                _leaves({name: p.detach() - alpha * g for (name, p), g in zip(at[-1].items(), slope, strict=True)})
            )
        outer = outer_loss_at(at[-1])
        v = _gradients(outer, at[-1])
        gradient = [torch.zeros_like(p) for p in phi]
        for loss_at in reversed(steps):
            at.pop()
            by_theta, by_phi = _pulled_back(loss_at(at[-1]), at[-1], phi, v)
            v = [a - alpha * b for a, b in zip(v, by_theta, strict=True)]
            gradient = [a - alpha * b for a, b in zip(gradient, by_phi, strict=True)]
    return UnrolledGradient(gradient, distributed.total([outer.detach()])[0])


def _leaves(parameters: Parameters) -> dict[str, Tensor]:
    return {name: p.detach().requires_grad_() for name, p in parameters.items()}


def _gradients(loss: Tensor, parameters: Parameters) -> list[Tensor]:
    """The gradient over all processes; zeros where the loss does not depend on a parameter."""
    values = list(parameters.values())
    return distributed.total(torch.autograd.grad(loss, values, allow_unused=True, materialize_grads=True))


def _pulled_back(
    loss: Tensor, theta: Parameters, phi: Sequence[Tensor], v: Sequence[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """d <grad_theta loss, v> by theta and by phi, over all processes."""
    values = list(theta.values())
    slopes = torch.autograd.grad(loss, values, create_graph=True, allow_unused=True)
    terms = [(s * direction).sum() for s, direction in zip(slopes, v, strict=True) if s is not None]
    along = torch.stack(terms).sum()
    gradients = torch.autograd.grad(along, [*values, *phi], allow_unused=True, materialize_grads=True)
    summed = distributed.total(gradients)
    return summed[: len(values)], summed[len(values) :]
