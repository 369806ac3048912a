"""The 68 iBUG landmarks as vertices of the head, found by geometry on the average head."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]
Vertices = NDArray[np.int64]

# Millimetres on the average head; the person's right side, whose landmarks come first, mirrored for the left.
_JAW = ((-64, 135), (-64, 119), (-64, 104), (-64, 89), (-67, 74), (-77, 60), (-92, 48), (-108, 38))  # y, z
_BROW = ((46, 152), (39, 155), (31, 156.5), (23, 156), (16, 154.5))  # |x|, z
_BRIDGE = (137, 124, 112)  # z
_NOSTRILS = ((15, 96), (7.5, 93))  # |x|, z
_SEPTUM = 91.5  # z
_UPPER_LIP = ((13.5, 77), (5, 79.3), (0, 78.3))
_LOWER_LIP = ((13.5, 60), (6.5, 57.5), (0, 57))
_INNER_LIP = 8  # |x| of the inner points between corner and middle
MIDDLE = 0.0005
"""Vertices with |x| below this many metres lie on the midline of the average head."""
_FRONT = -0.09  # y of everything in front of the cheeks, metres


def find_landmarks(points: Points, skin: Vertices, lids: Vertices, mouth: Vertices) -> Vertices:
    """(68,) the vertex of each landmark, in iBUG's order.

    Args:
        points: (V, 3) the average head, metres; the face looks along -y, z is up, +x is the person's left.
        skin: the vertices of the outer skin.
        lids: the vertices on the rims of both eyes' lids.
        mouth: the vertices where the lips meet the inside of the mouth.
    """
    out = np.zeros(68, np.int64)
    front = skin[points[skin, 1] < _FRONT]
    out[0:8] = [_side(points, skin, y / 1000, z / 1000) for y, z in _JAW]
    out[8] = _lowest_chin(points, front)
    out[9:17] = _mirror(points, out[0:8])[::-1]
    out[17:22] = _facing(points, front, ((-x, z) for x, z in _BROW))
    out[22:27] = _mirror(points, out[17:22])[::-1]
    middle = front[np.abs(points[front, 0]) < MIDDLE]
    out[27:30] = [middle[np.abs(points[middle, 2] - z / 1000).argmin()] for z in _BRIDGE]
    out[30] = middle[points[middle, 1].argmin()]
    out[31:33] = _facing(points, front, ((-x, z) for x, z in _NOSTRILS))
    out[33] = _facing(points, middle, [(0, _SEPTUM)])[0]
    out[34:36] = _mirror(points, out[31:33])[::-1]
    for start, side in ((36, -1), (42, 1)):
        out[start : start + 6] = _eye(points, lids[points[lids, 0] * side > 0])
    out[48:68] = _mouth(points, front, mouth)
    return out


def _eye(points: Points, rim: Vertices) -> list[int]:
    """Image-left corner, two on the upper lid, the other corner, two on the lower lid."""
    x, z = points[rim, 0], points[rim, 2]
    first, last = int(rim[x.argmin()]), int(rim[x.argmax()])
    line = np.interp(x, points[[first, last], 0], points[[first, last], 2])
    upper, lower = rim[z > line], rim[z < line]

    def at(candidates: Vertices, share: float) -> int:
        goal = points[first, 0] * (1 - share) + points[last, 0] * share
        return int(candidates[np.abs(points[candidates, 0] - goal).argmin()])

    return [first, at(upper, 0.33), at(upper, 0.67), last, at(lower, 0.67), at(lower, 0.33)]


def _mouth(points: Points, front: Vertices, rim: Vertices) -> list[int]:
    """The twelve points around the lips and the eight where they meet."""
    corner = int(rim[points[rim, 0].argmin()])
    upper = _facing(points, front, ((-x, z) for x, z in _UPPER_LIP))
    lower = _facing(points, front, ((-x, z) for x, z in _LOWER_LIP))
    level = points[corner, 2]
    parting = points[rim[np.abs(points[rim, 0]) < MIDDLE], 2].mean()
    inner = []
    for lip in (rim[points[rim, 2] >= parting], rim[points[rim, 2] < parting]):
        inner += [int(lip[np.abs(points[lip, 0] + x / 1000).argmin()]) for x in (_INNER_LIP, 0)]

    def left(vertices: list[int]) -> list[int]:
        return [int(v) for v in _mirror(points, np.array(vertices))]

    outer_corner = _facing(points, front, [(1000 * float(points[corner, 0]) - 1, 1000 * float(level))])[0]
    outside = [outer_corner, *upper, *left(upper[1::-1]), *left([outer_corner])]
    outside += [*left(lower[:2]), lower[2], *lower[1::-1]]
    inside = [corner, *inner[:2], *left([inner[0], corner, inner[2]]), inner[3], inner[2]]
    return outside + inside


def _facing(points: Points, candidates: Vertices, places: Iterable[tuple[float, float]]) -> list[int]:
    """The vertices that appear nearest to places (x, z in mm) when the head is seen from straight ahead."""
    vertices = []
    for x, z in places:
        distance = np.hypot(points[candidates, 0] - x / 1000, points[candidates, 2] - z / 1000)
        near = candidates[distance < distance.min() + 0.001]
        vertices.append(int(near[points[near, 1].argmin()]))
    return vertices


def _side(points: Points, candidates: Vertices, y: float, z: float) -> int:
    """The vertex nearest to (y, z) on the right side of the face."""
    right = candidates[(points[candidates, 0] < -0.01) & (np.abs(points[candidates, 0]) < 0.0745)]
    distance = np.hypot(points[right, 1] - y, points[right, 2] - z)
    near = right[distance < distance.min() + 0.002]
    return int(near[points[near, 0].argmin()])


def _lowest_chin(points: Points, front: Vertices) -> int:
    middle = front[(np.abs(points[front, 0]) < MIDDLE) & (points[front, 2] < 0.05) & (points[front, 1] < -0.115)]
    return int(middle[points[middle, 2].argmin()])


def _mirror(points: Points, vertices: NDArray[np.integer]) -> Vertices:
    """The vertices opposite to some on the other side of the face."""
    goal = points[vertices] * [-1, 1, 1]
    return np.array([np.linalg.norm(points - g, axis=1).argmin() for g in goal], np.int64)
