"""PCGrad on gradients made by hand, and its step against plain autograd."""

import copy

import pytest
import torch
import torch.nn.functional as F

from metafacs.methods.mtl import MTL
from metafacs.methods.pcgrad import PCGrad, gradient_surgery
from tests.methods.brute_force import assert_parameters, au_loss, forward, stepped, task_losses
from tests.methods.networks import batches, build, tiny_network


def vectors(*rows):
    """A gradient of two parameters, of three and one numbers."""
    return [{"a": torch.tensor(row[:3]).double(), "b": torch.tensor(row[3:]).double()} for row in rows]


def flat(gradient):
    return torch.cat([gradient["a"], gradient["b"]])


def test_without_a_conflict_it_is_the_plain_sum():
    g, h = vectors([1.0, 2.0, 0.0, -1.0], [3.0, -1.0, 1.0, 0.5])
    found = gradient_surgery(g, h)
    assert found.cosine > 0
    assert torch.equal(flat(found.total), flat(g) + flat(h))


def test_each_loses_its_part_against_the_other():
    g, h = vectors([1.0, 0.0, 0.0, 0.0], [-1.0, 1.0, 0.0, 0.0])
    found = gradient_surgery(g, h)
    # g' = g - (-1 / 2) h = (1/2, 1/2), at a right angle to h; h' = h - (-1 / 1) g = (0, 1), at a right angle to g
    assert flat(found.total).tolist() == pytest.approx([0.5, 1.5, 0, 0])
    assert found.cosine.item() == pytest.approx(-(0.5**0.5))


def test_all_parameters_are_one_vector():
    """They agree in one parameter, and conflict as a whole."""
    g, h = vectors([1.0, 1.0, 0.0, 3.0], [1.0, 0.0, 0.0, -2.0])
    dot = (flat(g) * flat(h)).sum()
    expected = flat(g) - dot / flat(h).square().sum() * flat(h) + flat(h) - dot / flat(g).square().sum() * flat(g)
    torch.testing.assert_close(flat(gradient_surgery(g, h).total), expected)


def test_opposite_gradients_cancel_and_a_zero_one_changes_nothing():
    g, zero = vectors([1.0, -2.0, 0.5, 1.0], [0.0] * 4)
    opposite = {name: -3 * value for name, value in g.items()}
    assert flat(gradient_surgery(g, opposite).total).abs().max() < 1e-12
    assert torch.equal(flat(gradient_surgery(g, zero).total), flat(g))


@pytest.mark.parametrize("statistics", ["joint", "separate"])
@pytest.mark.parametrize("seed", range(6))
def test_a_step_projects_the_backbone_and_leaves_the_heads(seed, statistics):
    network, batch = tiny_network(seed=seed).train(), batches(masked=0.3, seed=seed)
    twin, start = copy.deepcopy(network), {k: p.detach().clone() for k, p in network.named_parameters()}
    values = build(PCGrad, network, statistics=statistics).training_step(batch)
    losses = list(task_losses(twin, start_of(twin), batch)) if statistics == "joint" else apart(twin, batch)
    parts = [{k: p - start[k] for k, p in stepped(twin, loss / 2).items()} for loss in losses]
    shared = [name for name in start if name.startswith("backbone.")]
    g, h = (torch.cat([part[name].flatten() for name in shared]) for part in parts)
    dot = torch.dot(g, h)
    assert (values["gradient_cosine"] - dot / (g.norm() * h.norm())).abs() < 1e-6
    assert values["conflict"] == (dot < 0)
    total = g + h if dot >= 0 else g - dot / h.dot(h) * h + h - dot / g.dot(g) * g
    sizes = [start[name].numel() for name in shared]
    moved = dict(zip(shared, total.split(sizes), strict=True))
    expected = {
        name: start[name] + (moved[name].view_as(p) if name in moved else parts[0][name] + parts[1][name])
        for name, p in start.items()
    }
    assert_parameters(network, expected, 1e-10)


def start_of(network):
    return dict(network.named_parameters())


def apart(network, batch):
    """The task losses where each stream is normalised by its own statistics."""
    theta = start_of(network)
    au = au_loss(forward(network, theta, batch["primary"].sample).au_logits, batch["primary"].labels).mean()
    logits = forward(network, theta, batch["auxiliary"].sample).expression_logits
    return [au, F.cross_entropy(logits, batch["auxiliary"].labels)]


def test_both_cases_are_among_the_steps_tested():
    cosines = []
    for seed in range(6):
        method = build(PCGrad, tiny_network(seed=seed))
        cosines.append(method.training_step(batches(masked=0.3, seed=seed))["gradient_cosine"].item())
    assert min(cosines) < -0.01 and max(cosines) > 0.01


def test_where_nothing_conflicts_it_is_mtl():
    for seed in range(20):
        networks = [tiny_network(seed=seed) for _ in range(2)]
        values = build(PCGrad, networks[0]).training_step(batches(seed=seed))
        build(MTL, networks[1]).training_step(batches(seed=seed))
        if values["gradient_cosine"] > 0:
            assert_parameters(networks[0], dict(networks[1].named_parameters()))
            return
    raise AssertionError("every one of the steps had a conflict")
