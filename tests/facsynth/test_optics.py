import numpy as np
import pytest

from facsynth.optics import draw_sensor, eye_pixels, seen_by


def test_pixels_follow_from_focal_length_and_distance() -> None:
    """50 mm on a full frame: at 1 m, 1 m is 50 mm of 36; the eyes, 62 mm, are 3.1 mm or 86 of 1,000 pixels."""
    assert eye_pixels(1.0, 50, 36, 1000) == pytest.approx(3.1 / 36 * 1000)
    assert eye_pixels(2.0, 50, 36, 1000) == pytest.approx(eye_pixels(1.0, 25, 36, 1000))


def test_a_small_face_is_blurred_and_a_large_one_is_not() -> None:
    small, large = (seen_by(pixels, 0.8, 0.0, 0.03, 80) for pixels in (20, 200))
    assert small.blur == pytest.approx(0.8 / (20 / 0.36)) and large.blur == pytest.approx(small.blur / 10)
    assert small.noise == 0.03 and large.noise == pytest.approx(0.03 * 128 / (200 / 0.36))


def test_movement_adds_to_the_blur_as_variances_do() -> None:
    assert seen_by(36, 0.3, 0.004, 0, 80).blur == pytest.approx(0.005)


def test_a_laboratory_has_a_good_camera() -> None:
    lab, wild = ([draw_sensor(np.random.default_rng(s), 1.2, mode) for s in range(100)] for mode in (False, True))
    assert max(sensor.blur for sensor in lab) < 0.009
    assert max(sensor.blur for sensor in wild) > 0.01
    assert np.mean([s.noise for s in lab]) < np.mean([s.noise for s in wild])
    assert min(s.quality for s in lab) >= 88 and min(s.quality for s in wild) < 75
    assert all(1 <= s.quality <= 95 and s.blur < 0.03 and s.noise < 0.05 for s in [*lab, *wild])
