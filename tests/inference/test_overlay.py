"""Bars stand beside the picture, however many people are in it."""

import numpy as np
import pandas as pd
import pytest

from metafacs.inference.overlay import draw
from metafacs.inference.rows import present_column

AUS = [f"AU{k:02d}" for k in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 25, 26)]


def rows(faces: int, share: float = 0.9) -> pd.DataFrame:
    table = pd.DataFrame({"face": range(1, faces + 1), "success": 1})
    for k, side in enumerate(("left", "top", "right", "bottom")):
        table[side] = [[8 * n + 2, 20, 8 * n + 8, 28][k] for n in range(faces)]
    for au in AUS:
        table[au], table[present_column(au)] = share, int(share >= 0.5)
    return table


@pytest.mark.parametrize("faces", [0, 1, 3, 4, 30])
def test_nothing_covers_the_picture(faces: int) -> None:
    picture = np.full((480, 640, 3), 90, np.uint8)
    drawn = draw(picture, rows(faces), AUS)
    assert drawn.shape == draw(picture, rows(1), AUS).shape
    changed = (drawn[:480, :640] != picture).any(axis=2)
    assert not changed[40:].any() and changed.any() == (faces > 0)
    panel = drawn[:, 640:]
    assert (panel != panel[0, 0]).any() == (faces > 0)


@pytest.mark.parametrize("faces", [1, 5])
def test_bars_are_as_long_as_the_probability(faces: int) -> None:
    picture = np.full((480, 640, 3), 90, np.uint8)
    coloured = []
    for share in (0.55, 0.95):
        panel = draw(picture, rows(faces, share), AUS)[:, 640:].astype(int)
        coloured.append((panel.max(axis=2) - panel.min(axis=2) > 80).sum())
    assert coloured[1] > 1.2 * coloured[0]


def test_more_faces_than_lines_are_counted() -> None:
    small = np.zeros((100, 300, 3), np.uint8)
    many, more = (draw(small, rows(faces), AUS) for faces in (40, 60))
    assert many.shape == more.shape and not np.array_equal(many[-14:], more[-14:])
