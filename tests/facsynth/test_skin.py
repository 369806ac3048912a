import numpy as np
import pytest

from facsynth.colour import Colouring, draw_colouring
from facsynth.skin import draw_relief, paint_skin, resting_wrinkles, wrinkle_factors
from facsynth.texture import TEXTURE, texture_grid

NAMES = ("forehead_right", "forehead_left", "crow_right", "crow_left", "chin")


def colours(tone: float = 0.3) -> Colouring:
    return draw_colouring(np.random.default_rng(0), np.array([0, 0, 1.0]), 0.5, 30, tone)


def test_cheeks_and_nose_are_redder_than_the_forehead() -> None:
    x, z = texture_grid()
    skins = [paint_skin(np.random.default_rng(s), colours(), 0.1, 30, 0.2) for s in range(8)]
    red = np.mean([skin[..., 0] / skin[..., 1] for skin in skins], axis=0)
    cheek = (np.hypot(np.abs(x) - 0.042, z - 0.1) < 0.008).nonzero()
    forehead = (np.hypot(x, z - 0.18) < 0.01).nonzero()
    assert red[cheek].mean() > 1.03 * red[forehead].mean()


def test_the_colour_of_the_skin_is_that_of_the_person() -> None:
    for tone in (0.0, 0.5, 1.0):
        own = colours(tone)
        skin = paint_skin(np.random.default_rng(1), own, 0.1, 30, tone)
        assert np.median(skin, axis=(0, 1)) == pytest.approx(own.skin, rel=0.12)
        assert skin.dtype == np.float32 and skin.shape == (TEXTURE, TEXTURE, 3)


def test_wrinkles_deepen_with_age_for_any_number_of_patterns() -> None:
    for draw in (resting_wrinkles, wrinkle_factors):
        assert draw(np.random.default_rng(0), 50, ()).shape == (0,)
        young, old = (
            np.mean([draw(np.random.default_rng(s), years, NAMES) for s in range(20)], axis=0) for years in (20, 75)
        )
        assert young.shape == (5,) and (old > young).all()


def test_wrinkles_at_rest_are_absent_in_the_young_and_commonest_on_the_forehead() -> None:
    assert resting_wrinkles(np.random.default_rng(0), 20, NAMES) == pytest.approx(np.zeros(5))
    old = resting_wrinkles(np.random.default_rng(0), 75, NAMES)
    assert old[0] > 2 * old[4] and old.max() < 1.2


def test_the_two_sides_wrinkle_nearly_alike() -> None:
    factors = wrinkle_factors(np.random.default_rng(2), 50, NAMES)
    assert factors[0] == pytest.approx(factors[1], rel=0.12) and factors[0] != factors[1]


def test_relief_at_rest_has_the_slopes_of_skin() -> None:
    young, old = (draw_relief(np.random.default_rng(3), years) for years in (20, 80))
    for relief in (young, old):
        assert relief.shape == (TEXTURE, TEXTURE, 3) and relief.dtype == np.float32
        assert 0.01 < relief[..., :2].std() < 0.12
        assert relief[..., 2].min() >= 0 and relief[..., 2].max() <= 1
    under = (slice(180, 196), slice(225, 262))  # below the left eye
    assert np.abs(old[under][..., 1]).mean() > np.abs(young[under][..., 1]).mean()
