"""Wrinkles and bulges of the skin that come with AUs, as relief on the skin texture."""

import functools
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from facsynth.rig import RIG_AUS
from facsynth.texture import TEXTURE, TEXTURE_SPAN, texture_grid

Stroke = tuple[float, float, Sequence[tuple[float, float]]]

# Strokes: depth (below zero: a ridge), half-width, and the points (|x|, z) of the line; millimetres on the average
# head. A line that begins at x = 0 runs across the middle.
_SIDED: Mapping[str, Sequence[Stroke]] = MappingProxyType(
    {
        "foreheadMiddle": (
            (0.50, 1.5, ((0, 167.5), (9, 167), (18, 168.5), (25, 170))),
            (0.65, 1.7, ((0, 174), (10, 173.5), (20, 175), (28, 176))),
            (0.55, 1.6, ((0, 180.5), (10, 180.5), (20, 182), (26, 182.5))),
            (0.35, 1.5, ((0, 187.5), (9, 187.5), (18, 188.5))),
        ),
        "foreheadSide": (
            (0.50, 1.5, ((19, 166.5), (28, 168), (37, 167.5), (45, 163), (49, 158))),
            (0.65, 1.7, ((20, 174), (30, 175.5), (40, 174), (48, 169))),
            (0.50, 1.6, ((20, 181), (30, 182.5), (40, 181), (46, 177))),
            (0.30, 1.5, ((22, 188), (32, 189), (40, 187.5))),
        ),
        "glabella": (
            (0.80, 1.5, ((6.0, 144), (5.6, 150), (6.2, 156), (8.0, 162))),
            (0.20, 1.2, ((10.5, 153), (10.8, 157), (12, 161))),
            (0.30, 1.3, ((0, 143.5), (4, 143.8), (7, 144.5))),
            (-0.80, 4.0, ((12, 154), (18, 157), (25, 158.5))),
            (-0.35, 3.0, ((0, 152), (1, 157))),
        ),
        "browOblique": (
            (0.50, 1.5, ((15, 168), (22, 165.5), (28, 161.5))),
            (0.50, 1.5, ((17, 174.5), (24, 172), (30, 167.5), (34, 163))),
            (0.30, 1.5, ((18, 181.5), (25, 179), (31, 174))),
            (-0.45, 3.5, ((11, 161.5), (17, 160.5))),
        ),
        "noseWrinkles": (
            (0.55, 1.2, ((0, 145.5), (4, 145.2), (8, 143.5))),
            (0.60, 1.2, ((0, 141.3), (5, 140.8), (9, 138.5))),
            (0.40, 1.2, ((0, 137), (5, 136.3), (8.5, 134))),
            (0.55, 1.2, ((4.5, 132), (9, 127.5), (12.5, 121))),
            (0.50, 1.2, ((5, 127), (9, 122), (11.5, 116))),
            (0.35, 1.2, ((10, 134), (13.5, 129), (16, 123))),
        ),
        "crowsFeet": (
            (0.50, 1.3, ((48, 138.5), (54, 142.5), (60, 148))),
            (0.60, 1.3, ((47.5, 135), (55, 135.5), (62, 137.5))),
            (0.55, 1.3, ((47, 131.5), (54, 129), (61, 127))),
            (0.35, 1.3, ((45.5, 128), (51, 124), (56, 119.5))),
        ),
        "underEye": (
            (0.45, 1.3, ((20.5, 130), (26, 126.5), (33, 125.5), (40, 127.5), (45, 130.5))),
            (0.60, 1.6, ((21, 125), (27, 119.5), (34, 117.5), (41, 119.5), (46, 124))),
            (-0.70, 4.0, ((27, 113), (36, 110.5), (45, 113))),
        ),
        "lidBulge": (
            (-0.50, 1.6, ((22, 130.2), (30, 129.3), (39, 130))),
            (0.30, 1.3, ((20.5, 130), (26, 126.8), (33, 125.8), (41, 128.5))),
        ),
        "nasolabialTop": (
            (0.80, 1.8, ((15.5, 103), (18.5, 97), (21.5, 90), (23.5, 84))),
            (-0.70, 3.5, ((21, 105), (24.5, 98), (27.5, 90))),
        ),
        "nasolabial": (
            (0.9, 1.9, ((15.5, 102), (20, 96), (24, 89.5), (27.5, 81), (30.5, 72), (32.5, 65), (33.5, 60))),
            (-0.80, 4.2, ((24, 101), (29, 93), (33.5, 83), (37, 73), (39.5, 64))),
        ),
        "dimple": (
            (0.70, 1.7, ((26.5, 75.5), (28, 71.5), (28, 67), (26.5, 63))),
            (0.45, 2.6, ((29, 70.5),)),
            (-0.55, 2.6, ((32.5, 76), (33.5, 70), (32, 64))),
            (-0.35, 2.0, ((24.5, 64.5), (24, 66.5))),
        ),
        "marionette": (
            (0.80, 1.6, ((24.3, 67), (27, 62.5), (28.5, 57), (28.5, 51))),
            (-0.45, 2.8, ((31.5, 64), (33, 58), (33, 52))),
            (-0.40, 2.2, ((20.5, 62), (23, 57))),
        ),
        "stretch": (
            (0.45, 1.5, ((28, 78), (31.5, 73), (33, 67), (32, 60), (29, 54))),
            (0.30, 1.5, ((34.5, 78), (38, 72), (39, 66), (37.5, 59))),
            (0.35, 1.4, ((24, 68.5), (30, 67.5), (36, 65))),
            (0.25, 1.6, ((14, 54.5), (20, 53), (27, 49))),
        ),
    }
)
_LIP_LINES = tuple(
    (depth, 1.0, line)
    for x, depth in ((2.5, 0.12), (6.5, 0.2), (11.5, 0.18), (15.5, 0.12))
    for line in (((x, 79.5 - 0.1 * x), (x + 0.9, 85)), ((1.1 * x, 56.5 + 0.1 * x), (1.1 * x + 0.8, 52.5)))
)
_MIDDLE: Mapping[str, Sequence[Stroke]] = MappingProxyType(
    {
        "lips": (
            (0.35, 1.4, ((0, 54.5), (8, 55), (15, 58), (20, 63))),
            (-0.40, 2.2, ((0, 81.5), (7, 82), (15, 79), (21, 74))),
            *_LIP_LINES,
        ),
        "chin": ((0.70, 1.9, ((0, 53), (8, 52), (15, 48.5), (18.5, 44))), (-0.45, 4.0, ((0, 46.5), (7, 45.5)))),
    }
)
_CHIN = (0.0, 44.0, 15.0, 9.0)  # x, z and half-axes of the patch of the chin that dimples like orange peel
_PITS, _PIT_DEPTH, _PIT_WIDTH = 34, 0.5, 1.5

