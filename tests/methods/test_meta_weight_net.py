"""Meta-Weight-Net against second-order autograd through its virtual step."""

import copy

import pytest
import torch

from metafacs.errors import InputError
from metafacs.methods.losses import class_balance
from metafacs.methods.meta_weight_net import MetaWeightNet
from metafacs.methods.mtl import MTL
from tests.methods.brute_force import ahead, assert_parameters, au_loss, forward, stepped, training_losses
from tests.methods.networks import batches, build, tiny_network

ALPHA, BETA = 0.3, 0.7


def v(net, losses):
    """The paper's network, typed anew from the parameters."""
    first, last = net.layers[0], net.layers[2]
    hidden = torch.relu(losses[:, None] @ first.weight.T + first.bias)
    return torch.sigmoid(hidden @ last.weight.T + last.bias)[:, 0]


def made(network, balance, **options):
    torch.manual_seed(5)
    method = build(MetaWeightNet, network, balance, alpha=ALPHA, beta=BETA, way="forward", **options)
    phi = [*method.primary_net.parameters(), *method.auxiliary_net.parameters()]
    method.optimisers["meta"] = torch.optim.SGD(phi, lr=BETA)
    return method


def u_of(primary_net, auxiliary_net, n, normalise):
    def u(feature, losses):
        raw = v(primary_net, losses[:n]), v(auxiliary_net, losses[n:])
        total = raw[0].mean() + raw[1].mean() if normalise else 1.0
        return torch.cat([raw[0] / n, raw[1] / len(raw[1])]) / total

    return u


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("sizes", [(6, 6), (4, 9)])
def test_both_updates_equal_brute_force(sizes, normalise):
    network, batch = tiny_network().train(), batches(*sizes, masked=0.3)
    balance = class_balance(batch["meta"].labels)
    method = made(network, balance, normalise=normalise)
    twin, nets = copy.deepcopy(network), copy.deepcopy([method.primary_net, method.auxiliary_net])
    u = u_of(*nets, sizes[0], normalise)
    meta = ahead(twin, batch, u, ALPHA, balance)
    phi = [p for net in nets for p in net.parameters()]
    gradients = torch.autograd.grad(meta, phi)
    with torch.no_grad():
        for p, g in zip(phi, gradients, strict=True):
            p -= BETA * g
    feature, losses = training_losses(twin, dict(twin.named_parameters()), batch)
    expected = stepped(twin, (u(feature, losses.detach()).detach() * losses).sum())
    values = method.training_step(batch)
    assert values["meta_loss"] == pytest.approx(meta.item())
    own = [*method.primary_net.parameters(), *method.auxiliary_net.parameters()]
    for p, q, g in zip(own, phi, gradients, strict=True):
        assert g.norm() > 1e-8
        assert (p - q).norm() < 1e-10 * BETA * g.norm() + 1e-15
    assert_parameters(network, expected)


def test_a_constant_v_of_one_half_is_mtl_to_the_last_bit():
    batch = batches(dtype=torch.float32)
    networks = [tiny_network(0.3, dtype=torch.float32) for _ in range(2)]
    method = build(MetaWeightNet, networks[0], class_balance(batch["meta"].labels), beta=0.0)
    for net in (method.primary_net, method.auxiliary_net):
        for parameter in net.layers[2].parameters():
            torch.nn.init.zeros_(parameter)
    for step in range(3):
        for trained in (method, build(MTL, networks[1])):
            torch.manual_seed(step)
            trained.training_step(batches(dtype=torch.float32, seed=step))
    for name, value in networks[0].state_dict().items():
        assert torch.equal(value, networks[1].state_dict()[name]), name


def test_the_weight_of_an_image_is_v_of_its_loss():
    batch = batches(masked=0.3)
    method = made(tiny_network(), class_balance(batch["meta"].labels))
    network = method.network.eval()
    theta = dict(network.named_parameters())
    primary, auxiliary = batch["primary"], batch["auxiliary"]
    au = au_loss(forward(network, theta, primary.sample).au_logits, primary.labels)
    expression = torch.nn.functional.cross_entropy(
        forward(network, theta, auxiliary.sample).expression_logits, auxiliary.labels, reduction="none"
    )
    torch.testing.assert_close(method.raw_sample_weights(primary.sample, primary.labels), v(method.primary_net, au))
    found = method.raw_sample_weights(auxiliary.sample, auxiliary.labels)
    torch.testing.assert_close(found, v(method.auxiliary_net, expression))
    with pytest.raises(ValueError, match="give `labels`"):
        method.raw_sample_weights(primary.sample)


@pytest.mark.parametrize("options", [{"alpha": 0.0}, {"beta": -1.0}, {"hidden": 0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(InputError, match="alpha must be positive"):
        build(MetaWeightNet, tiny_network(), class_balance(batches()["meta"].labels), **options)
