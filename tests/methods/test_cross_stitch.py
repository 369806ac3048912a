"""Cross-stitch at its limits: two networks apart, one network shared, and the mean of two."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metafacs.errors import InputError
from metafacs.methods.cross_stitch import CrossStitch
from metafacs.methods.stl import STL
from metafacs.models.network import Network
from metafacs.models.stitched import Stitch, StitchedNetwork
from metafacs.sample import Sample
from tests.methods.networks import EXPRESSIONS, batches, build, sgd, small_resnet, tiny_network


def differing(per: str, own: float, other: float) -> StitchedNetwork:
    """Its two backbones have different weights."""
    network = StitchedNetwork(small_resnet(), per, own, other)
    network.expression_backbone.load_state_dict(small_resnet(seed=5).backbone.state_dict())
    return network


@pytest.mark.parametrize("per", ["channel", "layer"])
def test_a_stitch_is_the_papers_equation(per: str) -> None:
    stitch = Stitch(4 if per == "channel" else 1, 0.9, 0.1)
    assert torch.equal(stitch.weight, torch.tensor([[0.9, 0.1], [0.1, 0.9]]).expand_as(stitch.weight))
    nn.init.normal_(stitch.weight)
    a, b = torch.rand(2, 4, 3, 3), torch.rand(2, 4, 3, 3)
    mixed = stitch(a, b)
    for channel in range(4):
        s = stitch.weight[channel if per == "channel" else 0]
        for row in (0, 1):
            expected = s[row, 0] * a[:, channel] + s[row, 1] * b[:, channel]
            torch.testing.assert_close(mixed[row][:, channel], expected)


@pytest.mark.parametrize("per", ["channel", "layer"])
def test_unstitched_it_is_two_single_task_networks(per: str) -> None:
    network = differing(per, 1.0, 0.0).eval()
    images = torch.rand(3, 3, 32, 32, dtype=torch.float64)
    out = network(Sample(images))
    x = network.normalised(images)
    assert torch.equal(out.feature, network.backbone(x))
    assert torch.equal(out.expression_logits, network.expression_head(network.expression_backbone(x)))


@pytest.mark.parametrize("a, expected", [(0.0, "au"), (1.0, "expression")])
def test_an_unstitched_step_is_a_single_task_step(a: float, expected: str) -> None:
    options = {"auxiliary_weight": a, "statistics": "separate", "own": 1.0, "other": 0.0}
    batch = batches(side=32)
    method = build(CrossStitch, small_resnet(), **options)
    untouched = copy.deepcopy(method.network)
    method.training_step(batch)
    network = method.network
    trained, idle = network.backbone, network.expression_backbone
    if expected == "au":
        alone = build(STL, small_resnet())
        alone.training_step(batch)
        reference = alone.network
    else:
        trained, idle = idle, trained
        reference = expression_step(small_resnet(), batch["auxiliary"].sample, batch["auxiliary"].labels)
    for (name, value), other in zip(reference.backbone.named_parameters(), trained.parameters(), strict=True):
        assert torch.equal(value, other), name
    before = untouched.expression_backbone if expected == "au" else untouched.backbone
    assert all(torch.equal(p, q) for p, q in zip(idle.parameters(), before.parameters(), strict=True))


def expression_step(network: Network, sample: Sample, labels: Tensor) -> Network:
    optimiser = sgd(network.parameters())
    loss = F.cross_entropy(network.train()(sample).expression_logits, labels)
    assert network.expression_head.out_features == EXPRESSIONS
    loss.backward()
    optimiser.step()
    return network


def test_at_one_half_both_tasks_read_the_mean_of_two_networks() -> None:
    network = differing("channel", 0.5, 0.5).eval()
    images = torch.rand(3, 3, 32, 32, dtype=torch.float64)
    a = b = network.normalised(images)
    for name in ("conv1", "bn1", "act1", "maxpool"):
        a, b = getattr(network.backbone, name)(a), getattr(network.expression_backbone, name)(b)
    for k in range(1, 5):
        a, b = (getattr(body, f"layer{k}")(x) for body, x in ((network.backbone, a), (network.expression_backbone, b)))
        a = b = (a + b) / 2
    out = network(Sample(images))
    torch.testing.assert_close(out.feature, a.mean((2, 3)))
    torch.testing.assert_close(out.expression_logits, network.expression_head(out.feature))


def test_at_the_start_it_is_the_plain_network() -> None:
    """Both backbones are the same, and each unit's weights add up to one."""
    sample = Sample(torch.rand(3, 3, 32, 32, dtype=torch.float64))
    network = small_resnet().eval()
    expected = network(sample)
    out = StitchedNetwork(network).eval()(sample)
    for value, reference in zip(out, expected, strict=True):
        torch.testing.assert_close(value, reference, rtol=1e-5, atol=1e-5)


def test_the_units_learn() -> None:
    method = build(CrossStitch, small_resnet())
    before = [unit.weight.clone() for unit in method.network.stitches]
    method.training_step(batches(side=32))
    for unit, old in zip(method.network.stitches, before, strict=True):
        assert (unit.weight != old).float().mean() > 0.9


def test_another_backbone_is_refused() -> None:
    with pytest.raises(InputError, match=r"cross-stitch works on the stages of timm's ResNets.*is a TinyBackbone"):
        build(CrossStitch, tiny_network())
