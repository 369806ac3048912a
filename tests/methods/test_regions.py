"""EAC-Net, ROI and JAA-Net: their losses typed anew, phases, and what landmarks do."""

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from metafacs.errors import InputError
from metafacs.methods import METHODS, Batch, Facts, Method, Setup
from metafacs.methods.eac_net import EACNet, EACNetOptions
from metafacs.methods.jaa_net import JAANet, JAANetOptions, landmark_losses, rarity, weighted_losses
from metafacs.methods.regions import ace_losses
from metafacs.models.network import build_network
from metafacs.sample import Sample
from tests.methods.networks import AUS, EXPRESSIONS, batches
from tests.toy_runs import SMALL

NAMES = ("AU01", "AU02", "AU04", "AU06", "AU12")
NAN = math.nan


def build(kind: type[Method], **options: object) -> Method:
    torch.manual_seed(0)
    backbone, small = SMALL[kind.needs]
    network = build_network(backbone, AUS, EXPRESSIONS, "scratch", small)
    facts = Facts(
        NAMES, labels=batches(primary=40, masked=0.2)["primary"].labels.float(), landmarks=torch.rand(1, 68, 2)
    )
    return kind(Setup(network, lambda p: torch.optim.SGD(p, 0.01), facts=facts), kind.Options(**options))


def faces(landmarks: bool = True) -> dict[str, Batch]:
    primary = batches(side=32, masked=0.2, dtype=torch.float32)["primary"]
    points = 32 * torch.rand(len(primary), 68, 2, generator=torch.Generator().manual_seed(0)) if landmarks else None
    return {"primary": Batch(Sample(primary.sample.images, points), primary.labels)}


def moved(method: Method, batch: Mapping[str, Batch]) -> set[str]:
    """The parameters that a step changes."""
    before = {name: p.clone() for name, p in method.network.named_parameters()}
    method.training_step(batch)  # type: ignore[arg-type]
    return {name for name, p in method.network.named_parameters() if not torch.equal(p, before[name])}


def test_the_bounded_cross_entropy() -> None:
    logits, labels = torch.randn(3, 2), torch.tensor([[1.0, 0.0], [NAN, 1.0], [NAN, NAN]])
    p = torch.sigmoid(logits).tolist()
    one = [math.log((p[0][0] + 0.05) / 1.05), math.log((1.05 - p[0][1]) / 1.05), math.log((p[1][1] + 0.05) / 1.05)]
    expected = torch.tensor([-(one[0] + one[1]) / 2, -one[2], 0.0])
    torch.testing.assert_close(ace_losses(logits, labels), expected)
    torch.testing.assert_close(ace_losses(logits, labels, "sum"), expected * torch.tensor([2, 1, 1]))


def test_eac_net_trains_one_network_after_the_other() -> None:
    method = build(EACNet, first_share=0.5, units=8, hidden=16)
    method.plan(2)
    first = moved(method, faces())
    assert first and all(name.startswith(("backbone.features.", "backbone.pre_logits.fc1", "e_")) for name in first)
    assert not any(name.startswith(("backbone.features.0.", "backbone.features.7.")) for name in first)
    assert any(name.startswith("backbone.features.10.") for name in first)
    second = moved(method, faces())
    assert second and all(name.startswith(("c_net.", "au_head.")) for name in second)
    with pytest.raises(InputError, match="first_share is 1"):
        EACNetOptions(first_share=1)


@pytest.mark.parametrize("name", ["eac_net", "roi", "jaa_net"])
def test_unknown_labels_count_nothing(name: str) -> None:
    method, batch = build(METHODS[name]), faces()
    unknown = torch.full_like(batch["primary"].labels, NAN)
    batch["primary"] = Batch(batch["primary"].sample, unknown)
    assert "au_head.weight" not in moved(method, batch)


def test_the_losses_of_jaa_net() -> None:
    weights, logits = torch.tensor([0.5, 1.5]).double(), torch.randn(3, 2).double()
    labels = torch.tensor([[1.0, 0.0], [NAN, 1.0], [NAN, NAN]]).double()

    def term(logit: Tensor, t: float) -> Tensor:
        p = 1 / (1 + (-logit).exp())
        entropy = -(p.log() if t else (1 - p).log())
        return entropy + 1 - (2 * p * t + 1) / (p * p + t * t + 1)

    first = (0.5 * term(logits[0, 0], 1) + 1.5 * term(logits[0, 1], 0)) / 2
    expected = torch.stack([first, 1.5 * term(logits[1, 1], 1), torch.zeros(()).double()])
    torch.testing.assert_close(weighted_losses(logits, labels, weights), expected)

    seen = torch.tensor([[1.0, 0.0, NAN], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [1.0, NAN, NAN]])
    rates = torch.tensor([3 / 4, 1 / 4, 1 / 2])
    torch.testing.assert_close(rarity(Facts(labels=seen)), 3 / rates / (1 / rates).sum())


def test_landmarks_are_learned_where_they_are_known() -> None:
    true, points = 100 * torch.rand(3, 68, 2), 100 * torch.rand(3, 49, 2)
    true[1, 40] = NAN
    true[2, :17] = NAN  # the jaw is not among the 49
    found = landmark_losses(points, true)
    chosen = true[:, [*range(17, 60), 61, 62, 63, 65, 66, 67]]
    eyes = (true[:, 36:42].mean(1) - true[:, 42:48].mean(1)).square().sum(1)
    expected = (points - chosen).square().sum((1, 2)) / (2 * eyes)
    torch.testing.assert_close(found[[0, 2]], expected[[0, 2]])
    assert found[1] == 0 and torch.equal(landmark_losses(points, None), torch.zeros(3))
    method = build(JAANet)
    assert "landmarks.2.weight" in moved(method, faces()) and "landmarks.2.weight" not in moved(method, faces(False))


def test_the_refinement_of_jaa_net_learns_twice_as_fast() -> None:
    first, second = (build(JAANet, version=version).optimisers["base"].param_groups for version in (1, 2))
    assert [group["lr"] for group in first] == [0.01, 0.02] and len(second) == 1
    assert JAANetOptions().version == 1
