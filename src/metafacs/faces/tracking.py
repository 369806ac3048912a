"""Which of several faces is meant, and how a face is followed from frame to frame."""

from collections.abc import Sequence

import numpy as np

from metafacs.faces.finders import Box, Face, FaceFinder, Picture, middle, side

FAR = 1.5
"""A face is not the one of the frame before if it is further from it than this, in sides of its box."""


class Follower:
    """Finds one face in each frame of a sequence.

    Of several faces it takes the largest in the first frame and, later, the one nearest to the face of the frame
    before (or always the largest). Between whole searches it looks only around that face; where that finds nothing,
    the whole frame is searched.

    Args:
        finder: what finds faces.
        choice: "nearest" or "largest".
        every: every so many frames the whole frame is searched.
    """

    def __init__(self, finder: FaceFinder, choice: str = "nearest", every: int = 1) -> None:
        self.finder, self.choice, self.every = finder, choice, every
        self.start()

    def start(self) -> None:
        """Forgets the face: another sequence begins."""
        self._last: Box | None = None
        self._since = 0

    def next(self, image: Picture) -> Face | None:
        """The face in the next frame, or None; image is (H, W, 3) uint8, RGB."""
        found: list[Face] = []
        self._since += 1
        if self._last is not None and self._since < self.every:
            found = self.finder.find(image, around=self._last)
        if not found:
            self._since = 0
            found = self.finder.find(image)
        face = choose(found, self._last if self.choice == "nearest" else None)
        if face is not None:
            self._last = face.box
        return face


def choose(faces: Sequence[Face], last: Box | None = None) -> Face | None:
    """The face nearest to a box, if one is near enough to be the same; else the largest; None if there is none."""
    if last is not None:
        close = [face for face in faces if _distance(face.box, last) <= FAR * side(last)]
        if close:
            return min(close, key=lambda face: _distance(face.box, last))
    return max(faces, key=lambda face: (side(face.box), face.score), default=None)


def _distance(one: Box, other: Box) -> float:
    return float(np.linalg.norm(middle(one) - middle(other)))
