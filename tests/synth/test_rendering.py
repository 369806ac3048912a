"""Rendered datasets hold what was planned and what was rendered, and do not depend on how they came about."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facsynth.annotators import ANNOTATORS
from facsynth.plans import AuPlan, Clip, FePlan, Subject, own_au_plan, own_fe_plan
from facsynth.rig import RIG_AUS
from facsynth.scene import EYES
from metafacs.data.prepared import PreparedDataset, validate
from metafacs.errors import InputError
from metafacs.facs import EXPRESSIONS, PRESENT_FROM
from metafacs.synth import rendering
from metafacs.synth.rendering import Drawing, render_dataset

DRAWING = Drawing(size=48, rays=1, workers=1)
AU = own_au_plan(3, 4, (12, 4, 26), coder_noise=1.0)
TWO_CLIPS = replace(AU, subjects=(Subject("S1", "P1", (Clip("T1", 3), Clip("T2", 3))),))
FE = own_fe_plan(14, {"unreadable": 0.4, "wrong label": 0.15})


@pytest.fixture(scope="module")
def au(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return render_dataset(tmp_path_factory.mktemp("synth") / "au", AU, DRAWING)


@pytest.fixture(scope="module")
def fe(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return render_dataset(tmp_path_factory.mktemp("synth") / "fe", FE, DRAWING)


def test_au_rows_are_what_the_card_says(au: PreparedDataset) -> None:
    assert len(au) == 12 and au.aus == ["AU12", "AU04", "AU26"]
    assert not validate(au)
    table = au.to_pandas()
    folds = table.groupby("subject")["fold"].unique().map(list).to_dict()
    assert folds == {"S001": ["P1"], "S002": ["P2"], "S003": ["P3"]}
    for column in au.aus:
        assert ((table[f"{column}_intensity"] >= PRESENT_FROM) == (table[column] == 1)).all()
    assert au.card.settings["coder_noise"] == 1.0 and au.card.settings["frames_per_second"] == 5.0
    assert au.image(0).shape == (48, 48, 3)
    assert au.image(0).std() > 10


def test_au_rows_hold_the_truth_of_every_au_and_side(au: PreparedDataset) -> None:
    table = au.to_pandas()
    assert len(au.card.true_aus) == len(RIG_AUS)
    for column in au.card.true_aus:
        true, right, left = (table[f"true_{column}{side}"] for side in ("", "_right", "_left"))
        assert true.between(0, 5).all()
        assert (np.minimum(right, left) <= true).all() and (np.maximum(right, left) >= true).all()
    facts = table.groupby("subject")[["true_age", "true_male", "true_tone"]].nunique()
    assert (facts == 1).all(axis=None) and table["true_age"].between(18, 80).all()
    assert table["true_yaw"].nunique() > 3 and table["true_pitch"].abs().max() < 1


def test_a_coder_who_never_errs_writes_down_the_truth(tmp_path: Path) -> None:
    plan = replace(AU, coder_noise=0.0)
    table = render_dataset(tmp_path / "au", plan, DRAWING).to_pandas()
    for column in ("AU12", "AU04", "AU26"):
        assert (table[f"{column}_intensity"] == table[f"true_{column}"]).all()


def test_eyes_lie_where_the_crop_recipe_says(au: PreparedDataset) -> None:
    assert au.card.crop["template"] == {"right_eye": list(EYES[0]), "left_eye": list(EYES[1])}
    for row in range(len(au)):
        points = au.landmarks(row)
        assert points is not None
        eyes = [points[36:42].mean(axis=0), points[42:48].mean(axis=0)]
        assert np.array(eyes) == pytest.approx(48 * np.array(EYES), abs=48 * 0.06)


def test_fe_rows_hold_votes_truth_and_cause(fe: PreparedDataset) -> None:
    assert len(fe) == 14 and not fe.aus
    assert len(fe.card.true_aus) == len(RIG_AUS)
    assert not validate(fe)
    votes, labels = fe.votes(), fe.expression_labels()
    assert (votes.sum(axis=1) == ANNOTATORS).all()
    assert (votes[np.arange(len(fe)), labels] == votes.max(axis=1)).all()
    table = fe.to_pandas()
    assert table["expression"].value_counts().to_dict() == {k: v for k, v in FE.counts["train"].items() if v}
    assert (table["cause"] == "unreadable").sum() == 6 and (table["cause"] == "wrong label").sum() == 2
    wrong = table[table["cause"] == "wrong label"]
    assert (wrong["expression"] != wrong["true_expression"]).all()
    assert set(table["true_expression"]) <= set(EXPRESSIONS)
    assert set(table["fold"]) == {"train"} and table["subject"].is_unique
    assert table["true_AU12"].between(0, 5).all() and table["true_age"].nunique() == 14


@pytest.mark.parametrize("plan", [TWO_CLIPS, FE])
def test_files_depend_neither_on_parts_nor_on_interruptions(
    plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = render_dataset(tmp_path / "whole", plan, DRAWING)
    monkeypatch.setattr(rendering, "IMAGES_PER_PART", 5)
    monkeypatch.setattr(rendering, "FRAMES_PER_PART", 2)

    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_dataset(tmp_path / "resumed", plan, DRAWING, stop)
    with pytest.raises(InputError, match="half-written"):
        PreparedDataset.open(tmp_path / "resumed")
    told: list[tuple[int, int]] = []
    resumed = render_dataset(tmp_path / "resumed", plan, DRAWING, lambda *at: told.append(at))
    assert told[0][0] > 0 and told[-1] == (len(whole), len(whole))
    assert resumed.card.faces_sha256 == whole.card.faces_sha256


def test_au_files_do_not_depend_on_the_number_of_processes(au: PreparedDataset, tmp_path: Path) -> None:
    assert render_dataset(tmp_path / "au", AU, replace(DRAWING, workers=2)).card == au.card


@pytest.mark.slow
def test_fe_files_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    plan = own_fe_plan(100)  # three parts
    one, two = (render_dataset(tmp_path / f"{n}", plan, Drawing(size=32, rays=1, workers=n)) for n in (1, 2))
    assert one.card.faces_sha256 == two.card.faces_sha256


def test_a_finished_dataset_is_reused_and_another_refused(au: PreparedDataset) -> None:
    before = (au.folder / "faces.arrow").stat().st_mtime_ns
    assert len(render_dataset(au.folder, AU, DRAWING)) == 12
    assert (au.folder / "faces.arrow").stat().st_mtime_ns == before
    with pytest.raises(InputError, match="seed is 0, asked for 1"):
        render_dataset(au.folder, AU, replace(DRAWING, seed=1))
    with pytest.raises(InputError, match="frames is 4, asked for 5"):
        render_dataset(au.folder, own_au_plan(3, 5, AU.aus, 1.0), DRAWING)


def test_other_seeds_and_names_give_other_faces(au: PreparedDataset, tmp_path: Path) -> None:
    other = render_dataset(tmp_path / "au", AU, replace(DRAWING, seed=1))
    renamed = render_dataset(tmp_path / "renamed", replace(AU, name="another"), DRAWING)
    ages = [set(dataset.column("true_age")) for dataset in (au, other, renamed)]
    assert not ages[0] & ages[1] and not ages[0] & ages[2]


@pytest.mark.parametrize(
    ("plan", "settings", "message"),
    [
        (replace(AU, aus=(1, 99)), {}, "cannot render AU 99"),
        (AU, {"size": 31}, "31 pixels"),
        (replace(FE, causes={"weak": 1.5}), {}, "is 1.5"),
        (FE, {"rays": 0}, "rays is 0"),
        (FE, {"seed": -1}, "seed is -1"),
        (FE, {"workers": -1}, "workers is -1"),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_written(
    plan: AuPlan | FePlan, settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        render_dataset(tmp_path / "out", plan, Drawing(**settings))
    assert not (tmp_path / "out").exists()
