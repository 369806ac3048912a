"""MAL against brute-force second-order autograd, typed here anew from the paper's equations."""

import copy
from contextlib import nullcontext
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call

from metafacs.methods.lookahead import LookAhead, differentiable_attention
from metafacs.methods.losses import class_balance, over_batches
from metafacs.methods.mal import MAL, MetaNetwork, normalise
from metafacs.methods.mtl import MTL
from metafacs.sample import concatenated
from tests.methods.brute_force import ahead, au_loss, relative
from tests.methods.networks import AUS, batches, build, timm_network, tiny_network

ALPHA, BETA = 0.3, 0.7


def reference_step(network, phi, batch, balance, reduction):
    """Algorithm 1, by differentiating through the virtual step; returns the gradients of phi and of theta."""
    primary, auxiliary, meta = batch["primary"], batch["auxiliary"], batch["meta"]
    n, m = len(primary), len(auxiliary)
    names = [name for name, _ in network.named_parameters()]
    theta = dict(network.named_parameters())

    def forward(parameters, images):
        buffers = {k: b.clone() for k, b in network.named_buffers()}
        return functional_call(network, {**parameters, **buffers}, (images,))

    def weighted(parameters, raw_of):
        out = forward(parameters, concatenated([primary.sample, auxiliary.sample]))
        r = raw_of(out.feature.detach())
        t = r[:n].mean() + r[n:].mean()
        w = r / t
        au = au_loss(out.au_logits[:n], primary.labels, reduction=reduction)
        fe = F.cross_entropy(out.expression_logits[n:], auxiliary.labels, reduction="none")
        return (w[:n] * au).sum() / n + (w[n:] * fe).sum() / m

    random = torch.get_rng_state()
    loss = weighted(theta, phi)
    after = torch.get_rng_state()
    gradients = torch.autograd.grad(loss, list(theta.values()), create_graph=True)
    virtual = {name: theta[name] - ALPHA * g for name, g in zip(names, gradients, strict=True)}
    torch.set_rng_state(after)
    logits = forward(virtual, meta.sample).au_logits
    weight = torch.where(meta.labels == 1, balance[0], balance[1])
    meta_loss = au_loss(logits, meta.labels, weight, reduction).mean()
    phi_gradient = torch.autograd.grad(meta_loss, list(phi.parameters()))
    with torch.no_grad():
        for p, g in zip(phi.parameters(), phi_gradient, strict=True):
            p -= BETA * g
    torch.set_rng_state(random)
    theta_gradient = torch.autograd.grad(weighted(theta, lambda h: phi(h).detach()), list(theta.values()))
    return phi_gradient, dict(zip(names, theta_gradient, strict=True)), meta_loss.detach()


def make_mal(network, batch, random_phi=True, **options):
    method = build(
        MAL,
        network,
        class_balance(batch["meta"].labels),
        alpha=ALPHA,
        **{"inputs": "feature", "fixed_length": False},  # the paper's form
        **{"beta": BETA, "meta_optimiser": "sgd", "way": "forward", **options},
    )
    if random_phi:
        torch.manual_seed(7)
        torch.nn.init.normal_(method.meta_network.linear.weight, 0, 0.5)
        torch.nn.init.normal_(method.meta_network.linear.bias, 0, 0.5)
    return method


@pytest.mark.parametrize("masked", [0.0, 0.4])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_both_updates_equal_brute_force(masked, dropout, reduction):
    batch = batches(masked=masked)
    check_against_brute_force(tiny_network(dropout), batch, "forward", 1e-10, reduction)


def test_central_difference_is_near_brute_force():
    check_against_brute_force(tiny_network(0.3), batches(masked=0.4), "difference", 1e-5)


@pytest.mark.parametrize(
    "name, options",
    [("resnet18", {}), ("resnet18", {"drop_path_rate": 0.3}), ("vit_tiny_patch16_224", {"img_size": 32})],
)
def test_timm_backbones_equal_brute_force(name, options):
    network = timm_network(name, **options)
    check_against_brute_force(network, batches(4, 4, 6, side=32), "forward", 1e-10)


def test_unequal_batches_equal_brute_force():
    check_against_brute_force(tiny_network(), batches(4, 8, 5), "forward", 1e-10)


