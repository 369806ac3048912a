"""Uncertainty weighting against Kendall's loss by autograd."""

import copy

import pytest
import torch

from metafacs.errors import InputError
from metafacs.methods.mtl import MTL
from metafacs.methods.uncertainty import Uncertainty
from tests.methods.brute_force import assert_parameters, assert_same_state, stepped, task_losses
from tests.methods.networks import batches, build, tiny_network

LOG_VARIANCES = [0.7, -1.1]


def kendall(losses, log_variances):
    sigma_squared = torch.exp(log_variances)
    return (losses / sigma_squared + torch.log(torch.sqrt(sigma_squared))).sum()


def made(network, **options):
    method = build(Uncertainty, network, **options)
    with torch.no_grad():
        method.variances.log.copy_(torch.tensor(LOG_VARIANCES))
    return method


def test_frozen_variances_give_the_weighted_sum():
    network, batch = tiny_network().train(), batches(masked=0.3)
    twin = copy.deepcopy(network)
    losses = task_losses(twin, dict(twin.named_parameters()), batch)
    weighted = (torch.exp(-torch.tensor(LOG_VARIANCES).double()) * losses).sum() / 2
    method = made(network, rate=0.0)
    method.training_step(batch)
    assert_parameters(network, stepped(twin, weighted))
    assert method.variances.log.tolist() == pytest.approx(LOG_VARIANCES)


def test_the_variances_follow_the_gradient_of_kendalls_loss():
    network, batch = tiny_network().train(), batches(masked=0.3)
    method = made(network)
    losses = task_losses(network, dict(network.named_parameters()), batch).detach()
    own = torch.tensor(LOG_VARIANCES, dtype=torch.float64, requires_grad=True)
    kendall(losses, own).backward()
    before = method.variances.log.detach().clone()
    method.training_step(batch)
    torch.testing.assert_close(method.variances.log.grad, own.grad, rtol=1e-6, atol=1e-8)
    assert torch.equal(torch.sign(before - method.variances.log.detach()), torch.sign(own.grad))


def test_the_first_step_is_mtls_to_the_last_bit():
    networks, batch = [tiny_network(0.3, dtype=torch.float32) for _ in range(2)], batches(dtype=torch.float32)
    for method in (build(Uncertainty, networks[0]), build(MTL, networks[1])):
        torch.manual_seed(0)
        method.training_step(batch)
    assert_same_state(*networks)


def test_variances_settle_where_weight_times_loss_is_one_half():
    """There Kendall's loss is lowest: d/ds of exp(-s) L + s / 2 is zero."""
    method = build(Uncertainty, tiny_network(), optimiser=lambda p: torch.optim.SGD(p, lr=0.0), rate=0.05)
    batch = batches()
    for _ in range(300):
        values = method.training_step(batch)
    for task in ("primary", "auxiliary"):
        assert 2 * values[f"weight_{task}"] * values[f"loss_{task}"] == pytest.approx(0.5, rel=1e-3)


def test_a_negative_rate_is_refused():
    with pytest.raises(InputError, match="must not be negative"):
        build(Uncertainty, tiny_network(), rate=-1.0)
