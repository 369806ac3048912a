import numpy as np
import pytest

from facsynth.scene import Sensor
from facsynth.sensor import blur, noise, record


def grey(value: float) -> np.ndarray:
    return np.full((200, 200, 3), value, np.float32)


def test_a_perfect_sensor_only_rounds() -> None:
    values = np.linspace(-0.1, 1.1, 300, dtype=np.float32).reshape(10, 10, 3)
    assert np.array_equal(record(values, Sensor(), 0), np.round(255 * values.clip(0, 1) + 1e-6).astype(np.uint8))


def test_blur_spreads_a_point_by_its_deviation_and_keeps_its_light() -> None:
    point = np.zeros((41, 61, 3), np.float32)
    point[20, 30] = 1
    spread = blur(point, 2.0)[..., 1]
    assert spread.sum() == pytest.approx(1, abs=1e-5)
    for axis, middle in ((0, 20), (1, 30)):
        share = spread.sum(axis=1 - axis)
        deviation = np.sqrt((share * (np.arange(len(share)) - middle) ** 2).sum())
        assert deviation == pytest.approx(2.0, rel=0.03)


def test_noise_is_as_strong_as_it_says_and_weaker_in_the_dark() -> None:
    spread = [float(noise(grey(value), 0.05, np.random.default_rng(1)).std()) for value in (0.5, 0.1)]
    assert spread[0] == pytest.approx(0.05, rel=0.03)
    assert spread[1] == pytest.approx(0.05 * np.sqrt(0.2), rel=0.03)


def test_noise_comes_from_the_seed_alone() -> None:
    sensor = Sensor(noise=0.05)
    one, same, other = (record(grey(0.5), sensor, seed) for seed in (3, 3, 4))
    assert np.array_equal(one, same)
    assert (one != other).mean() > 0.8
