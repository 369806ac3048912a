"""GradNorm against the gradient of its loss by second-order autograd."""

import copy

import pytest
import torch

from metafacs.errors import InputError
from metafacs.methods.gradnorm import GradNorm, weights_gradient
from metafacs.methods.mtl import MTL
from tests.methods.brute_force import assert_parameters, assert_same_state, stepped, task_losses
from tests.methods.networks import batches, build, timm_network, tiny_network

INITIAL = [0.9, 1.4]
WEIGHTS = [1.3, 0.7]


def by_autograd(network, shared, batch, alpha):
    """The gradient of L_grad by the weights, through the gradients of the weighted losses."""
    w = torch.tensor(WEIGHTS, dtype=torch.float64, requires_grad=True)
    losses = task_losses(network, dict(network.named_parameters()), batch)
    norms = torch.stack([torch.autograd.grad(w[t] * losses[t], shared, create_graph=True)[0].norm() for t in range(2)])
    relative = losses.detach() / torch.tensor(INITIAL).double()
    target = (norms.mean() * (relative / relative.mean()) ** alpha).detach()
    return torch.autograd.grad((norms - target).abs().sum(), w)[0]


@pytest.mark.parametrize("alpha", [0.0, 1.5])
def test_the_weights_follow_the_gradient_of_their_loss(alpha):
    network, batch = tiny_network().train(), batches(masked=0.3)
    twin = copy.deepcopy(network)
    method = build(GradNorm, network, alpha=alpha)
    with torch.no_grad():
        method.balance.weights.copy_(torch.tensor(WEIGHTS))
        method.balance.initial.copy_(torch.tensor(INITIAL))
        method.balance.steps += 1
    expected = by_autograd(twin, twin.backbone.layers[4].weight, batch, alpha)
    loss = (torch.tensor(WEIGHTS) * task_losses(twin, dict(twin.named_parameters()), batch)).sum() / 2
    method.training_step(batch)
    torch.testing.assert_close(method.balance.weights.grad, expected, rtol=1e-6, atol=1e-9)
    assert_parameters(network, stepped(twin, loss), 1e-7)
    assert method.balance.weights.sum().item() == pytest.approx(2)
    moved = method.balance.weights.detach() - torch.tensor(WEIGHTS).double()
    assert moved[0].sign() == -(expected[0] - expected[1]).sign()


def test_the_first_step_is_mtls_to_the_last_bit():
    networks, batch = [tiny_network(0.3, dtype=torch.float32) for _ in range(2)], batches(dtype=torch.float32)
    for method in (build(GradNorm, networks[0]), build(MTL, networks[1])):
        torch.manual_seed(0)
        method.training_step(batch)
    assert_same_state(*networks)


def test_with_alpha_zero_the_weighted_gradient_norms_become_equal():
    network, batch = tiny_network(), batches()
    method = build(GradNorm, network, optimiser=lambda p: torch.optim.SGD(p, lr=0.0), alpha=0.0)
    for _ in range(200):
        method.training_step(batch)
    losses = task_losses(network.train(), dict(network.named_parameters()), batch)
    weight = network.backbone.layers[4].weight
    norms = [torch.autograd.grad(loss, weight, retain_graph=True)[0].norm().item() for loss in losses]
    weighted = [w * g for w, g in zip(method.balance.weights.tolist(), norms, strict=True)]
    assert norms[0] / norms[1] != pytest.approx(1, rel=0.1)
    assert weighted[0] == pytest.approx(weighted[1], rel=0.1)


def test_the_task_that_has_learned_less_gains_weight():
    ones, norms = torch.ones(2), torch.ones(2)
    gradient = weights_gradient(ones, norms, torch.tensor([0.9, 0.3]), ones, 1.5)
    assert gradient.tolist() == [-1, 1]


def test_weights_stay_positive_and_add_up_to_two():
    method = build(GradNorm, tiny_network(), rate=5.0)
    for step in range(4):
        method.training_step(batches(seed=step))
        assert (method.balance.weights > 0).all() and method.balance.weights.sum().item() == pytest.approx(2)


def test_the_last_shared_layer_of_a_resnet_is_its_last_convolution():
    for name, layer in {"resnet18": "1.conv2", "ecaresnet26t": "1.conv3", "test_resnet": "0.conv2"}.items():
        network = timm_network(name)
        expected = network.backbone.layer4.get_parameter(f"{layer}.weight")
        assert build(GradNorm, network).last_shared is expected, name


def test_a_negative_alpha_is_refused():
    with pytest.raises(InputError, match="must not be negative"):
        build(GradNorm, tiny_network(), alpha=-0.5)
