import numpy as np
import pytest

from facsynth.brows import BEARDS, paint_beard
from facsynth.colour import draw_colouring
from facsynth.texture import TEXTURE, texture_grid

COLOURS = draw_colouring(np.random.default_rng(0), np.array([0, 0, 1.0]), 1.0, 30, 0.2)


def bare() -> np.ndarray:
    return np.broadcast_to(COLOURS.skin.astype(np.float32)[:, None, None], (3, TEXTURE, TEXTURE)).copy()


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
