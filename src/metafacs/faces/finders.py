"""What finds faces in pictures: the common form, the choice by name, and the two that search nothing."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from metafacs.errors import InputError
from metafacs.faces.face import Box, Face, Picture, Points

EYE_RANGES = {68: (36, 42, 48), 66: (36, 42, 48), 51: (19, 25, 31), 49: (19, 25, 31)}
"""Number of landmarks of an iBUG subset -> first point of the right eye, of the left eye, and of what follows."""


class FaceFinder(Protocol):
    """Finds faces; one object may be used for any number of pictures, in one process."""

    def find(self, image: Picture, around: Box | None = None) -> list[Face]:
        """All faces, the surest first.

        Args:
            image: (H, W, 3) uint8, RGB, C order.
            around: search only in and around this box, where a face was in the frame before; much faster.
        """


FINDERS = {
    "mediapipe": "CenterFace, and 68 landmarks by MediaPipe's face mesh in each box",
    "centerface": "CenterFace: faces of 20 pixels and more, turned and half hidden; five points",
    "dlib5": "dlib's frontal detector and 5-point model (public domain)",
    "dlib68": "dlib's 68-point model; its training data (iBUG 300-W) FORBID COMMERCIAL USE",
    "yunet": "YuNet through OpenCV; give its model file and SHA-256",
    "given": "no search: the landmarks that come with the dataset",
    "none": "no search: the whole picture is the crop, for releases that are aligned already",
}
"""Name -> what it is."""


def make_finder(settings: Mapping[str, Any]) -> FaceFinder | None:
    """The finder that settings describe, made once per process; None for "given" and "none".

    Args:
        settings: "name", one of `FINDERS`, and the arguments of its class.

    Raises:
        InputError: an unknown name or setting, or what the finder needs is missing.
    """
    frozen = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    return _make(tuple(sorted(frozen.items())))


@lru_cache(maxsize=4)
def _make(items: tuple[tuple[str, Any], ...]) -> FaceFinder | None:
    settings = dict(items)
    name = settings.pop("name", None)
    if name not in FINDERS:
        raise InputError(f"unknown face finder '{name}'; known: {', '.join(FINDERS)}")
    try:
        if name in ("dlib5", "dlib68"):
            from metafacs.faces.dlib_finder import DlibFinder

            return DlibFinder(int(name[4:]), **settings)
        if name == "centerface":
            from metafacs.faces.centerface import CenterFace

            return CenterFace(**settings)
        if name == "mediapipe":
            from metafacs.faces.mediapipe_finder import MediapipeFinder

            return MediapipeFinder(**settings)
        if name == "yunet":
            from metafacs.faces.yunet_finder import YunetFinder

            return YunetFinder(**settings)
    except TypeError as error:
        raise InputError(f"the face finder '{name}' has no such setting: {error}") from error
    if settings:
        raise InputError(f"the face finder '{name}' takes no settings; found {', '.join(settings)}")
    return None


def given_face(points: Points) -> Face:
    """The face that a dataset's own landmarks describe.

    Args:
        points: (n, 2): 68 points in iBUG's order, 66 (without the corners of the inner lips), 51 (without the jaw), 49
            (without both), 5 (eyes, nose, mouth corners) or 2 (eyes); a swapped pair of eyes is put in order.

    Raises:
        ValueError: another number of points, or something that is not a number.
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError("landmarks are not pairs of numbers")
    if len(points) in EYE_RANGES:
        first, second, end = EYE_RANGES[len(points)]
        eyes = np.stack([points[first:second].mean(axis=0), points[second:end].mean(axis=0)])
    elif len(points) in (2, 5):
        eyes = points[:2]
    else:
        raise ValueError(f"{len(points)} landmarks; known are {', '.join(map(str, EYE_RANGES))}, 5 and 2")
    if eyes[0, 0] > eyes[1, 0]:  # people are seldom upside down
        eyes = eyes[::-1]
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return Face((float(x0), float(y0), float(x1), float(y1)), 1.0, points, eyes)