PATTERNS: tuple[str, ...] = tuple(f"{name}{side}" for name in _SIDED for side in ("Right", "Left")) + tuple(_MIDDLE)
"""Names of the K wrinkle patterns: those of the right and the left apart, then those of the middle."""

_MIDLINE = 1.2  # millimetres over which one side's pattern goes over into the other's
_SHOULDERS = 0.4  # height of the skin pushed up beside a furrow, as a share of its depth
_DARKEST, _FULL = 0.45, 0.9  # how much a furrow darkens at most, and from which depth on (mm)
_WAVER = 0.35  # how far lines of the two sides stray from one another, mm

_FOLLOW: Mapping[str, Mapping[int, float]] = MappingProxyType(
    {
        "foreheadMiddle": {1: 0.85, 2: 0.15},
        "foreheadSide": {2: 0.9},
        "glabella": {4: 1.0, 9: 0.35},
        "browOblique": {},
        "noseWrinkles": {9: 1.0, 4: 0.1},
        "crowsFeet": {6: 0.9, 7: 0.15, 12: 0.1},
        "underEye": {6: 0.95, 7: 0.15, 9: 0.2},
        "lidBulge": {7: 0.9, 6: 0.45, 9: 0.2},
        "nasolabialTop": {9: 0.9, 10: 1.0, 12: 0.2},
        "nasolabial": {12: 1.0, 10: 0.25, 6: 0.25, 14: 0.1, 15: 0.1, 20: 0.15},
        "dimple": {14: 1.0},
        "marionette": {15: 1.0, 17: 0.15},
        "stretch": {20: 1.0},
        "lips": {18: 1.0, 23: 1.0, 24: 0.85, 28: 0.7, 22: 0.4},
        "chin": {17: 1.0, 15: 0.2, 24: 0.15, 16: 0.1},
    }
)
"""Pattern -> AU -> the pattern's strength at the AU's maximum."""
_TOGETHER: Mapping[str, Mapping[tuple[int, int], float]] = MappingProxyType(
    {
        "foreheadMiddle": {(1, 2): 0.25},
        "foreheadSide": {(1, 2): 0.2},
        "browOblique": {(1, 4): 1.0},
        "crowsFeet": {(6, 12): 0.25},
        "nasolabial": {(6, 12): 0.15},
        "chin": {(15, 17): 0.15},
    }
)
"""Pattern -> two AUs -> what comes on top where both act, by the weaker of them."""
_ONSET = 0.12  # strength of an AU at which the skin begins to fold
_KNEE, _LIMIT = 0.9, 1.3


