import numpy as np
import pytest

from facsynth.colour import Colouring, draw_colouring
from facsynth.skin import paint_skin, resting_wrinkles, wrinkle_factors
from facsynth.texture import TEXTURE

NAMES = ("forehead_right", "forehead_left", "crow_right", "crow_left", "chin")


def colours(tone: float = 0.3) -> Colouring:
    return draw_colouring(np.random.default_rng(0), np.array([0, 0, 1.0]), 0.5, 30, tone)


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
