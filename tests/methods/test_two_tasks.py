"""Meta auxiliary learning of a model that knows nothing of faces, against second-order autograd typed anew."""

import copy
import re
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from metafacs.methods.two_tasks import AuxiliaryLearning
from tests.methods.brute_force import RATE, assert_parameters, assert_same_state, relative
from tests.methods.networks import sgd

ALPHA, BETA, FEATURES = 0.3, 0.05, 8
FROZEN = pytest.mark.parametrize("frozen", [(), ("0.weight", "0.bias"), ("1.bias",)], ids=["none", "linear", "norm"])


class Model(nn.Module):
    """A body with BatchNorm and dropout, and a head for each task."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, FEATURES), nn.BatchNorm1d(FEATURES), nn.Tanh(), nn.Dropout(0.3))
        self.tags, self.value = nn.Linear(FEATURES, 4), nn.Linear(FEATURES, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        feature = self.body(x)
        return feature, self.tags(feature)


def tagging(model, batch):
    """Several labels a sample."""
    x, y = batch
    feature, logits = model(x)
    return F.binary_cross_entropy_with_logits(logits, y, reduction="none").mean(1), feature


def regression(model, batch):
    """Goes around the model's own forward."""
    x, y = batch["inputs"], batch["values"]
    feature = model.body(x)
    return F.smooth_l1_loss(model.value(feature).squeeze(1), y, reduction="none"), feature


def twice(model, batch):
    """Calls the model twice: consistency of two draws of its masks."""
    feature, logits = model(batch["inputs"])
    return (logits - model(batch["inputs"] + 0.1)[1]).square().sum(1), feature


def mean(model, batch):
    """The reserve loss where the caller gives none."""
    return tagging(model, batch)[0].mean()


def worst(model, batch):
    """A reserve loss of the caller's own."""
    return tagging(model, batch)[0].square().mean()


def model_of(frozen=(), dtype=torch.float64) -> Model:
    torch.manual_seed(0)
    model = Model().to(dtype).train()
    for name, parameter in model.body.named_parameters():
        parameter.requires_grad_(name not in frozen)
    return model


def batches(dtype=torch.float64):
    g = torch.Generator().manual_seed(1)

    def tagged(n):
        return torch.randn(n, 5, generator=g).to(dtype), torch.randint(2, (n, 4), generator=g).to(dtype)

    values = {"inputs": torch.randn(9, 5, generator=g).to(dtype), "values": torch.randn(9, generator=g).to(dtype)}
    return tagged(6), values, tagged(7)


def learning_of(model, auxiliary=regression, **options) -> AuxiliaryLearning:
    options = {"alpha": ALPHA, "beta": BETA, **options}
    learning = AuxiliaryLearning(model, sgd(model.parameters()), tagging, auxiliary, FEATURES, **options)
    if options["beta"]:
        torch.manual_seed(2)
        for parameter in learning.meta_network.parameters():
            nn.init.normal_(parameter, std=0.5)
    return learning


@dataclass
class Reference:
    """What a step should do, by a second-order graph."""

    meta_network: nn.Module
    slope: tuple[Tensor, ...]
    meta_loss: Tensor
    losses: list[Tensor]
    weights: list[Tensor]
    parameters: dict[str, Tensor]


