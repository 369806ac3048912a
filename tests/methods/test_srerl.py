"""SRERL: its graph comes from training labels, and without messages every AU speaks for itself."""

import pytest
import torch
from torch import Tensor, nn

from metafacs.methods.srerl import relations
from metafacs.models.network import build_network
from metafacs.models.related import GatedGraph, HeadPerAU, RelatedNetwork
from metafacs.sample import Sample
from tests.toy_runs import SMALL

AUS = ["AU01", "AU06", "AU12"]


def network(rounds: int, graph: Tensor | None = None) -> RelatedNetwork:
    torch.manual_seed(0)
    backbone, options = SMALL["vgg19"]
    plain = build_network(backbone, len(AUS), 7, "scratch", options)
    return RelatedNetwork(plain, AUS, torch.rand(68, 2), graph, 6, rounds).eval()


def test_related_are_those_that_change_each_others_probability() -> None:
    together, apart = torch.tensor([[1.0, 1, 0]] * 20 + [[0.0, 0, 1]] * 20), torch.tensor([[0.0, 0, 0]] * 20)
    graph = relations(torch.cat([together, apart]), 0.2, 0.03)
    assert graph.tolist() == [[0, 1, -1], [1, 0, -1], [-1, -1, 0]]
    hidden = torch.cat([together, apart])
    hidden[15:20, 1] = torch.nan  # of images that are not labelled nothing is counted
    assert torch.equal(relations(hidden, 0.2, 0.03), graph)
    assert relations(together[:9], 0.2, 0.03).abs().max() == 0, "nine images say nothing"


@pytest.mark.parametrize("rounds, graph", [(0, torch.ones(3, 3)), (3, torch.zeros(3, 3))])
def test_without_messages_an_au_depends_on_its_own_regions_alone(rounds: int, graph: Tensor) -> None:
    made = network(rounds, graph)
    sample = Sample(torch.rand(2, 3, 64, 64))
    logits = made.logits(sample)
    regions = made.regions
    made.regions = lambda sample: regions(sample) + torch.tensor([1.0, 0, 0])[:, None]  # type: ignore[method-assign]
    changed = made.logits(sample)
    assert torch.equal(changed[:, 1:], logits[:, 1:]) and not torch.allclose(changed[:, 0], logits[:, 0])
    made.graph, made.rounds = torch.ones(3, 3), 3
    made.regions = regions  # type: ignore[method-assign]
    joined = made.logits(sample)
    made.regions = lambda sample: regions(sample) + torch.tensor([1.0, 0, 0])[:, None]  # type: ignore[method-assign]
    assert not torch.allclose(made.logits(sample)[:, 1:], joined[:, 1:])


def test_a_round_of_messages_is_its_formula() -> None:
    torch.manual_seed(0)
    layer, h = GatedGraph(4).double(), torch.randn(2, 3, 4).double()
    graph = torch.tensor([[0.0, 1, -1], [1, 0, 0], [0, -1, 0]]).double()
    w_z, w_r, w = layer.from_message.weight.chunk(3)
    b_z, b_r, b = layer.from_message.bias.chunk(3)
    u_z, u_r = layer.from_state.weight.chunk(2)
    for n in range(2):
        for i in range(3):
            m = sum(graph[i, j] * layer.message.weight @ h[n, j] for j in range(3)) + layer.message.bias
            z = torch.sigmoid(w_z @ m + b_z + u_z @ h[n, i])
            r = torch.sigmoid(w_r @ m + b_r + u_r @ h[n, i])
            c = torch.tanh(w @ m + b + layer.from_kept.weight @ (r * h[n, i]))
            torch.testing.assert_close(layer(h, graph)[n, i], (1 - z) * h[n, i] + z * c)


def test_a_head_for_each_au_is_as_many_linear_layers() -> None:
    head, x = HeadPerAU(4, 3), torch.randn(5, 12)
    for k, part in enumerate(x.chunk(3, 1)):
        torch.testing.assert_close(
            head(x)[:, k], nn.functional.linear(part, head.weight[k : k + 1], head.bias[k])[:, 0]
        )
