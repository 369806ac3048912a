"""Landmarks travel from a prepared dataset to a network that uses them, in training and in use, and to no other."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from metafacs.data.photographic import photograph, photograph_points, random_changes
from metafacs.data.prepared import DatasetCard, PreparedDataset, PreparedWriter
from metafacs.data.streams import Faces, Order, Stream, training_batches
from metafacs.data.transforms import MIRRORED, Crops, centre_crops, crop, crop_points, random_crops
from metafacs.errors import InputError
from metafacs.evaluation.predictions import read_predictions
from metafacs.faces import Recipe, align, move, to_jpeg
from metafacs.inference import AUDetector
from metafacs.methods.base import METHODS, Setup
from metafacs.methods.mtl import MTL, MTLOptions
from metafacs.models.enhanced import EnhancedNetwork
from metafacs.models.network import FORMS, Network, Output, build_network
from metafacs.runs import DETECTOR
from metafacs.sample import Batch, Sample, concatenated
from metafacs.training.checkpoint import load_detector, save_detector
from metafacs.training.predicting import face_probabilities
from tests.builders import make_prepared
from tests.inference.toys import AUS, DotFinder, draw, save_toy
from tests.methods.networks import batches, build, tiny_network
from tests.toy_runs import SMALL, flags, metafacs

CPU = torch.device("cpu")


class PointedNetwork(Network):
    """A plain network that adds a linear function of the landmarks to its feature; those not known count nothing."""

    form = "toy_pointed"
    uses_landmarks = True

    def __init__(self, network: Network) -> None:
        heads = network.au_head.out_features, network.expression_head.out_features
        super().__init__(network.backbone, network.feature_size, *heads)
        self._take(network)
        self.points = nn.Linear(136, network.feature_size, bias=False).to(network.au_head.weight)

    @classmethod
    def around(cls, network: Network, **facts: Any) -> Self:
        return cls(network, **facts)

    def forward(self, sample: Sample) -> Output:
        feature = self.backbone(self.normalised(sample.images))
        if sample.landmarks is not None:
            places = sample.landmarks / sample.images.shape[-1] - 0.5
            feature = feature + self.points(places.nan_to_num(0.0).flatten(1).to(feature.dtype))
        return self.read(feature, feature)


class Pointed(MTL):
    """MTL's steps on a network that uses landmarks."""

    def __init__(self, setup: Setup, options: MTLOptions = MTLOptions()) -> None:  # noqa: B008 - frozen
        super().__init__(Setup(PointedNetwork(setup.network), setup.optimiser), options)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMS._entries, PointedNetwork.form, PointedNetwork)
    monkeypatch.setitem(METHODS._entries, "toy_pointed", Pointed)


# Samples


def test_a_sample_is_cut_and_joined_with_its_landmarks() -> None:
    sample = Sample(torch.rand(5, 3, 8, 8), torch.rand(5, 68, 2))
    again = concatenated([sample[:2], sample[torch.tensor([2, 3, 4])]])
    assert len(again) == 5 and torch.equal(again.images, sample.images)
    assert again.landmarks is not None and torch.equal(again.landmarks, sample.landmarks)
    assert concatenated([Sample(sample.images)] * 2).landmarks is None
    with pytest.raises(ValueError, match="1 of 2 samples have landmarks"):
        concatenated([sample, Sample(sample.images)])


# Augmentation


def dotted(points: Tensor, side: int) -> Tensor:
    """(B, 3, side, side) uint8, black with a soft white dot at the one point (B, 2) of every image."""
    line = torch.arange(side) + 0.5
    x, y = line - points[:, :1], line - points[:, 1:]
    dots = torch.exp(-(x[:, None, :] ** 2 + y[:, :, None] ** 2) / 4)
    return (255 * dots)[:, None].expand(-1, 3, -1, -1).to(torch.uint8)


def middles(images: Tensor) -> Tensor:
    """(B, 2) where the dots are."""
    line, weights = torch.arange(images.shape[-1]) + 0.5, images.mean(1)
    total = weights.sum((1, 2))
    return torch.stack([(weights.sum(1) * line).sum(1) / total, (weights.sum(2) * line).sum(1) / total], 1)


