"""A face in a picture, and the kinds of values that the whole package uses for pictures, points and boxes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""(H, W, 3), RGB; several of one size: (N, H, W, 3)."""
Points = NDArray[np.float64]
"""(n, 2), x and y in the picture's continuous coordinates (see `alignment`)."""
Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass(frozen=True, eq=False)
class Face:
    """One face in a picture, in the picture's continuous coordinates (see `alignment`).

    Attributes:
        box: left, top, right, bottom.
        score: how sure the finder is; higher is surer, the scale is the finder's own.
        points: (n, 2) landmarks; n is 68 in iBUG's order, or the finder's own.
        eyes: (2, 2) centres of the person's right and left eye.
    """

    box: Box
    score: float
    points: Points
    eyes: Points


def side(box: Box) -> float:
    """The side of the square of a box's area."""
    return float(np.sqrt(max(box[2] - box[0], 0) * max(box[3] - box[1], 0)))


def middle(box: Box) -> Points:
    """(2,) the middle of a box."""
    return np.array([box[0] + box[2], box[1] + box[3]]) / 2


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, in [0, 1].

    Example:
        >>> overlap((0, 0, 2, 2), (1, 0, 3, 2))
        0.3333333333333333
    """
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    return float(width * height / (side(one) ** 2 + side(other) ** 2 - width * height))


def surroundings(box: Box, reach: float, picture: Picture) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a box with `reach` sides of it around, within the picture; may be empty."""
    more, (height, width) = reach * side(box), picture.shape[:2]
    left, top = max(0, int(box[0] - more)), max(0, int(box[1] - more))
    return left, top, max(left, min(width, int(box[2] + more) + 1)), max(top, min(height, int(box[3] + more) + 1))


def corrected(eyes: Points, outwards: float, upwards: float) -> Points:
    """(2, 2) eyes moved apart (each) and up, by shares of their distance.

    Example:
        >>> corrected(np.array([[10.0, 20.0], [20.0, 20.0]]), 0.1, 0.2).tolist()
        [[9.0, 18.0], [21.0, 18.0]]
    """
    across = eyes[1] - eyes[0]
    up = np.array([across[1], -across[0]])
    return eyes + outwards * np.stack([-across, across]) + upwards * up
