"""Every ablation of MAL against second-order autograd, and the limits in which it is another method."""

import copy
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from metafacs.errors import InputError
from metafacs.methods.losses import class_balance
from metafacs.methods.mal import MAL
from metafacs.methods.mtl import MTL
from tests.methods.brute_force import (
    RATE,
    ahead,
    assert_parameters,
    assert_same_state,
    stepped,
    training_losses,
)
from tests.methods.networks import AUS, EXPRESSIONS, batches, build, tiny_network

ALPHA, BETA = 0.3, 0.7
ABLATIONS = {
    "the default": {"alpha": "rate", "fixed_length": True, "inputs": "feature+task", "task_beta": 1.9},
    "the length of the step": {"alpha": "rate"},
    "fixed length": {"fixed_length": True},
    "fixed length, task weights, no normaliser": {"fixed_length": True, "weights": "task", "normalise": False},
    "task weights": {"weights": "task"},
    "no normaliser": {"normalise": False},
    "plain meta loss": {"balanced_meta": False},
    "feature, task": {"inputs": "feature+task", "task_beta": 1.9},
    "feature, label, loss": {"inputs": "feature+label+loss"},
    "loss": {"inputs": "loss"},
    "standardised": {"normalised_features": True},
    "task weights, no normaliser": {"weights": "task", "normalise": False},
    "nearly all": {
        "normalise": False,
        "balanced_meta": False,
        "inputs": "feature+label+loss",
        "normalised_features": True,
    },
}


def made(network, batch, random_phi=True, **options):
    paper = {"inputs": "feature", "fixed_length": False, "alpha": ALPHA}
    defaults = {**paper, "beta": BETA, "task_beta": BETA, "meta_optimiser": "sgd", "way": "forward"}
    method = build(MAL, network, class_balance(batch["meta"].labels), **{**defaults, **options})
    if random_phi:
        torch.manual_seed(7)
        for parameter in method.meta_network.parameters():
            torch.nn.init.normal_(parameter, 0, 0.5)
    return method


def told(batch, feature, losses, options):
    """The meta network's input, image by image."""
    if options.get("normalised_features"):
        feature = (feature - feature.mean(0)) / (feature.var(0, correction=0) + 1e-5).sqrt()
    rows = []
    for i, label in enumerate([*batch["primary"].labels, *batch["auxiliary"].labels]):
        au = i < len(batch["primary"])
        if options.get("weights") == "task":
            row = [float(au), float(not au)]
        else:
            row = feature[i].tolist() if options.get("inputs") != "loss" else []
            signs = [{1.0: 1.0, 0.0: -1.0}.get(x, 0.0) for x in label.tolist()] if au else [0.0] * AUS
            classes = [0.0] * EXPRESSIONS if au else F.one_hot(label, EXPRESSIONS).tolist()
            loss = losses[i].item()
            if options.get("inputs") == "loss":
                row = [loss, 0.0] if au else [0.0, loss]
            elif options.get("inputs") == "feature+task":
                row += [float(au), float(not au)]
            elif options.get("inputs") == "feature+label+loss":
                row += [*signs, loss if au else 0.0, *classes, 0.0 if au else loss]
        rows.append(row)
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("sizes", [(6, 6), (4, 9)])
@pytest.mark.parametrize("name", ABLATIONS)
def test_both_updates_equal_brute_force(name, sizes):
    options, batch = ABLATIONS[name], batches(*sizes, masked=0.3)
    check(tiny_network(), batch, options)


def check(network, batch, options):
    network.train()
    n = len(batch["primary"])
    method = made(network, batch, **options)
    twin, phi = copy.deepcopy(network), copy.deepcopy(method.meta_network)

    def u(feature, losses):
        coefficients, *bias = phi.linear.parameters()
        if phi.task:
            coefficients = torch.cat([coefficients, phi.task.weight], 1)
        r = torch.sigmoid(F.linear(told(batch, feature, losses, options), coefficients, *bias))[:, 0]
        total = r[:n].mean() + r[n:].mean() if options.get("normalise", True) else 1.0
        return torch.cat([r[:n] / n, r[n:] / (len(r) - n)]) / total

    balance = class_balance(batch["meta"].labels) if options.get("balanced_meta", True) else None
    alpha = RATE if options.get("alpha") == "rate" else ALPHA
    meta = ahead(twin, batch, u, alpha, balance, options.get("fixed_length", False))
    gradients = torch.autograd.grad(meta, list(phi.parameters()))
    with torch.no_grad():
        for (name, p), g in zip(phi.named_parameters(), gradients, strict=True):
            p -= (options["task_beta"] if name.startswith("task.") else BETA) * g
    feature, losses = training_losses(twin, dict(twin.named_parameters()), batch)
    expected = stepped(twin, (u(feature.detach(), losses.detach()).detach() * losses).sum())
    values = method.training_step(batch)
    assert values["meta_loss"] == pytest.approx(meta.item())
    for p, q, g in zip(method.meta_network.parameters(), phi.parameters(), gradients, strict=True):
        assert g.norm() > 1e-8
        assert (p - q).norm() < 1e-9 * BETA * g.norm() + 1e-15
    assert_parameters(network, expected, 1e-10)