def test_mirroring_twice_changes_nothing_and_swaps_the_sides() -> None:
    assert [MIRRORED[k] for k in MIRRORED] == list(range(68))
    assert MIRRORED[36] == 45 and MIRRORED[39] == 42 and MIRRORED[8] == 8 and MIRRORED[48] == 54 and MIRRORED[21] == 22
    points = torch.rand(4, 68, 2) * 32
    none = torch.zeros(4, dtype=torch.int64)
    mirror = Crops(none, none, torch.ones(4, dtype=torch.bool))
    torch.testing.assert_close(crop_points(crop_points(points, mirror, 32), mirror, 32), points)


@pytest.mark.parametrize("photographic", [False, True])
def test_landmarks_stay_on_what_they_mark(photographic: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    places = 18 + 14 * torch.rand(20, 2, generator=generator)
    points = places[:, None].repeat(1, 68, 1)  # all on one dot, so that mirroring may permute them
    crops = random_crops(20, 8, generator)
    images, moved = crop(dotted(places, 48), crops, 40), crop_points(points, crops, 40)
    if photographic:
        changes = random_changes(20, 40, generator)
        plain = changes._replace(noise=0 * changes.noise, cover=0 * changes.cover, softness=0 * changes.softness)
        plain = plain._replace(slope=0 * plain.slope, gamma=torch.ones_like(plain.gamma))
        images, moved = photograph(images, plain) - 1e-3, photograph_points(moved, changes, 40)
    assert (middles(images.clamp(min=0)) - moved[:, 0]).abs().max() < 0.5
    assert crop_points(torch.full((20, 68, 2), torch.nan), crops, 40).isnan().all()


def test_batches_bring_landmarks_only_where_asked(au_dataset: PreparedDataset) -> None:
    faces = Faces(au_dataset, np.arange(12), 36)
    stream = Stream(faces, torch.zeros(12, 2), Order(12, 6, 0, "primary"))
    expected = torch.from_numpy(au_dataset.landmark_array(np.arange(12))) * 36 / 48
    torch.testing.assert_close(faces.landmarks, expected)
    plain = list(training_batches({"primary": stream}, range(2), 32, 1, CPU))
    for workers in (0, 1):
        pointed = list(training_batches({"primary": stream}, range(2), 32, 1, CPU, workers, landmarks=True))
        for one, other in zip(plain, pointed, strict=True):
            assert one["primary"].sample.landmarks is None
            assert torch.equal(one["primary"].sample.images, other["primary"].sample.images)
            assert other["primary"].sample.landmarks is not None
            assert other["primary"].sample.landmarks.shape == (6, 68, 2)


# The whole way


@pytest.fixture
def run(au_dataset: PreparedDataset, fe_dataset: PreparedDataset, tmp_path: Path) -> Path:
    assert metafacs(*flags(tmp_path / "run", au_dataset.folder, fe_dataset.folder, method="toy_pointed")) == 0
    return tmp_path / "run"


def test_training_and_scoring_use_them(run: Path, au_dataset: PreparedDataset) -> None:
    """The expression dataset of this run has none; the scores are those of images and points together."""
    network, card = load_detector(run / DETECTOR)
    assert isinstance(network, PointedNetwork) and card.method == "toy_pointed"
    assert metafacs("evaluate", run) == 0
    table = read_predictions(run / "predictions.parquet")
    rows = np.flatnonzero(au_dataset.column("fold") == card.test_fold)
    places, faces = centre_crops(len(rows), card.resize - card.side), Faces(au_dataset, rows, card.resize)
    images = crop(faces.images(range(len(rows))), places, card.side)
    whole = network.probabilities(Sample(images, crop_points(faces.landmarks, places, card.side)))
    np.testing.assert_allclose(table.probabilities(), whole.numpy(), atol=1e-6)
    assert (network.probabilities(Sample(images)) - whole).abs().max() > 1e-3


def test_what_the_landmarks_tell_is_learned(au_dataset: PreparedDataset) -> None:
    """A gradient reaches the layer that reads them."""
    method = build(Pointed, tiny_network())
    before = method.network.points.weight.clone()
    batch = batches()
    generator = torch.Generator().manual_seed(0)
    for name, part in batch.items():
        points = 16 * torch.rand(len(part), 68, 2, generator=generator).double()
        batch[name] = Batch(Sample(part.sample.images, points), part.labels)
    method.training_step(batch)
    assert method.takes_landmarks and not torch.equal(before, method.network.points.weight)


def test_a_dataset_without_landmarks_is_refused(
    tmp_path: Path, fe_dataset: PreparedDataset, capfd: pytest.CaptureFixture[str]
) -> None:
    bare = make_prepared(tmp_path / "bare")
    assert metafacs(*flags(tmp_path / "run", bare.folder, fe_dataset.folder, method="toy_pointed")) == 2
    printed = capfd.readouterr().err
    assert str(bare.folder) in printed and "no landmarks" in printed and "--detector dlib68" in printed
    faces = Faces(bare, np.arange(4), 36)
    stream = Stream(faces, torch.zeros(4), Order(4, 4, 0, "primary"))
    with pytest.raises(InputError, match="has no landmarks"):
        next(training_batches({"primary": stream}, range(1), 32, 1, CPU, landmarks=True))


@pytest.mark.parametrize("kind", ["pointed", "enhanced"])
def test_a_picture_gives_what_its_prepared_crop_gives(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With the same points; without any it is the network that sees images alone."""
    plain, card = load_detector(save_toy(tmp_path / "toy") / DETECTOR)
    torch.manual_seed(1)
    network = PointedNetwork(plain).eval()
    nn.init.normal_(network.points.weight, 0, 0.003)  # the toy's heads are steep
    if kind == "enhanced":
        backbone, options = SMALL["vgg19"]
        vgg = build_network(backbone, len(AUS), len(card.expressions), "scratch", options)
        network = EnhancedNetwork(vgg, torch.rand(68, 2), 8, 16).eval()
        nn.init.normal_(network.au_head.weight, 0, 10.0)
    picture, recipe = draw([(60, 40)], seed=5), Recipe.from_card(card.crop)
    (face,) = DotFinder().find(picture)
    aligned, matrix = align(picture, face.eyes, recipe)
    writer = PreparedWriter(tmp_path / "data", DatasetCard("toy", "made", "none", AUS, crop=card.crop), {})
    row = {"subject": "S0", "fold": "P1", "image": to_jpeg(aligned, recipe.quality)}
    writer.write_part(0, [{**row, "landmarks": move(face.points, matrix)}, {**row, "frame": 1}])
    expected = face_probabilities(network, Faces(writer.finish(1), np.arange(2), card.resize), card.side, CPU)
    assert np.abs(expected[0] - expected[1]).max() > 1e-3

    monkeypatch.setattr("metafacs.inference.detector.make_finder", lambda settings: DotFinder())
    with caplog.at_level(logging.WARNING):
        detector = AUDetector(network, card, finder={"name": "dlib5"}, device="cpu")
    assert "uses landmarks" in caplog.text
    found = detector.detect(picture)[AUS].to_numpy(np.float64)[0]
    np.testing.assert_allclose(found, expected[0], atol=1e-6)
    monkeypatch.setattr(DotFinder, "find", lambda *_: [replace(face, points=face.points[:5])])
    without = detector.detect(picture)[AUS].to_numpy(np.float64)[0]
    np.testing.assert_allclose(without, expected[1], atol=1e-6)


def test_a_saved_network_reads_landmarks_again(tmp_path: Path) -> None:
    network, card = load_detector(save_toy(tmp_path / "toy") / DETECTOR)
    pointed = PointedNetwork(network).eval()
    save_detector(tmp_path / "d.safetensors", pointed, card)
    again, _ = load_detector(tmp_path / "d.safetensors")
    sample = Sample(torch.rand(3, 3, 32, 32), 32 * torch.rand(3, 68, 2))
    assert torch.equal(again.probabilities(sample), pointed.probabilities(sample))
    nowhere = Sample(sample.images, torch.full((3, 68, 2), torch.nan))
    assert torch.equal(again.probabilities(nowhere), again.probabilities(Sample(sample.images)))
