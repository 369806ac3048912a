"""One training step in several ways: metafacs's own methods, brute force, and the public `higher` package.

Every variant trains the same network by the same SGD; those that learn sample weights do the same mathematics (Li &
Shan, Eq. 4-11): virtual step, meta step, base step.
"""

import importlib
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.autograd.forward_ad as forward_ad
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector
from torch.overrides import TorchFunctionMode

from metafacs.methods import Batch, Setup
from metafacs.methods.base import Stream
from metafacs.methods.lookahead import Way, isolated
from metafacs.methods.losses import au_losses, class_balance, expression_losses
from metafacs.methods.mal import MAL, MALOptions, MetaNetwork, normalise
from metafacs.methods.mtl import MTL
from metafacs.models.network import Network, Output, build_network
from metafacs.sample import Sample, concatenated

ALPHA, BETA, GAMMA = 0.1, 0.01, 0.01
PAPER = {"fixed_length": False, "inputs": "feature"}
"""Steps of theta', phi and theta."""
AUS, EXPRESSIONS = 12, 7
Batches = Mapping[Stream, Batch]


@dataclass
class Trainee:
    """A network in training: what `step` changes, and what is compared between the variants."""

    step: Callable[[], object]
    network: Network
    meta_network: nn.Module | None


@dataclass
class Workload:
    """What is trained on: `side` in pixels, batch sizes of the three streams."""

    backbone: str
    side: int
    primary: int
    auxiliary: int
    meta: int
    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    channels_last: bool = False
    precision: str = "fp32"
    """"fp32", "tf32" (matrix products and convolutions on a GPU) or "bf16" (autocast)."""
    compiled: bool = False
    """Whether the network goes through `torch.compile`."""

    def autocast(self) -> AbstractContextManager[object]:
        """The context of forward passes."""
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16) if self.precision == "bf16" else nullcontext()

    def placed(self, tensor: Tensor) -> Tensor:
        """`tensor` (images) on the device, in the memory format asked for."""
        memory = torch.channels_last if self.channels_last else torch.contiguous_format
        return tensor.to(self.device, self.dtype).contiguous(memory_format=memory)

    def network(self) -> Network:
        """Random weights, the same at every call; in training mode.

        timm starts every residual branch at zero: ReLU's inputs then lie on its kink, where no derivative exists, and
        the branch's own layers have no gradient to compare. BatchNorm's weights are moved away from there.
        """
        torch.manual_seed(0)
        network = build_network(self.backbone, AUS, EXPRESSIONS, "scratch")
        with torch.no_grad():
            for p in network.backbone.parameters():
                if p.dim() == 1:
                    p.add_(torch.randn_like(p), alpha=0.2)
        network.to(self.device, self.dtype)
        if self.channels_last:
            network.to(memory_format=torch.channels_last)
        if self.compiled:
            network.compile()
        return network.train()

    def batches(self) -> Batches:
        """Random images and labels, the same at every call."""
        g = torch.Generator().manual_seed(1)

        def images(n: int) -> Tensor:
            return self.placed(torch.rand(n, 3, self.side, self.side, generator=g))

        def aus(n: int) -> Tensor:
            return (torch.rand(n, AUS, generator=g) < 0.4).to(self.device, self.dtype)

        expressions = torch.randint(0, EXPRESSIONS, (self.auxiliary,), generator=g).to(self.device)
        return {
            "primary": Batch(Sample(images(self.primary)), aus(self.primary)),
            "auxiliary": Batch(Sample(images(self.auxiliary)), expressions),
            "meta": Batch(Sample(images(self.meta)), aus(self.meta)),
        }


