"""LBTW against its formula, typed here anew."""

import pytest
import torch

from metafacs.errors import InputError
from metafacs.methods.loss_balanced import LossBalanced, balanced_weights
from metafacs.methods.mtl import MTL
from tests.methods.brute_force import assert_parameters, assert_same_state, stepped, task_losses
from tests.methods.networks import batches, build, tiny_network


def by_hand(losses, initial, alpha):
    ratios = [(a / b) ** alpha for a, b in zip(losses, initial, strict=True)]
    return [2 * r / sum(ratios) for r in ratios]


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_the_formula(alpha):
    losses, initial = torch.tensor([0.2, 1.7]).double(), torch.tensor([0.7, 1.9]).double()
    expected = by_hand(losses.tolist(), initial.tolist(), alpha)
    assert balanced_weights(losses, initial, alpha).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("window", [0, 3])
def test_every_step_has_the_weights_of_its_own_losses(window):
    network = tiny_network()
    method, seen = build(LossBalanced, network, alpha=0.8, window=window), []
    for step in range(7):
        batch = batches(seed=step)
        losses = task_losses(network.train(), dict(network.named_parameters()), batch)
        seen.append(losses.tolist())
        weights = by_hand(losses.tolist(), seen[step // window * window if window else 0], 0.8)
        expected = stepped(network, (torch.tensor(weights).double() * losses).sum() / 2)
        method.training_step(batch)
        assert_parameters(network, expected, 1e-7)
        if window and step % window == 0:
            assert weights == pytest.approx([1, 1])
    assert weights[0] != pytest.approx(1, abs=1e-4) or window


def test_alpha_zero_is_mtl_to_the_last_bit():
    networks = [tiny_network(0.3, dtype=torch.float32) for _ in range(2)]
    for method in (build(LossBalanced, networks[0], alpha=0.0), build(MTL, networks[1])):
        for step in range(4):
            torch.manual_seed(step)
            method.training_step(batches(dtype=torch.float32, seed=step))
    assert_same_state(*networks)


def test_a_negative_alpha_is_refused():
    with pytest.raises(InputError, match="must not be negative"):
        build(LossBalanced, tiny_network(), alpha=-0.5)
