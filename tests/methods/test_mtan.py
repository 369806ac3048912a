"""MTAN's network against its equations, and its limit: with saturated attention it is MTL."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metafacs.errors import InputError
from metafacs.methods.mtan import MTAN
from metafacs.methods.mtl import MTL
from metafacs.models.attended import AttendedNetwork
from metafacs.sample import Sample
from tests.methods.networks import batches, build, small_resnet, timm_network


def saturate(network: AttendedNetwork, logit: float = 60.0) -> None:
    """Every mask becomes sigmoid(logit): exactly 1 for 60, without gradient."""
    for task in network.attention:
        for attention in task:
            nn.init.zeros_(attention[4].weight)
            nn.init.constant_(attention[4].bias, logit)


@pytest.mark.parametrize("statistics", ["joint", "separate"])
def test_with_saturated_attention_it_is_mtl_to_the_last_bit(statistics: str) -> None:
    shared, attended = small_resnet(drop_path_rate=0.3), small_resnet(drop_path_rate=0.3)
    mtl = build(MTL, shared, auxiliary_weight=0.3, statistics=statistics)
    mtan = build(MTAN, attended, auxiliary_weight=0.3, statistics=statistics)
    saturate(mtan.network)
    for step in range(3):
        for method in (mtl, mtan):
            torch.manual_seed(step)
            method.training_step(batches(side=32, seed=step))
    own = mtan.network.state_dict()
    for name, value in mtl.network.state_dict().items():
        assert torch.equal(value, own[name]), name
    sample = Sample(torch.rand(3, 3, 32, 32, dtype=torch.float64))
    assert torch.equal(mtl.predict(sample), mtan.predict(sample))


def test_halved_attention_halves_what_the_heads_read() -> None:
    plain, network = small_resnet().eval(), AttendedNetwork(small_resnet()).eval()
    saturate(network, 0.0)
    sample = Sample(torch.rand(2, 3, 32, 32, dtype=torch.float64))
    torch.testing.assert_close(network(sample).feature, plain(sample).feature / 2)


def attended_by_hand(network: AttendedNetwork, task: int, x: Tensor) -> Tensor:
    """The attended feature of the last stage, from the equations; for `eval` mode."""
    body = network.backbone
    x = body.maxpool(body.act1(body.bn1(body.conv1(x))))
    attended = None
    for k, stage in enumerate((body.layer1, body.layer2, body.layer3, body.layer4)):
        assert len(stage) == 2
        before = stage[0](x)
        x = stage[1](before)
        conv1, bn1, _, conv2, bn2, _ = network.attention[task][k]
        seen = before
        if attended is not None:
            conv, bn, _ = network.encoders[k - 1]
            encoded = F.relu(bn(F.conv2d(attended, conv.weight, padding=1)))
            pooled = F.max_pool2d(encoded, 2, 2, ceil_mode=True) if encoded.shape[-1] != before.shape[-1] else encoded
            seen = torch.cat([before, pooled], 1)
        mask = torch.sigmoid(bn2(F.conv2d(F.relu(bn1(F.conv2d(seen, conv1.weight))), conv2.weight)))
        attended = mask * x
    return attended


@pytest.mark.parametrize("side", [32, 48, 56])
def test_the_forward_pass_is_the_papers(side: int) -> None:
    network = AttendedNetwork(small_resnet())
    batch = batches(side=side)
    network.train()(batch["primary"].sample)  # running statistics other than 0 and 1
    network.eval()
    x = network.normalised(batch["primary"].sample.images)
    au, expression = (attended_by_hand(network, task, x).mean((2, 3)) for task in (0, 1))
    out = network(batch["primary"].sample)
    torch.testing.assert_close(out.au_logits, network.au_head(au))
    torch.testing.assert_close(out.expression_logits, network.expression_head(expression))
    assert not torch.allclose(au, expression)


def test_each_task_trains_its_own_attention_and_both_train_the_encoders() -> None:
    network = AttendedNetwork(small_resnet()).eval()  # in training BatchNorm ties all that is in a batch together
    out = network(batches(side=32)["primary"].sample)
    for task, logits in enumerate((out.au_logits, out.expression_logits)):
        network.zero_grad()
        logits.square().sum().backward(retain_graph=True)
        assert all(p.grad is not None and p.grad.any() for p in network.attention[task].parameters())
        assert all(p.grad is None or not p.grad.any() for p in network.attention[1 - task].parameters())
        assert all(p.grad.any() for p in network.encoders.parameters())


@pytest.mark.parametrize("name", ["resnet18", "resnet26d", "resnext26ts", "seresnet18", "resnet50"])
def test_which_backbones_serve(name: str) -> None:
    network = timm_network(name, dtype=torch.float32)
    if name == "resnext26ts":
        with pytest.raises(InputError, match=r"works on the stages of timm's ResNets, and this backbone is a ByobNet"):
            AttendedNetwork(network)
        return
    assert AttendedNetwork(network).eval()(Sample(torch.rand(1, 3, 40, 40))).au_logits.isfinite().all()


def test_a_stage_of_one_block_is_too_short() -> None:
    with pytest.raises(InputError, match=r"MTAN needs at least 2 residual blocks .* this backbone has 1, 1, 1, 1"):
        build(MTAN, small_resnet(layers=[1, 1, 1, 1]))
