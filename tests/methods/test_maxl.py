"""MAXL's update of the label network against brute-force second-order autograd, and its limits."""

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from metafacs.errors import InputError
from metafacs.methods.lookahead import isolated
from metafacs.methods.maxl import MAXL, collapse, focal_terms, masked_softmax
from metafacs.methods.mtl import MTL
from metafacs.sample import concatenated
from tests.methods.brute_force import au_loss
from tests.methods.networks import AUS, batches, build, timm_network, tiny_network

ALPHA, BETA, WEIGHT, ENTROPY, SHARE, K = 0.3, 0.1, 0.8, 0.2, 0.4, 3


def make(dropout: float = 0.0, **options: object) -> MAXL:
    settings = {"subclasses": K, "alpha": ALPHA, "beta": BETA, "generated_weight": WEIGHT, "auxiliary_weight": SHARE}
    method = build(MAXL, tiny_network(dropout), **{**settings, **options})  # type: ignore[arg-type]
    phi = [p for p in method.label_network.parameters() if p.requires_grad]
    method.optimisers["labels"] = torch.optim.SGD(phi, lr=BETA)
    return method


def labels_by_hand(logits: Tensor, au_labels: Tensor) -> Tensor:
    """The paper's mask: exp(logit) inside the class of the label, nothing outside, normalised."""
    mask = torch.zeros_like(logits)
    mask[..., :K] = (au_labels == 0)[..., None]
    mask[..., K:] = (au_labels == 1)[..., None]
    weight = logits.exp() * mask
    return weight / weight.sum(2, keepdim=True).clamp(min=1e-30)


def own_loss(method: MAXL, logits: Tensor, labels: Tensor, reduction: str) -> Tensor:
    """The mean AU loss, by hand."""
    if method.options.au_loss == "cross-entropy":
        return au_loss(logits, labels, reduction=reduction).mean()
    p = torch.sigmoid(logits)
    p = torch.where(labels == 1, p, 1 - p)
    labelled = ~labels.isnan()
    total = (-((1 - p) ** 2) * p.log() * labelled).sum(1)
    return (total / labelled.sum(1).clamp(min=1) if reduction == "mean" else total).mean()


