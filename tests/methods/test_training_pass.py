"""A step in parts, of the last stage, and at every k-th step."""

import pytest
import torch
from torch import nn

from metafacs.errors import InputError
from metafacs.methods.losses import class_balance
from metafacs.methods.mal import MAL
from metafacs.methods.training_pass import last_stage, sees_the_batch
from tests.methods.brute_force import ahead
from tests.methods.networks import batches, build, small_resnet, timm_network, tiny_network

ALPHA = 0.3


def made(network, batch, **options):
    balance = class_balance(batch["meta"].labels)
    defaults = {"meta_optimiser": "sgd", "way": "forward", "beta": 0.5}
    method = build(MAL, network, balance, alpha=ALPHA, **{**defaults, **options})
    torch.manual_seed(7)
    torch.nn.init.normal_(method.meta_network.linear.weight, 0, 0.5)
    return method


def without_batch_norm(dropout=0.0):
    network = tiny_network(dropout)
    layers = network.backbone.layers
    for k, layer in enumerate(layers):
        if isinstance(layer, nn.BatchNorm2d):
            layers[k] = nn.GroupNorm(2, layer.num_features, dtype=torch.float64)
    return network


def frozen():
    """BatchNorm by its running statistics, whatever mode the network is put in."""
    network = tiny_network()
    for layer in network.backbone.layers:
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.1, 0.1)
            layer.eval()
            layer.train = lambda mode=True, layer=layer: layer
    return network


@pytest.mark.parametrize("options", [{"meta_part": 3}, {"training_part": 5}, {"meta_part": 4, "training_part": 1}])
@pytest.mark.parametrize("more", [{}, {"way": "difference"}, {"lookahead": "heads"}, {"statistics": "separate"}])
@pytest.mark.parametrize("build", [without_batch_norm, frozen])
def test_a_step_in_parts_is_the_whole_step(build, more, options):
    batch = batches(6, 9, 10, masked=0.3)
    whole, parted = made(build(), batch, **more), made(build(), batch, **more, **options)
    tolerance = 1e-6 if more.get("way") == "difference" else 1e-10
    for _ in range(2):
        expected, found = whole.training_step(batch), parted.training_step(batch)
        for name, value in expected.items():
            assert found[name].item() == pytest.approx(value.item(), rel=tolerance, abs=tolerance), name
    for own, other in zip(parted.modules.values(), whole.modules.values(), strict=True):
        for name, value in other.state_dict().items():
            torch.testing.assert_close(own.state_dict()[name], value, rtol=tolerance, atol=tolerance)


def test_parts_draw_their_own_masks_and_replay_them():
    batch = batches(6, 6, 8)
    method = made(without_batch_norm(0.4), batch, training_part=4, meta_part=3)
    torch.manual_seed(5)
    images = method.forward_pass(batch)
    theta = dict(method.network.named_parameters())
    losses = [at(theta) for at in images._losses_of]
    assert torch.equal(images._joined([loss.detach() for loss in losses]), images.losses)
    first, second = [at(theta) for at in images._meta_loss_at[:2]], [at(theta) for at in images._meta_loss_at[:2]]
    assert first[0] != second[0]  # the terms advance the random state; `look_ahead` puts it back
    before = torch.get_rng_state()
    u = torch.full((12,), 1 / 12, dtype=torch.float64)
    images.look_ahead(u, ALPHA)
    assert torch.equal(torch.get_rng_state(), before)


def test_batch_norm_in_parts_is_refused():
    batch = batches()
    for options in ({"meta_part": 3}, {"training_part": 3}):
        with pytest.raises(InputError, match="BatchNorm normalises an image by the whole batch"):
            made(tiny_network(), batch, **options)
    with pytest.raises(InputError, match="at least 1 image"):
        made(without_batch_norm(), batch, meta_part=-1)
    assert sees_the_batch(tiny_network().train()) and not sees_the_batch(tiny_network().eval())


