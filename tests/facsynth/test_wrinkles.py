import numpy as np
import pytest

from facsynth.rig import RIG_AUS
from facsynth.texture import TEXTURE, texture_grid
from facsynth.wrinkles import PATTERNS, wrinkle_heights, wrinkle_maps, wrinkle_weights

# Where each pattern may be, on one side: |x| and z from and to, millimetres on the average head.
REGIONS = {
    "foreheadMiddle": (0, 32, 162, 196),
    "foreheadSide": (14, 54, 154, 196),
    "glabella": (0, 32, 139, 168),
    "browOblique": (6, 40, 155, 190),
    "noseWrinkles": (0, 20, 112, 150),
    "crowsFeet": (42, 66, 115, 152),
    "underEye": (16, 52, 105, 133),
    "lidBulge": (16, 46, 122, 134),
    "nasolabialTop": (11, 36, 80, 112),
    "nasolabial": (11, 50, 54, 110),
    "dimple": (20, 40, 57, 82),
    "marionette": (16, 40, 46, 72),
    "stretch": (10, 45, 44, 82),
    "lips": (0, 26, 48, 90),
    "chin": (0, 23, 32, 58),
}
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


def split(pattern: str) -> tuple[str, str]:
    for side in SIDES:
        if pattern.endswith(side):
            return pattern.removesuffix(side), side
    return pattern, ""


def weights(*acting: tuple[int, float, float]) -> dict[str, float]:
    """Strength of each pattern where AUs act: AU, right, left."""
    strengths = np.zeros((1, 2, len(RIG_AUS)))
    for au, right, left in acting:
        strengths[0, :, RIG_AUS.index(au)] = right, left
    return dict(zip(PATTERNS, map(float, wrinkle_weights(strengths)[0]), strict=True))


@pytest.mark.parametrize("number", range(len(PATTERNS)), ids=PATTERNS)
def test_a_pattern_lies_in_its_region_and_on_its_side(number: int) -> None:
    name, side = split(PATTERNS[number])
    x, z = (1000 * axis for axis in texture_grid())
    low_x, high_x, low_z, high_z = REGIONS[name]
    inside = (np.abs(x) > low_x - 1) & (np.abs(x) < high_x) & (z > low_z) & (z < high_z)
    relief = np.abs(wrinkle_maps()[number]).sum(axis=-1)
    assert relief[inside].sum() > 0.97 * relief.sum()
    if side:
        own = x > 0 if side == "Left" else x < 0
        assert relief[own].sum() > 0.9 * relief.sum()


def test_folds_are_as_deep_as_real_ones() -> None:
    heights = wrinkle_heights()
    assert heights.shape == (len(PATTERNS), TEXTURE, TEXTURE)
    deepest = -heights.min(axis=(1, 2))
    assert (deepest > 0.2).all() and (deepest < 1.2).all()
    assert (heights.max(axis=(1, 2)) < 1.2).all()


def test_the_slopes_are_those_of_the_heights() -> None:
    x, z = texture_grid()
    maps, heights = wrinkle_maps(), wrinkle_heights() / 1000
    for axis, coordinate in ((0, x), (1, z)):
        along = 1 - axis
        run = np.take(coordinate, np.arange(1, TEXTURE), along) - np.take(coordinate, np.arange(TEXTURE - 1), along)
        rise = np.diff(heights, axis=1 + along)
        slope = np.take(maps[..., axis], np.arange(TEXTURE - 1), 1 + along)
        slope = (slope + np.take(maps[..., axis], np.arange(1, TEXTURE), 1 + along)) / 2
        assert np.corrcoef((rise / run).ravel(), slope.ravel())[0, 1] > 0.95
    assert np.abs(maps[..., :2]).max() < 1
    assert maps[..., 2].min() == 0 and maps[..., 2].max() < 0.5


def test_maps_are_made_once_and_cannot_be_changed_by_accident() -> None:
    assert wrinkle_maps() is wrinkle_maps()
    with pytest.raises(ValueError, match="read-only"):
        wrinkle_maps()[0] = 0


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


def test_no_au_takes_a_wrinkle_away() -> None:
    rng = np.random.default_rng(0)
    some = rng.random((200, 2, len(RIG_AUS)))
    more = some + rng.random(some.shape) * (rng.random(some.shape) < 0.1)
    assert (wrinkle_weights(more) >= wrinkle_weights(some)).all()


def test_both_brow_raisers_wrinkle_the_forehead_right_across() -> None:
    inner, outer, both = weights((1, 1, 1)), weights((2, 1, 1)), weights((1, 1, 1), (2, 1, 1))
    for pattern in ("foreheadMiddleLeft", "foreheadSideLeft"):
        assert both[pattern] > max(inner[pattern], outer[pattern])
    assert inner["foreheadSideLeft"] < 0.2 < 0.8 < outer["foreheadSideLeft"]


def test_oblique_lines_need_raised_and_gathered_brows() -> None:
    assert weights((1, 1, 1))["browObliqueLeft"] == weights((4, 1, 1))["browObliqueLeft"] == 0
    assert weights((1, 1, 1), (4, 1, 1))["browObliqueLeft"] > 0.8


def test_a_resting_face_has_no_wrinkles_of_expression() -> None:
    assert not wrinkle_weights(np.zeros((3, 2, len(RIG_AUS)))).any()
