"""Pictures of rendered faces for people to look at: what every AU looks like, and a sample of the data."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from metafacs.errors import InputError
from metafacs.facs import EXPRESSIONS
from metafacs.files import atomic_file
from metafacs.synth.activity import draw_course, draw_temper, sides, strength
from metafacs.synth.annotators import prototype
from metafacs.synth.head import load_head
from metafacs.synth.identity import draw_person
from metafacs.synth.photo import Shot, take
from metafacs.synth.rig import RIG_AUS
from metafacs.synth.scene import CROP, Scene, draw_habits, draw_scene

_BAND = 18  # height of a label, pixels


def au_sheet(
    path: Path, aus: Sequence[int] = RIG_AUS, *, people: int = 3, size: int = 160, rays: int = 3, seed: int = 0
) -> None:
    """Draws every AU at its maximum on several people, one row a person, beside their resting faces.

    Args:
        path: the picture to write; its ending says in which format.
        aus: the AUs to show.
        people: how many people.
        size: side of one face in pixels.
        rays: rays x rays samples a pixel.
        seed: which people.

    Raises:
        InputError: an AU cannot be rendered, or nobody is to be shown.
    """
    unknown = [str(au) for au in aus if au not in RIG_AUS]
    if unknown or people < 1:
        found = f"cannot render AU {', '.join(unknown)}" if unknown else f"{people} people"
        raise InputError(f"{found}; ask for one person or more and for AUs of {', '.join(map(str, RIG_AUS))}")
    head = load_head()
    rows = []
    for number in range(people):
        rng = np.random.default_rng([seed, 3, number])
        person = draw_person(head, rng)
        scene = Scene(0.0, 0.0, CROP, draw_habits(rng))
        acting = np.zeros((1 + len(aus), 2, len(RIG_AUS)))
        for column, au in enumerate(aus, start=1):
            acting[column, :, RIG_AUS.index(au)] = 1
        shots = [Shot(person, strengths, (0.0, 0.0), scene) for strengths in acting]
        rows.append(take(head, shots, size, rays)[0])
    labels = ["at rest", *(f"AU{au}" for au in aus)]
    _save(path, np.concatenate([_labels(labels, size), *(_row(row) for row in rows)]))


def faces_picture(path: Path, *, columns: int = 8, size: int = 160, rays: int = 4, seed: int = 0) -> None:
    """Draws a sample of the data: two rows of AU frames (one person each), and two of expressions, one person each.

    Args:
        path: the picture to write.
        columns: faces in a row.
        size: side of one face in pixels.
        rays: rays x rays samples a pixel.
        seed: which people.
    """
    rows = [_au_shots(columns, np.random.default_rng([seed, 4, row])) for row in range(2)]
    rows += [_fe_shots(columns, np.random.default_rng([seed, 5, row])) for row in range(2)]
    _save(path, np.concatenate([_row(take(load_head(), shots, size, rays)[0]) for shots in rows]))


def _au_shots(count: int, rng: np.random.Generator) -> list[Shot]:
    person, habits = draw_person(load_head(), rng), draw_habits(rng)
    course = draw_course(rng, draw_temper(rng), 4 * count)[::4]
    acting = sides(strength(course), person.asymmetry, rng.normal(0, 0.05, course.shape))
    return [Shot(person, acting[k], (0.0, 0.0), draw_scene(habits, rng)) for k in range(count)]


def _fe_shots(count: int, rng: np.random.Generator) -> list[Shot]:
    shots = []
    for k in range(count):
        person = draw_person(load_head(), rng)
        strengths = prototype(EXPRESSIONS[1 + k % (len(EXPRESSIONS) - 1)], rng.uniform(0.7, 1.0), rng)
        acting = sides(strengths[None], person.asymmetry, rng.normal(0, 0.05, (1, len(RIG_AUS))))
        shots.append(Shot(person, acting[0], (0.0, 0.0), draw_scene(draw_habits(rng), rng)))
    return shots


def _row(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate(list(images), axis=1)


def _labels(texts: Sequence[str], size: int) -> NDArray[np.uint8]:
    band = Image.new("RGB", (size * len(texts), _BAND), "white")
    pen = ImageDraw.Draw(band)
    for column, text in enumerate(texts):
        pen.text((size * (column + 0.5), _BAND / 2), text, fill="black", anchor="mm")
    return np.asarray(band)


def _save(path: Path, image: NDArray[np.uint8]) -> None:
    with atomic_file(path) as partial:
        Image.fromarray(image).save(partial)
