"""Networks of regions: attention and crops typed anew, and what the networks become in the limit."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metafacs.errors import InputError
from metafacs.models import enhanced, jaa
from metafacs.models.enhanced import EnhancedNetwork
from metafacs.models.jaa import MARKUP, JAANetwork
from metafacs.models.network import Network, build_network
from metafacs.models.regions import OF_AU, PAIRS, Branches, LandmarkNetwork, centres, cut, rules_of
from metafacs.models.roi import ROINetwork
from metafacs.sample import Sample
from tests.toy_runs import SMALL

AUS = ["AU01", "AU06", "AU12"]
SIDE = 96


def plain(needs: str) -> Network:
    torch.manual_seed(0)
    backbone, options = SMALL[needs]
    return build_network(backbone, len(AUS), 7, "scratch", options)


def networks() -> list[LandmarkNetwork]:
    shape = 0.1 + 0.8 * torch.rand(68, 2)
    return [
        EnhancedNetwork(plain("vgg19"), shape, 8, 16).eval(),
        EnhancedNetwork(plain("vgg19"), shape, 8, 16, "both").eval(),
        ROINetwork(plain("vgg16"), shape, 8, 16).eval(),
    ]


def test_where_landmarks_are_not_known_the_mean_shape_stands() -> None:
    images = torch.rand(3, 3, SIDE, SIDE)
    for network in networks():
        points = SIDE * torch.rand(3, 68, 2)
        points[1] = torch.nan
        shape = (network.mean_shape * SIDE).repeat(3, 1, 1)
        nowhere = network.logits(Sample(images))
        assert torch.equal(nowhere, network.logits(Sample(images, shape)))
        logits = network.logits(Sample(images, points))
        torch.testing.assert_close(logits[1], nowhere[1])
        assert not torch.allclose(logits[0], nowhere[0])


def test_an_image_counts_the_same_alone_and_among_others() -> None:
    images, points = torch.rand(5, 3, SIDE, SIDE), SIDE * torch.rand(5, 68, 2)
    for network in networks():
        alone = network.logits(Sample(images[2:3], points[2:3]))
        torch.testing.assert_close(network.logits(Sample(images, points))[2:3], alone)


def test_centres_are_those_of_the_table() -> None:
    points = torch.rand(4, 68, 2) * 200
    found = centres(points, PAIRS)
    d = (points[:, 39, 0] - points[:, 42, 0]).abs()
    torch.testing.assert_close(found[:, 0], points[:, 21] - torch.stack([0 * d, d / 2], 1))
    torch.testing.assert_close(found[:, 7], points[:, 46] + torch.stack([0 * d, d], 1))
    assert found.shape == (4, 20, 2)
    torch.testing.assert_close(
        centres(points[:, list(MARKUP)], list(OF_AU.values()), MARKUP), centres(points, list(OF_AU.values()))
    )


def test_cells_are_cut_around_their_places() -> None:
    features = torch.randn(2, 3, 6, 5)
    cells = torch.tensor([[[2, 3], [0, 5]], [[4, -3], [1, 1]]])
    found = cut(features, cells).unflatten(1, (2, 3))
    torch.testing.assert_close(found[0, 0], features[0, :, 2:5, 1:4])
    torch.testing.assert_close(found[0, 1], features[0, :, 3:6, 0:3])
    torch.testing.assert_close(found[1, 0], features[1, :, 0:3, 2:5])


def test_a_landmark_that_moves_within_its_cell_changes_nothing() -> None:
    network = ROINetwork(plain("vgg16"), torch.rand(68, 2), 8, 16).eval()
    images, points = torch.rand(2, 3, 96, 96), 16.0 * torch.randint(1, 5, (2, 68, 2)) + 4
    points[:, [39, 42], 0] = torch.tensor([40.0, 40.0])  # no distance between the eyes: no centre is moved
    sample, moved = Sample(images, points), Sample(images, points + 8)
    moved.landmarks[:, [39, 42], 0] = 44.0  # type: ignore[index]
    assert torch.equal(network.logits(sample), network.logits(moved))


def test_equal_branches_at_equal_places_are_one_branch() -> None:
    branches, one = Branches(20, 4, 6), Branches(1, 4, 6)
    for whole, single in zip(branches.parameters(), one.parameters(), strict=True):
        whole.data.copy_(single.data.repeat(20, *[1] * (single.dim() - 1)))
    cells = torch.randn(3, 4, 3, 3)
    torch.testing.assert_close(branches(cells.repeat(1, 20, 1, 1)), one(cells).repeat(1, 20))


def test_attention_of_eac_net_is_that_of_its_table() -> None:
    points = 224 * torch.rand(2, 68, 2)
    expected = torch.zeros(2, 1, 100, 100)
    for image, places in enumerate(centres(points, PAIRS).tolist()):
        for x, y in places:
            column, row = math.floor(x * 100 / 224), math.floor(y * 100 / 224)
            for dy in range(-7, 7):
                for dx in range(-7, 7):
                    if 0 <= row + dy < 100 and 0 <= column + dx < 100:
                        cell = expected[image, 0, row + dy, column + dx]
                        cell.copy_(torch.maximum(cell, torch.tensor(1 - 0.07 * (abs(dx) + abs(dy)))))
    expected = F.interpolate(expected, (224, 224), mode="bilinear")
    torch.testing.assert_close(enhanced.attention(points, 224), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_without_attention_e_net_is_vgg(level: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """And with it everywhere it adds the first map of the third and fourth group to the last."""
    network = EnhancedNetwork(plain("vgg19"), None, 8, 16).eval()
    features = network.backbone.features  # type: ignore[union-attr]
    monkeypatch.setattr(enhanced, "attention", lambda points, side: torch.full((len(points), 1, side, side), level))
    sample = Sample(torch.rand(2, 3, 64, 64))
    x = features[:10](network.normalised(sample.images))  # type: ignore[index]
    for start in (10, 19):
        first = features[start : start + 2](x)  # type: ignore[index]
        last = features[start + 2 : start + 8](first) + level * first  # type: ignore[index]
        x = features[start + 8](last)  # type: ignore[index]
    torch.testing.assert_close(network.enhanced(sample), last, rtol=0, atol=0)
    if not level:
        whole = network.backbone.features(network.normalised(sample.images))  # type: ignore[union-attr, operator]
        assert torch.equal(features[28:](x), whole)  # type: ignore[index]


# JAA-Net


def jaa_network(version: int = 1) -> JAANetwork:
    return JAANetwork(plain("metafacs_jaa"), AUS, version)


def test_attention_of_jaa_net_is_that_of_its_table() -> None:
    points, rules = 0.5 + 176 * torch.rand(2, 49, 2), rules_of(AUS, "a test")
    expected = torch.zeros(2, 3, 52, 52)
    for image, places in enumerate((centres(points, rules, MARKUP) - 0.5).tolist()):
        for k, (x, y) in enumerate(places):
            column, row = round(x * 52 / 176), round(y * 52 / 176)
            for i in range(max(0, row - 4), min(52, row + 5)):
                for j in range(max(0, column - 4), min(52, column + 5)):
                    value = max(0.0, 1 - (abs(i - row) + abs(j - column)) * 0.56 / (0.14 * 52))
                    cell = expected[image, k // 2, i, j]
                    cell.copy_(torch.maximum(cell, torch.tensor(value)))
    torch.testing.assert_close(jaa.attention(points, rules, 176, 52), expected, atol=1e-5, rtol=0)


def test_equal_branches_without_attention_are_the_global_one(monkeypatch: pytest.MonkeyPatch) -> None:
    network, sample = jaa_network().eval(), Sample(torch.rand(2, 3, 32, 32))
    for whole, single in zip(
        network.local.state_dict().values(), network.whole_face.state_dict().values(), strict=True
    ):
        if single.dim():
            whole.copy_(single.repeat(len(AUS), *[1] * (single.dim() - 1)))
    nn.init.zeros_(network.refine[-2].weight)  # type: ignore[arg-type]
    nn.init.constant_(network.refine[-2].bias, 50.0)  # type: ignore[arg-type]
    joined: list[Tensor] = []
    network.join.register_forward_pre_hook(lambda module, inputs: joined.append(inputs[0]))
    network.whole(sample)
    _, local, face = joined[0].chunk(3, 1)
    torch.testing.assert_close(local, face)


def test_a_refinement_that_passes_on_leaves_the_middle_of_the_map() -> None:
    network, sample = jaa_network().eval(), Sample(torch.rand(2, 3, 32, 32))
    network.refine[-1] = nn.Identity()
    for layer in network.refine:
        if isinstance(layer, nn.Conv2d):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
            layer.weight.data[:, 0, 1, 1] = 1.0
    whole = network.whole(sample)
    torch.testing.assert_close(whole.refined, whole.drawn[..., 4:-4, 4:-4], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("version", [1, 2])
def test_the_aus_send_no_gradient_to_the_landmarks(version: int) -> None:
    network, sample = jaa_network(version), Sample(torch.rand(4, 3, 32, 32))
    whole = network.whole(sample)
    assert (whole.local_logits is not None) == (version == 2)
    own = whole.local_logits.sum() if whole.local_logits is not None else 0.0
    (whole.output.au_logits.sum() + whole.refined.sum() + own).backward()
    assert all(p.grad is None for p in network.landmarks.parameters())
    assert all(p.grad is not None for p in network.backbone.parameters())


def test_strange_aus_and_backbones_are_refused() -> None:
    with pytest.raises(InputError, match=r"AU05.*--data.aus"):
        JAANetwork(plain("metafacs_jaa"), ["AU01", "AU05", "AU12"])
    for kind, needs in ((EnhancedNetwork, "vgg16"), (ROINetwork, "vgg19"), (EnhancedNetwork, "resnet")):
        with pytest.raises(InputError, match=r"--network.backbone vgg1"):
            kind(plain(needs))
    with pytest.raises(InputError, match=r"--network.backbone metafacs_jaa"):
        JAANetwork(plain("resnet"), AUS)
