"""Things that are not the head, made of capsules: glasses and shoulders; `hand` has hands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facsynth.colour import linear

Rows = NDArray[np.float32]
Points = NDArray[np.floating[Any]]
Triple = tuple[float, float, float]

MOST = 64
"""Capsules that one image may hold; glasses, a hand and shoulders together have no more."""


@dataclass(frozen=True, eq=False)
class Solids:
    """Capsules in head coordinates, metres.

    Attributes:
        start: (m, 3) one end of each.
        end: (m, 3) the other end; equal to `start` for a ball.
        radius: (m,).
        colour: (m, 3) linear.
        gloss: (m,) how much each shines.
    """

    start: Rows
    end: Rows
    radius: Rows
    colour: Rows
    gloss: Rows

    def __len__(self) -> int:
        return len(self.radius)


def no_solids() -> Solids:
    """Nothing."""
    line, row = np.zeros((0, 3), np.float32), np.zeros(0, np.float32)
    return Solids(line, line, row, line, row)


def join(parts: list[Solids]) -> Solids:
    """All of several."""
    parts = parts or [no_solids()]
    names = ("start", "end", "radius", "colour", "gloss")
    return Solids(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def chain(points: Any, radius: float | Sequence[float], colour: Triple, gloss: float, closed: bool = False) -> Solids:
    """Capsules from each point to the next.

    Args:
        points: (k, 3) metres.
        radius: of all of them, or of each.
        colour: linear.
        gloss: how much they shine.
        closed: whether another one leads from the last point to the first.
    """
    places = np.asarray(points, np.float32)
    start, end = (places, np.roll(places, -1, axis=0)) if closed else (places[:-1], places[1:])
    count = len(start)
    return Solids(
        start=start,
        end=end,
        radius=np.broadcast_to(np.asarray(radius, np.float32), count).copy(),
        colour=np.broadcast_to(np.asarray(colour, np.float32), (count, 3)).copy(),
        gloss=np.full(count, gloss, np.float32),
    )


LENSES = {
    "round": (0.0215, 0.0205, 2.0),
    "oval": (0.025, 0.0175, 2.3),
    "square": (0.026, 0.0185, 4.5),
    "narrow": (0.0255, 0.0145, 3.5),
    "large": (0.0275, 0.023, 3.0),
    "half": (0.0255, 0.0165, 3.5),
}
"""Half the width and height of a lens, metres, and how square it is (2: an ellipse), by style."""
_RIM = 11  # capsules around each lens


@dataclass(frozen=True)
class Glasses:
    """Glasses without their lenses, which would be seen through.

    Attributes:
        colour: of the frame, linear.
        style: one of `LENSES`; "half" has a rim above the lens only.
        thickness: radius of the rims, metres.
        gloss: how much the frame shines.
    """

    colour: Triple
    style: str
    thickness: float = 0.0013
    gloss: float = 0.5

    def solids(self, points: Points) -> Solids:
        """The frame, for a face whose 68 landmarks are at `points` (68, 3): in front of eyes, brows and nose."""
        eyes = [points[36:42].mean(axis=0), points[42:48].mean(axis=0)]
        half_width, half_height, square = LENSES[self.style]
        # Before the corneas as an optician would have it, and clear of the brows and of the bridge of the nose.
        front = min(float(points[36:48, 1].min()) - 0.016, float(points[19:25, 1].min()) - 0.0045)
        front = min(front, float(points[27, 1]) - 0.005, float(points[28, 1]) - 0.002)
        half_width = min(half_width, (eyes[1][0] - eyes[0][0]) / 2 - 0.0085)
        tall = float(points[[37, 38, 43, 44], 2].mean() - points[[40, 41, 46, 47], 2].mean())
        level = float((eyes[0][2] + eyes[1][2]) / 2) - 0.25 * tall
        parts, inner, outer = [], [], []
        for side, eye in zip((-1, 1), eyes, strict=True):
            rim = self._rim(half_width, half_height, square)
            place = np.stack([eye[0] + side * rim[:, 0], np.zeros(len(rim)), level + rim[:, 1]], axis=-1)
            place[:, 1] = front + self._wrap(place[:, 0])
            parts.append(self._line(place, closed=self.style != "half"))
            inner.append(np.array([eye[0] - side * half_width, front, level + 0.35 * half_height]))
            outer.append(np.array([eye[0] + side * half_width, 0.0, level + 0.45 * half_height]))
        middle = (inner[0] + inner[1]) / 2 + np.array([0, -0.001, 0.0025])
        parts.append(self._line([inner[0], middle, inner[1]]))
        for side, hinge, ear in zip((-1, 1), outer, points[[0, 16]], strict=True):
            hinge[1] = front + self._wrap(hinge[0])
            corner = np.array([max(abs(hinge[0]) + 0.003, abs(ear[0]) - 0.001) * side, hinge[1] + 0.004, hinge[2]])
            over = np.array([ear[0] + side * 0.008, ear[1] + 0.004, ear[2] + 0.01])
            parts.append(self._line([hinge, corner, over, over + np.array([side * 0.001, 0.03, -0.006])]))
        return join(parts)

    @staticmethod
    def _wrap(x: Any) -> Any:
        """How much further back the frame is away from the nose."""
        return 1.6 * np.abs(x) ** 2

    def _rim(self, half_width: float, half_height: float, square: float) -> NDArray[np.float64]:
        """(k, 2) points around a lens, outwards and up from its centre."""
        if self.style == "half":
            angle = np.linspace(0.0, np.pi, _RIM + 1)
        else:
            angle = np.arange(_RIM) / _RIM * 2 * np.pi + 0.3
        c, s = np.cos(angle), np.sin(angle)
        return np.stack(
            [half_width * np.sign(c) * np.abs(c) ** (2 / square), half_height * np.sign(s) * np.abs(s) ** (2 / square)],
            axis=-1,
        )

    def _line(self, places: Any, closed: bool = False) -> Solids:
        return chain(places, self.thickness, self.colour, self.gloss, closed)


@dataclass(frozen=True)
class Shoulders:
    """Neck, shoulders and chest, so that a head in an uncropped picture does not end at its neck.

    Attributes:
        colour: of the clothes, linear.
        skin: linear colour of the neck.
        width: half the width of the shoulders, metres.
    """

    colour: Triple
    skin: Triple
    width: float = 0.19

    def solids(self, points: Points) -> Solids:
        """Neck and torso, for a face whose 68 landmarks are at `points` (68, 3)."""
        lower = np.array([0, 0, min(float(points[8, 2]) - 0.029, 0.0)])  # a long chin comes with a long neck
        neck = chain(np.array([[0, -0.022, 0.03], [0, 0.005, -0.09]]) + lower, 0.046, self.skin, 0.03)
        parts = [neck]
        for side in (-1, 1):
            slope = [[side * 0.03, 0.015, -0.02], [side * 0.1, 0.025, -0.055], [side * self.width, 0.03, -0.1]]
            parts.append(chain(np.array(slope) + lower, [0.042, 0.05], self.colour, 0.0))
            arm = [[side * self.width, 0.03, -0.1], [side * (self.width + 0.04), 0.04, -0.45]]
            parts.append(chain(np.array(arm) + lower, 0.06, self.colour, 0.0))
        for height, wide, thick in ((-0.135, 0.1, 0.085), (-0.27, 0.1, 0.11), (-0.42, 0.09, 0.12)):
            row = np.array([[-wide, 0.03, height], [wide, 0.03, height]])
            parts.append(chain(row + lower, thick, self.colour, 0.0))
        return join(parts)


FRAMES = ("#15120f", "#1d1d20", "#3a241a", "#5b3a22", "#7d7f85", "#b08d4f", "#25324a", "#6b1f2a", "#8b8f94")
"""Black, brown, metal and coloured frames."""
CLOTHES = ("#1c1d21", "#2b3648", "#5d6b7a", "#e4e2dd", "#7a2c2f", "#33503f", "#8d7f6a", "#b7c1cf", "#4b3a52", "#c29a4b")


def triple(colour: Any) -> Triple:
    """A colour as three plain numbers."""
    red, green, blue = (float(value) for value in colour)
    return red, green, blue


def draw_glasses(rng: np.random.Generator) -> Glasses:
    """Draws glasses of any style, thin metal ones or thick ones of plastic."""
    plastic = rng.random() < 0.6
    return Glasses(
        colour=triple(linear(FRAMES[int(rng.integers(len(FRAMES)))]) * rng.uniform(0.7, 1.1)),
        style=str(rng.choice(list(LENSES))),
        thickness=float(rng.uniform(0.0013, 0.0022) if plastic else rng.uniform(0.0007, 0.0011)),
        gloss=float(rng.uniform(0.1, 0.4) if plastic else rng.uniform(0.3, 0.6)),
    )


def draw_shoulders(rng: np.random.Generator, skin: Any) -> Shoulders:
    """Draws somebody's shoulders in a pullover of any colour.

    Args:
        rng: random numbers.
        skin: (3,) linear colour of the neck.
    """
    cloth = linear(CLOTHES[int(rng.integers(len(CLOTHES)))]) * rng.uniform(0.7, 1.1)
    return Shoulders(triple(cloth), triple(skin), float(rng.uniform(0.16, 0.21)))
