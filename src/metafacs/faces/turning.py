"""Photographs that lie on their side or upside down, without a note that says so."""

from dataclasses import replace

import numpy as np

from metafacs.faces.face import Face, Picture, Points
from metafacs.faces.tracking import Find

UPRIGHT = 45.0
"""A face that is tilted by less than this is upright, degrees."""
SURE = 0.25
"""Less sure, by their own measure, dlib was of faces in people who were upside down, and MediaPipe of its close-ups."""


def upright_faces(find: Find, picture: Picture) -> tuple[Picture, list[Face], int]:
    """The faces of a photograph, the surest first, whichever side of it is up.

    The other three turns are searched only where nobody is found, or the surest face is not upright (finders place its
    eyes badly) or hardly one. Of the turns, that counts whose surest face is upright and has the highest score.

    Args:
        find: finds all faces of a picture.
        picture: (H, W, 3) uint8, RGB.

    Returns:
        The picture as it was turned, the faces in it, and by how many degrees it was turned clockwise: 0, 90, 180, 270.
    """
    best, faces, turn = picture, find(picture, None), 0
    if faces and faces[0].score >= SURE and abs(_tilt(faces[0])) < UPRIGHT:
        return picture, faces, 0
    for quarters in (1, 2, 3):  # to the left
        turned = np.ascontiguousarray(np.rot90(picture, quarters))
        found = find(turned, None)
        if found and abs(_tilt(found[0])) < UPRIGHT and (not faces or found[0].score > faces[0].score):
            best, faces, turn = turned, found, 360 - 90 * quarters
    return best, faces, turn


def turned_back(face: Face, degrees: int, picture: Picture) -> Face:
    """A face of a picture that was turned by so many degrees clockwise, in the picture as it is."""

    def back(points: Points) -> Points:
        (height, width), (x, y) = picture.shape[:2], points.T
        places = {0: (x, y), 90: (y, height - x), 180: (width - x, height - y), 270: (width - y, x)}
        return np.stack(places[degrees], axis=1)

    corners = back(np.array(face.box).reshape(2, 2))
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return replace(face, box=(left, top, right, bottom), points=back(face.points), eyes=back(face.eyes))


def _tilt(face: Face) -> float:
    """By how much a face is tilted, degrees, in [-180, 180]."""
    across, down = face.eyes[1] - face.eyes[0]
    return float(np.degrees(np.arctan2(down, across)))
