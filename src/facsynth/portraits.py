"""Pictures of expressions: one image each of many people, each named by forty annotators."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from facsynth.activity import sides, strength
from facsynth.annotators import Panel, draw_labelled, draw_panel
from facsynth.emotion import CAUSES, Emotion
from facsynth.head import load_head
from facsynth.identity import draw_person, spread_demographics
from facsynth.photo import Shot
from facsynth.plans import FePlan, divide, seeds
from facsynth.scene import draw_habits, draw_scene
from metafacs.facs import EXPRESSIONS, INTENSITY_MAX

CLEAR = CAUSES[0]

Place = tuple[int, int, int]
"""What `seeds` gives, and the number of an image."""

_PLAN, _EMOTION, _PERSON, _SCENE = range(1, 5)


@dataclass(frozen=True)
class Assignment:
    """What one image of an expression dataset is to be: its name, fold, expression by majority, and cause of doubt."""

    name: str
    fold: str
    expression: str
    cause: str


@dataclass(frozen=True, eq=False)
class Portrait:
    """One picture of an expression dataset, and what is true of it.

    Attributes:
        place: of the image among all there are; its last number counts the images, from 0.
        assignment: its name, its fold, the expression most annotators call it, and why they may disagree.
        votes: (E,) how many of the annotators chose each of `EXPRESSIONS`.
        meant: the expression that is meant.
        levels: (A,) FACS intensity 0-5 of each AU of the rig, of both sides on average.
        side_levels: (2, A) the same of the right and the left.
        shot: the picture to take, as an aligned crop.
    """

    place: Place
    assignment: Assignment
    votes: NDArray[np.int64]
    meant: str
    levels: NDArray[np.int64]
    side_levels: NDArray[np.int64]
    shot: Shot


def portraits(plan: FePlan, seed: int, images: range | None = None) -> Iterator[Portrait]:
    """Draws who is in the pictures and what they show; pictures are taken by `photo.photograph`.

    The counts of the expressions and the shares of the causes are met exactly.

    Args:
        plan: how many images of each expression, and of each cause of doubt.
        seed: equal seeds give equal portraits.
        images: which, counted from 0; a portrait does not depend on which others are drawn. All by default.
    """
    panel, assignments, shares = draw_panel(seed), assign(plan, seed), meant_shares(plan)
    for number in images if images is not None else range(plan.images):
        yield _portrait((*seeds(plan, seed), number), assignments[number], panel, shares)


def assign(plan: FePlan, seed: int) -> list[Assignment]:
    """What every image is to be: exact counts, in an order that depends on the seed alone."""
    out, causes = [], _causes(plan, seed)
    for number, (fold, counts) in enumerate(plan.counts.items()):
        names = [name for name in EXPRESSIONS for _ in range(counts.get(name, 0))]
        order = np.random.default_rng([*seeds(plan, seed), number, 0, _PLAN]).permutation(len(names))
        out += [(f"{fold}_{place + 1:05d}", fold, names[k]) for place, k in enumerate(order)]
    return [Assignment(*image, cause) for image, cause in zip(out, causes, strict=True)]


def _causes(plan: FePlan, seed: int) -> list[str]:
    shares = {cause: plan.causes.get(cause, 0.0) for cause in CAUSES}
    shares[CLEAR] = max(1 - sum(plan.causes.values()), 0.0)
    counts = divide(plan.images, list(shares.values()))
    causes = [cause for cause, count in zip(shares, counts, strict=True) for _ in range(count)]
    order = np.random.default_rng([*seeds(plan, seed), 0, 1, _PLAN]).permutation(len(causes))
    return [causes[k] for k in order]


def meant_shares(plan: FePlan) -> list[float]:
    """(E,) how often each expression is meant: as often as it is to be chosen."""
    counts = [sum(fold.get(name, 0) for fold in plan.counts.values()) for name in EXPRESSIONS]
    return [count / sum(counts) for count in counts]


def _portrait(place: Place, assignment: Assignment, panel: Panel, shares: Sequence[float]) -> Portrait:
    emotion, votes = draw_labelled(_rng(place, _EMOTION), panel, assignment.expression, assignment.cause, shares)
    shot = _pose(emotion, place)
    levels, side_levels = _levels(emotion.strengths), _levels(shot.strengths)
    return Portrait(place, assignment, votes, emotion.expression, levels, side_levels, shot)


def _pose(emotion: Emotion, place: Place) -> Shot:
    """Somebody who shows an emotion somewhere."""
    who = spread_demographics(place[0] + place[1], place[2])
    person = draw_person(load_head(), _rng(place, _PERSON), who)
    acting = sides(emotion.strengths[None], person.asymmetry, emotion.asymmetry[None])[0]
    around = _rng(place, _SCENE)
    scene = draw_scene(draw_habits(around, wild=True), around, wild=True, skin=person.colours["skin"])
    yaw, pitch, roll = emotion.pose
    framing = replace(scene.framing, roll=scene.framing.roll + roll)
    scene = replace(scene, yaw=scene.yaw + yaw, pitch=scene.pitch + pitch, framing=framing)
    return Shot(person, acting, emotion.gaze, scene, int(around.integers(2**31)))


def _levels(strengths: NDArray[np.float64]) -> NDArray[np.int64]:
    """FACS intensities 0-5 of rendered strengths, of any shape."""
    begins = strength(np.arange(1.0, INTENSITY_MAX + 1))
    return np.asarray((strengths[..., None] >= begins).sum(axis=-1))


def _rng(place: Place, what: int) -> np.random.Generator:
    return np.random.default_rng([*place, 0, what])
