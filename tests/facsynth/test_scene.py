from dataclasses import replace

import numpy as np
import pytest

from facsynth.head import Head
from facsynth.photo import eye_centres
from facsynth.scene import CROP, EYES, Framing, Scene, aim, draw_framing, draw_habits
from metafacs.errors import InputError


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


@pytest.mark.parametrize(
    ("width", "height", "eyes"), [(1040, 1392, 110.0), (1024, 768, 90.0), (48, 48, 14.0), (200, 90, 30)]
)
def test_a_face_lies_anywhere_in_a_frame_but_in_it(width: int, height: int, eyes: float, head: Head) -> None:
    points = head.template[head.landmarks]
    places = []
    for seed in range(60):
        framing = draw_framing(np.random.default_rng(seed), width, height, eyes)
        scene = replace(still(), framing=framing)
        camera = aim(scene, eye_centres(points))
        seen = camera.crop(points, width)
        centres = camera.crop(eye_centres(points), width)
        assert np.hypot(*(centres[1] - centres[0])) == pytest.approx(eyes, rel=1e-4)
        assert (centres > 0).all() and (centres < [width, height]).all()
        if height > 4.5 * eyes:
            assert (seen > 0).all() and (seen < [width, height]).all()
        places.append(framing.middle)
    if width > 4 * eyes:
        assert np.ptp([x for x, _ in places]) > 0.5 * (width - 3 * eyes) / width


def test_a_face_that_cannot_fit_is_refused() -> None:
    with pytest.raises(InputError, match="200 x 100 pixels"):
        draw_framing(np.random.default_rng(0), 200, 100, 60)
    with pytest.raises(InputError, match="at most 50"):
        draw_framing(np.random.default_rng(0), 200, 100, 0)
