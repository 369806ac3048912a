import numpy as np
import pytest

from facsynth.illumination import Illumination, draw_illumination


def many(wild: bool, count: int = 150) -> list[Illumination]:
    return [draw_illumination(np.random.default_rng(seed), wild) for seed in range(count)]


@pytest.mark.parametrize("wild", [False, True])
def test_one_to_three_lights_of_sensible_strength(wild: bool) -> None:
    for light in many(wild):
        assert 1 <= len(light.lights) <= 3
        for lamp in light.lights:
            assert np.linalg.norm(lamp.direction) == pytest.approx(1)
            assert 0.05 < lamp.colour.mean() < 2.2 and (lamp.colour > 0).all()
            assert 0 < lamp.softness < 1
        assert (light.sky > 0).all() and (light.ground > 0).all()
