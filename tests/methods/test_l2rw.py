"""L2RW against second-order autograd through its virtual step."""

import copy

import pytest
import torch

from metafacs.methods.l2rw import L2RW, rectified
from metafacs.methods.losses import class_balance
from tests.methods.brute_force import ahead, assert_parameters, stepped, training_losses
from tests.methods.networks import batches, build, tiny_network

ALPHA = 0.3


def weights_by_brute_force(network, batch, balance):
    n = len(batch["primary"]) + len(batch["auxiliary"])
    epsilon = torch.zeros(n, dtype=torch.float64, requires_grad=True)
    loss = ahead(network, batch, lambda feature, losses: epsilon, ALPHA, balance)
    helpful = (-torch.autograd.grad(loss, epsilon)[0]).clamp(min=0)
    return helpful / helpful.sum()


@pytest.mark.parametrize("sizes", [(6, 6), (4, 9)])
def test_a_step_equals_brute_force(sizes):
    network, batch = tiny_network().train(), batches(*sizes, masked=0.3)
    balance = class_balance(batch["meta"].labels)
    twin = copy.deepcopy(network)
    weights = weights_by_brute_force(twin, batch, balance)
    assert 0 < (weights == 0).sum() < len(weights)
    losses = training_losses(twin, dict(twin.named_parameters()), batch)[1]
    values = build(L2RW, network, balance).training_step(batch)
    assert_parameters(network, stepped(twin, (weights * losses).sum()), 1e-10)
    assert values["weight_primary"] == pytest.approx(weights[: sizes[0]].sum().item())
    assert values["weight_primary"] + values["weight_auxiliary"] == pytest.approx(1)
    assert values["zero_weights"] == (weights == 0).double().mean()


def test_no_helpful_image_no_step():
    assert not rectified(torch.tensor([0.5, 0.0, 2.0])).any()


def test_weights_are_proportional_to_how_much_an_image_helps():
    assert rectified(torch.tensor([-1.0, 2.0, -3.0])).tolist() == [0.25, 0, 0.75]
