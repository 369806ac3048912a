import numpy as np
import pytest

from facsynth.hand import HOLDS, Hand
from facsynth.head import SKIN, Head
from facsynth.identity import draw_person
from facsynth.solids import (
    LENSES,
    MOST,
    Glasses,
    Solids,
    draw_shoulders,
    join,
    no_solids,
)

BLACK = (0.0, 0.0, 0.0)


def along(solids: Solids, steps: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """(n, 3) points on the axes of capsules, and the (n,) radii there."""
    share = np.linspace(0, 1, steps)[None, :, None]
    points = solids.start[:, None] * (1 - share) + solids.end[:, None] * share
    return points.reshape(-1, 3), np.repeat(solids.radius, steps)


def surface(head: Head, rest: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(n,) y of the skin about points seen from the front, infinity beside the face."""
    skin = rest[np.unique(head.faces[head.material == SKIN])]
    away = np.hypot(skin[None, :, 0] - points[:, None, 0], skin[None, :, 2] - points[:, None, 2])
    return np.where(away < 0.004, skin[None, :, 1], np.inf).min(axis=1)


@pytest.mark.parametrize("style", list(LENSES))
def test_glasses_sit_before_the_face_around_the_eyes(style: str, head: Head) -> None:
    for seed in range(4):
        rest = draw_person(head, np.random.default_rng(seed)).rest
        marks = rest[head.landmarks]
        solids = Glasses(BLACK, style).solids(marks)
        rims = along(join_slice(solids, 0, 24))[0]
        gap = surface(head, rest, rims) - rims[:, 1]
        beside_the_nose = np.abs(rims[:, 0]) < 0.018  # where glasses rest
        assert gap[beside_the_nose].min() > -0.003 and gap[~beside_the_nose].min() > 0.002
        assert (rims[:, 1] > marks[36:48, 1].min() - 0.035).all()
        for eye in (marks[36:42].mean(axis=0), marks[42:48].mean(axis=0)):
            own = rims[np.sign(rims[:, 0]) == np.sign(eye[0])]
            away = np.hypot(own[:, 0] - eye[0], own[:, 2] - eye[2])
            assert away.min() > 0.009 and away.max() < 0.04


def join_slice(solids: Solids, first: int, last: int) -> Solids:
    names = ("start", "end", "radius", "colour", "gloss")
    return Solids(*(getattr(solids, name)[first:last] for name in names))


@pytest.mark.parametrize("hold", HOLDS)
@pytest.mark.parametrize("side", [-1, 1])
def test_a_hand_covers_what_it_is_said_to_from_just_before_the_face(hold: str, side: int, head: Head) -> None:
    marks = head.template[head.landmarks]
    points, radius = along(Hand(BLACK, hold, side).solids(marks))
    gap = surface(head, head.template, points) - points[:, 1] - radius
    near = np.isfinite(gap)
    assert near.any() and gap[near].min() > -0.002
    assert np.median(gap[near]) < 0.025
    eye = marks[42:48] if side > 0 else marks[36:42]
    goals = {
        "chin": marks[[8, 57]],
        "cheek": marks[[13 if side > 0 else 3]] * [0.9, 1, 1],
        "eye": eye.mean(axis=0)[None],
    }
    for goal in goals[hold]:
        away = np.hypot(points[:, 0] - goal[0], points[:, 2] - goal[2]) - radius
        assert away.min() < 0.004
    other = marks[36:42] if side > 0 else marks[42:48]
    assert (np.hypot(points[:, 0] - other[:, :1], points[:, 2] - other[:, 2:]) > radius).all()  # the other eye sees


def test_all_together_stay_within_the_number_that_one_image_holds(head: Head) -> None:
    marks = head.template[head.landmarks]
    rng = np.random.default_rng(0)
    body = [Hand(BLACK, "chin").solids(marks), draw_shoulders(rng, np.full(3, 0.4)).solids(marks)]
    for style in LENSES:
        together = join([Glasses(BLACK, style).solids(marks), *body])
        assert len(together) <= MOST
        assert (together.radius > 0).all() and np.isfinite(together.start).all() and np.isfinite(together.end).all()
        assert together.colour.shape == together.start.shape == (len(together), 3)
    assert len(join([])) == len(no_solids()) == 0
