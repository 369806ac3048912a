"""Losses, virtual steps and network steps by plain autograd, typed anew: what methods are compared with."""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from metafacs.methods import Batch
from metafacs.models.network import Network, Output
from metafacs.sample import Sample, concatenated

Parameters = Mapping[str, Tensor]
RATE = 0.05
"""Learning rate of `tests.methods.networks.sgd`."""


def forward(network: nn.Module, parameters: Parameters, sample: Sample) -> Output:
    buffers = {k: b.clone() for k, b in network.named_buffers()}
    return functional_call(network, {**parameters, **buffers}, (sample,))


def au_loss(logits: Tensor, labels: Tensor, weight: Tensor | float = 1.0, reduction: str = "sum") -> Tensor:
    keep = ~labels.isnan()
    loss = weight * F.binary_cross_entropy_with_logits(logits, labels.nan_to_num(), reduction="none")
    return torch.where(keep, loss, 0.0).sum(1) / (keep.sum(1).clamp(min=1) if reduction == "mean" else 1)


def training_losses(network: nn.Module, parameters: Parameters, batch: Mapping[str, Batch]) -> tuple[Tensor, Tensor]:
    """Features and losses of both streams in one forward, the AU images' first."""
    primary, auxiliary = batch["primary"], batch["auxiliary"]
    out = forward(network, parameters, concatenated([primary.sample, auxiliary.sample]))
    n = len(primary)
    expression = F.cross_entropy(out.expression_logits[n:], auxiliary.labels, reduction="none")
    return out.feature, torch.cat([au_loss(out.au_logits[:n], primary.labels), expression])


def meta_loss(network: nn.Module, parameters: Parameters, meta: Batch, balance: tuple[Tensor, Tensor] | None) -> Tensor:
    weight = 1.0 if balance is None else torch.where(meta.labels == 1, *balance)
    return au_loss(forward(network, parameters, meta.sample).au_logits, meta.labels, weight).mean()


def task_losses(network: nn.Module, parameters: Parameters, batch: Mapping[str, Batch]) -> Tensor:
    """The mean loss of each task, (2,)."""
    losses, n = training_losses(network, parameters, batch)[1], len(batch["primary"])
    return torch.stack([losses[:n].mean(), losses[n:].mean()])


def ahead(
    network: Network,
    batch: Mapping[str, Batch],
    u_of: Callable[[Tensor, Tensor], Tensor],
    alpha: float,
    balance: tuple[Tensor, Tensor] | None,
    fixed_length: bool = False,
) -> Tensor:
    """The meta loss after a virtual step with weights `u_of(features, losses)`, with its second-order graph.

    With `fixed_length` the step is divided by its length, which depends on the weights, and multiplied by it, as a
    constant; the expression head, which the meta loss does not depend on, does not count.
    """
    theta = dict(network.named_parameters())
    feature, losses = training_losses(network, theta, batch)
    loss = (u_of(feature.detach(), losses.detach()) * losses).sum()
    gradients = torch.autograd.grad(loss, list(theta.values()), create_graph=True)
    if fixed_length:
        felt = [g.flatten() for name, g in zip(theta, gradients, strict=True) if not name.startswith("expression_head")]
        length = torch.cat(felt).norm()
        gradients = [g / length * length.detach() for g in gradients]
    virtual = {name: p - alpha * g for (name, p), g in zip(theta.items(), gradients, strict=True)}
    return meta_loss(network, virtual, batch["meta"], balance)


def stepped(network: Network, loss: Tensor) -> dict[str, Tensor]:
    """The parameters after a step of `sgd` down `loss`."""
    theta = dict(network.named_parameters())
    gradients = torch.autograd.grad(loss, list(theta.values()), retain_graph=True, allow_unused=True)
    return {
        name: p.detach() if g is None else p.detach() - RATE * g
        for (name, p), g in zip(theta.items(), gradients, strict=True)
    }


def relative(a: Tensor, b: Tensor) -> float:
    """Distance of a from b, in lengths of b."""
    return ((a - b).norm() / b.norm().clamp(min=1e-300)).item()


def assert_parameters(network: nn.Module, expected: Parameters, tolerance: float = 1e-12) -> None:
    for name, p in network.named_parameters():
        assert (p.detach() - expected[name]).abs().max() < tolerance, name


def assert_same_state(one: nn.Module, other: nn.Module) -> None:
    """Equal to the last bit."""
    states = one.state_dict(), other.state_dict()
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
