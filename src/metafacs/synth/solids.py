"""Things that are not the head, made of capsules: glasses, hands, shoulders."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]


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
