"""The script that makes the starter model runs from nothing to weights and card, at a size that teaches nothing."""

import importlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from metafacs.data.card import DatasetCard
from metafacs.data.prepared import PreparedDataset, PreparedWriter
from metafacs.faces import Recipe
from metafacs.facs import EXPRESSIONS, au_column
from metafacs.training.checkpoint import load_detector

STARTER = Path(__file__).parents[2] / "studies" / "starter"
pytest.importorskip("anny")
pytest.importorskip("warp")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(STARTER))


def jpeg(seed: int, bands: int = 1) -> bytes:
    """A picture of random squares, with one band grey, with three coloured."""
    squares = np.random.default_rng(seed).integers(0, 255, (4, 4, bands), np.uint8)
    file = io.BytesIO()
    pixels = np.broadcast_to(squares, (4, 4, 3)).repeat(16, 0).repeat(16, 1)
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "JPEG", quality=95)
    return file.getvalue()


def dataset(folder: Path, rows: Sequence[dict[str, Any]], aus: Sequence[str] = ()) -> PreparedDataset:
    writer = PreparedWriter(
        folder, DatasetCard("made", "made up", "CC0", list(aus), crop=Recipe(size=64).to_card()), {}
    )
    writer.write_part(0, list(rows))
    return writer.finish(1)


def ferplus(folder: Path, votes: dict[str, int], each: int) -> PreparedDataset:
    """So many training and validation faces of each expression, for which so many of ten voted, the others for fear."""
    kinds = [(kind, fold) for kind in votes for fold in ("train", "validation") for _ in range(each)]
    rows = []
    for k, (kind, fold) in enumerate(kinds):
        counts = [0] * len(EXPRESSIONS)
        counts[EXPRESSIONS.index("fear")] = 10 - votes[kind]
        counts[EXPRESSIONS.index(kind)] = votes[kind]
        where = {"subject": f"fer{k}", "sequence": f"fer{k}", "fold": fold, "dataset": "ferplus"}
        rows.append({"image": jpeg(k), **where, "expression": kind, "votes": counts})
    return dataset(folder, rows)


def test_labels_say_what_the_face_does() -> None:
    faces = importlib.import_module("faces")
    drawn = np.stack(
        [faces.draw_acting(np.random.default_rng(k), (faces.ACTING, faces.SINGLES)[k % 2]) for k in range(600)]
    )
    assert drawn.min() >= 0 and drawn.max() < 6
    labels = [faces._labels(course) for course in drawn]
    for au in faces.AUS:
        name = f"AU{au:02d}"
        told = np.array([np.nan if row[name] is None else row[name] for row in labels], float)
        known = ~np.isnan(told)
        assert (told[known] == (drawn[known, faces.RIG_AUS.index(au)] >= 2)).all()
        assert 0.05 < told[known].mean() < 0.5
        assert known.all() or au == 26


def test_people_who_agree_give_aus_in_part_and_some_of_them_never_train(tmp_path: Path) -> None:
    people = importlib.import_module("people")
    aus = [au_column(au) for au in people.ALL]
    rendered = [
        {"image": jpeg(k, 3), "subject": f"S{k}", "sequence": "1", "frame": 0, "fold": fold} | dict.fromkeys(aus, k % 2)
        for k, fold in enumerate(["train"] * 30 + ["test"] * 5)
    ]
    real = ferplus(tmp_path / "real", {"neutral": 10, "happiness": 10, "anger": 6}, 30)
    paths = people.combine(dataset(tmp_path / "drawn", rendered, aus), real, tmp_path / "out")
    primary, quiet, auxiliary = map(PreparedDataset.open, paths)
    table = primary.to_pandas().set_index("subject")
    smile = table.loc["fer60"]
    assert (smile["AU12"], smile["AU04"]) == (1, 0) and pd.isna(smile["AU25"])
    assert set(table.index[table["dataset"] == "ferplus"]) == {f"fer{k}" for k in [*range(30), *range(60, 90)]}
    others = quiet.to_pandas().query("dataset == 'ferplus' and fold == 'train'")
    assert len(others) > 20 and not others[aus].eq(1).any(axis=None)
    kept = set(table.index[table["fold"] == people.RESERVE])
    assert 2 <= len(kept) <= 20 and not kept & set(auxiliary.column("subject"))
    assert set(auxiliary.column("expression")) == {"neutral", "happiness", "anger"}
    assert len(auxiliary) == 90 - len(kept) and set(auxiliary.column("fold")) == {"train"}
    pictures = [np.asarray(Image.open(io.BytesIO(primary.image_bytes(k))).convert("RGB"), int) for k in range(35)]
    grey = [int(np.ptp(picture, axis=2).max()) < 3 for picture in pictures]
    assert 5 < sum(grey[:30]) < 28 and not any(grey[30:])


@pytest.mark.slow
def test_the_starter_model_is_made_from_nothing_and_not_made_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mediapipe")
    make, scores = importlib.import_module("make"), importlib.import_module("scores")
    monkeypatch.setattr(scores, "PHOTOGRAPHED", 2)
    package = tmp_path / "package"
    package.mkdir()
    ferplus(tmp_path / "ferplus", {"neutral": 10, "happiness": 10}, 30)
    sizes = ["--people", "30", "--steps", "3", "--settling", "2", "--workers", "1", "--weights", "scratch"]
    sizes += ["--ferplus", str(tmp_path / "ferplus")]
    monkeypatch.setattr(sys, "argv", ["make.py", "--out", str(tmp_path / "out"), "--package", str(package), *sizes])
    make.main()
    network, about = load_detector(package / "detector.safetensors")
    assert about.steps == 5 and len(about.aus) == 17 and len(about.test_subjects) == 3
    assert all(value.dtype == torch.float32 for value in network.state_dict().values() if value.is_floating_point())
    text = (package / "MODEL_CARD.md").read_text()
    assert "162 rendered pictures of 27 made-up adults" in text and "No real faces were at hand" in text
    assert "{" not in text
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.suffix == ".safetensors"}
    make.main()
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
