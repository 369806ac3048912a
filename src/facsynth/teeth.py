"""The two rows of teeth with their gums: a small mesh behind the lips that goes with the mouth and the jaw."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]

# Millimetres on the average head. An arch is half an ellipse; its teeth are given from the middle to the side.
_WIDTHS = ((8.4, 6.6, 7.6, 7.0, 6.8), (5.4, 5.9, 6.8, 7.0, 7.0))
_FRONT = (-134.6, -131.4)  # y of the foremost tooth
_HALF_WIDTH, _DEPTH = (26.0, 24.0), (37.0, 36.0)  # of the ellipse
# Rows of vertices of an arch, from the gum to the back of the biting edge: z, how far behind the front, share of gum.
_PROFILES = (
    ((85.0, 1.2, 1.0), (77.9, 0.7, 1.0), (77.0, 0.5, 0.0), (72.5, 0.0, 0.0), (66.9, 0.5, 0.0), (68.6, 2.4, 0.0)),
    ((54.5, 4.5, 1.0), (60.6, 1.4, 1.0), (61.4, 1.1, 0.0), (64.8, 0.2, 0.0), (68.6, 0.4, 0.0), (67.0, 2.4, 0.0)),
)
_GUM_LINE, _EDGE = (1, 2), 4  # rows that are scalloped, and the row of the biting edge
_COLUMNS = (0.0, 0.1, 0.5, 0.9)  # of vertices along a tooth, as shares of its width; the first lies between two teeth
_GAP = 1.1  # how far behind the teeth the place between two of them lies
_GAP_GUM = 0.2  # share of gum there, which darkens it
_SCALLOP = 0.9  # how much lower the gum comes down between two teeth
_ROUNDING = 0.35  # how much the corners of the biting edge are taken off
_MOUTH_FRONT = -95  # y in front of which the walls of the mouth carry the teeth
_REACH = 7.0  # of a wall over the teeth
_ROLLED = 4.0  # how far back rolled lips push the teeth
JAW, ROLL = "jaw", "mouthRoll"
"""How the names of the facial actions begin that move the lower teeth, and that roll a lip in."""


@dataclass(frozen=True, eq=False)
class Teeth:
    """The teeth of the average head.

    Attributes:
        points: (t, 3) their vertices, metres, upper row first.
        faces: (f, 3) int32 triangles, numbered from 0 within `points`.
        gum: (t,) share of gum, in [0, 1].
        lower: (t,) which belong to the lower row.
        anchors: (a,) vertices of the head, those of the walls of the mouth, that the teeth stay beside.
        share: (t, a) how much each of them counts; rows add up to 1.
    """

    points: Rows
    faces: NDArray[np.int32]
    gum: Rows
    lower: NDArray[np.bool_]
    anchors: NDArray[np.int64]
    share: Rows

    def place(self, template: Rows, rest: Rows) -> Rows:
        """(t, 3) the teeth of a person.

        Args:
            template: the average head.
            rest: the person's head at rest, with the same vertices.
        """
        return self.points + self.share @ (rest[self.anchors] - template[self.anchors])

    def move(self, names: Sequence[str], actions: Rows, template: Rows, tongue: NDArray[np.int64]) -> Rows:
        """(K, t, 3) offsets of the teeth under the facial actions of the head.

        The lower row goes with the jaw as the tongue does, which is fixed to it. Lips that roll in push both rows back
        a little, where nobody sees them, so that no tooth comes through a lip. All the rest leaves teeth alone.

        Args:
            names: of the K actions.
            actions: (K, V, 3) their offsets.
            template: (V, 3) the average head.
            tongue: its vertices.
        """
        out = np.zeros((len(names), *self.points.shape), np.float32)
        basis = np.c_[template[tongue], np.ones(len(tongue))]
        places = np.c_[self.points, np.ones(len(self.points))][self.lower]
        for number, name in enumerate(names):
            if name.startswith(JAW):
                turn = np.linalg.lstsq(basis, actions[number, tongue], rcond=None)[0]
                out[number, self.lower] = places @ turn
            elif name.startswith(ROLL):
                out[number, self.lower == ("Lower" in name), 1] = _ROLLED / 2000  # each side's action gives half
        return out


def grow_teeth(template: Rows, mouth: NDArray[np.int64]) -> Teeth:
    """The teeth of the average head.

    Args:
        template: (V, 3) the average head, metres.
        mouth: the vertices of the walls of its mouth.
    """
    upper, lower = (_arch(row) for row in (0, 1))
    points = np.concatenate([upper[0], lower[0]])
    anchors = mouth[1000 * template[mouth, 1] < _MOUTH_FRONT]
    distance = np.linalg.norm(points[:, None] - 1000 * template[None, anchors], axis=2)
    near = np.exp(-(((distance - distance.min(axis=1, keepdims=True)) / _REACH) ** 2))
    columns = len(upper[0]) // len(_PROFILES[0])
    faces = [_grid(columns, outwards=False), _grid(columns, outwards=True) + len(upper[0])]
    return Teeth(
        points=(points / 1000).astype(np.float32),
        faces=np.concatenate(faces).astype(np.int32),
        gum=np.concatenate([upper[1], lower[1]]).astype(np.float32),
        lower=np.arange(len(points)) >= len(upper[0]),
        anchors=anchors,
        share=(near / near.sum(axis=1, keepdims=True)).astype(np.float32),
    )


def _arch(row: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Vertices (millimetres) and share of gum of the upper (0) or the lower (1) row, one line of the profile each."""
    borders = np.r_[0, np.cumsum(_WIDTHS[row])]
    borders = np.r_[-borders[:0:-1], borders]
    along = np.concatenate([borders[:-1] + share * np.diff(borders) for share in _COLUMNS])
    between = np.concatenate([np.full(len(borders) - 1, float(share == 0)) for share in _COLUMNS])
    along, between = np.r_[along, borders[-1]], np.r_[between, 1]
    order = np.argsort(along)
    along, between = along[order], between[order]
    angles = np.linspace(-np.pi / 2, np.pi / 2, 721)
    path = np.stack([_HALF_WIDTH[row] * np.sin(angles), _DEPTH[row] * (1 - np.cos(angles))])
    lengths = np.r_[0, np.cumsum(np.hypot(*np.diff(path)))]
    x, back = (np.interp(along + lengths[360], lengths, line) for line in path)
    inwards = np.stack([-np.gradient(back, along), np.gradient(x, along)])
    points, gum = [], []
    up = 1 - 2 * row  # the gum of the upper row lies above its teeth
    for line, (z, behind, share) in enumerate(_PROFILES[row]):
        depth = behind + _GAP * between * (share == 0)
        height = np.full(len(x), z)
        if line in _GUM_LINE:
            height -= up * _SCALLOP * between
        elif line >= _EDGE:
            height += up * _ROUNDING * between
        points.append(np.stack([x + depth * inwards[0], _FRONT[row] + back + depth * inwards[1], height], axis=1))
        gum.append(np.maximum(share, _GAP_GUM * between))
    return np.concatenate(points), np.concatenate(gum)


def _grid(columns: int, *, outwards: bool) -> NDArray[np.int64]:
    """(f, 3) triangles between neighbouring lines of vertices; `outwards` turns them round."""
    lines = len(_PROFILES[0])
    corner = (np.arange(lines - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    a, b, c, d = corner, corner + 1, corner + columns, corner + columns + 1
    faces = np.concatenate([np.stack([a, c, b], axis=1), np.stack([b, c, d], axis=1)])
    return faces[:, ::-1] if outwards else faces
