from dataclasses import replace

import numpy as np
import pytest

from facsynth.hand import Hand
from facsynth.head import Head
from facsynth.photo import eye_centres, rotation
from facsynth.scene import CROP, EYES, Framing, Scene, aim, crop_recipe, draw_framing, draw_habits, draw_scene
from facsynth.solids import Glasses
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


def test_the_wild_varies_more_than_the_laboratory() -> None:
    def spread(wild: bool) -> tuple[float, float, float]:
        scenes = []
        for seed in range(200):
            rng = np.random.default_rng(seed)
            scenes.append(draw_scene(draw_habits(rng, wild), rng, wild=wild))
        turns = np.std([(scene.yaw, scene.pitch) for scene in scenes], axis=0)
        return float(turns[0]), float(turns[1]), float(np.std([scene.habits.distance for scene in scenes]))

    assert all(wild > 1.3 * lab for wild, lab in zip(spread(True), spread(False), strict=True))


def test_distances_lie_within_their_bounds() -> None:
    for wild, low, high in ((False, 0.8, 1.6), (True, 0.45, 2.5)):
        distances = [draw_habits(np.random.default_rng(seed), wild).distance for seed in range(100)]
        assert low <= min(distances) < 1.2 * low and high / 1.2 < max(distances) <= high


def test_some_wear_glasses_and_some_hold_a_hand_before_their_face() -> None:
    for wild, share in ((False, 0.1), (True, 0.15)):
        rooms = [draw_habits(np.random.default_rng(seed), wild) for seed in range(600)]
        worn = [any(isinstance(prop, Glasses) for prop in room.props) for room in rooms]
        assert np.mean(worn) == pytest.approx(share, abs=0.04)
    habits = draw_habits(np.random.default_rng(0), wild=True)
    skin = np.array([0.3, 0.2, 0.1])
    wild = [draw_scene(habits, np.random.default_rng(seed), wild=True, skin=skin) for seed in range(1000)]
    hands = [prop for scene in wild for prop in scene.props]
    assert len(hands) == pytest.approx(40, abs=18)
    assert all(isinstance(hand, Hand) and hand.colour == (0.3, 0.2, 0.1) for hand in hands)
    assert not any(draw_scene(habits, np.random.default_rng(seed)).props for seed in range(100))


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
