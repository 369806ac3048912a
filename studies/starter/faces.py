"""The rendered faces that the starter model learns from: anybody, doing anything with the face, photographed anywhere.

The presets of `metafacs synth` look like a benchmark: few people, one room each, AUs as often as there. A detector that
is to be tried on any photograph needs the opposite: thousands of people, every picture in another place and light, AUs
alone and in every mixture, and crops that lie as loosely as dlib's landmarks put them.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facsynth import LICENCE, RENDERING
from facsynth.activity import draw_course, draw_temper, settle, sides, strength, with_resting
from facsynth.emotion import prototype
from facsynth.head import load_head
from facsynth.identity import draw_person, spread_demographics
from facsynth.photo import Shot, photograph
from facsynth.rig import RIG_AUS
from facsynth.scene import CROP, Framing, Scene, draw_framing, draw_habits, draw_scene
from metafacs.data.prepared import DatasetCard, PreparedDataset, PreparedWriter
from metafacs.faces.finders import PUPILS
from metafacs.faces.recipe import Recipe
from metafacs.facs import EXPRESSIONS, PRESENT_FROM, au_column
from metafacs.synth.rendering import Progress, Row, with_picture, write_parts

AUS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 25, 26)
"""What the starter model detects: the AUs of BP4D, DISFA and GFT, all of which are rendered, and 7, 20, 23, 24."""
PEOPLE = 4000
"""Whom the starter model is trained and scored on."""
FIRST = 2000
"""People of the first edition; whoever comes after them shows more AUs alone and in small mixtures."""
PEOPLE_A_PART = 20
NAME = "rendered-starter"
"""Of the dataset."""
FRAMES = 6
"""Pictures of each person, each in another place."""
FOLDS = ("test", *["train"] * 9)
"""The fold of a person, by the number's last digit."""
WILD = 0.8
"""Share of the pictures that are taken anywhere; the others are taken in laboratories."""
ACTING = {"rest": 0.16, "emotion": 0.34, "course": 0.26, "mixture": 0.24}
"""Where the AUs of a picture come from: nothing but traces, an expression or two, the recordings of the rendered
benchmarks, or one to five AUs drawn one by one."""
SINGLES = {"rest": 0.15, "emotion": 0.20, "course": 0.15, "mixture": 0.50}
"""The same, of people after the first edition's: expressions come with real people, so AUs have to come alone."""
SCATTER = {"shift": 0.012, "scale": 0.03, "roll": 0.03}
"""Standard deviations of where the eyes lie: shares of the crop, logarithm, radians. Wider than dlib's errors, because
real faces differ more from each other than rendered ones."""
SIZE, RAYS = 120, 2
OUTWARDS, UPWARDS = -0.020, 0.029
"""From the middle of a rendered eye's six landmarks to its pupil, which real crops have on the template, as shares of
the eyes' distance (`metafacs.faces.corrected`)."""
EYES = CROP.eyes / (1 + 2 * OUTWARDS)
MIDDLE = (CROP.middle[0], CROP.middle[1] + UPWARDS * EYES)
"""Where the landmarks' eyes lie, so that the pupils lie on the template."""
_STREAM = 0x57A7


@dataclass(frozen=True, eq=False)
class Taken:
    """One picture to render, with its labels.

    Attributes:
        shot: as an aligned crop.
        row: columns but for `image` and `landmarks`.
    """

    shot: Shot
    row: Row


def render(
    out: Path, people: Sequence[int], seed: int, workers: int, progress: Progress | None = None
) -> PreparedDataset:
    """Renders the dataset into `out`; what was interrupted goes on, what is done is reused.

    Args:
        out: folder of the prepared dataset.
        people: their numbers; each is in `FRAMES` pictures, and those whose number ends in 0 only test.
        seed: of everything random.
        workers: processes; 0 for all cores.
        progress: is told how many pictures are done, and of how many.
    """
    card = DatasetCard(
        NAME,
        "rendered faces (metafacs synth), people and places of all kinds: no real person is in it",
        LICENCE,
        [au_column(au) for au in AUS],
        crop=Recipe(size=SIZE, eyes=PUPILS).to_card() | {"jitter": SCATTER},
    )
    mix = {"people": list(people), "frames": FRAMES, "wild": WILD, "acting": [ACTING, SINGLES], "scatter": SCATTER}
    settings = {**mix, "size": SIZE, "rays": RAYS, "seed": seed, "rendering": RENDERING}
    parts = [people[first : first + PEOPLE_A_PART] for first in range(0, len(people), PEOPLE_A_PART)]
    make, sizes = functools.partial(rows, parts=parts, seed=seed), [FRAMES * len(part) for part in parts]
    writer = PreparedWriter(out, card, settings)
    write_parts(writer, make, sizes, workers, progress)
    return writer.finish(len(sizes))


