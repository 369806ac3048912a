import numpy as np
import pytest

from facsynth.brows import BEARDS, beard_areas, paint_beard, paint_brows
from facsynth.colour import draw_colouring
from facsynth.texture import TEXTURE, texture_grid

COLOURS = draw_colouring(np.random.default_rng(0), np.array([0, 0, 1.0]), 1.0, 30, 0.2)


def bare() -> np.ndarray:
    return np.broadcast_to(COLOURS.skin.astype(np.float32)[:, None, None], (3, TEXTURE, TEXTURE)).copy()


def test_brows_darken_two_strips_and_differ_between_people() -> None:
    x, z = texture_grid()
    areas = []
    for seed in range(12):
        layers = bare()
        paint_brows(np.random.default_rng(seed), layers, COLOURS, seed % 2)
        cover = layers.mean(axis=0) < 0.75 * COLOURS.skin.mean()
        assert cover[x > 0].any() and cover[x < 0].any()
        assert (z[cover] > 0.142).all() and (z[cover] < 0.168).all()
        areas.append(cover.mean())
    assert max(areas) > 1.5 * min(areas)


def test_women_grow_no_beard_and_men_all_kinds() -> None:
    layers = bare()
    assert paint_beard(np.random.default_rng(0), layers, COLOURS, 0.1, 40) == "none"
    assert np.array_equal(layers, bare())
    assert {paint_beard(np.random.default_rng(s), bare(), COLOURS, 1.0, 40) for s in range(60)} == set(BEARDS)


@pytest.mark.parametrize("seed", range(6))
def test_a_beard_darkens_and_leaves_lips_nose_and_eyes_free(seed: int) -> None:
    layers = bare()
    kind = paint_beard(np.random.default_rng(seed), layers, COLOURS, 1.0, 40)
    x, z = texture_grid()
    painted = np.abs(layers.mean(axis=0) - COLOURS.skin.mean()) > 0.02 * COLOURS.skin.mean()
    assert painted.any() == (kind != "none")
    assert not painted[np.hypot(x / 2, z - 0.068) < 0.004].any()
    assert not painted[z > 0.125].any()


def test_beard_areas_lie_where_they_are_named() -> None:
    cheeks, upper, chin = beard_areas()
    assert cheeks.max() > 0.9 and upper.max() > 0.9 and chin.max() > 0.9
    assert (chin <= cheeks + 1e-6).all()
    assert upper.sum() < chin.sum() < cheeks.sum()
