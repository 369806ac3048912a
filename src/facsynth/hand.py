"""Hands before the face."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facsynth.solids import Points, Rows, Solids, Triple, chain, join, triple

HOLDS = ("chin", "cheek", "eye")
"""What a hand may cover: chin and mouth, a cheek, or an eye."""
_PALM = 0.1  # metres from the wrist to the knuckles
# Where each finger starts across the palm, the lengths of its parts, and its radius; the index first; metres.
_FINGERS = (
    (-0.027, (0.036, 0.022, 0.016), 0.0085),
    (-0.009, (0.04, 0.026, 0.017), 0.0088),
    (0.009, (0.037, 0.024, 0.017), 0.0083),
    (0.026, (0.028, 0.018, 0.015), 0.0072),
)
_CLEAR = 0.004  # metres between a hand and the face
_BULGE = 0.1  # metres: no part of a face between its landmarks is rounder than that


@dataclass(frozen=True)
class Hand:
    """A hand in front of the face, its palm towards it.

    Attributes:
        colour: of its skin, linear.
        hold: one of `HOLDS`.
        side: -1 for the person's right hand, 1 for the left.
        turn: of the hand about where it lies, radians.
        shift: of the hand on the face, to the person's left and up, metres.
        spread: of the fingers, radians between neighbours.
        size: of the hand; 1 is 18 cm.
    """

    colour: Triple
    hold: str
    side: int = 1
    turn: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    spread: float = 0.06
    size: float = 1.0

    def solids(self, points: Points) -> Solids:
        """The hand, for a face whose 68 landmarks are at `points` (68, 3): a centimetre or two before the skin."""
        middle, angle = self._place(points)
        way = np.array([np.sin(angle), np.cos(angle)])  # from the wrist to the fingertips, seen from the front
        across = np.array([way[1], -way[0]]) * -self.side
        wrist = middle - 0.75 * _PALM * self.size * way
        lines: list[tuple[list[NDArray[np.float64]], float]] = []
        for number, (start, parts, radius) in enumerate(_FINGERS):
            knuckle = wrist + self.size * (_PALM * way + start * across)
            finger, fan = [knuckle], self.spread * (number - 1.5)
            for part in parts:
                finger.append(finger[-1] + self.size * part * (way * np.cos(fan) + across * np.sin(fan)))
            lines.append(([wrist + 0.55 * self.size * start * across, knuckle], 0.0142))
            lines.append((finger, radius))
        thumb = [wrist + self.size * (0.02 * way - 0.025 * across)]
        for part, bend in ((0.045, 0.9), (0.034, 0.55), (0.026, 0.35)):
            thumb.append(thumb[-1] + self.size * part * (way * np.cos(bend) - across * np.sin(bend)))
        lines.append((thumb, 0.0105))
        shapes = [self._before(points, line, radius * self.size) for line, radius in lines]
        return join([*shapes, self._arm(shapes[0].start[0], way)])

    def _place(self, points: Points) -> tuple[NDArray[np.float64], float]:
        """Where the middle of the knuckles lies (x, z), and the fingers' angle from upright."""
        side = self.side
        if self.hold == "chin":
            goal, angle = points[8] * 0.5 + points[57] * 0.5 + [side * 0.022, 0, -0.012], -0.85 * side
        elif self.hold == "cheek":
            goal, angle = points[13 if side > 0 else 3] * [0.92, 1, 1] + [0, 0, -0.004], -0.12 * side
        else:
            eye = points[42:48] if side > 0 else points[36:42]
            goal, angle = eye.mean(axis=0) + np.array([side * 0.03, 0, -0.035]), -0.6 * side
        return np.array([goal[0] + self.shift[0], goal[2] + self.shift[1]]), angle + self.turn

    def _before(self, points: Points, line: list[NDArray[np.float64]], radius: float) -> Solids:
        """Capsules along a line (x, z), just before the face."""
        places = np.array([[x, self._skin(points, x, z) - radius - _CLEAR, z] for x, z in line])
        return chain(places, radius, self.colour, 0.05)

    def _skin(self, points: Points, x: float, z: float) -> float:
        """y that the face at a place does not reach: paraboloids about all landmarks, and about the forehead."""
        forehead = points[17:27] + np.array([0, 0.002, 0.025])
        known = np.concatenate([points, forehead])
        away = (known[:, 0] - x) ** 2 + (known[:, 2] - z) ** 2
        return float((known[:, 1] + away / (2 * _BULGE)).min())

    def _arm(self, wrist: Rows, way: NDArray[np.float64]) -> Solids:
        """The forearm, which leads down and away from the face."""
        elbow = wrist + np.array([-0.22 * way[0], -0.05, -0.22 * way[1]], np.float32)
        return chain([wrist, elbow], 0.027 * self.size, self.colour, 0.03)


def draw_hand(rng: np.random.Generator, skin: Any) -> Hand:
    """Draws a hand before the face.

    Args:
        rng: random numbers.
        skin: (3,) its linear colour.
    """
    return Hand(
        colour=triple(skin),
        hold=HOLDS[int(rng.integers(len(HOLDS)))],
        side=int(rng.choice([-1, 1])),
        turn=float(rng.normal(0, 0.15)),
        shift=(float(rng.normal(0, 0.006)), float(rng.normal(0, 0.006))),
        spread=float(rng.uniform(0.0, 0.14)),
        size=float(rng.uniform(0.88, 1.08)),
    )
