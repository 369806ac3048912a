"""TCAE: what its flows do in the limit, which parameters move in which phase, and pairs of frames."""

import numpy as np
import pytest
import torch
from torch import nn

from metafacs.data.prepared import PreparedDataset
from metafacs.data.streams import Faces, PairOrder, Stream, training_batches
from metafacs.errors import InputError
from metafacs.methods import Setup
from metafacs.methods.tcae import TCAE, TCAEOptions, middling
from metafacs.models.network import build_network
from metafacs.models.tcae import combined, warp
from tests.methods.networks import AUS, EXPRESSIONS, batches
from tests.toy_runs import SMALL


def build(**options: object) -> TCAE:
    torch.manual_seed(0)
    backbone, small = SMALL["metafacs_tcae"]
    network = build_network(backbone, AUS, EXPRESSIONS, "scratch", small)
    return TCAE(Setup(network, lambda p: torch.optim.SGD(p, 0.01)), TCAEOptions(**options))  # type: ignore[arg-type]


def moved(method: TCAE) -> set[str]:
    """First words of the parameters that a step changes."""
    modules = {"network": method.network, "decoders": method.decoders}
    before = {(m, n): p.clone() for m, module in modules.items() for n, p in module.named_parameters()}
    batch = batches(4, side=32, dtype=torch.float32)
    method.training_step({name: batch[name] for name in method.streams})
    changed = {
        (m, n) for m, module in modules.items() for n, p in module.named_parameters() if (p != before[m, n]).any()
    }
    return {m if m == "decoders" else n.split(".")[0] for m, n in changed}


def test_no_flow_leaves_the_source() -> None:
    images = torch.rand(2, 3, 32, 32).double()
    torch.testing.assert_close(warp(images, torch.zeros(2, 2, 32, 32).double()), images, atol=1e-12, rtol=0)
    one = torch.zeros(2, 2, 32, 32).double()
    one[:, 0] = 2 / 31  # a pixel to the right
    torch.testing.assert_close(warp(images, one)[..., :-1], images[..., 1:])
    torch.testing.assert_close(warp(images, one)[..., -1], images[..., -1])


def test_equal_masks_give_the_mean_flow() -> None:
    flows, mask = torch.randn(2, 3, 2, 8, 8), torch.randn(3, 1, 8, 8)
    torch.testing.assert_close(combined([(flows[0], mask), (flows[1], mask)]), flows.mean(0))
    torch.testing.assert_close(combined([(flows[0], mask + 50), (flows[1], mask)]), flows[0])


def test_a_frame_with_itself_and_no_flow_has_no_loss_in_pixels() -> None:
    method = build()
    for decoder in method.decoders:
        nn.init.zeros_(decoder.layers[-2].weight)  # type: ignore[union-attr, index, arg-type]
        nn.init.zeros_(decoder.layers[-2].bias)  # type: ignore[union-attr, index, arg-type]
    method.network.eval()
    images = torch.rand(3, 3, 32, 32)
    for term in method.pair_losses(images, images):
        torch.testing.assert_close(term, torch.zeros(3), atol=1e-5, rtol=0)


def test_each_flow_depends_on_its_own_feature_alone() -> None:
    method = build()
    source, target = torch.rand(2, 3, 3, 32, 32)
    for decoder, branch, other in zip(
        method.decoders,
        (method.encoder.pose, method.encoder.action),
        (method.encoder.action, method.encoder.pose),
        strict=True,
    ):
        trunk = method.encoder.trunk
        flow, _ = decoder(branch(trunk(source)), branch(trunk(target)))
        gradients = torch.autograd.grad(flow.sum(), [*branch.parameters(), *other.parameters()], allow_unused=True)
        known = len(list(branch.parameters()))
        assert all(g is not None for g in gradients[:known]) and all(g is None for g in gradients[known:])


def test_phases_move_what_they_train() -> None:
    method = build(pretrain_share=0.5)
    method.plan(2)
    assert moved(method) == {"backbone", "decoders"}
    statistics = [b.clone() for b in method.network.backbone.buffers()]
    assert moved(method) == {"norm", "au_head"}
    assert all(torch.equal(a, b) for a, b in zip(statistics, method.network.backbone.buffers(), strict=True))
    assert moved(build(tune="all")) == {"backbone", "norm", "au_head"}
    with pytest.raises(InputError, match="pretrain_share is 1"):
        TCAEOptions(pretrain_share=1)


def test_middling_pairs_count() -> None:
    losses = torch.tensor([5.0, 1.0, 4.0, 2.0, 3.0, 6.0])
    assert middling(losses, 0.0).tolist() == [0, 2, 0, 4, 6, 0]
    assert middling(losses, 0.35).tolist() == [10, 0, 8, 0, 6, 0]
    assert middling(losses[:1], 0.35).tolist() == [5]


def test_partners_are_other_frames_of_the_same_video() -> None:
    groups = ["a", "a", "b", "a", "c", "b"]
    order = PairOrder(groups, 3, 0, "pairs")
    for step in range(6):
        firsts, seconds = order(step).reshape(3, 2).T
        assert [groups[k] for k in firsts] == [groups[k] for k in seconds]
        assert all(a != b or groups[a] == "c" for a, b in zip(firsts, seconds, strict=True))
    fresh = PairOrder(groups, 3, 0, "pairs")
    assert np.array_equal(fresh(5), order(5)), "a resumed run sees the same"
    assert sorted([*order(0)[::2], *order(1)[::2]]) == list(range(6))


def test_both_frames_of_a_pair_are_mirrored_alike(au_dataset: PreparedDataset) -> None:
    faces = Faces(au_dataset, np.arange(8), 32)
    order = PairOrder(["S"] * 8, 8, 0, "pairs")
    order.members = {"S": [0]}  # partners are the first frame, which is its own too
    order.groups = ["S"] * 8
    stream = Stream(faces, torch.empty(8, 0), order)
    (batch,) = training_batches({"pairs": stream}, range(1), 32, 3, torch.device("cpu"))
    plain = faces.images(order(0)) / 255
    images = batch["pairs"].sample.images
    flipped = [not torch.allclose(a, b) for a, b in zip(images, plain, strict=True)]
    assert flipped[::2] == flipped[1::2] and 0 < sum(flipped) < 16 and batch["pairs"].labels.shape == (16, 0)
