"""The look-ahead on a network that knows nothing of faces, against second-order autograd typed anew."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from metafacs.methods.lookahead import LookAhead, weighted_gradient
from tests.methods.brute_force import relative
from tests.methods.networks import batches, tiny_network

ALPHA, N = 0.3, 12


class Doubled(torch.autograd.Function):
    """Has a backward pass and no forward-mode rule."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, g):
        return 2 * g


class Odd(nn.Module):
    def forward(self, x):
        return Doubled.apply(x)


def regression(*more: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.3), *more, nn.Linear(8, 2)
    return nn.Sequential(*layers).double().train()


def data() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    x, y = torch.randn(N, 5, generator=g).double(), torch.randn(N, 2, generator=g).double()
    return x, y, torch.randn(7, 5, generator=g).double(), torch.randn(7, 2, generator=g).double()


def losses_of(network):
    x, y, *_ = data()
    output = network(x)
    return output, (output - y).square().sum(1)


def outer_of(network):
    *_, x, y = data()
    return (network(x) - y).abs().mean()


def brute_force(network: nn.Module, u: Tensor) -> tuple[Tensor, Tensor]:
    """dL/du and L by one second-order graph."""
    theta = dict(network.named_parameters())

    def at(parameters):
        buffers = {name: b.clone() for name, b in network.named_buffers()}
        return lambda x: functional_call(network, {**parameters, **buffers}, (x,))

    gradients = torch.autograd.grad(losses_of(at(theta))[1], list(theta.values()), grad_outputs=u, create_graph=True)
    virtual = {name: p - ALPHA * g for (name, p), g in zip(theta.items(), gradients, strict=True)}
    outer = outer_of(at(virtual))
    return torch.autograd.grad(outer, u)[0], outer.detach()


def by_look_ahead(network: nn.Module, u: Tensor, **options) -> tuple[Tensor, Tensor, LookAhead]:
    images = LookAhead(network, losses_of, **options)
    v, outer = images.gradient_at(images.virtual_step(u, ALPHA), outer_of)
    return -ALPHA * images.alignment(v), outer, images


@pytest.mark.parametrize("options, tolerance", [({}, 1e-12), ({"record": False}, 1e-12), ({"way": "difference"}, 1e-5)])
def test_any_network_and_any_losses_equal_brute_force(options, tolerance):
    u = torch.rand(N).double().requires_grad_()
    network = regression()
    twin = copy.deepcopy(network)
    torch.manual_seed(3)
    expected, outer = brute_force(copy.deepcopy(network), u)
    torch.manual_seed(3)
    gradient, value, images = by_look_ahead(network, u, **options)
    assert value.item() == pytest.approx(outer.item(), rel=1e-12)
    assert relative(gradient, expected) < tolerance
    torch.manual_seed(3)
    losses_of(twin)
    for name, buffer in network.named_buffers():  # one pass counts for BatchNorm, as in the plain network
        assert torch.equal(buffer, dict(twin.named_buffers())[name])
    assert all(p.grad is None for p in network.parameters())
    step = weighted_gradient(images.losses, images.theta, u.detach())  # the graph is still there
    assert step.keys() == images.theta.keys()


def test_a_look_ahead_leaves_the_random_state_of_one_pass():
    network, u = regression(), torch.rand(N).double()
    torch.manual_seed(3)
    losses_of(copy.deepcopy(network))
    expected = torch.get_rng_state()
    torch.manual_seed(3)
    by_look_ahead(network, u)
    assert torch.equal(torch.get_rng_state(), expected)


def test_a_layer_without_forward_mode_falls_back_to_differences_with_one_warning(caplog):
    network, u = regression(Odd()), torch.rand(N).double().requires_grad_()
    for seed in (3, 4):
        torch.manual_seed(seed)
        expected, _ = brute_force(network, u)
        torch.manual_seed(seed)
        assert relative(by_look_ahead(network, u)[0], expected) < 1e-5
    assert caplog.text.count("central differences") == 1
    with pytest.raises((NotImplementedError, RuntimeError), match="forward"):
        by_look_ahead(network, u, way="forward")


def test_central_differences_leave_mixed_precision_out():
    """In bfloat16 a step of 3e-4 is below rounding: the two forward passes run in float32."""
    sample = batches(12, side=32, dtype=torch.float32)["primary"].sample
    gradients = []
    for way in ("forward", "difference"):

        def forward(network):
            return None, network(sample).au_logits.square().sum(1)

        network = tiny_network(dtype=torch.float32).train()
        ahead = LookAhead(network, forward, way, lambda: torch.autocast("cpu", torch.bfloat16))
        virtual = ahead.virtual_step(torch.full((12,), 1 / 12), ALPHA)
        v, _ = ahead.gradient_at(virtual, lambda network, forward=forward: forward(network)[1].mean())
        gradients.append(ahead.alignment(v))
    assert torch.cosine_similarity(*gradients, dim=0) > 0.98
