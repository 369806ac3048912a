import numpy as np
import pytest

from facsynth.illumination import Illumination, draw_illumination, tint, towards


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


def test_a_laboratory_is_lit_evenly_from_the_front() -> None:
    for light in many(False):
        key, fill = light.lights
        assert key.direction[2] > 0.5 and key.direction[1] > 0
        assert np.sign(key.direction[0]) != np.sign(fill.direction[0]) or abs(key.direction[0]) < 0.3
        assert key.colour.mean() / fill.colour.mean() < 3.1
        assert np.ptp(key.colour / key.colour.mean()) < 0.4


def test_the_wild_has_every_kind_of_light() -> None:
    lights = many(True)
    keys = [light.lights[0] for light in lights]
    assert {len(light.lights) for light in lights} == {1, 2, 3}
    assert any(lamp.direction[2] < -0.3 for light in lights for lamp in light.lights)  # from behind
    assert any(abs(key.direction[0]) > 0.85 for key in keys) and any(key.direction[1] < -0.1 for key in keys)
    assert min(key.softness for key in keys) < 0.05 and max(key.softness for key in keys) > 0.4
    warm = [key.colour[0] / key.colour[2] for key in keys]
    assert min(warm) < 0.85 and max(warm) > 1.3


def test_directions_and_colours() -> None:
    assert towards(0, 0) == pytest.approx([0, 0, 1])
    assert towards(90, 0) == pytest.approx([1, 0, 0], abs=1e-9)
    assert towards(0, 90) == pytest.approx([0, 1, 0], abs=1e-9)
    assert tint(0) == pytest.approx([1, 1, 1])
    assert tint(1)[0] > 1 > tint(1)[2] and tint(-1)[2] > 1 > tint(-1)[0]
