import io
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facsynth import photo
from facsynth.head import Head
from facsynth.identity import draw_person
from facsynth.photo import Shot, photograph, pose_face, take
from facsynth.rig import RIG_AUS
from facsynth.scene import CROP, Scene, Sensor, draw_habits
from facsynth.solids import Solids
from metafacs.errors import InputError


class Rods:
    """Many thin rods."""

    def __init__(self, count: int) -> None:
        self.count = count

    def solids(self, points: NDArray[np.floating]) -> Solids:
        rows = np.tile(points[30], (self.count, 1)).astype(np.float32)
        ones = np.full(self.count, 0.001, np.float32)
        return Solids(rows, rows + np.float32(0.01), ones, rows * 0, ones)


@pytest.fixture(scope="module")
def shot(head: Head) -> Shot:
    rng = np.random.default_rng(3)
    person, habits = draw_person(head, rng), draw_habits(rng)
    return Shot(person, np.zeros((2, len(RIG_AUS))), (0.0, 0.0), Scene(0.0, 0.0, CROP, habits))


def with_sensor(shot: Shot, sensor: Sensor, seed: int = 0) -> Shot:
    habits = replace(shot.scene.habits, sensor=sensor)
    return replace(shot, scene=replace(shot.scene, habits=habits), seed=seed)


def test_the_sensor_of_the_scene_takes_the_picture(head: Head, shot: Shot) -> None:
    noisy = Sensor(noise=0.06)
    shots = [shot, with_sensor(shot, noisy, 1), with_sensor(shot, noisy, 2), with_sensor(shot, Sensor(blur=0.02))]
    plain, one, other, soft = take(head, shots, 64, 1)[0].astype(float)
    assert 4 < (one - plain).std() < 20
    assert np.abs(one - other).mean() > 4
    assert np.abs(np.diff(soft, axis=1)).mean() < 0.7 * np.abs(np.diff(plain, axis=1)).mean()
    again = take(head, [shots[2]], 64, 1)[0][0]
    assert np.array_equal(again, other)


def test_pictures_are_drawn_a_few_at_a_time(head: Head, shot: Shot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo, "_SAMPLES", 3 * 32 * 24)
    images, points = take(head, [shot] * 7, (32, 24), 1)
    assert images.shape == (7, 32, 24, 3) and points.shape == (7, 68, 2)
    assert photo.renderer(head)._buffers["keys"].shape == (1, 32, 24)  # the last of 3 + 3 + 1
    assert all(np.array_equal(images[0], image) for image in images)


@pytest.mark.parametrize("rays", [0, 9])
def test_impossible_rays_are_refused(rays: int, head: Head, shot: Shot) -> None:
    with pytest.raises(InputError, match=f"rays is {rays}"):
        take(head, [shot], 32, rays)


def test_too_many_solids_are_refused(head: Head, shot: Shot) -> None:
    crowd = replace(shot, scene=replace(shot.scene, props=(Rods(40), Rods(25))))
    with pytest.raises(InputError, match="65 capsules"):
        take(head, [crowd], 32, 1)


def test_gaze_turns_the_eyes_and_nothing_else_sideways(head: Head, shot: Shot) -> None:
    ahead, aside = pose_face(head, shot), pose_face(head, replace(shot, gaze=(0.3, 0.0)))
    moved = np.flatnonzero(np.abs(ahead - aside).max(axis=1) > 1e-6)
    assert set(moved) <= set(np.concatenate(head.eyes))
    assert len(moved) > 50


def test_a_picture_is_stored_at_the_quality_of_its_camera(head: Head, shot: Shot) -> None:
    habits = shot.scene.habits
    shots = [
        replace(shot, scene=replace(shot.scene, habits=replace(habits, sensor=replace(habits.sensor, quality=quality))))
        for quality in (30, 95)
    ]
    coarse, fine = photograph(shots, 96, 1)
    images, points = take(head, shots, 96, 1)
    assert np.array_equal(fine.pixels, images[1]) and np.array_equal(fine.landmarks, points[1])
    assert len(coarse.jpeg()) < len(fine.jpeg())
    stored = np.asarray(Image.open(io.BytesIO(fine.jpeg()))).astype(float)
    assert np.abs(stored - fine.pixels).mean() < 3