@pytest.mark.parametrize(
    "name, options, first",
    [
        ("resnet18", {}, "backbone.layer4.0.conv1.weight"),
        ("convnext_atto", {}, "backbone.stages.3.downsample.0.weight"),
        ("vit_tiny_patch16_224", {"img_size": 32}, "backbone.blocks.11.norm1.weight"),
    ],
)
def test_the_last_stage_is_timms(name, options, first):
    network = timm_network(name, dtype=torch.float32, **options)
    found, every = last_stage(network), [name for name, _ in network.named_parameters()]
    backbone = [name for name in every if name.startswith("backbone.")]
    assert sorted(found) == sorted(backbone[backbone.index(first) :])


def test_a_backbone_that_does_not_tell_its_stages_is_refused():
    with pytest.raises(InputError, match="does not tell its stages"):
        made(tiny_network(), batches(), lookahead="last-stage")


def test_a_look_ahead_of_the_last_stage_equals_brute_force():
    network, batch = small_resnet(zero_init_last=False).train(), batches(4, 5, 6, side=32)
    method = made(network, batch, lookahead="last-stage")
    u = (torch.rand(9, dtype=torch.float64) / 9).requires_grad_()
    moved = ("backbone.layer4.", "au_head.", "expression_head.")
    meta = ahead(network, batch, lambda feature, losses: u, ALPHA, method.balance, lambda name: name.startswith(moved))
    (expected,) = torch.autograd.grad(meta, u)
    found = method.forward_pass(batch).look_ahead(u.detach(), ALPHA, "last-stage")
    assert found.meta_loss.item() == pytest.approx(meta.item(), rel=1e-12)
    torch.testing.assert_close(found.gradient, expected, rtol=1e-9, atol=1e-14)


def test_between_its_turns_the_meta_network_stays_and_weighs():
    batch = batches()
    method, always = made(tiny_network(), batch, meta_every=3), made(tiny_network(), batch)
    phi = method.meta_network.linear.weight
    changed = []
    for step in range(7):
        before = phi.detach().clone()
        values = method.training_step(batch)
        changed.append(not torch.equal(before, phi))
        assert ("meta_loss" in values) == changed[-1]
        if step == 0:
            always.training_step(batch)
            torch.testing.assert_close(always.meta_network.linear.weight, phi)
    assert changed == [True, False, False, True, False, False, True]
    resumed = made(tiny_network(), batch, meta_every=3)
    for name, module in resumed.modules.items():
        module.load_state_dict(method.modules[name].state_dict())
    assert ["meta_loss" in resumed.training_step(batch) for _ in range(3)] == [False, False, True]
    assert "turn" not in always.modules
    with pytest.raises(InputError, match="meta_every"):
        made(tiny_network(), batch, meta_every=0)


def test_a_step_between_is_a_weighted_step():
    """theta moves by the gradient of the losses weighted by the meta network as it is."""
    batch = batches(masked=0.2)
    method = made(tiny_network(), batch, meta_every=2)
    method.training_step(batch)
    network = method.network.train()
    feature, losses = method.joint(batch["primary"], batch["auxiliary"])
    u = method.weigh(feature.detach(), 6)[1].detach()
    theta = dict(network.named_parameters())
    gradients = torch.autograd.grad((u * losses).sum(), list(theta.values()))
    expected = {name: p.detach() - 0.05 * g for (name, p), g in zip(theta.items(), gradients, strict=True)}
    method.training_step(batch)
    for name, p in network.named_parameters():
        torch.testing.assert_close(p.detach(), expected[name], rtol=1e-10, atol=1e-12)


def test_central_differences_leave_mixed_precision_out():
    """In bfloat16 a step of 3e-4 is below rounding: the two forward passes run in float32."""
    batch = batches(side=32, dtype=torch.float32)
    autocast = lambda: torch.autocast("cpu", torch.bfloat16)  # noqa: E731
    gradients = []
    for way in ("forward", "difference"):
        network = tiny_network(dtype=torch.float32)
        method = made(network, batch, way=way, autocast=autocast)
        u = torch.full((12,), 1 / 12)
        gradients.append(method.forward_pass(batch).look_ahead(u, ALPHA).gradient)
    assert torch.cosine_similarity(*gradients, dim=0) > 0.98
