"""The gradient of a one-step look-ahead with respect to per-sample loss weights, without a second-order graph.

Paper: Li & Shan, Meta Auxiliary Learning for Facial Action Unit Detection, IEEE TAFFC 2023, Eq. 6-9. With the virtual
step theta'(u) = theta - alpha * sum_i u_i grad l_i(theta) and the meta loss L at theta',

    dL/du_i = -alpha * <grad l_i(theta), v>,   v = grad L(theta'),

and <grad l_i, v> for all i at once is one forward-mode (Jacobian-vector) pass of the loss vector in direction v.
Differs from the paper in: nothing; it is the same gradient, computed without differentiating through a gradient.

Nothing here knows what the losses are of: a network is any module, a loss any function of what the network gives.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, Literal
from weakref import WeakSet

import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from metafacs import distributed
from metafacs.methods.tangents import Record, Tangents

Way = Literal["auto", "forward", "difference"]
Parameters = Mapping[str, Tensor]
Call = Callable[..., Any]
"""A network, or its stand-in at other parameters."""
LossesAt = Callable[[Parameters], Tensor]
"""Parameters -> losses. Must leave buffers and random state as they were."""

logger = logging.getLogger(__name__)
_without_forward_mode: WeakSet[nn.Module] = WeakSet()
"""Networks in which a layer was found that has no forward-mode rule."""


class LookAhead:
    """The losses l_i of one training batch at theta, and where a virtual step on them leads.

    theta are the network's parameters, L is another loss, and u_i weighs l_i in the virtual step to theta'. Then
    `virtual_step(u, alpha)` is theta', `gradient_at(theta', L)` is v = grad L(theta'), and `-alpha * alignment(v)` is
    dL/du_i. One forward pass at theta serves all of it and the network's own step.

    With several processes each has the losses and weights of its own images; gradients by theta are summed over all.

    Args:
        network: any module, in the mode in which it trains.
        forward: is given the network, calls it, and returns what it likes and the losses, (n,). It is called once
            now, the one pass that counts for BatchNorm's running statistics, and again with stand-ins: these have other
            parameters, draw the same random masks, and leave buffers and random state alone.
        way: how the alignments are found. "forward": exactly, in forward mode. "difference": nearly, by a central
            difference, for layers without a forward-mode rule. "auto": forward mode where every layer has a rule,
            else a central difference, with a warning.
        autocast: makes the context of forward passes (mixed precision); central differences do without.
        record: whether forward mode takes over what layers give in the pass at theta, for a third less to compute.

    Attributes:
        output: what `forward` returned first.
        losses: (n,), with their graph; `weighted_gradient` of them is the network's own step.
        theta: the network's parameters by name, without frozen ones.
        gradient: sum_i u_i grad l_i(theta) of the last virtual step.
    """

    def __init__(
        self,
        network: nn.Module,
        forward: Callable[[Call], tuple[Any, Tensor]],
        way: Way = "auto",
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
        record: bool = True,
    ) -> None:
        self.theta: dict[str, Tensor] = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self.gradient: dict[str, Tensor] = {}
        self._network, self._forward, self._autocast = network, forward, autocast
        self._way: Way = "difference" if way == "auto" and network in _without_forward_mode else way
        self._stand_in, self._random = isolated(network), RandomState(next(network.parameters()))
        self._record = Record() if record and self._way != "difference" else None
        with self._record or nullcontext(), autocast():
            self.output, self.losses = forward(network)

    def virtual_step(self, u: Tensor, alpha: float) -> dict[str, Tensor]:
        """theta' = theta - alpha * sum_i u_i grad l_i(theta), leaves; of the parameters that the losses depend on."""
        self.gradient = weighted_gradient(self.losses, self.theta, u.detach(), retain_graph=True)
        virtual = {}
        for name, gradient in self.gradient.items():
            virtual[name] = torch.add(self.theta[name].detach(), gradient, alpha=-alpha).requires_grad_()
        return virtual

    def across(self, v: Parameters) -> dict[str, Tensor]:
        """v without its part along the virtual step.

        `-alpha * alignment(across(v))` is dL/du_i of a virtual step whose length does not depend on u: theta' = theta
        - c * g / |g| with g = sum_i u_i grad l_i and the constant c = alpha * |g|, |g| over the parameters that L
        depends on (the others may move as they like; through torch.compile their gradient is zero and not None).
        """
        g = {name: self.gradient[name] for name in v if name in self.gradient}
        counts = {name: v[name].any() for name in g}
        along, square = (torch.stack([counts[n] * (x[n] * g[n]).sum() for n in g]).sum() for x in (v, g))
        share = along / square.clamp(min=torch.finfo(square.dtype).tiny)
        return {name: x - share * counts[name] * g[name] if name in g else x for name, x in v.items()}

    def gradient_at(self, virtual: Parameters, loss: Callable[[Call], Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """v = grad L(theta') and L(theta'), detached.

        Args:
            virtual: theta'.
            loss: is given the network at theta' and returns L; with several processes this one's share, so that the
                sum over processes is L.
        """
        at = {**self.theta, **virtual}
        with RandomState(self.losses).replayed(), self._autocast():
            value = loss(partial(self._stand_in, at))
        v = weighted_gradient(value, virtual, torch.ones_like(value))
        return v, distributed.total([value.detach()])[0]

    def alignment(self, v: Parameters) -> Tensor:
        """<grad l_i(theta), v> for every i, (n,). It can be asked once in forward mode: the record is used up."""
        if self._way == "difference":
            return difference(partial(self._losses_at, nullcontext), self.theta, v)
        try:
            return jvp(partial(self._losses_at, self._autocast), self.theta, v, self._record)
        except (NotImplementedError, RuntimeError) as error:
            if self._way != "auto" or "forward" not in str(error):
                raise
            reason = str(error).splitlines()[0]
            logger.warning("a layer has no forward-mode derivative (%s): using central differences", reason)
            _without_forward_mode.add(self._network)
            self._way = "difference"
            return self.alignment(v)

    def _losses_at(self, autocast: Callable[[], AbstractContextManager[object]], parameters: Parameters) -> Tensor:
        with self._random.replayed(), autocast():
            return self._forward(partial(self._stand_in, parameters))[1]


def weighted_gradient(
    losses: Tensor, parameters: Parameters, weights: Tensor, retain_graph: bool = False
) -> dict[str, Tensor]:
    """sum_i weights_i * grad l_i over the losses of all processes; parameters without influence are left out."""
    gradients = torch.autograd.grad(
        losses, list(parameters.values()), grad_outputs=weights, retain_graph=retain_graph, allow_unused=True
    )
    shares = {name: g for name, g in zip(parameters, gradients, strict=True) if g is not None}
    return dict(zip(shares, distributed.total(list(shares.values())), strict=True))


def jvp(function: LossesAt, parameters: Parameters, direction: Parameters, record: Record | None = None) -> Tensor:
    """Directional derivative of `function` at `parameters`: <grad l_i, direction> for every i at once.

    Args:
        function: parameters -> (n,).
        parameters: where.
        direction: of those parameters that it names; it is zero in the others.
        record: of a pass of `function` at `parameters`.
    """
    with torch.no_grad(), differentiable_attention(), forward_ad.dual_level(), Tangents(record):
        duals = {
            name: forward_ad.make_dual(p.detach(), direction[name].to(p.dtype)) if name in direction else p.detach()
            for name, p in parameters.items()
        }
        out = function(duals)
        tangent = forward_ad.unpack_dual(out).tangent
    return torch.zeros_like(out) if tangent is None else tangent


def difference(function: LossesAt, parameters: Parameters, direction: Parameters) -> Tensor:
    """What `jvp` gives, nearly: a central difference of two forward passes.

    The step moves theta by a fixed small distance, the best of those tried on ResNet-18 and -34: longer ones cross more
    kinks of ReLU, shorter ones drown in rounding.
    """
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in direction.values()]))
    distance = 1e-7 if norm.dtype == torch.float64 else 3e-4
    size = distance / norm.clamp(min=torch.finfo(norm.dtype).tiny)
    with torch.no_grad():
        ends = []
        for sign in (1.0, -1.0):
            moved = {name: parameters[name].detach() + sign * size * g for name, g in direction.items()}
            ends.append(function({**parameters, **moved}))
        return (ends[0] - ends[1]) / (2 * size)


def differentiable_attention() -> AbstractContextManager[None]:
    """Attention by plain matrix products: the fused kernels have no forward-mode and no second-order rule."""
    return sdpa_kernel(SDPBackend.MATH)


def isolated(network: nn.Module) -> Callable[..., Any]:
    """`network` as a function of parameters and its own inputs that changes none of its buffers.

    `functional_call` in train mode would write BatchNorm's running statistics into the network; every call
    works on copies, taken now, instead. Random layers still advance the random state: see `RandomState`.
    """
    buffers = dict(network.named_buffers())
    before = list(map(torch.clone, buffers.values()))

    def call(parameters: Parameters, *inputs: Any) -> Any:
        copies = zip(buffers, map(torch.clone, before), strict=True)
        return functional_call(network, {**parameters, **dict(copies)}, inputs)

    return call


class RandomState:
    """Torch's random state at construction, for passes that must draw the same dropout masks again.

    Args:
        like: a tensor on the device whose random state counts, beside the CPU's.
    """

    def __init__(self, like: Tensor) -> None:
        self._devices = [like.device] if like.is_cuda else []
        self._cpu = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state(like.device) if like.is_cuda else None

    @contextmanager
    def replayed(self) -> Iterator[None]:
        """Within, random numbers start at the recorded state; after, the present state is back."""
        with torch.random.fork_rng(devices=self._devices):
            torch.set_rng_state(self._cpu)
            if self._cuda is not None:
                torch.cuda.set_rng_state(self._cuda, self._devices[0])
            yield
