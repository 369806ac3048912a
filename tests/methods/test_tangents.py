"""The faster forward mode against torch's own."""

from contextlib import nullcontext

import pytest
import torch
import torch.autograd.forward_ad as forward_ad
import torch.nn.functional as F
from torch import nn

from metafacs.methods.lookahead import RandomState, differentiable_attention, isolated
from metafacs.methods.mal import MAL
from metafacs.methods.tangents import Record, Tangents
from tests.methods.networks import batches, build, timm_network, tiny_network


def directional(call, parameters, direction, context):
    with torch.no_grad(), differentiable_attention(), forward_ad.dual_level(), context:
        duals = {name: forward_ad.make_dual(p.detach(), direction[name]) for name, p in parameters.items()}
        return [forward_ad.unpack_dual(out) for out in call(duals)]


def recorded(network, sample):
    """Output and tangent of everything the network says, by torch and by us, and the record that is left."""
    torch.manual_seed(3)
    parameters = dict(network.named_parameters())
    direction = {name: torch.randn_like(p) for name, p in parameters.items()}
    call, record, random = isolated(network), Record(), RandomState(sample.images)
    with record:
        network(sample)
    contexts = nullcontext(), Tangents(), Tangents(record)
    found = []
    for context in contexts:
        with random.replayed():
            found.append(directional(lambda p: call(p, sample), parameters, direction, context))
    return found, record


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "name, options",
    [
        ("resnet18", {"drop_path_rate": 0.3, "zero_init_last": False}),
        ("convnext_atto", {}),
        ("vit_tiny_patch16_224", {"img_size": 32}),
    ],
)
def test_the_tangent_is_torchs_own(name, options, training):
    network = timm_network(name, **options).train(training)
    (expected, *found), record = recorded(network, batches(4, side=32)["primary"].sample)
    for outputs in found:
        for (value, tangent), (own_value, own_tangent) in zip(expected, outputs, strict=True):
            torch.testing.assert_close(own_value, value, rtol=1e-10, atol=1e-10)
            torch.testing.assert_close(own_tangent, tangent, rtol=1e-10, atol=1e-10)
    assert not record.kept


def test_a_recorded_output_is_what_the_replay_gives():
    network = tiny_network().train()
    found, _ = recorded(network, batches()["primary"].sample)
    for (value, _), (reused, _) in zip(found[1], found[2], strict=True):
        assert torch.equal(value, reused)


@pytest.mark.parametrize("changed", ["in place", "another weight", "nothing"])
def test_only_the_untouched_output_of_the_same_layer_is_taken(changed):
    layer, x = nn.Linear(3, 2), torch.randn(4, 3)
    with Record() as record:
        y = layer(x)
        F.softmax(y, 1)
    if changed == "in place":
        with torch.no_grad():
            y.mul_(2)
    taken = record.take(layer.weight.clone() if changed == "another weight" else layer.weight)
    assert (taken is None) == (changed != "nothing")
    assert not record.kept


def test_an_activation_in_place_after_a_layer_does_no_harm():
    network = tiny_network().train()
    network.backbone.layers[1] = nn.SiLU(inplace=True)
    (expected, *found), _ = recorded(network, batches()["primary"].sample)
    for outputs in found:
        for (_, tangent), (_, own) in zip(expected, outputs, strict=True):
            torch.testing.assert_close(own, tangent, rtol=1e-10, atol=1e-10)


def test_a_step_computes_two_convolutions_a_layer_in_forward_mode(monkeypatch):
    counted = []
    enter = Tangents._bilinear

    def bilinear(self, func, *args, **kwargs):
        def call(*a, **k):
            counted.append(func)
            return func(*a, **k)

        return enter(self, call, *args, **kwargs)

    monkeypatch.setattr(Tangents, "_bilinear", bilinear)
    batch = batches()
    balance = torch.ones(2, batch["meta"].labels.shape[1], dtype=torch.float64)
    method = build(MAL, tiny_network(), (balance[0], balance[1]), way="forward")
    method.training_step(batch)
    # the first convolution has an input, the expression head a weight without a tangent
    assert sum(func is F.conv2d for func in counted) == 3
    assert sum(func is F.linear for func in counted) == 3
