import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metafacs.data.prepared import PreparedDataset, validate
from metafacs.errors import InputError
from metafacs.facs import EXPRESSIONS, PRESENT_FROM
from metafacs.synth import dataset
from metafacs.synth.annotators import ANNOTATORS
from metafacs.synth.dataset import render_au_dataset, render_fe_dataset
from metafacs.synth.rig import RIG_AUS
from metafacs.synth.scene import EYES

AU = {"subjects": 3, "frames": 4, "aus": (12, 4, 26), "size": 48, "rays": 1, "workers": 1}
FE = {"images": 6, "unreadable": 0.5, "size": 48, "rays": 1, "workers": 1}


def _die(part: int) -> int:
    os._exit(9)


@pytest.fixture(scope="module")
def au(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return render_au_dataset(tmp_path_factory.mktemp("synth") / "au", **AU)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def fe(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return render_fe_dataset(tmp_path_factory.mktemp("synth") / "fe", **FE)  # type: ignore[arg-type]


def test_au_rows_are_what_the_card_says(au: PreparedDataset) -> None:
    assert len(au) == 12 and au.aus == ["AU12", "AU04", "AU26"]
    assert not validate(au)
    table = au.to_pandas()
    assert table.groupby("subject")["fold"].unique().map(list).to_dict() == {
        "S001": ["P1"],
        "S002": ["P2"],
        "S003": ["P3"],
    }
    for column in au.aus:
        assert ((table[f"{column}_intensity"] >= PRESENT_FROM) == (table[column] == 1)).all()
    assert au.image(0).shape == (48, 48, 3)
    assert au.image(0).std() > 10


def test_eyes_lie_where_the_crop_recipe_says(au: PreparedDataset) -> None:
    assert au.card.crop["template"] == {"right_eye": list(EYES[0]), "left_eye": list(EYES[1])}
    for row in range(len(au)):
        points = au.landmarks(row)
        assert points is not None
        eyes = [points[36:42].mean(axis=0), points[42:48].mean(axis=0)]
        assert np.array(eyes) == pytest.approx(48 * np.array(EYES), abs=48 * 0.06)


def test_fe_rows_hold_votes_truth_and_cause(fe: PreparedDataset) -> None:
    assert len(fe) == 6 and not fe.aus
    assert len(fe.card.true_aus) == len(RIG_AUS)
    assert not validate(fe)
    assert (fe.votes().sum(axis=1) == ANNOTATORS).all()
    assert (fe.votes().argmax(axis=1) == fe.expression_labels()).mean() > 0.5  # but for ties
    table = fe.to_pandas()
    assert set(table["cause"]) <= {"clear", "weak", "blend", "unreadable"} and "unreadable" in set(table["cause"])
    assert set(table["expression"]) <= set(EXPRESSIONS)
    assert set(table["fold"]) == {"train"} and table["subject"].is_unique
    assert table["true_AU12"].between(0, 5).all()


@pytest.mark.parametrize(("render", "settings"), [(render_au_dataset, AU), (render_fe_dataset, FE)])
def test_files_do_not_depend_on_workers_or_on_being_interrupted(
    render: Any, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "PART", 2)
    monkeypatch.setattr(dataset, "SEQUENCE", 2)
    monkeypatch.setattr(dataset, "PART_SEQUENCES", 1)
    whole = render(tmp_path / "whole", **settings)

    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render(tmp_path / "resumed", **settings, progress=stop)
    with pytest.raises(InputError, match="half-written"):
        PreparedDataset.open(tmp_path / "resumed")
    told: list[tuple[int, int]] = []
    resumed = render(tmp_path / "resumed", **settings, progress=lambda *at: told.append(at))
    assert told[0][0] > 0 and told[-1] == (len(whole), len(whole))
    assert resumed.card.faces_sha256 == whole.card.faces_sha256


def test_files_do_not_depend_on_the_number_of_processes(au: PreparedDataset, tmp_path: Path) -> None:
    assert render_au_dataset(tmp_path / "au", **{**AU, "workers": 2}).card == au.card  # type: ignore[arg-type]


def test_a_finished_dataset_is_reused_and_another_refused(au: PreparedDataset) -> None:
    before = (au.folder / "faces.arrow").stat().st_mtime_ns
    assert len(render_au_dataset(au.folder, **AU)) == 12  # type: ignore[arg-type]
    assert (au.folder / "faces.arrow").stat().st_mtime_ns == before
    with pytest.raises(InputError, match="seed is 0, asked for 1"):
        render_au_dataset(au.folder, **AU, seed=1)  # type: ignore[arg-type]


def test_parts_do_not_change_what_is_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    make = partial(dataset.au_rows, frames=7, aus=(12,), size=32, rays=1, seed=0)
    monkeypatch.setattr(dataset, "SEQUENCE", 3)
    whole = make(1)
    assert [(row["sequence"], row["frame"]) for row in whole][-2:] == [("T2", 2), ("T3", 0)]
    monkeypatch.setattr(dataset, "PART_SEQUENCES", 1)
    assert dataset.au_parts(7) == [3, 3, 1]
    pieces = [row for part in (3, 4, 5) for row in make(part)]
    assert [row["image"] for row in pieces] == [row["image"] for row in whole]
    assert {row["subject"] for row in pieces} == {"S002"}


def test_a_killed_worker_is_reported() -> None:
    with pytest.raises(InputError, match="fewer workers than 2"):
        list(dataset._run(_die, [0, 1], 2))


def test_other_seeds_give_other_faces(au: PreparedDataset, tmp_path: Path) -> None:
    other = render_au_dataset(tmp_path / "au", **AU, seed=1)  # type: ignore[arg-type]
    assert other.card.faces_sha256 != au.card.faces_sha256


@pytest.mark.parametrize(
    ("render", "settings", "message"),
    [
        (render_au_dataset, {"subjects": 0}, "0 subjects cannot fill 3 folds"),
        (render_au_dataset, {"subjects": 2}, "2 subjects cannot fill 3 folds"),
        (render_au_dataset, {"frames": 0}, "0 frames"),
        (render_au_dataset, {"aus": (1, 99)}, "cannot render AU 99"),
        (render_au_dataset, {"aus": ()}, "no AU was asked for"),
        (render_au_dataset, {"aus": (1, 1)}, "named twice"),
        (render_au_dataset, {"size": 31}, "31 pixels"),
        (render_fe_dataset, {"images": 0}, "0 images"),
        (render_fe_dataset, {"unreadable": 1.5}, "unreadable is 1.5"),
        (render_fe_dataset, {"unreadable": float("nan")}, "unreadable is nan"),
        (render_fe_dataset, {"rays": 0}, "rays is 0"),
        (render_fe_dataset, {"seed": -1}, "seed is -1"),
        (render_fe_dataset, {"workers": -1}, "workers is -1"),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_written(
    render: Any, settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        partial(render, tmp_path / "out")(**settings)
    assert not (tmp_path / "out").exists()