@functools.cache
def wrinkle_maps() -> NDArray[np.float32]:
    """(K, TEXTURE, TEXTURE, 3) relief of each pattern at strength 1.

    Channels: slope of the skin towards the person's left (+x) and upwards (+z), metres per metre, positive where the
    skin rises; and how much the fold darkens, in [0, 1].
    """
    maps = np.stack([_relief(height) for height in wrinkle_heights()])
    maps.setflags(write=False)
    return maps


def wrinkle_heights() -> NDArray[np.float32]:
    """(K, TEXTURE, TEXTURE) how far the skin of each pattern lies above (positive) the smooth skin, millimetres."""
    heights = []
    for name in PATTERNS:
        side = 1 if name.endswith("Left") else -1
        if name in _MIDDLE:
            height = _draw(_MIDDLE[name], 1) + _draw(_MIDDLE[name], -1)
        else:
            height = _draw(_SIDED[name.removesuffix("Left").removesuffix("Right")], side)
        heights.append(height + _orange_peel() if name == "chin" else height)
    return np.stack(heights)


def _draw(strokes: Sequence[Stroke], side: int) -> NDArray[np.float32]:
    """(TEXTURE, TEXTURE) height of the strokes of one side, millimetres; `side` is -1 for the person's right."""
    x, z = (1000 * axis for axis in texture_grid())
    height = np.zeros_like(x)
    rng = np.random.default_rng([len(strokes), side + 1])  # only for what makes the sides differ
    for depth, width, points in strokes:
        line = _smooth(np.array(points, np.float64))
        if len(line) > 1:
            line[:, 1] += _WAVER * np.sin(np.linspace(0, 1, len(line)) * rng.uniform(3, 9) + rng.uniform(0, 6))
        reach = 4 * width
        rows, columns = (
            np.flatnonzero((axis > low - reach) & (axis < high + reach))
            for axis, low, high in (
                (z[:, 0], line[:, 1].min(), line[:, 1].max()),
                (side * x[0], line[:, 0].min(), line[:, 0].max()),
            )
        )
        window = np.ix_(rows, columns)
        height[window] += _profile(side * x[window], z[window], line, depth, width)
    return (height / (1 + np.exp(-np.clip(side * x / _MIDLINE, -50, 50)))).astype(np.float32)


