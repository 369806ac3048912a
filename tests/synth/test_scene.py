from dataclasses import replace

import numpy as np
import pytest

from metafacs.synth.head import Head
from metafacs.synth.photo import eye_centres, rotation
from metafacs.synth.scene import CROP, EYES, Framing, Scene, aim, crop_recipe, draw_habits, draw_scene


def still(seed: int = 0) -> Scene:
    return Scene(0.0, 0.0, CROP, draw_habits(np.random.default_rng(seed)))


@pytest.mark.parametrize(("yaw", "pitch"), [(0.0, 0.0), (0.3, 0.0), (0.0, -0.2), (-0.25, 0.15)])
def test_the_eyes_lie_at_their_places_in_every_pose(yaw: float, pitch: float, head: Head) -> None:
    eyes = eye_centres(head.template[head.landmarks])
    camera = aim(replace(still(), yaw=yaw, pitch=pitch), eyes)
    assert camera.crop(eyes, 200) == pytest.approx(200 * np.array(EYES), abs=1e-3)


def test_the_crop_is_that_of_a_similarity_alignment(head: Head) -> None:
    """A crop is the plain picture turned, scaled and shifted as its eyes demand, and nothing else."""
    scene = replace(still(), yaw=0.2, framing=Framing((0.51, 0.34), 0.37, 0.03))
    points = head.template[head.landmarks]
    camera = aim(scene, eye_centres(points))
    plain = camera.plane(points)
    crop = camera.crop(points, 1) @ np.array([1, 1j])
    ratio = (plain[1:] - plain[0]) / (crop[1:] - crop[0])
    assert ratio == pytest.approx(np.full(67, ratio[0]), rel=1e-4)


def test_deviations_do_what_they_say(head: Head) -> None:
    eyes = eye_centres(head.template[head.landmarks])
    scene = replace(still(), framing=Framing((0.52, 0.39), 0.4, 0.05))
    right, left = aim(scene, eyes).crop(eyes, 1)
    assert np.hypot(*(left - right)) == pytest.approx(0.4, rel=1e-4)
    assert abs(np.arctan2(*(left - right)[::-1])) == pytest.approx(0.05, rel=1e-3)
    assert (left + right) / 2 == pytest.approx([0.52, 0.39], abs=1e-5)


def test_a_head_turned_to_its_left_shows_its_right_cheek(head: Head) -> None:
    points = head.template[head.landmarks]
    seen = aim(replace(still(), yaw=0.3), eye_centres(points)).crop(points, 1)
    assert seen[30, 0] > 0.55  # the nose points to the picture's right
    raised = aim(replace(still(), pitch=0.3), eye_centres(points)).crop(points, 1)
    level = aim(still(), eye_centres(points)).crop(points, 1)
    assert raised[30, 1] < level[30, 1]


def test_landmarks_of_a_face_lie_in_its_crop(head: Head) -> None:
    points = head.template[head.landmarks]
    seen = aim(still(), eye_centres(points)).crop(points, 96)
    assert (seen > 0).all() and (seen < 96).all()


def test_gaze_turns_towards_the_left_and_up() -> None:
    ahead = np.array([0.0, -1.0, 0.0])
    assert (rotation(0.2, 0.0) @ ahead)[0] > 0.1
    assert (rotation(0.0, 0.2) @ ahead)[2] > 0.1


def test_pictures_of_one_person_share_the_light_and_differ_in_pose() -> None:
    habits = draw_habits(np.random.default_rng(1))
    first, second = (draw_scene(habits, np.random.default_rng(seed)) for seed in (1, 2))
    assert first.habits is second.habits
    assert first.yaw != second.yaw
    assert crop_recipe(96)["size"] == 96
