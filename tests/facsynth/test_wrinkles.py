import numpy as np
import pytest

from facsynth.rig import RIG_AUS
from facsynth.wrinkles import PATTERNS, wrinkle_weights

AUS = {
    "foreheadMiddle": 1,
    "foreheadSide": 2,
    "glabella": 4,
    "noseWrinkles": 9,
    "crowsFeet": 6,
    "underEye": 6,
    "lidBulge": 7,
    "nasolabialTop": 10,
    "nasolabial": 12,
    "dimple": 14,
    "marionette": 15,
    "stretch": 20,
    "lips": 23,
    "chin": 17,
}
SIDES = {"Right": 0, "Left": 1}


def weights(*acting: tuple[int, float, float]) -> dict[str, float]:
    """Strength of each pattern where AUs act: AU, right, left."""
    strengths = np.zeros((1, 2, len(RIG_AUS)))
    for au, right, left in acting:
        strengths[0, :, RIG_AUS.index(au)] = right, left
    return dict(zip(PATTERNS, map(float, wrinkle_weights(strengths)[0]), strict=True))


@pytest.mark.parametrize("name", AUS)
def test_a_pattern_follows_its_au_on_its_side(name: str) -> None:
    if name in PATTERNS:
        assert weights((AUS[name], 1, 1))[name] > 0.8
        return
    for side, number in SIDES.items():
        seen = weights((AUS[name], 1 - number, number))
        other = next(s for s in SIDES if s != side)
        assert seen[name + side] > 0.7
        assert seen[name + other] == 0


@pytest.mark.parametrize("au", RIG_AUS)
def test_wrinkles_grow_with_the_au_and_set_in_after_it(au: int) -> None:
    strengths = np.zeros((50, 2, len(RIG_AUS)))
    strengths[:, :, RIG_AUS.index(au)] = np.linspace(0, 1.3, 50)[:, None]
    course = wrinkle_weights(strengths)
    assert (np.diff(course, axis=0) >= 0).all()
    assert not course[strengths[:, 0].max(axis=1) <= 0.1].any()
    assert course.max() <= 1.3


def test_a_resting_face_has_no_wrinkles_of_expression() -> None:
    assert not wrinkle_weights(np.zeros((3, 2, len(RIG_AUS)))).any()