def check_against_brute_force(network, batch, way, tolerance, reduction="sum"):
    network.train()
    method = make_mal(network, batch, way=way, au_reduction=reduction)
    twin, phi = copy.deepcopy(network), copy.deepcopy(method.meta_network)
    start = {name: p.detach().clone() for name, p in network.named_parameters()}
    phi_start = {name: p.detach().clone() for name, p in phi.named_parameters()}
    torch.manual_seed(11)
    with differentiable_attention():
        balance = class_balance(batch["meta"].labels)
        phi_gradient, theta_gradient, meta_loss = reference_step(twin, phi, batch, balance, reduction)
    torch.manual_seed(11)
    values = method.training_step(batch)

    assert relative(values["meta_loss"], meta_loss) < 1e-10
    for (name, p), g in zip(method.meta_network.named_parameters(), phi_gradient, strict=True):
        assert g.norm() > 1e-8
        assert relative((phi_start[name] - p.detach()) / BETA, g) < tolerance
    for name, p in network.named_parameters():
        moved = (start[name] - p.detach()) / 0.05
        if theta_gradient[name].norm() > 1e-12:
            assert relative(moved, theta_gradient[name]) < max(tolerance, 1e-10), name


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize(
    "options", [{"statistics": "joint"}, {"statistics": "separate"}, {"balanced": True, "expression_scale": 0.1}]
)
def test_equal_weights_give_mtl_to_the_last_bit(dropout, options):
    batch = batches(dtype=torch.float32)
    networks = [tiny_network(dropout, dtype=torch.float32) for _ in range(2)]
    mal = make_mal(networks[0], batch, random_phi=False, beta=0.0, **options)
    mtl = build(MTL, networks[1], class_balance(batch["meta"].labels), **options)
    for step in range(3):
        for method in (mal, mtl):
            torch.manual_seed(step)
            method.training_step(batches(dtype=torch.float32, seed=step))
    states = [network.state_dict() for network in networks]
    assert states[0].keys() == states[1].keys()
    for name in states[0]:
        assert torch.equal(states[0][name], states[1][name]), name


def test_every_normalised_weight_starts_at_one_half():
    raw = MetaNetwork(16)(torch.randn(10, 16))
    assert torch.equal(normalise(raw, 4), torch.full((10,), 0.5))


@pytest.mark.parametrize("primary", [2, 5, 9])
def test_normalised_means_add_up_to_one(primary):
    weights = normalise(torch.rand(10, dtype=torch.float64), primary)
    assert weights[:primary].mean() + weights[primary:].mean() == pytest.approx(1)


def test_batch_norm_statistics_count_one_pass_a_step():
    batch = batches()
    network = tiny_network()
    twin = copy.deepcopy(network).train()
    make_mal(network, batch).training_step(batch)
    twin(concatenated([batch["primary"].sample, batch["auxiliary"].sample]))
    counted = dict(network.named_buffers())
    for name, expected in twin.named_buffers():
        assert torch.equal(counted[name], expected), name
    assert counted["backbone.layers.1.num_batches_tracked"] == 1


def test_separate_statistics_follow_the_primary_stream_alone():
    batch = batches()
    network = tiny_network()
    twin = copy.deepcopy(network).train()
    make_mal(network, batch, statistics="separate").training_step(batch)
    twin(batch["primary"].sample)
    for name, expected in twin.named_buffers():
        assert torch.equal(dict(network.named_buffers())[name], expected), name


def test_separate_statistics_replay_the_same_dropout_masks():
    batch = batches(masked=0.2)
    method = make_mal(tiny_network(0.4), batch, statistics="separate")
    method.network.train()
    forward = partial(method.joint.through, batch["primary"], batch["auxiliary"])
    images = LookAhead(method.network, forward, "difference")
    assert torch.equal(images.losses, images._losses_at(nullcontext, images.theta))


def test_the_step_of_phi_lowers_the_meta_loss_of_the_virtual_network():
    """A descent direction: over many batches the meta loss of theta'(new phi) is below that of theta'(old phi)."""
    changes = []
    for seed in range(20):
        batch = batches(12, 12, 24, seed=seed)
        method = make_mal(tiny_network(seed=seed), batch, beta=1e-2)
        start, balance = copy.deepcopy(method.network).train(), class_balance(batch["meta"].labels)

        def u_of(feature, losses, method=method):
            return over_batches(method.weigh(feature, 12)[1], 12)

        before = ahead(start, batch, u_of, ALPHA, balance)
        method.training_step(batch)
        changes.append((ahead(start, batch, u_of, ALPHA, balance) - before).item())
    assert sum(change < 0 for change in changes) >= 19, changes


def test_saturated_weights_are_warned_of():
    batch = batches()
    method = make_mal(tiny_network(), batch)
    torch.nn.init.constant_(method.meta_network.linear.bias, 20.0)
    values = {k: v.item() for k, v in method.training_step(batch).items()}
    assert values["raw_weight_saturated"] == 1
    assert "saturated" in method.review(values)
    assert method.review({**values, "raw_weight_saturated": 0.1}) is None


def test_images_without_any_label_do_not_disturb():
    batch = batches()
    batch["primary"].labels[0] = float("nan")
    values = make_mal(tiny_network(), batch).training_step(batch)
    assert all(torch.isfinite(v) for v in values.values())
    assert batch["primary"].labels.shape[1] == AUS