class AtOthers(nn.Module):
    """Runs a task of the model; `functional_call` of it reaches the parts of the model that the task calls."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, task, batch):
        return task(self.model, batch)


def brute_force(model: Model, meta_network: nn.Module, auxiliary, reserve_loss, data) -> Reference:
    """Algorithm 1 for copies of the model and of the meta network."""
    model, meta_network = copy.deepcopy((model, meta_network))

    def at(parameters, task, batch):
        buffers = {name: b.clone() for name, b in model.named_buffers()}
        state = {f"model.{name}": value for name, value in {**parameters, **buffers}.items()}
        return functional_call(AtOthers(model), state, (task, batch))

    def both(model, batches):
        return tagging(model, batches[0]), auxiliary(model, batches[1])

    def weights():
        raw = [torch.sigmoid(meta_network.linear(feature.detach())).squeeze(1) for _, feature in outputs]
        return [r / (raw[0].mean() + raw[1].mean()) for r in raw]

    def gradients_of_sum(**options):
        total = sum((w * loss).mean() for w, loss in zip(weights(), losses, strict=True))
        found = torch.autograd.grad(total, list(theta.values()), allow_unused=True, **options)
        return {name: g for name, g in zip(theta, found, strict=True) if g is not None}

    theta = {name: p for name, p in model.named_parameters() if p.requires_grad}
    torch.manual_seed(3)
    outputs = at(theta, both, data[:2])
    losses = [loss for loss, _ in outputs]
    gradients = gradients_of_sum(create_graph=True)
    virtual = {name: p - ALPHA * gradients[name] if name in gradients else p for name, p in theta.items()}
    meta_loss = at(virtual, reserve_loss, data[2])
    slope = torch.autograd.grad(meta_loss, list(meta_network.parameters()), retain_graph=True)
    for parameter, gradient in zip(meta_network.parameters(), slope, strict=True):
        parameter.grad = gradient
    torch.optim.Adam(meta_network.parameters(), lr=BETA).step()
    parameters = {name: p.detach().clone() for name, p in model.named_parameters()}
    for name, gradient in gradients_of_sum().items():
        parameters[name] -= RATE * gradient
    return Reference(meta_network, slope, meta_loss.detach(), losses, weights(), parameters)


@FROZEN
@pytest.mark.parametrize("auxiliary", [regression, twice])
@pytest.mark.parametrize("reserve_loss", [None, worst], ids=["mean", "own"])
def test_both_updates_equal_brute_force(auxiliary, reserve_loss, frozen):
    model, data = model_of(frozen), batches()
    learning = learning_of(model, auxiliary, reserve_loss=reserve_loss)
    expected = brute_force(model, learning.meta_network, auxiliary, reserve_loss or mean, data)
    torch.manual_seed(3)
    step = learning.step(*data)
    for parameter, gradient in zip(learning.meta_network.parameters(), expected.slope, strict=True):
        assert relative(parameter.grad, gradient) < 1e-10
    assert_parameters(learning.meta_network, dict(expected.meta_network.named_parameters()), 1e-10)
    assert_parameters(model, expected.parameters, 1e-10)
    assert step.meta_loss.item() == pytest.approx(expected.meta_loss.item(), rel=1e-12)
    found = (step.primary_loss, step.primary_weights), (step.auxiliary_loss, step.auxiliary_weights)
    for (loss, weights), losses, others in zip(found, expected.losses, expected.weights, strict=True):
        assert loss.item() == pytest.approx(losses.mean().item(), rel=1e-12)
        assert relative(weights, others) < 1e-10
        assert not weights.requires_grad


def test_without_a_meta_learning_rate_it_is_the_plain_sum_to_the_last_bit():
    """Buffers and the random stream too: each batch counts once."""
    model, data = model_of(dtype=torch.float32), batches(torch.float32)
    plain = copy.deepcopy(model)
    learning, optimiser = learning_of(model, beta=0.0), sgd(plain.parameters())
    torch.manual_seed(3)
    for _ in range(3):
        step = learning.step(*data)
        assert (step.primary_weights == 0.5).all() and (step.auxiliary_weights == 0.5).all()
    state = torch.get_rng_state()
    torch.manual_seed(3)
    for _ in range(3):
        optimiser.zero_grad()
        (0.5 * tagging(plain, data[0])[0].mean() + 0.5 * regression(plain, data[1])[0].mean()).backward()
        optimiser.step()
    assert_same_state(model, plain)
    assert plain.body[1].num_batches_tracked == 6
    assert torch.equal(torch.get_rng_state(), state)


def test_frozen_parameters_stay():
    model = model_of(("0.weight", "0.bias"))
    before = copy.deepcopy(model.body[0])
    learning_of(model).step(*batches())
    assert_same_state(model.body[0], before)


def test_mixed_precision_weighs_nearly_alike():
    slopes = []
    for autocast in (nullcontext, lambda: torch.autocast("cpu", torch.bfloat16)):
        learning = learning_of(model_of(dtype=torch.float32), autocast=autocast)
        torch.manual_seed(3)
        step = learning.step(*batches(torch.float32))
        assert step.auxiliary_weights.dtype == torch.float32 and step.meta_loss.isfinite()
        slopes.append(learning.meta_network.linear.weight.grad.flatten())
    assert not torch.equal(*slopes)
    assert torch.cosine_similarity(*slopes, dim=0) > 0.9


def test_central_differences_nearly_equal_brute_force():
    model, data = model_of(), batches()
    learning = learning_of(model, way="difference")
    expected = brute_force(model, learning.meta_network, regression, mean, data)
    torch.manual_seed(3)
    learning.step(*data)
    for parameter, gradient in zip(learning.meta_network.parameters(), expected.slope, strict=True):
        assert relative(parameter.grad, gradient) < 1e-5


def wrong(model, batch, change):
    losses, feature = regression(model, batch)
    return change(losses, feature)


@pytest.mark.parametrize(
    "change, shapes",
    [
        (lambda losses, feature: (losses.mean(), feature), r"\(\) and \(9, 8\)"),
        (lambda losses, feature: (losses[:, None], feature), r"\(9, 1\) and \(9, 8\)"),
        (lambda losses, feature: (losses, feature[:, :3]), r"\(9,\) and \(9, 3\)"),
        (lambda losses, feature: (losses, feature[:4]), r"\(9,\) and \(4, 8\)"),
    ],
)
def test_a_task_of_the_wrong_form_is_refused(change, shapes):
    model = model_of()
    before = copy.deepcopy(model)
    with pytest.raises(ValueError, match=rf"auxiliary.*\(n, 8\).*{shapes}"):
        learning_of(model, partial(wrong, change=change)).step(*batches())
    assert_parameters(model, dict(before.named_parameters()), 1e-300)


def test_a_reserve_loss_of_many_numbers_is_refused():
    with pytest.raises(ValueError, match=r"reserve loss.*\(7,\)"):
        learning_of(model_of(), reserve_loss=lambda model, batch: tagging(model, batch)[0]).step(*batches())


def test_a_head_outside_the_model_is_refused():
    model, head = model_of(), nn.Linear(FEATURES, 3)
    with pytest.raises(ValueError, match=r"\(3, 8\), \(3,\)"):
        AuxiliaryLearning(model, sgd([*model.parameters(), *head.parameters()]), tagging, regression, FEATURES)


def test_the_script_of_the_documentation_runs(capsys):
    text = (Path(__file__).parents[2] / "docs" / "method.md").read_text()
    (script,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    torch.manual_seed(0)
    model = nn.Module()
    model.body, model.tags, model.rating = nn.Linear(5, 64), nn.Linear(64, 4), nn.Linear(64, 1)
    before = copy.deepcopy(model.state_dict())
    tagged = [(torch.randn(6, 5), torch.ones(6, 4))] * 2
    rated = [{"image": torch.randn(9, 5), "rating": torch.ones(9)}] * 2
    loaders = {"labelled_loader": tagged, "rated_loader": rated, "reserved_loader": tagged}
    exec(script, {"torch": torch, "F": F, "model": model, **loaders})
    assert capsys.readouterr().out.count("tensor(") == 2
    assert all(not torch.equal(value, before[name]) for name, value in model.state_dict().items())
