"""Which face of this frame is which person of the frames before."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metafacs.faces.finders import Box, Face, Picture, middle, side

Find = Callable[[Picture, Box | None], list[Face]]
"""All faces of a picture, or those in and around a box."""

OVERLAP = 0.2
"""Boxes that share at least this much (intersection over union) are of one person."""
REACH = 1.0
"""Boxes that share less are of one person if their middles are no further apart than this, in sides."""
GROWTH = 2.0
"""A face does not become larger or smaller than by this factor between two sightings."""
SAME = 0.5
"""Two faces found around two people are one and the same if their boxes share this much."""
KEEP = 60
"""For so many frames a person who is not seen is remembered."""


@dataclass
class Track:
    """A person: number, where last seen, and how many frames ago (0: in the frame before)."""

    number: int
    box: Box
    age: int = 0


class Tracker:
    """Finds the faces of each frame of a video and gives them numbers that stay the same over time.

    Whole frames are searched every so often; between, only around each face of the frame before. Where that loses a
    face, the whole frame is searched at once. A person who was away for more than `KEEP` frames gets a new number.

    Args:
        every: every so many frames the whole frame is searched.
        most: take only so many faces, the largest; 0 takes all.
    """

    def __init__(self, every: int = 1, most: int = 0) -> None:
        self.every, self.most = every, most
        self.start()

    def start(self) -> None:
        """Forgets everybody: another video begins."""
        self._tracks: list[Track] = []
        self._since = 0
        self._next = 0

    def next(self, find: Find, picture: Picture) -> list[tuple[int, Face]]:
        """Numbers and faces of the people in the next frame, by number; picture is (H, W, 3) uint8, RGB."""
        self._since += 1
        near = [track for track in self._tracks if track.age == 0]
        found = _around(find, picture, near) if near and self._since < self.every else None
        if found is None:
            self._since = 0
            found = find(picture, None)
        if self.most:
            found = sorted(found, key=lambda face: (-side(face.box), -face.score))[: self.most]
        return self._enter(found)

    def missed(self) -> None:
        """The next frame cannot be seen."""
        self._since += 1
        self._enter([])

    def state(self) -> dict[str, Any]:
        """All that is remembered, as JSON values."""
        tracks = [[track.number, list(track.box), track.age] for track in self._tracks]
        return {"next": self._next, "since": self._since, "tracks": tracks}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self._next, self._since = state["next"], state["since"]
        self._tracks = [Track(number, (box[0], box[1], box[2], box[3]), age) for number, box, age in state["tracks"]]

    def _enter(self, found: Sequence[Face]) -> list[tuple[int, Face]]:
        for track in self._tracks:
            track.age += 1
        numbered = []
        pairs = match([track.box for track in self._tracks], [face.box for face in found])
        for k, face in enumerate(found):
            if k in pairs:
                track = self._tracks[pairs[k]]
            else:
                track = Track(self._next, face.box)
                self._next += 1
                self._tracks.append(track)
            track.box, track.age = face.box, 0
            numbered.append((track.number, face))
        self._tracks = [track for track in self._tracks if track.age <= KEEP]
        return sorted(numbered, key=lambda one: one[0])


def match(known: Sequence[Box], found: Sequence[Box]) -> dict[int, int]:
    """Which found box is which known one: place in `found` -> place in `known`; the best pairs first, each box once.

    Example:
        >>> match([(0, 0, 10, 10), (50, 0, 60, 10)], [(51, 0, 61, 10), (1, 0, 11, 10), (200, 0, 210, 10)])
        {0: 1, 1: 0}
    """
    ranked = sorted(
        (rank, k, j) for k, new in enumerate(found) for j, old in enumerate(known) if (rank := _rank(old, new))
    )
    pairs: dict[int, int] = {}
    for _, k, j in ranked:
        if k not in pairs and j not in pairs.values():
            pairs[k] = j
    return pairs


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


def _rank(old: Box, new: Box) -> tuple[float, float] | None:
    """The smaller, the likelier one person; None: two people."""
    if not 1 / GROWTH <= side(new) / max(side(old), 1e-9) <= GROWTH:
        return None
    shared = overlap(old, new)
    apart = float(np.linalg.norm(middle(old) - middle(new))) / side(old)
    if shared >= OVERLAP:
        return -shared, apart
    return (1.0, apart) if apart <= REACH else None


def _around(find: Find, picture: Picture, tracks: Sequence[Track]) -> list[Face] | None:
    """The face of each person where it was last; None where one is not there, or two would be the same face."""
    taken: list[Face] = []
    for track in tracks:
        near = find(picture, track.box)
        pairs = match([track.box], [face.box for face in near])
        if not pairs:
            return None
        face = near[next(iter(pairs))]
        if any(overlap(face.box, other.box) > SAME for other in taken):
            return None
        taken.append(face)
    return taken