def rows(part: int, *, parts: Sequence[Sequence[int]], seed: int) -> list[Row]:
    """The rows of one part: all pictures of its people."""
    taken = [picture for number in parts[part] for picture in pictures(number, seed)]
    photos = photograph((picture.shot for picture in taken), SIZE, RAYS)
    return [with_picture(picture.row, photo) for picture, photo in zip(taken, photos, strict=True)]


def pictures(number: int, seed: int) -> list[Taken]:
    """The pictures of person `number`."""
    rng = np.random.default_rng([seed, _STREAM, number])
    person = draw_person(load_head(), rng, spread_demographics(seed + _STREAM, number))
    resting = draw_temper(rng).resting
    taken = []
    for frame in range(FRAMES):
        course = draw_acting(rng, ACTING if number < FIRST else SINGLES)
        lean = rng.normal(0, 0.06, len(RIG_AUS)) + rng.normal(0, 0.05)
        acting = sides(strength(course)[None] * person.expressiveness, person.asymmetry, lean[None])
        gaze = (float(rng.normal(0, 0.14)), float(rng.normal(0, 0.08)))
        shown = with_resting(acting, resting)[0]
        shot = Shot(person, shown, gaze, _scene(rng, person.colours["skin"]), int(rng.integers(2**31)))
        labels = _labels(course)
        where = {"subject": f"S{number:05d}", "sequence": "1", "frame": frame, "fold": FOLDS[number % len(FOLDS)]}
        taken.append(Taken(shot, {**where, **labels}))
    return taken


def as_photo(shot: Shot, rng: np.random.Generator, width: int, height: int, eyes: float) -> Shot:
    """The same picture as an uncropped photograph, eyes so many pixels apart."""
    return replace(shot, scene=replace(shot.scene, framing=draw_framing(rng, width, height, eyes)))


def draw_acting(rng: np.random.Generator, kinds: Mapping[str, float]) -> NDArray[np.float64]:
    """(A,) FACS intensities in [0, 6) of the AUs of the rig, in one picture; `kinds` are as `ACTING`."""
    kind = str(rng.choice(list(kinds), p=list(kinds.values())))
    course = np.where(rng.random(len(RIG_AUS)) < 0.12, rng.uniform(0, 1.6, len(RIG_AUS)), 0.0)
    if kind == "emotion":
        for _ in range(1 + (rng.random() < 0.25)):
            shown = prototype(str(rng.choice(EXPRESSIONS[1:])), float(rng.uniform(0.3, 1.0)), rng)
            course = np.maximum(course, _intensities(shown))
    elif kind == "course":
        course = np.asarray(draw_course(rng, draw_temper(rng), 1)[0], np.float64)
    elif kind == "mixture":
        chosen = rng.choice(len(RIG_AUS), int(rng.integers(1, 6)), replace=False)
        course[chosen] = rng.uniform(1.5, 5.9, len(chosen))
    if kind != "rest" and rng.random() < 0.2:  # somebody who talks, or smiles with the teeth
        _open(course, rng)
    return np.asarray(settle(course[None])[0], np.float64)


def _labels(course: NDArray[np.float64]) -> Row:
    """AU columns. AU27 takes the place of AU26 in FACS, but whoever asks for AU26 wants an open jaw: not labelled."""
    present = {au: int(course[RIG_AUS.index(au)] >= PRESENT_FROM) for au in (*AUS, 27)}
    return {au_column(au): None if au == 26 and present[27] else present[au] for au in AUS}


def _open(course: NDArray[np.float64], rng: np.random.Generator) -> None:
    column = RIG_AUS.index(25)
    course[column] = max(course[column], rng.uniform(2, 5))
    for rival in (24, 28):
        course[RIG_AUS.index(rival)] = 0


def _intensities(strengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """FACS intensities that are rendered with given strengths."""
    levels = np.linspace(0, 5.99, 600)
    return np.asarray(np.interp(strengths, strength(levels), levels))


def _scene(rng: np.random.Generator, skin: NDArray[np.float64]) -> Scene:
    wild = bool(rng.random() < WILD)
    scene = draw_scene(draw_habits(rng, wild), rng, wild=wild, skin=skin)
    shift = rng.normal(0, SCATTER["shift"], 2)
    framing = Framing(
        (MIDDLE[0] + float(shift[0]), MIDDLE[1] + float(shift[1])),
        EYES * float(np.exp(rng.normal(0, SCATTER["scale"]))),
        float(np.clip(rng.normal(0, SCATTER["roll"]), -0.1, 0.1)),
    )
    return replace(scene, framing=framing)