def reference_step(method: MAXL, batch, reduction: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Parameters of the label network and of the trained networks after a step, by one big graph (no dropout)."""
    primary, auxiliary = batch["primary"], batch["auxiliary"]
    network, head, generator = method.network, method.learner.generated_head, method.label_network
    theta = dict(network.named_parameters())
    own = {"weight": head.weight, "bias": head.bias}
    phi = {n: p for n, p in generator.named_parameters() if p.requires_grad}

    def forward(parameters, images):
        buffers = {k: b.clone() for k, b in network.named_buffers()}
        return functional_call(network, {**parameters, **buffers}, (images,))

    buffers = {k: b.clone() for k, b in generator.named_buffers()}
    feature = functional_call(generator.body, {k[5:]: b for k, b in buffers.items()}, (primary.sample,)).feature
    logits = F.linear(feature, generator.head.weight, generator.head.bias).view(len(primary), AUS, 2 * K)
    y = labels_by_hand(logits, primary.labels)
    labelled = ~primary.labels.isnan()

    out = forward(theta, concatenated([primary.sample, auxiliary.sample]))
    n = len(primary)
    p = torch.softmax(F.linear(out.feature[:n], **own).view(n, AUS, 2 * K), 2)
    per_au = -(y * (1 - p) ** 2 * p.log()).sum(2)
    count = labelled.sum(1).clamp(min=1) if reduction == "mean" else 1
    generated = ((per_au * labelled).sum(1) / count).mean()
    au = own_loss(method, out.au_logits[:n], primary.labels, reduction)
    expression = F.cross_entropy(out.expression_logits[n:], auxiliary.labels)
    loss = (1 - SHARE) * (au + WEIGHT * generated) + SHARE * expression
    gradients = torch.autograd.grad(loss, [*theta.values(), *own.values()], create_graph=True)
    virtual = {name: p - ALPHA * g for (name, p), g in zip(theta.items(), gradients, strict=False)}
    meta = own_loss(method, forward(virtual, primary.sample).au_logits, primary.labels, reduction)
    mean = y.sum(0) / labelled.sum(0)[:, None]
    entropy = torch.where(mean > 0, mean * mean.clamp(min=1e-30).log(), 0.0).sum(1).mean()
    slopes = torch.autograd.grad(meta + ENTROPY * entropy, list(phi.values()))
    with torch.no_grad():
        new_phi = {name: p - BETA * s for (name, p), s in zip(phi.items(), slopes, strict=True)}
        named = {**theta, **{f"generated_head.{k}": v for k, v in own.items()}}
        new_theta = {name: p - 0.05 * g for (name, p), g in zip(named.items(), gradients, strict=True)}
    return new_phi, new_theta


@pytest.mark.parametrize("way, reduction", [("forward", "sum"), ("forward", "mean"), ("difference", "sum")])
def test_a_step_is_brute_force_second_order_autograd(way: str, reduction: str) -> None:
    batch = batches(masked=0.2)
    method = make(way=way, au_reduction=reduction)
    phi_before = {n: p.clone() for n, p in method.label_network.named_parameters()}
    method.network.train(), method.label_network.train()
    new_phi, new_theta = reference_step(copy.deepcopy(method), batch, reduction)
    method.training_step(batch)
    tolerance = 1e-5 if way == "difference" else 1e-10
    for name, value in method.learner.named_parameters():
        torch.testing.assert_close(value, new_theta[name.removeprefix("network.")], rtol=1e-10, atol=1e-12, msg=name)
    own = dict(method.label_network.named_parameters())
    for name, value in new_phi.items():
        change, expected = own[name] - phi_before[name], value - phi_before[name]
        assert (change - expected).abs().max() <= tolerance * expected.abs().max(), name
    assert any((value - phi_before[name]).abs().max() > 1e-5 for name, value in new_phi.items())


def test_the_meta_gradient_is_not_only_the_regularisers() -> None:
    """Without the regulariser the labels still move, and lower the AU loss one step ahead."""
    changes = []
    for seed in range(10):
        batch = batches(12, 12, seed=seed)
        method = make(entropy_weight=0.0, generated_weight=3.0)
        before, twin = ahead(method, batch), copy.deepcopy(method)
        twin.optimisers["labels"] = torch.optim.SGD(
            [p for p in twin.label_network.parameters() if p.requires_grad], lr=1.0
        )
        start = copy.deepcopy(twin.network.state_dict()), copy.deepcopy(twin.learner.generated_head.state_dict())
        twin.training_step(batch)
        twin.network.load_state_dict(start[0]), twin.learner.generated_head.load_state_dict(start[1])
        changes.append(ahead(twin, batch) - before)
    assert sum(change < 0 for change in changes) >= 9, changes


def ahead(method: MAXL, batch) -> float:
    """The AU loss after a virtual step with the labels that the label network gives now."""
    method = copy.deepcopy(method)
    primary, auxiliary = batch["primary"], batch["auxiliary"]
    method.network.train(), method.label_network.train()
    losses = method.all_losses(primary, auxiliary, method.learner)[1]
    u = method.weigh(method.label_network(primary.sample, primary.labels), primary.labels, len(auxiliary)).detach()
    theta = dict(method.learner.named_parameters())
    slopes = torch.autograd.grad((u * losses).sum(), list(theta.values()))
    moved = {n: p - ALPHA * s for (n, p), s in zip(theta.items(), slopes, strict=True)}
    return method.primary_loss(primary, partial(isolated(method.learner), moved)).item()


@pytest.mark.parametrize("statistics", ["joint", "separate"])
def test_without_generated_labels_it_is_mtl_to_the_last_bit(statistics: str) -> None:
    mtl = build(MTL, tiny_network(0.3), auxiliary_weight=SHARE, statistics=statistics)  # type: ignore[arg-type]
    method = make(0.3, generated_weight=0.0, statistics=statistics, au_loss="cross-entropy")
    for step in range(3):
        for each in (mtl, method):
            torch.manual_seed(step)
            each.training_step(batches(masked=0.2, seed=step))
    own = method.network.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in mtl.network.state_dict().items())


def test_labels_live_on_the_subclasses_of_the_label() -> None:
    au_labels = torch.tensor([[0.0, 1.0, float("nan")]])
    y = masked_softmax(torch.randn(1, 3, 2 * K), au_labels)
    assert torch.allclose(y[0, 0, :K].sum(), torch.ones(())) and not y[0, 0, K:].any()
    assert torch.allclose(y[0, 1, K:].sum(), torch.ones(())) and not y[0, 1, :K].any()
    assert not y[0, 2].any()


def test_focal_terms() -> None:
    logits = torch.randn(3, 4)
    p = torch.softmax(logits, 1)
    torch.testing.assert_close(focal_terms(logits), -((1 - p) ** 2) * p.log())


def test_collapsed_labels_cost_more_than_spread_ones() -> None:
    one = torch.zeros(6, 1, 2 * K)
    one[:, 0, 0] = 1.0
    spread = torch.zeros(6, 1, 2 * K)
    spread[range(6), 0, range(6)] = 1.0
    labelled = torch.ones(6, 1)
    assert collapse(one, labelled).item() == pytest.approx(0.0)
    assert collapse(spread, labelled).item() == pytest.approx(-torch.log(torch.tensor(6.0)).item())
    assert collapse(torch.zeros(2, 1, 4), torch.zeros(2, 1)).item() == 0.0


def test_a_batch_without_labels_of_an_au_stays_finite() -> None:
    batch = batches()
    batch["primary"].labels[:, 0] = float("nan")
    batch["primary"].labels[1] = float("nan")
    method = make()
    assert all(value.isfinite() for value in method.training_step(batch).values())
    assert all(p.isfinite().all() for p in method.label_network.parameters())


def test_it_works_on_any_backbone() -> None:
    network = timm_network("test_vit", dtype=torch.float32, img_size=32)
    method = build(MAXL, network)
    values = method.training_step(batches(4, 4, side=32, dtype=torch.float32))
    assert all(value.isfinite() for value in values.values())


@pytest.mark.parametrize("options", [{"subclasses": 1}, {"alpha": 0.0}, {"auxiliary_weight": 1.5}])
def test_settings_that_make_no_sense(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="MAXL's subclasses must be at least 2"):
        build(MAXL, tiny_network(), **options)  # type: ignore[arg-type]
