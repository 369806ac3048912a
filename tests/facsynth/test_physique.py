import numpy as np
import pytest

from facsynth.physique import draw_ancestry, draw_shape, model_age

LABELS = ["l-ear-scale-incr", "r-ear-scale-incr", "head-age-incr", "nose-trans-out", "chin-width-incr"]


def test_ancestry_goes_with_tone_but_is_not_told_by_it() -> None:
    rng = np.random.default_rng(0)
    light, dark = (np.array([draw_ancestry(rng, tone) for _ in range(300)]) for tone in (0.05, 0.95))
    assert light.sum(axis=1) == pytest.approx(np.ones(300))
    assert light[:, 2].mean() > 0.5 > dark[:, 2].mean()
    assert dark[:, 0].mean() > 0.5 > light[:, 0].mean()
    assert (dark[:, 0] < 0.5).mean() > 0.05 and (light[:, 2] < 0.5).mean() > 0.1


def test_everybody_is_grown_up() -> None:
    ages = [model_age(years) for years in (18, 25, 50, 80)]
    assert ages == sorted(ages)
    assert ages[0] > 0.63 and ages[1] == pytest.approx(2 / 3) and ages[-1] < 1


def test_age_and_sex_change_the_shape_and_sides_are_nearly_alike() -> None:
    def local(male: float, years: float) -> dict[str, float]:
        return draw_shape(np.random.default_rng(4), LABELS, np.array([1, 0, 0]), male, years)[1]

    assert local(0.5, 80)["head-age-incr"] > local(0.5, 20)["head-age-incr"] + 0.2
    assert local(1.0, 30)["chin-width-incr"] > local(0.0, 30)["chin-width-incr"] + 0.1
    ears = local(0.5, 50)
    assert 0 < abs(ears["l-ear-scale-incr"] - ears["r-ear-scale-incr"]) < 0.25


def test_gender_of_the_model_runs_from_male_to_female() -> None:
    phenotype, _ = draw_shape(np.random.default_rng(0), LABELS, np.array([0, 1, 0]), 0.9, 30)
    assert phenotype["gender"] == pytest.approx(0.1)
    assert (phenotype["african"], phenotype["asian"], phenotype["caucasian"]) == (0, 1, 0)
