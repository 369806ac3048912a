"""LP-Net: the person's shape is the mean over the person's training rows, and without it all is STL on three stages."""

import torch
from torch import nn

from metafacs.data.transforms import MIRRORED
from metafacs.methods import Facts, Setup
from metafacs.methods.lp_net import LPNet, LPNetOptions, face_shapes, person_shapes
from metafacs.methods.stl import STL
from metafacs.models.network import Network
from metafacs.models.stages import stages, stem
from metafacs.sample import Batch, Sample
from tests.methods.networks import AUS, EXPRESSIONS, batches, sgd, small_resnet


class ThreeStages(nn.Module):
    """What STL is compared on."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = stem(self.backbone, images)
        for stage in stages(self.backbone, "a test")[:3]:
            x = stage(x)
        return x.mean((2, 3))


def build(seed: int = 0, **weights: float) -> LPNet:
    points = torch.rand(8, 68, 2, generator=torch.Generator().manual_seed(seed))
    facts = Facts(subjects=["a", "b"] * 4, landmarks=points)
    return LPNet(Setup(small_resnet(), sgd, facts=facts), LPNetOptions(**weights))


def placed(batch: Batch, places: list[int]) -> Batch:
    return Batch(Sample(batch.sample.images), batch.labels, places=torch.tensor(places))


def test_shapes_are_free_of_place_size_and_side() -> None:
    points = torch.rand(3, 68, 2).double()
    shapes = face_shapes(points)
    torch.testing.assert_close(face_shapes(2 * points + torch.tensor([5.0, -3.0])), shapes)
    torch.testing.assert_close(face_shapes(points[:, list(MIRRORED)] * torch.tensor([-1.0, 1.0])), shapes)


def test_a_persons_shape_is_the_mean_over_its_rows() -> None:
    points = torch.rand(4, 68, 2)
    points[2, 30] = torch.nan
    shapes, each = person_shapes(Facts(subjects=["a", "b", "a", "c"], landmarks=points)), face_shapes(points)
    torch.testing.assert_close(shapes[0], each[0])
    torch.testing.assert_close(shapes[2], each[0])
    torch.testing.assert_close(shapes[1], each[1])
    points[3] = torch.nan
    assert person_shapes(Facts(subjects=["a", "b", "a", "c"], landmarks=points))[3].isnan().all()


def test_without_its_terms_it_is_stl_on_three_stages() -> None:
    method = build(shape=0, orthogonal=0)
    nn.init.zeros_(method.network.relations.weight)
    nn.init.zeros_(method.network.relations.bias)
    plain = Network(ThreeStages(small_resnet().backbone), method.network.feature_size, AUS, EXPRESSIONS).double()
    plain.au_head.load_state_dict(method.network.au_head.state_dict())
    batch = {"primary": placed(batches(side=32)["primary"], [0, 1, 2, 3, 4, 5])}
    values = method.training_step(batch)  # type: ignore[arg-type]
    expected = STL(Setup(plain, sgd)).training_step(batch)  # type: ignore[arg-type]
    torch.testing.assert_close(values["loss_primary"], expected["loss_primary"])
    trained = method.network.backbone.layer3.parameters(), plain.backbone.backbone.layer3.parameters()  # type: ignore[union-attr]
    for one, other in zip(*trained, strict=True):
        torch.testing.assert_close(one, other)


def test_orthogonal_features_cost_nothing_and_shapes_are_learned() -> None:
    batch = {"primary": placed(batches(side=32)["primary"], [0, 1, 2, 3, 4, 5])}
    free, bound = build(shape=0, orthogonal=0), build(shape=0, orthogonal=1)
    nn.init.zeros_(bound.network.person[0].weight)  # type: ignore[arg-type]
    nn.init.zeros_(bound.network.person[0].bias)  # type: ignore[arg-type]
    torch.testing.assert_close(bound.losses(batch), free.losses(batch))  # type: ignore[arg-type]
    method = build()
    before = method.network.shape.weight.clone()
    method.training_step(batch)  # type: ignore[arg-type]
    assert not torch.equal(method.network.shape.weight, before)
