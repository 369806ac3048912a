"""Presets have the people, folds, AUs and base rates of the benchmarks: counted from labels, nothing is rendered."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from facsynth.activity import calibrate, intensities
from facsynth.emotion import CAUSES, DEFAULT_CAUSES
from facsynth.plans import AuPlan, own_au_plan, own_fe_plan
from facsynth.portraits import assign
from facsynth.recording import draw_latents
from facsynth.rig import RIG_AUS
from metafacs.datasets import rafdb
from metafacs.datasets.bp4d import BP4D
from metafacs.datasets.disfa import DISFA
from metafacs.errors import InputError
from metafacs.facs import AU_SETS, EXPRESSIONS, PRESENT_FROM
from metafacs.synth.presets import (
    DISFA_RATES,
    FERPLUS_COUNTS,
    GFT_RATES,
    bp4d_plan,
    disfa_plan,
    ferplus_plan,
    gft_plan,
    preset_plans,
    rafdb_plan,
)


def frames_per_fold(plan: AuPlan) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for subject in plan.subjects:
        counts[subject.fold] += subject.frames
    return dict(counts)


def test_bp4d_has_its_people_parts_and_tasks() -> None:
    plan = bp4d_plan(120)
    assert len(plan.subjects) == 41 and plan.aus == AU_SETS["bp4d"]
    for subject in plan.subjects:
        assert subject.fold == BP4D.published.fold_of(subject.name)
        assert subject.male == (subject.name[0] == "M")
        assert [clip.name for clip in subject.clips] == [f"T{k}" for k in range(1, 9)]
        assert [clip.frames for clip in subject.clips] == [15] * 8
    assert len({clip.first for subject in plan.subjects for clip in subject.clips}) > 250
    assert frames_per_fold(bp4d_plan("all")) == BP4D.published.frames["ME-GraphAU"]


def test_disfa_has_its_people_and_parts() -> None:
    plan = disfa_plan("all")
    assert {subject.name: subject.fold for subject in plan.subjects} == {
        name: part for part, names in DISFA.published.folds.items() for name in names
    }
    assert {subject.frames for subject in plan.subjects} == {4844, 4845}
    assert frames_per_fold(plan) == DISFA.published.frames["ME-GraphAU"]
    assert plan.aus == AU_SETS["disfa"] and plan.step == 1 / 20
    assert all(clip.first == 1 for subject in plan.subjects for clip in subject.clips)


def test_gft_keeps_groups_together() -> None:
    plan = gft_plan("all")
    folds: dict[str, set[str]] = {}
    for subject in plan.subjects:
        folds.setdefault(subject.name[:3], set()).add(subject.fold)
    assert len(plan.subjects) == 96 and len(folds) == 32 and all(len(found) == 1 for found in folds.values())
    assert Counter(subject.fold for subject in plan.subjects) == {"train": 78, "test": 18}
    assert sum(subject.frames for subject in plan.subjects) == 172_800 and plan.step == pytest.approx(1 / 30)


@pytest.mark.parametrize(("make", "seconds"), [(bp4d_plan, 143), (disfa_plan, 242), (gft_plan, 60)])
def test_fewer_frames_span_the_same_time(make: Any, seconds: float) -> None:
    for frames in (1, 7, 60):
        plan = make(frames)
        assert {subject.frames for subject in plan.subjects} == {frames}
        assert frames * plan.step == pytest.approx(seconds, rel=0.01)


@pytest.mark.parametrize(
    ("plan", "rates"),
    [
        (bp4d_plan(60), BP4D.published.base_rates),
        (disfa_plan(60), DISFA.published.base_rates),
        (gft_plan(60), {au: GFT_RATES[au] for au in AU_SETS["gft"]}),
    ],
    ids=["bp4d", "disfa", "gft"],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_base_rates_are_within_two_points(plan: AuPlan, rates: dict[int, float], seed: int) -> None:
    latents = draw_latents(plan, seed)
    scale = calibrate(latents, plan.rates)
    present = np.concatenate([intensities(latent, scale) >= PRESENT_FROM for latent in latents])
    assert len(present) == 60 * len(plan.subjects)
    for au in plan.aus:
        assert present[:, RIG_AUS.index(au)].mean() == pytest.approx(rates[au], abs=0.02), f"AU{au}"


def test_every_au_of_a_calm_dataset_has_a_rate_of_its_own() -> None:
    assert set(DISFA_RATES) == set(GFT_RATES) == set(RIG_AUS)


def test_rafdb_and_ferplus_count_as_the_real_ones() -> None:
    assert rafdb_plan("all").counts == rafdb.COUNTS
    found = ferplus_plan("all").counts
    assert {fold: sum(counts.values()) for fold, counts in found.items()} == {
        "train": 28709,
        "validation": 3589,
        "test": 3589,
    }
    for name, number in FERPLUS_COUNTS.items():
        share = sum(counts[name] for counts in found.values()) / 35887
        assert share == pytest.approx(number / sum(FERPLUS_COUNTS.values()), abs=1e-4)
    small = rafdb_plan(1000)
    assert small.images == 1000 and all(min(counts.values()) > 0 for counts in small.counts.values())


@pytest.mark.parametrize("plan", [rafdb_plan(500), own_fe_plan(100, {"unreadable": 0.5, "weak": 0.0})])
def test_classes_and_causes_are_met_exactly(plan: Any) -> None:
    wanted = assign(plan, 3)
    for fold, counts in plan.counts.items():
        found = Counter(image.expression for image in wanted if image.fold == fold)
        assert all(found[name] == counts.get(name, 0) for name in EXPRESSIONS)
    causes = Counter(image.cause for image in wanted)
    for cause in CAUSES[1:]:
        assert causes[cause] == pytest.approx(plan.causes[cause] * plan.images, abs=1)
    assert len({image.name for image in wanted}) == len(wanted)
    assert [image.cause for image in wanted] != [image.cause for image in assign(plan, 4)]


def test_own_mixes() -> None:
    plan = own_au_plan(4, 60)
    assert [subject.fold for subject in plan.subjects] == ["P1", "P2", "P3", "P1"]
    assert [clip.frames for clip in plan.subjects[0].clips] == [25, 25, 10]
    assert own_fe_plan(70).causes == DEFAULT_CAUSES and own_fe_plan(70).images == 70


def test_pairs_make_two_datasets() -> None:
    plans = preset_plans("tiny", causes={"weak": 0.5}, coder_noise=0.2)
    assert set(plans) == {"au", "fe"}
    assert plans["au"].coder_noise == 0.2 and plans["fe"].causes["weak"] == 0.5  # type: ignore[union-attr]
    small = preset_plans("small")
    assert sum(subject.frames for subject in small["au"].subjects) == 2400  # type: ignore[union-attr]
    assert small["fe"].images == 3000  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"preset": "bp5d"}, "unknown preset 'bp5d'; known: tiny, small, bp4d"),
        ({"preset": "bp4d", "images": 5}, r"bp4d has no use for images \(5\)"),
        ({"preset": "rafdb", "frames": "all"}, r"rafdb has no use for frames \(all\)"),
        ({"preset": "disfa", "causes": {"weak": 0.1}}, "no use for causes of doubt"),
        ({"preset": "ferplus", "coder_noise": 0.5}, "no use for coder_noise"),
        ({"preset": "bp4d", "frames": 0}, "0 frames per subject"),
        ({"preset": "rafdb", "images": 0}, "0 images"),
        ({"preset": "rafdb", "causes": {"tired": 0.1}}, "unknown causes: tired; known: weak"),
    ],
)
def test_impossible_presets_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        preset_plans(**settings)


@pytest.mark.parametrize(("subjects", "frames", "message"), [(2, 4, "cannot fill 3 folds"), (3, 0, "0 frames")])
def test_impossible_mixes_are_refused(subjects: int, frames: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        own_au_plan(subjects, frames)
