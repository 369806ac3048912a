"""Accuracy on rendered faces, whose eyes are known, and on one photograph."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from metafacs.errors import InputError
from metafacs.faces import Recipe, align, make_finder
from metafacs.faces.dlib_finder import DlibFinder, eye_centres
from metafacs.faces.finders import CORRECTIONS, LIDS

pytest.importorskip("dlib")
needs_renderer = pytest.mark.skipif(
    not (find_spec("anny") and find_spec("warp")), reason="the synth extra is not installed"
)
Faces = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def rendered() -> Faces:
    """People in pictures of 480 pixels: (48, 480, 480, 3) and (48, 68, 2)."""
    from facsynth.activity import draw_course, draw_temper, sides, strength
    from facsynth.head import load_head
    from facsynth.identity import draw_person
    from facsynth.photo import Shot, take
    from facsynth.scene import Framing, draw_habits, draw_scene

    head, rng, shots = load_head(), np.random.default_rng(11), []
    for _ in range(48):
        person, scene = draw_person(head, rng), draw_scene(draw_habits(rng), rng)
        scene = replace(scene, framing=Framing((0.5, 0.45), 0.15, 0.1))
        course = draw_course(rng, draw_temper(rng), 5)
        acting = sides(strength(course), person.asymmetry, rng.normal(0, 0.05, course.shape))
        shots.append(Shot(person, acting[3], (0.0, 0.0), scene))
    return take(head, shots, 480, 1)


def errors(finder: DlibFinder, faces: Faces) -> np.ndarray:
    """(found, 2, 2) misplacement of both eyes along and across their line, as shares of their distance."""
    found = []
    for image, marks in zip(*faces, strict=True):
        faces_found = finder.find(image)
        if faces_found:
            truth = eye_centres(marks.astype(float))
            across = truth[1] - truth[0]
            down = np.array([-across[1], across[0]])
            off = faces_found[0].eyes - truth
            found.append(np.stack([off @ across, off @ down], axis=1) / (across @ across))
    return np.array(found)


@pytest.mark.slow
@needs_renderer
@pytest.mark.parametrize("points", [5, 68])
def test_eyes_of_rendered_faces(points: int, rendered: Faces) -> None:
    off = errors(DlibFinder(points, correction=CORRECTIONS[f"dlib{points}"][LIDS]), rendered)
    raw = errors(DlibFinder(points), rendered)
    assert len(off) >= 46
    assert np.abs(off.mean(axis=0)).max() < 0.6 * np.abs(raw.mean(axis=0)).max()
    assert np.median(np.linalg.norm(off, axis=2)) < min(0.03, 0.9 * np.median(np.linalg.norm(raw, axis=2)))


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return pytest.importorskip("skimage.data").astronaut()


EYES = np.array([[202.5, 101.7], [248.0, 104.0]])
"""The middle between the lids in the photograph, as seen by eye; they are 45 pixels apart."""


@pytest.mark.parametrize("name", ["dlib5", "dlib68"])
def test_a_photograph(name: str, photograph: np.ndarray) -> None:
    finder = make_finder({"name": name})
    assert finder
    (face,) = finder.find(photograph)
    assert np.linalg.norm(face.eyes - EYES, axis=1).max() < 2
    (near,) = finder.find(photograph, around=face.box)
    assert np.linalg.norm(near.eyes - face.eyes, axis=1).max() < 2
    assert finder.find(photograph, around=(300, 300, 400, 400)) == []


def test_pictures_of_other_sizes(photograph: np.ndarray) -> None:
    finder = make_finder({"name": "dlib5"})
    assert finder
    for size in (180, 2048):  # 31 and 352 pixels of face
        image = np.asarray(Image.fromarray(photograph).resize((size, size), Image.Resampling.LANCZOS))
        faces = (finder if size > 512 else DlibFinder(upsample=1)).find(image)
        assert np.linalg.norm(faces[0].eyes * 512 / size - EYES, axis=1).max() < 3


def test_the_crop_of_a_photograph(photograph: np.ndarray) -> None:
    finder = make_finder({"name": "dlib5"})
    assert finder
    crop, _ = align(photograph, finder.find(photograph)[0].eyes, Recipe(size=128))
    grey = crop.mean(axis=2)
    for x in (0.32, 0.68):  # pupils are darker than the skin under them
        at = round(x * 128)
        assert grey[42:48, at - 2 : at + 3].mean() < grey[56:62, at - 2 : at + 3].mean() - 60


def test_nothing_is_found_where_nothing_is() -> None:
    finder = make_finder({"name": "dlib5"})
    assert finder
    assert finder.find(np.full((300, 300, 3), 90, np.uint8)) == []
    assert finder.find(np.full((16, 400, 3), 90, np.uint8)) == []


def test_how_small_faces_are_sought_is_told() -> None:
    large, small = np.zeros((3000, 4000, 3), np.uint8), np.zeros((128, 100, 3), np.uint8)
    assert DlibFinder().sought(large) == (500, "--width 0")
    assert DlibFinder(width=0).sought(large) == (80, "--width 0 --upsample 1")
    assert DlibFinder(width=0, upsample=3).sought(large) == (10, "")
    assert DlibFinder().sought(small) == (40, "--width 640 --upsample 1")


@pytest.mark.parametrize("settings, text", [({"width": 20}, "width of 20"), ({"upsample": 9}, "upsample is 9")])
def test_impossible_settings(settings: dict, text: str) -> None:
    with pytest.raises(InputError, match=text):
        DlibFinder(**settings)
