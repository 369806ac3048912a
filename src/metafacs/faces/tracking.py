"""Which face of this picture is which person of the pictures before; preparation and detection follow faces alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from metafacs.faces.face import Box, Face, Picture, middle, overlap, side

Find = Callable[[Picture, Box | None], list[Face]]
"""All faces of a picture, or those in and around a box."""

OVERLAP = 0.2
"""Boxes that share at least this much (intersection over union) can be of one person."""
REACH, REACH_AWAY = 1.0, 2.0
"""Boxes that share less can be of one person if their middles are no further apart than this, in sides: from frame to
frame, and while the person is out of sight."""
GROWTH, GROWTH_AWAY = 2.0, 1.5
"""A face does not become larger or smaller than by this factor: from frame to frame, and while it is out of sight."""
ALIKE_AWAY = 0.6
"""Who comes back looks at least this much like before (correlation of thumbnails). In talking videos a face reached 0.8
or more over 60 frames; two people reached 0.56 (median of 40 photographs, faces found by dlib)."""
LOOK = 3.0
"""What a correlation of 0 costs, where one side of a face apart costs 1, as does an overlap of nothing."""
SAME = 0.5
"""Two faces found around two people are one and the same if their boxes share this much."""
KEEP = 60
"""For so many frames a person who is not seen is remembered."""
THUMBNAIL = 16
"""Side of a thumbnail, pixels."""


@dataclass
class Track:
    """A person: number, where last seen, (16, 16, 3) thumbnail, and how many frames ago (0: in the frame before)."""

    number: int
    box: Box
    look: Picture
    age: int = 0


class Tracker:
    """Finds the faces of each frame of a video and gives them numbers that stay the same over time.

    Whole frames are searched every so often; between, only around each face of the frame before. Where that loses a
    face, the whole frame is searched at once.

    A face goes to the person of the frame before whose place and look fit best. Only where nobody's place fits, it may
    be somebody who is out of sight, of about the same size, place and look. Else it is somebody new. A person who was
    away for more than `KEEP` frames gets a new number. Numbers are 1, 2, ...; those who come together get theirs from
    left to right.

    Args:
        every: every so many frames the whole frame is searched.
        most: take only so many faces, those of the people known longest, then the largest; 0 takes all.
        largest: of more faces than that take the largest, whoever they are.
    """

    def __init__(self, every: int = 1, most: int = 0, largest: bool = False) -> None:
        self.every, self.most, self.largest = every, most, largest
        self.start()

    def start(self) -> None:
        """Forgets everybody: another video begins."""
        self._tracks: list[Track] = []
        self._since = 0
        self._next = 1

    def next(self, find: Find, picture: Picture | None) -> list[tuple[int, Face]]:
        """Numbers and faces of the people in the next frame, by number; None is a frame that cannot be seen."""
        self._since += 1
        present = [track for track in self._tracks if track.age == 0]
        away = [track for track in self._tracks if track.age > 0]
        for track in self._tracks:
            track.age += 1
        people: list[tuple[Track, Face]] = []
        if picture is not None:
            faces = _around(find, picture, present) if present and self._since < self.every else None
            if faces is None:
                self._since = 0
                faces = find(picture, None)
            looks = [thumbnail(picture, face.box) for face in faces]
            covered = [any(overlap(one.box, other.box) for other in faces if other is not one) for one in faces]
            tracks = match(present, faces, looks)
            left = [k for k in range(len(faces)) if k not in tracks]
            known = [None if covered[k] else looks[k] for k in left]
            back = match(away, [faces[k] for k in left], known, back=True)
            tracks |= {left[k]: track for k, track in back.items()}
            for k in sorted(self._taken(faces, tracks), key=lambda k: middle(faces[k].box)[0]):
                if k not in tracks:
                    tracks[k] = Track(self._next, faces[k].box, looks[k])
                    self._next += 1
                    self._tracks.append(tracks[k])
                tracks[k].box, tracks[k].age = faces[k].box, 0
                if not covered[k]:
                    tracks[k].look = _mean(tracks[k].look, looks[k])
                people.append((tracks[k], faces[k]))
        self._tracks = [track for track in self._tracks if track.age <= KEEP]
        return sorted(((track.number, face) for track, face in people), key=lambda one: one[0])

    def state(self) -> dict[str, Any]:
        """All that is remembered, as JSON values."""
        tracks = [[track.number, list(track.box), track.look.tobytes().hex(), track.age] for track in self._tracks]
        return {"next": self._next, "since": self._since, "tracks": tracks}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self._next, self._since = state["next"], state["since"]
        self._tracks = []
        for number, box, look, age in state["tracks"]:
            pixels = np.frombuffer(bytes.fromhex(look), np.uint8).reshape(THUMBNAIL, THUMBNAIL, 3)
            self._tracks.append(Track(number, (box[0], box[1], box[2], box[3]), pixels, age))

    def _taken(self, faces: Sequence[Face], tracks: Mapping[int, Track]) -> list[int]:
        """Places in `faces` of those that are taken."""
        places = list(range(len(faces)))
        if not self.most:
            return places

        def rank(k: int) -> tuple[int, float, float]:
            known = tracks[k].number if k in tracks and not self.largest else self._next
            return known, -side(faces[k].box), -faces[k].score

        return sorted(places, key=rank)[: self.most]


def match(
    tracks: Sequence[Track], faces: Sequence[Face], looks: Sequence[Picture | None], back: bool = False
) -> dict[int, Track]:
    """Which face is which person: place in `faces` -> track; the best pairs first, each face and track once.

    Args:
        tracks: people.
        faces: in the next frame.
        looks: thumbnail of each face; None where it says nothing, as another face may cover this one.
        back: the people are out of sight, so that size and look have to agree too.
    """
    costs = []
    for k, (face, look) in enumerate(zip(faces, looks, strict=True)):
        for j, track in enumerate(tracks):
            growth = side(face.box) / max(side(track.box), 1e-9)
            shared = overlap(track.box, face.box)
            apart = float(np.linalg.norm(middle(track.box) - middle(face.box))) / max(side(track.box), 1e-9)
            alike = ALIKE_AWAY if look is None else likeness(track.look, look)
            most, reach = (GROWTH_AWAY, REACH_AWAY) if back else (GROWTH, REACH)
            fits = 1 / most <= growth <= most and (shared >= OVERLAP or apart <= reach)
            if fits and (alike >= ALIKE_AWAY or not back):
                costs.append((1 - shared + apart + LOOK * (1 - alike), k, j))
    pairs: dict[int, int] = {}
    for _, k, j in sorted(costs):
        if k not in pairs and j not in pairs.values():
            pairs[k] = j
    return {k: tracks[j] for k, j in pairs.items()}


def thumbnail(picture: Picture, box: Box) -> Picture:
    """(16, 16, 3) uint8: how a face looks, coarsely; of (H, W, 3) uint8, black where the box lies outside."""
    height, width = picture.shape[:2]
    left, right = sorted(round(min(max(x, 0), width)) for x in (box[0], box[2]))
    top, bottom = sorted(round(min(max(y, 0), height)) for y in (box[1], box[3]))
    if left == right or top == bottom:
        return np.zeros((THUMBNAIL, THUMBNAIL, 3), np.uint8)
    piece = Image.fromarray(picture[top:bottom, left:right])
    return np.asarray(piece.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))


def likeness(one: Picture, other: Picture) -> float:
    """Correlation of two thumbnails over pixels and colours, in [-1, 1].

    Example:
        >>> ramp = np.arange(768, dtype=np.uint8).reshape(16, 16, 3)
        >>> round(likeness(ramp, ramp), 6), round(likeness(ramp, 255 - ramp), 6)
        (1.0, -1.0)
    """
    a, b = (look.astype(np.float64).ravel() - look.mean() for look in (one, other))
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / length if length else float(np.array_equal(one, other))  # of one colour


def _mean(old: Picture, new: Picture) -> Picture:
    """Three parts of what is known and one of what is seen now, so that one odd frame does not count for much."""
    return ((3 * old.astype(np.uint16) + new + 2) // 4).astype(np.uint8)


def _around(find: Find, picture: Picture, tracks: Sequence[Track]) -> list[Face] | None:
    """The face of each person where it was last; None where one is not there, or two would be the same face."""
    taken: list[Face] = []
    for track in tracks:
        near = find(picture, track.box)
        pairs = match([track], near, [thumbnail(picture, face.box) for face in near])
        if not pairs:
            return None
        face = near[next(iter(pairs))]
        if any(overlap(face.box, other.box) > SAME for other in taken):
            return None
        taken.append(face)
    return taken
