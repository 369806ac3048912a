"""DWA against its formula, typed here anew."""

import math

import pytest
import torch

from metafacs.errors import InputError
from metafacs.methods.dwa import DWA, dynamic_weights
from metafacs.methods.mtl import MTL
from tests.methods.brute_force import assert_parameters, assert_same_state, stepped, task_losses
from tests.methods.networks import batches, build, tiny_network


def by_hand(last, before, temperature):
    e = [math.exp(a / b / temperature) for a, b in zip(last, before, strict=True)]
    return [2 * x / sum(e) for x in e]


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_formula(temperature):
    last, before = torch.tensor([0.4, 1.7]).double(), torch.tensor([0.6, 1.8]).double()
    expected = by_hand(last.tolist(), before.tolist(), temperature)
    assert dynamic_weights(last, before, temperature).tolist() == pytest.approx(expected)


def test_equal_progress_gives_equal_weights():
    last = torch.tensor([0.3, 1.5])
    assert dynamic_weights(last, 2 * last, 2.0).tolist() == pytest.approx([1, 1])


def test_the_slower_task_gets_more_weight():
    weights = dynamic_weights(torch.tensor([0.9, 0.5]), torch.ones(2), 2.0)
    assert weights[0] > weights[1] and weights.sum() == pytest.approx(2)


def test_two_windows_of_mtl_then_the_weights_of_their_means():
    window, network = 3, tiny_network()
    method, seen = build(DWA, network, window=window), []
    for step in range(9):
        batch = batches(seed=step)
        losses = task_losses(network.train(), dict(network.named_parameters()), batch)
        weights = [1.0, 1.0]
        if step >= 2 * window:
            start = step // window * window
            means = [torch.tensor(seen[k : k + window]).mean(0).tolist() for k in (start - 3, start - 6)]
            weights = by_hand(*means, 2.0)
        expected = stepped(network, (torch.tensor(weights).double() * losses).sum() / 2)
        values = method.training_step(batch)
        assert [values["weight_primary"].item() * 2, values["weight_auxiliary"].item() * 2] == pytest.approx(weights)
        assert_parameters(network, expected, 1e-7)
        seen.append(losses.tolist())
    assert weights[0] != pytest.approx(1, abs=1e-4)


def test_before_two_windows_it_is_mtl_to_the_last_bit():
    networks = [tiny_network(0.3, dtype=torch.float32) for _ in range(2)]
    for method in (build(DWA, networks[0], window=2), build(MTL, networks[1])):
        for step in range(4):
            torch.manual_seed(step)
            method.training_step(batches(dtype=torch.float32, seed=step))
    assert_same_state(*networks)


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"window": 0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(InputError, match="temperature must be positive"):
        build(DWA, tiny_network(), **options)
