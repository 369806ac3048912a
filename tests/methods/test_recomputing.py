"""Activation checkpointing: the same step to rounding, from fewer kept activations."""

import copy

import pytest
import torch
from torch.func import functional_call

from metafacs.errors import InputError
from metafacs.methods.losses import class_balance
from metafacs.methods.mal import MAL
from metafacs.methods.recomputing import blocks, recomputed
from tests.methods.networks import batches, build, small_resnet, timm_network, tiny_network


def made(network, batch, **options):
    balance = class_balance(batch["meta"].labels)
    method = build(MAL, network, balance, alpha=0.3, meta_optimiser="sgd", **{"way": "forward", **options})
    torch.manual_seed(7)
    torch.nn.init.normal_(method.meta_network.linear.weight, 0, 0.5)
    return method


def state(method):
    return {f"{m}.{k}": v for m, module in method.modules.items() for k, v in module.state_dict().items()}


@pytest.mark.parametrize(
    "name, options, count",
    [
        ("resnet18", {}, 9),
        ("convnext_atto", {}, 12),
        ("vit_tiny_patch16_224", {"img_size": 32}, 12),
        ("test_efficientnet", {}, 5),
    ],
)
def test_blocks_are_what_repeats_and_the_stem(name, options, count):
    found = [
        module for block in blocks(timm_network(name, dtype=torch.float32, **options).backbone) for module in block
    ]
    assert len(found) == count + (3 if name == "resnet18" else 0)
    assert not any(inner in found for module in found for inner in list(module.modules())[1:])


@pytest.mark.parametrize("checkpointing", ["meta", "all"])
@pytest.mark.parametrize("statistics", ["joint", "separate"])
@pytest.mark.parametrize("way", ["forward", "difference"])
def test_two_steps_are_those_without_it(way, statistics, checkpointing):
    """BatchNorm's statistics are counted once, and drop path draws the same masks again."""
    batch = batches(5, 7, 9, side=32, masked=0.3)
    plain, thrifty = [
        made(
            small_resnet(drop_path_rate=0.4, zero_init_last=False),
            batch,
            way=way,
            statistics=statistics,
            checkpointing=kind,
        )
        for kind in ("none", checkpointing)
    ]
    for step in range(2):
        values = []
        for method in (plain, thrifty):
            torch.manual_seed(step)
            values.append(method.training_step(batch))
        assert values[0]["meta_loss"].item() == pytest.approx(values[1]["meta_loss"].item(), rel=1e-12)
    expected = state(plain)
    for name, value in state(thrifty).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-10, atol=1e-12)
    assert expected["network.backbone.bn1.num_batches_tracked"] == 2


def test_a_backward_pass_is_computed_at_the_parameters_of_its_forward_pass():
    """Outside `functional_call` the network has its own parameters back, and the block must not be run at those."""
    network, sample = small_resnet(zero_init_last=False).train(), batches(4, side=32)["primary"].sample
    moved = {name: (p + 0.1).detach().requires_grad_() for name, p in network.named_parameters()}
    gradients = []
    for again in ([], blocks(network.backbone)):
        buffers = {name: b.clone() for name, b in network.named_buffers()}
        with recomputed(again):
            out = functional_call(network, {**moved, **buffers}, (sample,))
        gradients.append(torch.autograd.grad(out.feature.square().sum(), list(moved.values()), allow_unused=True))
    for expected, found in zip(*gradients, strict=True):
        assert (expected is None) == (found is None)
        if expected is not None:
            torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_less_is_kept_and_the_network_is_left_as_it_was():
    network, sample = small_resnet().train(), batches(4, side=32)["primary"].sample

    def kept(again):
        storages = {}
        with (
            torch.autograd.graph.saved_tensors_hooks(
                lambda t: storages.setdefault(t.untyped_storage().data_ptr(), t) is None or t, lambda t: t
            ),
            recomputed(again),
        ):
            network(sample)
        return sum(t.untyped_storage().nbytes() for t in storages.values())

    # hooks inside a block are the checkpoint's own, so that only what it keeps of the outside is seen here
    assert kept(blocks(network.backbone)) < 0.65 * kept([])
    assert not any("forward" in module.__dict__ for module in network.modules())


def test_a_pass_without_a_graph_is_left_alone():
    network, sample = small_resnet().train(), batches(4, side=32)["primary"].sample
    twin = copy.deepcopy(network)
    with torch.no_grad(), recomputed(blocks(network.backbone)):
        found = network(sample)
    torch.testing.assert_close(found.feature, twin(sample).feature.detach())
    for name, buffer in network.named_buffers():
        assert torch.equal(buffer, dict(twin.named_buffers())[name])


def test_a_network_without_blocks_is_refused():
    batch = batches()
    with pytest.raises(InputError, match="no repeated blocks"):
        made(tiny_network(), batch, checkpointing="all")
