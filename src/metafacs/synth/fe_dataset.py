"""Rendered expression datasets in the prepared form: one image each of many people, named by forty annotators."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from metafacs.data.prepared import CAUSE, DatasetCard, PreparedDataset, PreparedWriter, true_levels
from metafacs.facs import EXPRESSIONS, INTENSITY_MAX, au_column
from metafacs.synth.activity import sides, strength
from metafacs.synth.annotators import Panel, draw_labelled, draw_panel
from metafacs.synth.emotion import CAUSES, Emotion
from metafacs.synth.head import load_head
from metafacs.synth.identity import draw_person, spread_demographics
from metafacs.synth.model import Announce
from metafacs.synth.parts import LICENCE, RENDERING, Progress, Row, check_settings, write_dataset
from metafacs.synth.photo import Shot, encode, take
from metafacs.synth.plans import FePlan, divide, plan_settings, seeds
from metafacs.synth.recording import FACTS, level_facts, shot_facts
from metafacs.synth.rig import RIG_AUS
from metafacs.synth.scene import crop_recipe, draw_habits, draw_scene

PART = 48
"""Images of one part."""

FE_TRUTHS = (
    {CAUSE: "string", "true_expression": "string"} | true_levels([au_column(au) for au in RIG_AUS], sides=True) | FACTS
)
CLEAR = "clear"

Place = tuple[int, int, int]
"""What `seeds` gives, and the number of an image."""

_PLAN, _EMOTION, _PERSON, _SCENE = range(1, 5)


def render_fe_dataset(
    out: Path,
    plan: FePlan,
    *,
    size: int = 96,
    rays: int = 2,
    seed: int = 0,
    workers: int = 0,
    progress: Progress | None = None,
    announce: Announce | None = None,
) -> PreparedDataset:
    """Renders an expression dataset: one image each of many people, named by forty simulated annotators.

    `expression` is what most annotators chose, `votes` what each chose, `cause` why they may disagree, and columns
    that begin with `true_` hold what was meant and rendered. The counts of the expressions and the shares of the causes
    are met exactly. Interrupted work goes on where it stopped; a finished dataset of the same settings is reused.

    Args:
        out: folder of the dataset.
        plan: how many images of each expression, and of each cause of doubt.
        size: side of the face images in pixels, at least `SMALLEST`.
        rays: rays x rays samples are taken in each pixel.
        seed: equal seeds give equal files, whatever the number of workers.
        workers: processes to use; 0 means all cores.
        progress: is told how many images are done, and of how many.
        announce: is told when something takes long once (building the head model).

    Raises:
        InputError: a setting is impossible, the `synth` extra is missing, or `out` holds another dataset.
    """
    check_settings(size=size, rays=rays, seed=seed, workers=workers)
    plan.check()
    writer = PreparedWriter(out, fe_card(plan, size), fe_settings(plan, size=size, rays=rays, seed=seed))
    make = functools.partial(fe_rows, plan=plan, size=size, rays=rays, seed=seed)
    return write_dataset(writer, make, fe_parts(plan), workers, progress, announce)


def fe_card(plan: FePlan, size: int) -> DatasetCard:
    """The card of an expression dataset, without what the writer fills in."""
    return DatasetCard(
        plan.name, plan.source, LICENCE, [], list(EXPRESSIONS), crop=crop_recipe(size), truths=dict(FE_TRUTHS)
    )


def fe_settings(plan: FePlan, **settings: object) -> dict[str, object]:
    """All that decides what the rows of an expression dataset are."""
    return {**plan_settings(plan), "causes": dict(plan.causes), **settings, "rendering": RENDERING}


def fe_parts(plan: FePlan) -> list[int]:
    """How many images each part has."""
    return [min(PART, plan.images - first) for first in range(0, plan.images, PART)]


def fe_rows(part: int, *, plan: FePlan, size: int, rays: int, seed: int) -> list[Row]:
    """The rows of one part."""
    made = list(portraits(part, plan, seed))
    pictures, points = take(load_head(), [portrait.shot for portrait in made], size, rays)
    return [
        {**portrait.row, "image": encode(picture, portrait.shot.scene.habits.sensor), "landmarks": marks}
        for portrait, picture, marks in zip(made, pictures, points, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class Portrait:
    """One picture of an expression dataset.

    Attributes:
        place: of the image among all that are made; its last number counts the images, from 0.
        shot: the picture to take, as an aligned crop.
        row: its columns but for `image` and `landmarks`.
    """

    place: Place
    shot: Shot
    row: Row


def portraits(part: int, plan: FePlan, seed: int) -> Iterator[Portrait]:
    """The pictures of one part, in order."""
    panel, wanted = draw_panel(seed), assign(plan, seed)
    shares = meant_shares(plan)
    for number in range(part * PART, min((part + 1) * PART, plan.images)):
        yield _portrait((*seeds(plan, seed), number), wanted[number], panel, shares)


@dataclass(frozen=True)
class Wanted:
    """What one image of an expression dataset is to be: its name, fold, expression by majority, and cause of doubt."""

    name: str
    fold: str
    expression: str
    cause: str


def assign(plan: FePlan, seed: int) -> list[Wanted]:
    """What every image is to be: exact counts, in an order that depends on the seed alone."""
    out, cause = [], _causes(plan, seed)
    for number, (fold, counts) in enumerate(plan.counts.items()):
        names = [name for name in EXPRESSIONS for _ in range(counts.get(name, 0))]
        order = np.random.default_rng([*seeds(plan, seed), number, 0, _PLAN]).permutation(len(names))
        out += [(f"{fold}_{place + 1:05d}", fold, names[k]) for place, k in enumerate(order)]
    return [Wanted(*given, why) for given, why in zip(out, cause, strict=True)]


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


def _portrait(place: Place, wanted: Wanted, panel: Panel, shares: Sequence[float]) -> Portrait:
    emotion, votes = draw_labelled(_rng(place, _EMOTION), panel, wanted.expression, wanted.cause, shares)
    shot, acting = _pose(emotion, place)
    truth = {"true_expression": emotion.expression, **level_facts(_levels(emotion.strengths), _levels(acting))}
    row = {"subject": wanted.name, "sequence": "1", "frame": 0, "fold": wanted.fold, "expression": wanted.expression}
    return Portrait(place, shot, {**row, "votes": votes, CAUSE: wanted.cause, **truth, **shot_facts(shot)})


def _pose(emotion: Emotion, place: Place) -> tuple[Shot, NDArray[np.float64]]:
    """Somebody who shows an emotion somewhere; also (2, A) the strengths of the AUs on the right and the left."""
    who = spread_demographics(place[0] + place[1], place[2])
    person = draw_person(load_head(), _rng(place, _PERSON), who)
    acting = sides(emotion.strengths[None], person.asymmetry, emotion.asymmetry[None])[0]
    around = _rng(place, _SCENE)
    scene = draw_scene(draw_habits(around, wild=True), around, wild=True, skin=person.colours["skin"])
    yaw, pitch, roll = emotion.pose
    framing = replace(scene.framing, roll=scene.framing.roll + roll)
    scene = replace(scene, yaw=scene.yaw + yaw, pitch=scene.pitch + pitch, framing=framing)
    return Shot(person, acting, emotion.gaze, scene, int(around.integers(2**31))), acting


def _levels(strengths: NDArray[np.float64]) -> NDArray[np.int64]:
    """FACS intensities 0-5 of rendered strengths, of any shape."""
    begins = strength(np.arange(1.0, INTENSITY_MAX + 1))
    return np.asarray((strengths[..., None] >= begins).sum(axis=-1))


def _rng(place: Place, what: int) -> np.random.Generator:
    return np.random.default_rng([*place, 0, what])