@pytest.mark.parametrize("name", ABLATIONS)
def test_before_it_has_learned_anything_each_is_mtl_to_the_last_bit(name):
    networks = [tiny_network(0.3, dtype=torch.float32) for _ in range(2)]
    batch = batches(dtype=torch.float32)
    mal = made(networks[0], batch, False, **{**ABLATIONS[name], "beta": 0.0, "task_beta": 0.0})
    for step in range(3):
        for method in (mal, build(MTL, networks[1])):
            torch.manual_seed(step)
            method.training_step(batches(dtype=torch.float32, seed=step))
    assert_same_state(*networks)


def test_defaults_spelt_out_change_nothing():
    networks, batch = [tiny_network(0.3) for _ in range(2)], batches(masked=0.3)
    paper = {"weights": "sample", "normalise": True, "balanced_meta": True}
    for network, options in zip(networks, ({}, {**paper, "inputs": "feature"}), strict=True):
        method = made(network, batch, **options)
        for step in range(2):
            torch.manual_seed(step)
            method.training_step(batch)
    assert_same_state(*networks)


def test_task_weights_are_the_same_for_all_images_of_a_task():
    batch = batches(4, 9)
    method = made(tiny_network(), batch, weights="task")
    for parameter in method.meta_network.parameters():
        torch.nn.init.normal_(parameter, 0, 0.5)
    raw = torch.cat([method.raw_sample_weights(batch[s].sample, batch[s].labels) for s in ("primary", "auxiliary")])
    assert len(set(raw[:4].tolist())) == len(set(raw[4:].tolist())) == 1 and raw[0] != raw[4]
    assert sum(p.numel() for p in method.meta_network.parameters()) == 2


def test_a_bias_for_each_task_balances_the_tasks_within_fifty_steps():
    found = {}
    for inputs in ("feature", "feature+task"):
        method = made(tiny_network(), batches(), False, inputs=inputs, beta=1e-3, meta_optimiser="adam")
        for step in range(50):
            torch.manual_seed(step)
            found[inputs] = method.training_step(batches(24, 24, 64, seed=step))["weight_primary"].item()
    assert abs(found["feature"] - 0.5) < 0.02 < 0.15 < abs(found["feature+task"] - 0.5), found


@pytest.mark.parametrize("name", ABLATIONS)
def test_reported_weights_are_those_of_training_seen_from_outside(name):
    batch = batches(4, 9, masked=0.3)
    method = made(tiny_network(), batch, **ABLATIONS[name])
    method.training_step(batch)
    network = method.network.eval()
    with torch.no_grad():
        feature, losses = training_losses(network, dict(network.named_parameters()), batch)
        if method.standard:
            feature = (feature - method.standard.mean) / (method.standard.variance + 1e-5).sqrt()
        options = {**ABLATIONS[name], "normalised_features": False}
        expected = method.meta_network(told(batch, feature, losses, options))
    parts = [method.raw_sample_weights(batch[s].sample, batch[s].labels) for s in ("primary", "auxiliary")]
    torch.testing.assert_close(torch.cat(parts), expected)
    if method.inputs == "feature":
        assert torch.equal(method.raw_sample_weights(batch["primary"].sample), parts[0])
    else:
        with pytest.raises(ValueError, match="give `labels`"):
            method.raw_sample_weights(batch["primary"].sample)


def test_running_statistics_are_those_of_all_batches_and_later_follow():
    method = made(tiny_network(), batches(), normalised_features=True)
    g, standard = torch.Generator().manual_seed(0), method.standard
    seen = [3 + 2 * torch.randn(10, 16, generator=g, dtype=torch.float64) for _ in range(20)]
    for feature in seen:
        standard.update(feature)
    torch.testing.assert_close(standard.mean, torch.cat(seen).mean(0))
    torch.testing.assert_close(standard.variance, torch.stack([f.var(0, correction=0) for f in seen]).mean(0))
    distances = []
    for _ in range(600):
        standard.update(torch.zeros(4, 16, dtype=torch.float64))
        distances.append(standard.mean.norm().item())
    assert all(later < earlier for earlier, later in pairwise(distances)) and distances[-1] < 0.01 * distances[0]


@pytest.mark.parametrize(
    "options",
    [
        {"weights": "task", "inputs": "loss"},
        {"weights": "task", "normalised_features": True},
        {"inputs": "loss", "normalised_features": True},
    ],
)
def test_options_without_an_effect_are_refused(options):
    with pytest.raises(InputError, match="look at"):
        made(tiny_network(), batches(), **options)
