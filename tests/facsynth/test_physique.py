import numpy as np
import pytest

from facsynth.physique import draw_ancestry, model_age


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