def sgd(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The base optimiser of every variant."""
    return torch.optim.SGD(parameters, lr=GAMMA)


def randomise(meta_network: MetaNetwork) -> None:
    """Unequal sample weights, so that a comparison of gradients means something."""
    g = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for p in meta_network.parameters():
            p.copy_(torch.randn(p.shape, generator=g) * 0.2)


def mtl(work: Workload) -> Trainee:
    """metafacs's MTL."""
    network, batches = work.network(), work.batches()
    method = MTL(Setup(network, sgd, autocast=work.autocast))
    return Trainee(lambda: method.training_step(batches), network, None)


def mal(way: Way, **options: Any) -> Callable[[Workload], Trainee]:
    """metafacs's MAL, one way to find the meta gradient."""

    def build(work: Workload) -> Trainee:
        network, batches = work.network(), work.batches()
        balance = class_balance(batches["meta"].labels)
        chosen = {"alpha": ALPHA, "beta": BETA, "meta_optimiser": "sgd", "way": way, **PAPER, **options}
        method = MAL(Setup(network, sgd, balance, work.autocast), MALOptions(**chosen))
        randomise(method.meta_network)
        return Trainee(lambda: method.training_step(batches), network, method.meta_network)

    return build


class Usual:
    """MAL by second-order autograd: differentiate through the virtual step, then a forward anew.

    Args:
        work: what to train on.
        backward: find the meta gradient by `meta_loss.backward()`, as such methods are usually written, which also
            computes a second-order gradient of theta that nobody reads; else by `autograd.grad` for phi alone.
    """

    base = staticmethod(sgd)
    """Makes the optimiser of theta."""

    def __init__(self, work: Workload, backward: bool) -> None:
        self.backward, self.autocast = backward, work.autocast
        self.network, self.batches = work.network(), work.batches()
        self.meta_network = MetaNetwork(self.network.feature_size).to(work.device, work.dtype)
        randomise(self.meta_network)
        self.optimiser = self.base(self.network.parameters())
        self.meta_optimiser = torch.optim.SGD(self.meta_network.parameters(), lr=BETA)
        self.balance = class_balance(self.batches["meta"].labels)

    def weighted_loss(self, network: Callable[[Sample], Output]) -> Tensor:
        """The re-weighted loss of both streams, with a graph to the network and to the meta network."""
        primary, auxiliary = self.batches["primary"], self.batches["auxiliary"]
        n, m = len(primary), len(auxiliary)
        with self.autocast():
            out = network(concatenated([primary.sample, auxiliary.sample]))
        weights = normalise(self.meta_network(self.still(out.feature)), n)
        au = au_losses(out.au_logits[:n], primary.labels)
        expression = expression_losses(out.expression_logits[n:], auxiliary.labels)
        return (weights[:n] * au).sum() / n + (weights[n:] * expression).sum() / m

    def meta_loss(self, network: Callable[[Sample], Output]) -> Tensor:
        """The class-balanced AU loss of the reserved images."""
        meta = self.batches["meta"]
        with self.autocast():
            logits = network(meta.sample).au_logits
        return au_losses(logits, meta.labels, balance=self.balance).mean()

    @staticmethod
    def still(feature: Tensor) -> Tensor:
        """What the meta network is told: no derivative goes that way."""
        return feature.detach()

    def step(self) -> None:
        """Meta-train, meta-test, base-learning."""
        phi = list(self.meta_network.parameters())
        self.meta_optimiser.zero_grad()
        self.optimiser.zero_grad()
        self.find_meta_gradient(phi)
        self.meta_optimiser.step()
        self.optimiser.zero_grad()
        loss = self.weighted_loss(self.network)
        loss.backward(inputs=list(self.network.parameters()))
        self.optimiser.step()

    def find_meta_gradient(self, phi: list[nn.Parameter]) -> None:
        """d meta loss / d phi into `.grad`, through a functional virtual step."""
        theta, passes = dict(self.network.named_parameters()), isolated(self.network)
        loss = self.weighted_loss(lambda sample: passes(theta, sample))
        gradients = torch.autograd.grad(loss, list(theta.values()), create_graph=True)
        virtual = {name: p - ALPHA * g for (name, p), g in zip(theta.items(), gradients, strict=True)}
        meta_loss = self.meta_loss(lambda sample: passes(virtual, sample))
        meta_loss.backward(inputs=None if self.backward else phi)


class Higher(Usual):
    """The same with the virtual step by `higher.innerloop_ctx`."""

    def find_meta_gradient(self, phi: list[nn.Parameter]) -> None:
        """d meta loss / d phi into `.grad`, through the package's differentiable SGD."""
        import higher

        inner = torch.optim.SGD(self.network.parameters(), lr=ALPHA)
        with (
            warnings.catch_warnings(),
            higher.innerloop_ctx(self.network, inner, copy_initial_weights=False) as (
                network,
                optimiser,
            ),
        ):
            warnings.simplefilter("ignore")
            optimiser.step(self.weighted_loss(network))
            self.meta_loss(network).backward(inputs=None if self.backward else phi)


class TorchOpt(Usual):
    """The same with the virtual step by TorchOpt's differentiable SGD."""

    def find_meta_gradient(self, phi: list[nn.Parameter]) -> None:
        """d meta loss / d phi into `.grad`."""
        torchopt: Any = importlib.import_module("torchopt")  # not a dependency of ours

        before = torchopt.extract_state_dict(self.network, by="reference", with_buffers=False)
        buffers = {name: b.clone() for name, b in self.network.named_buffers()}
        inner = torchopt.MetaSGD(self.network, lr=ALPHA)
        inner.step(self.weighted_loss(self.network))
        self.meta_loss(self.network).backward(inputs=None if self.backward else phi)
        torchopt.recover_state_dict(self.network, before)
        with torch.no_grad():
            for name, b in self.network.named_buffers():
                b.copy_(buffers[name])


class MixedMode(Usual):
    """Forward mode over reverse mode, as MixFlow-MG (Kemaev et al., ICML 2025) finds a meta gradient.

    Ours, after the paper's description; theirs is JAX. The step's gradient by theta and phi is differentiated in
    forward mode in the direction of v, the gradient of the meta loss; its tangent by phi is the meta gradient, and the
    one by theta is what the method needs where there is more than one inner step.
    """

    def find_meta_gradient(self, phi: list[nn.Parameter]) -> None:
        """d meta loss / d phi into `.grad`."""
        theta, passes = dict(self.network.named_parameters()), isolated(self.network)
        loss = self.weighted_loss(lambda sample: passes(theta, sample))
        gradients = torch.autograd.grad(loss, list(theta.values()))
        virtual = {
            name: (p - ALPHA * g).detach().requires_grad_()
            for (name, p), g in zip(theta.items(), gradients, strict=True)
        }
        meta_loss = self.meta_loss(lambda sample: passes(virtual, sample))
        v = torch.autograd.grad(meta_loss, list(virtual.values()), allow_unused=True, materialize_grads=True)
        with forward_ad.dual_level(), PlainBatchNorm():
            pairs = zip(theta.items(), v, strict=True)
            duals = {name: forward_ad.make_dual(p, direction) for (name, p), direction in pairs}
            loss = self.weighted_loss(lambda sample: passes(duals, sample))
            wanted = phi if not self.backward else [*phi, *theta.values()]
            found = torch.autograd.grad(loss, wanted)
            for p, g in zip(phi, found, strict=False):
                p.grad = -ALPHA * forward_ad.unpack_dual(g).tangent

    @staticmethod
    def still(feature: Tensor) -> Tensor:
        """The feature without its tangent."""
        return forward_ad.unpack_dual(feature).primal.detach() if forward_ad._current_level >= 0 else feature.detach()


class PlainBatchNorm(TorchFunctionMode):
    """BatchNorm out of elementary operations: the backward of torch's own has no forward-mode rule."""

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Calls `func`, or its stand-in."""
        if func is not F.batch_norm:
            return func(*args, **(kwargs or {}))
        return _plain_batch_norm(*args, **(kwargs or {}))


def _plain_batch_norm(
    x: Tensor, mean: object, variance: object, weight: Tensor, bias: Tensor, *_: object, eps: float, **__: object
) -> Tensor:
    axes = [k for k in range(x.dim()) if k != 1]
    shape = [-1 if k == 1 else 1 for k in range(x.dim())]
    centred = x - x.mean(axes, keepdim=True)
    scale = (centred.square().mean(axes, keepdim=True) + eps).rsqrt()
    return centred * scale * weight.view(shape) + bias.view(shape)


def usual(trainer: type[Usual], backward: bool) -> Callable[[Workload], Trainee]:
    """Second-order autograd, by torch alone or by `higher`."""

    def build(work: Workload) -> Trainee:
        built = trainer(work, backward)
        return Trainee(built.step, built.network, built.meta_network)

    return build


VARIANTS: dict[str, Callable[[Workload], Trainee]] = {
    "mtl": mtl,
    "mal-forward": mal("forward"),
    "mal-difference": mal("difference"),
    "brute-force": usual(Usual, backward=True),
    "brute-force-phi": usual(Usual, backward=False),
    "higher": usual(Higher, backward=True),
    "higher-phi": usual(Higher, backward=False),
    "torchopt": usual(TorchOpt, backward=True),
    "torchopt-phi": usual(TorchOpt, backward=False),
    "mixed-mode": usual(MixedMode, backward=True),
    "mixed-mode-phi": usual(MixedMode, backward=False),
}
"""All of them the same mathematics."""
OTHERS: dict[str, Callable[[Workload], Trainee]] = {
    "mal-checkpointing-meta": mal("forward", checkpointing="meta"),
    "mal-checkpointing-all": mal("forward", checkpointing="all"),
}
"""metafacs's MAL with less memory."""


def gradient_errors(name: str, work: Workload) -> tuple[float, float]:
    """Relative distance of one step's gradient of phi, and of its change of theta, from brute force's."""
    phi, theta = _of_one_step({**VARIANTS, **OTHERS}[name](work))
    expected_phi, expected_theta = _of_one_step(VARIANTS["brute-force"](work))
    return _distance(phi, expected_phi), _distance(theta, expected_theta)


def _of_one_step(trainee: Trainee) -> tuple[Tensor, Tensor]:
    """The gradient by which a step moved phi, and what it added to theta."""
    assert trainee.meta_network is not None
    before = parameters_to_vector(trainee.network.parameters()).detach().clone()
    trainee.step()
    phi = torch.cat([p.grad.reshape(-1) for p in trainee.meta_network.parameters() if p.grad is not None])
    return phi, parameters_to_vector(trainee.network.parameters()).detach() - before


def _distance(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).norm() / expected.norm()).item()