def _smooth(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 2) points about a millimetre apart on the smooth curve through a few points."""
    if len(points) == 1:
        return points
    if points[0, 0] == 0:  # so that the line does not taper off towards the middle
        points = np.concatenate([points[:1] - [12, 0], points])
    knots = np.r_[0, np.cumsum(np.hypot(*np.diff(points, axis=0).T))]
    along = np.linspace(0, knots[-1], int(knots[-1]) + 2)
    tangents = np.gradient(points, knots, axis=0)
    k = np.clip(np.searchsorted(knots, along) - 1, 0, len(knots) - 2)
    span = (knots[k + 1] - knots[k])[:, None]
    t = (along - knots[k])[:, None] / span
    start = points[k] * (1 + 2 * t) * (1 - t) ** 2 + tangents[k] * span * t * (1 - t) ** 2
    end = points[k + 1] * t**2 * (3 - 2 * t) + tangents[k + 1] * span * t**2 * (t - 1)
    return np.asarray(start + end)


def _profile(
    x: NDArray[np.float32], z: NDArray[np.float32], line: NDArray[np.float64], depth: float, width: float
) -> NDArray[np.float64]:
    """Height of one stroke at places (x, z): a furrow between two shoulders, or a ridge, that fades at its ends."""
    squared = np.full(x.shape, np.inf)
    nearest = np.zeros(x.shape, np.int64)
    for number, (px, pz) in enumerate(line):
        apart = (x - px) ** 2 + (z - pz) ** 2
        closer = apart < squared
        squared[closer], nearest[closer] = apart[closer], number
    distance = np.sqrt(squared) / width
    fade = np.ones(len(line))
    if len(line) > 1:
        share = np.linspace(0, 1, len(line))
        fade = np.minimum(1, np.minimum(share, 1 - share) / 0.3)
        fade = 0.1 + 0.9 * fade * fade * (3 - 2 * fade)
    shape = -np.exp(-(distance**2))
    if depth > 0:
        shape += _SHOULDERS * np.exp(-(((distance - 2) / 1.1) ** 2))
    return np.asarray(depth * fade[nearest] * shape)


def _orange_peel() -> NDArray[np.float32]:
    """(TEXTURE, TEXTURE) height of the dimples of a raised chin, millimetres."""
    x, z = (1000 * axis for axis in texture_grid())
    rng = np.random.default_rng(17)
    middle_x, middle_z, wide, high = _CHIN
    height = np.zeros_like(x)
    for number in range(_PITS):
        angle, radius = 2.39996 * number, np.sqrt((number + 0.5) / _PITS)  # a sunflower's spread, then disturbed
        px, pz = radius * np.array([np.cos(angle), np.sin(angle)]) + rng.normal(0, 0.07, 2)
        apart = (x - middle_x - wide * px) ** 2 + (z - middle_z - high * pz) ** 2
        height -= _PIT_DEPTH * rng.uniform(0.5, 1) * (1.1 - radius) * np.exp(-apart / _PIT_WIDTH**2)
    return height.astype(np.float32)


def _relief(height: NDArray[np.float32]) -> NDArray[np.float32]:
    """(TEXTURE, TEXTURE, 3) slopes and darkness of a height in millimetres."""
    down, right = np.gradient(height, 1000 * TEXTURE_SPAN / TEXTURE)
    return np.stack([right, -down, _DARKEST * np.clip(-height / _FULL, 0, 1)], axis=-1).astype(np.float32)


def wrinkle_weights(strengths: NDArray[np.floating]) -> NDArray[np.float32]:
    """(n, K) strength of each pattern for (n, 2, A) AU strengths on the right and the left.

    A pattern sets in a little after its AU begins to move, and grows with it; where several AUs fold the same skin
    they add up with diminishing returns. Those of the middle follow the mean of both sides.
    """
    on = np.clip((np.asarray(strengths, np.float64) - _ONSET) / (1 - _ONSET), 0, None)
    weights = np.empty((len(on), len(PATTERNS)))
    for column, pattern in enumerate(PATTERNS):
        name = pattern.removesuffix("Left").removesuffix("Right")
        acting = on.mean(axis=1) if name in _MIDDLE else on[:, int(pattern.endswith("Left"))]
        at = {au: acting[:, RIG_AUS.index(au)] for au in RIG_AUS}
        total = sum((share * at[au] for au, share in _FOLLOW[name].items()), np.zeros(len(on)))
        for (one, other), share in _TOGETHER.get(name, {}).items():
            total = total + share * np.minimum(at[one], at[other])
        excess = np.maximum(total - _KNEE, 0)
        weights[:, column] = np.minimum(total, _KNEE) + (_LIMIT - _KNEE) * np.tanh(excess / (_LIMIT - _KNEE))
    return weights.astype(np.float32)
