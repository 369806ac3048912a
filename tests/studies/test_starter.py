"""The script that makes the starter model runs from nothing to weights and card, at a size that teaches nothing."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from metafacs.data.photographic import random_changes
from metafacs.data.transforms import Crops
from metafacs.training.checkpoint import load_detector

STARTER = Path(__file__).parents[2] / "studies" / "starter"
pytest.importorskip("anny")
pytest.importorskip("warp")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(STARTER))


def test_landmarks_move_as_their_pictures_do() -> None:
    shape = importlib.import_module("shape")
    side, size, count = 80, 88, 12
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(count, 68, 2, generator=generator) * 0.3 + 0.35
    images = torch.zeros(count, 3, size, size, dtype=torch.uint8)
    for image, at in zip(images, points[:, 30] * size, strict=True):  # the tip of the nose is its own mirror image
        image[:, int(at[1]) - 1 : int(at[1]) + 2, int(at[0]) - 1 : int(at[0]) + 2] = 255
    changed, moved = shape._augmented(images, points, side, torch.Generator().manual_seed(4))
    line = torch.arange(side) + 0.5
    for image, at in zip(changed.mean(dim=1), moved[:, 30] * side, strict=True):
        bright = (image - image.quantile(0.98)).clamp(min=0) ** 2
        if bright.sum() > 0.5:  # covered or drowned in noise where not
            seen = torch.stack([(bright.sum(dim=0) * line).sum(), (bright.sum(dim=1) * line).sum()]) / bright.sum()
            assert (seen - at).abs().max() < 2.5


def test_a_mirrored_face_has_its_left_landmarks_on_the_right() -> None:
    shape = importlib.import_module("shape")
    order = shape.mirror()
    assert sorted(order) == list(range(68)) and [order[k] for k in order] == list(range(68))
    assert [order[k] for k in (8, 27, 30, 33, 51, 57, 62, 66)] == [8, 27, 30, 33, 51, 57, 62, 66]
    assert (order[36], order[39], order[48], order[17], order[0]) == (45, 42, 54, 26, 16)
    none, still = torch.zeros(1, dtype=torch.int64), random_changes(1, 80, torch.Generator().manual_seed(0))
    still = still._replace(affine=torch.eye(2, 3)[None])
    points = torch.rand(1, 68, 2)
    found = shape.moved(points, Crops(none, none, torch.tensor([True])), still, 80, 80)
    assert torch.allclose(found[0, 45], points[0, 36] * torch.tensor([-1.0, 1]) + torch.tensor([1.0, 0]), atol=1e-5)


def test_labels_say_what_the_face_does() -> None:
    faces = importlib.import_module("faces")
    drawn = np.stack([faces.draw_acting(np.random.default_rng(k)) for k in range(600)])
    assert drawn.min() >= 0 and drawn.max() < 6
    labels = [faces._labels(course) for course in drawn]
    for au in faces.AUS:
        name = f"AU{au:02d}"
        told = np.array([np.nan if row[name] is None else row[name] for row in labels], float)
        known = ~np.isnan(told)
        assert (told[known] == (drawn[known, faces.RIG_AUS.index(au)] >= 2)).all()
        assert 0.05 < told[known].mean() < 0.5
        assert known.all() or au == 26


@pytest.mark.slow
def test_the_starter_model_is_made_from_nothing_and_not_made_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dlib")
    make, scores = importlib.import_module("make"), importlib.import_module("scores")
    monkeypatch.setattr(scores, "PHOTOGRAPHED", 2)
    package = tmp_path / "package"
    package.mkdir()
    sizes = ["--people", "30", "--warm_up", "2", "--steps", "3", "--workers", "1"]
    monkeypatch.setattr(sys, "argv", ["make.py", "--out", str(tmp_path / "out"), "--package", str(package), *sizes])
    make.main()
    network, about = load_detector(package / "detector.safetensors")
    assert about.steps == 3 and len(about.aus) == 17 and len(about.test_subjects) == 3
    assert all(value.dtype == torch.float32 for value in network.state_dict().values() if value.is_floating_point())
    text = (package / "MODEL_CARD.md").read_text()
    assert "162 rendered pictures of 27 made-up adults" in text and "{" not in text
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.suffix == ".safetensors"}
    make.main()
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
