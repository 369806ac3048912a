import numpy as np
import pytest

from facsynth.backdrop import BACKDROP, KINDS, draw_backdrop


@pytest.mark.parametrize("kind", list(KINDS))
def test_backgrounds_are_small_pictures_in_legal_colours(kind: str) -> None:
    for seed in range(15):
        picture = KINDS[kind](np.random.default_rng(seed))
        assert picture.shape == (BACKDROP, BACKDROP, 3) and picture.dtype == np.float32
        assert picture.min() >= 0 and picture.max() <= 1
        step = np.abs(np.diff(picture, axis=1)).max()
        assert step < 0.6  # out of focus: no hard edges
        assert np.array_equal(picture, KINDS[kind](np.random.default_rng(seed)))


def contrast(kind: str) -> float:
    pictures = [KINDS[kind](np.random.default_rng(seed)) for seed in range(10)]
    return float(np.mean([np.abs(np.diff(p, axis=1)).mean() / p.mean() for p in pictures]))


def test_plain_is_plainer_than_textured() -> None:
    assert all(contrast("plain") < 0.3 * contrast(kind) for kind in ("lights", "shelves", "foliage"))


def test_foliage_is_green() -> None:
    picture = KINDS["foliage"](np.random.default_rng(1))[BACKDROP // 2 :].mean(axis=(0, 1))
    assert picture[1] > picture[0] and picture[1] > picture[2]


def test_a_laboratory_has_plain_walls() -> None:
    def busy(wild: bool) -> float:
        pictures = [draw_backdrop(np.random.default_rng(seed), wild) for seed in range(60)]
        return float(np.mean([np.abs(np.diff(p, axis=1)).mean() / p.mean() > 0.05 for p in pictures]))

    assert busy(False) == 0
    assert busy(True) > 0.3
