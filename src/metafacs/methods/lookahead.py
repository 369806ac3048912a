"""The gradient of a one-step look-ahead with respect to per-sample loss weights, without a second-order graph.

Paper: Li & Shan, Meta Auxiliary Learning for Facial Action Unit Detection, IEEE TAFFC 2023, Eq. 6-9. With the virtual
step theta'(u) = theta - alpha * sum_i u_i grad l_i(theta) and the meta loss L at theta',

    dL/du_i = -alpha * <grad l_i(theta), v>,   v = grad L(theta'),

and <grad l_i, v> for all i at once is one forward-mode (Jacobian-vector) pass of the loss vector in direction v.
Differs from the paper in: nothing; it is the same gradient, computed without differentiating through a gradient.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal, NamedTuple

import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from metafacs import distributed
from metafacs.methods.tangents import Record, Tangents

Way = Literal["forward", "difference", "second-order"]
Parameters = Mapping[str, Tensor]
LossesAt = Callable[[Parameters], Tensor]
"""Parameters -> losses. Must leave buffers and random state as they were."""

logger = logging.getLogger(__name__)


class WeightGradient(NamedTuple):
    """What one look-ahead step found."""

    gradient: Tensor
    """(n,): d meta loss / d u_i."""
    meta_loss: Tensor
    """(): the meta loss after the virtual step."""


def weight_gradient(
    losses: Tensor,
    losses_at: LossesAt,
    meta_loss_at: LossesAt | Sequence[LossesAt],
    parameters: Parameters,
    u: Tensor,
    alpha: float,
    way: Way = "forward",
    record: Record | None = None,
) -> WeightGradient:
    """d meta_loss(theta'(u)) / du for theta'(u) = theta - alpha * sum_i u_i grad l_i(theta).

    Args:
        losses: (n,), l_i at theta with its graph; the graph is kept, so that the caller's own update can use it.
        losses_at: the same losses as a function of the parameters.
        meta_loss_at: the meta loss as a function of the parameters. With several processes: this process's
            share, so that the sum over processes is the whole. Or several such functions, whose sum it is: their
            graphs then live one after the other, and they must not put the random state back.
        parameters: theta by name, leaves that require a gradient.
        u: (n,), weight of every loss in the virtual step.
        alpha: length of the virtual step.
        way: "forward" is exact at the cost of one forward-mode pass; "difference" replaces that pass by a
            central difference, for layers without a forward-mode rule; "second-order" differentiates through
            the gradient, the usual implementation, kept as the reference.
        record: of the forward pass that gave `losses`; saves a third of the forward-mode pass.

    Returns:
        The gradient at this process's samples and the meta loss over all processes, both detached.
    """
    if way == "second-order":
        if not callable(meta_loss_at):
            raise ValueError("the second-order reference takes the meta loss in one piece")
        return _second_order(losses, meta_loss_at, parameters, u, alpha)
    step = weighted_gradient(losses, parameters, u, retain_graph=True)
    v, meta_loss = look_ahead(step, meta_loss_at, parameters, alpha)
    return WeightGradient(-alpha * alignment(losses_at, parameters, v, way, record), meta_loss)


def look_ahead(
    step: Parameters, meta_loss_at: LossesAt | Sequence[LossesAt], parameters: Parameters, alpha: float
) -> tuple[Parameters, Tensor]:
    """The gradient v of the meta loss after a virtual step of length `alpha` along `step`, and that meta loss.

    Args:
        step: gradient of the weighted losses by those parameters that they depend on.
        meta_loss_at: as for `weight_gradient`.
        parameters: theta by name.
    """
    virtual = _moved(parameters, step, alpha)
    at = {**parameters, **virtual}
    if callable(meta_loss_at):
        return _meta_gradient([meta_loss_at], at, list(virtual))
    with RandomState(next(iter(at.values()))).replayed():
        return _meta_gradient(meta_loss_at, at, list(virtual))


def alignment(
    losses_at: LossesAt, parameters: Parameters, v: Parameters, way: Way, record: Record | None = None
) -> Tensor:
    """<grad l_i(theta), v> for every i, exactly or, by way of "difference", nearly."""
    if way == "forward":
        return _jvp(losses_at, parameters, v, record)
    return _alignment_difference(losses_at, parameters, v)


def weighted_gradient(
    losses: Tensor, parameters: Parameters, weights: Tensor, retain_graph: bool = False
) -> dict[str, Tensor]:
    """sum_i weights_i * grad l_i over the losses of all processes; parameters without influence are left out."""
    found = own_gradient(losses, parameters, weights, retain_graph)
    return dict(zip(found, distributed.total(list(found.values())), strict=True))


def own_gradient(
    losses: Tensor, parameters: Parameters, weights: Tensor, retain_graph: bool = False
) -> dict[str, Tensor]:
    """`weighted_gradient` over the losses of this process alone."""
    gradients = torch.autograd.grad(
        losses, list(parameters.values()), grad_outputs=weights, retain_graph=retain_graph, allow_unused=True
    )
    return {name: g for name, g in zip(parameters, gradients, strict=True) if g is not None}


def pick_way(network: nn.Module, images: Tensor) -> Way:
    """ "forward" if every layer of `network` has a forward-mode rule, else "difference", with a warning.

    Args:
        network: is called once in the mode it is in, on copies of its buffers.
        images: a few images to try it with, (n, 3, H, W).
    """
    parameters = {name: p.detach() for name, p in network.named_parameters()}
    call = isolated(network)
    try:
        with RandomState(images).replayed():
            _jvp(lambda p: call(p, images)[0], parameters, parameters)
    except (NotImplementedError, RuntimeError) as error:
        if "forward" not in str(error):
            raise
        reason = str(error).splitlines()[0]
        logger.warning("a layer has no forward-mode derivative (%s): using central differences", reason)
        return "difference"
    return "forward"


def differentiable_attention() -> AbstractContextManager[None]:
    """Attention by plain matrix products: the fused kernels have no forward-mode and no second-order rule."""
    return sdpa_kernel(SDPBackend.MATH)


def isolated(
    network: nn.Module, thrift: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Callable[[Parameters, Tensor], tuple[Tensor, ...]]:
    """`network` as a function of parameters and images that changes none of its buffers.

    `functional_call` in train mode would write BatchNorm's running statistics into the network; every call
    works on clones, taken now, instead. Random layers still advance the random state: see `RandomState`.

    Args:
        network: is called in the mode it is in.
        thrift: makes a context for every call, such as `recomputed`.
    """
    before = {name: b.clone() for name, b in network.named_buffers()}

    def call(parameters: Parameters, images: Tensor) -> tuple[Tensor, ...]:
        buffers = {name: b.clone() for name, b in before.items()}
        with thrift():
            return functional_call(network, {**parameters, **buffers}, (images,))

    return call


class RandomState:
    """Torch's random state at construction, for passes that must draw the same dropout masks again.

    Args:
        like: a tensor on the device whose random state counts, beside the CPU's.
    """

    def __init__(self, like: Tensor) -> None:
        self._devices = _cuda_devices(like)
        self._cpu = torch.get_rng_state()
        self._cuda = [torch.cuda.get_rng_state(d) for d in self._devices]

    @contextmanager
    def replayed(self) -> Iterator[None]:
        """Within, random numbers start at the recorded state; after, the present state is back."""
        with torch.random.fork_rng(devices=self._devices):
            torch.set_rng_state(self._cpu)
            for device, state in zip(self._devices, self._cuda, strict=True):
                torch.cuda.set_rng_state(state, device)
            yield


def _cuda_devices(like: Tensor) -> list[int]:
    return [like.device.index or 0] if like.is_cuda else []


def _moved(parameters: Parameters, step: Parameters, alpha: float) -> Parameters:
    """theta - alpha * step, as leaves that require a gradient, of the parameters that `step` names."""
    values = [parameters[name].detach() for name in step]
    moved = torch._foreach_add(values, list(step.values()), alpha=-alpha)
    return {name: p.requires_grad_() for name, p in zip(step, moved, strict=True)}


def _meta_gradient(terms_at: Sequence[LossesAt], at: Parameters, names: Sequence[str]) -> tuple[Parameters, Tensor]:
    """v = grad of the sum of terms by the parameters `names` (those it depends on), and the sum itself."""
    wanted = set(names)
    moving = {name: p if name in wanted else p.detach() for name, p in at.items()}
    found: dict[str, Tensor] = {}
    values = []
    for term_at in terms_at:
        term = term_at(moving)
        values.append(term.detach())
        gradients = torch.autograd.grad(term, [at[name] for name in names], allow_unused=True)
        add_up(found, {name: g for name, g in zip(names, gradients, strict=True) if g is not None})
        del term, gradients
    *summed, meta_loss = distributed.total([*found.values(), torch.stack(values).sum()])
    return dict(zip(found, summed, strict=True)), meta_loss


def add_up(sums: dict[str, Tensor], terms: Parameters) -> None:
    """Adds `terms` to `sums`, in place, name by name."""
    both = [name for name in terms if name in sums]
    if both:
        torch._foreach_add_([sums[name] for name in both], [terms[name] for name in both])
    sums.update({name: term for name, term in terms.items() if name not in sums})


def _jvp(
    function: LossesAt, parameters: Parameters, direction: Mapping[str, Tensor], record: Record | None = None
) -> Tensor:
    """Directional derivative of `function` at `parameters`: <grad l_i, direction> for every i at once."""
    with torch.no_grad(), differentiable_attention(), forward_ad.dual_level(), Tangents(record):
        duals = {
            name: forward_ad.make_dual(p.detach(), direction[name].to(p.dtype)) if name in direction else p.detach()
            for name, p in parameters.items()
        }
        out = function(duals)
        tangent = forward_ad.unpack_dual(out).tangent
    return torch.zeros_like(out) if tangent is None else tangent


def _alignment_difference(losses_at: LossesAt, parameters: Parameters, v: Parameters) -> Tensor:
    """<grad l_i(theta), v> for every i by a central difference of two forward passes.

    The step moves theta by a fixed small distance along v, the best of those tried on ResNet-18 and -34: longer ones
    cross more kinks of ReLU, shorter ones drown in rounding.
    """
    direction = list(v.values())
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in direction]))
    distance = 1e-7 if norm.dtype == torch.float64 else 3e-4
    size = distance / norm.clamp(min=torch.finfo(norm.dtype).tiny)
    with torch.no_grad():
        ends = []
        for sign in (1.0, -1.0):
            moved = dict(parameters)
            moved |= {name: parameters[name].detach() + sign * size * g for name, g in v.items()}
            ends.append(losses_at(moved))
        return (ends[0] - ends[1]) / (2 * size)


def _second_order(
    losses: Tensor, meta_loss_at: LossesAt, parameters: Parameters, u: Tensor, alpha: float
) -> WeightGradient:
    """The reference: keep the graph of the gradient and differentiate the meta loss through it (one process)."""
    if distributed.count() > 1:
        raise RuntimeError("the second-order reference runs in one process; use way='forward'")
    u = u.detach().requires_grad_()
    values: Sequence[Tensor] = list(parameters.values())
    with differentiable_attention():
        gradients = torch.autograd.grad(
            losses, values, grad_outputs=u, retain_graph=True, create_graph=True, allow_unused=True
        )
        virtual = {
            name: p if g is None else p - alpha * g for (name, p), g in zip(parameters.items(), gradients, strict=True)
        }
        meta_loss = meta_loss_at(virtual)
        (gradient,) = torch.autograd.grad(meta_loss, u, retain_graph=True)
    return WeightGradient(gradient, meta_loss.detach())
