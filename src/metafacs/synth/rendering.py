"""Rendered faces as prepared datasets: recordings of a few people, or one image each of many."""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from facsynth import LICENCE, RENDERING
from facsynth.activity import Scale, calibrate
from facsynth.head import load_head
from facsynth.model import Announce
from facsynth.photo import MOST_RAYS, Photo, Shot, photograph
from facsynth.plans import AuPlan, FePlan, au_chunks, plan_settings
from facsynth.portraits import Portrait, portraits
from facsynth.recording import Recording, draw_latents, record
from facsynth.rig import RIG_AUS
from facsynth.scene import EYES
from metafacs.data.prepared import CAUSE, DatasetCard, PreparedDataset, PreparedWriter, true_column, true_levels
from metafacs.errors import InputError
from metafacs.facs import EXPRESSIONS, PRESENT_FROM, au_column, intensity_column
from metafacs.pool import run_parts

FRAMES_PER_PART, IMAGES_PER_PART = 128, 48
"""Rows of one part of an AU and of an expression dataset, at most."""
SMALLEST = 32
"""Smallest side of a face image, in pixels."""

Row = dict[str, Any]
Progress = Callable[[int, int], None]

TRUTHS = true_levels([au_column(au) for au in RIG_AUS], sides=True) | {
    f"true_{name}": "float32" for name in ("age", "male", "tone", "yaw", "pitch")
}
"""Columns of every rendered dataset: true intensities, who is seen (years; 0 feminine to 1 masculine; skin tone 0 light
to 1 dark) and how the head is turned (radians, to the person's left and upwards)."""


@dataclass(frozen=True)
class Drawing:
    """How pictures are drawn.

    Attributes:
        size: side of the face images of a prepared dataset, or width of the camera frames of a raw tree, in pixels.
        rays: rays x rays samples are taken in each pixel.
        seed: equal seeds give equal files, and prepared and raw show the same people and moments.
        workers: processes to use, 0 for all cores; the files do not depend on it.
    """

    size: int = 96
    rays: int = 2
    seed: int = 0
    workers: int = 0

    def check(self) -> None:
        """Refuses settings that make no sense.

        Raises:
            InputError: says which.
        """
        if self.size < SMALLEST:
            raise InputError(
                f"images of {self.size} pixels are too small to show AUs; ask for a size of at least {SMALLEST}"
            )
        if not 1 <= self.rays <= MOST_RAYS:
            raise InputError(f"rays is {self.rays}; give 1 to {MOST_RAYS} samples in each direction")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; give 0 or more")
        if self.workers < 0:
            raise InputError(f"workers is {self.workers}; give 0 (all cores) or more")


def render_dataset(
    out: Path,
    plan: AuPlan | FePlan,
    drawing: Drawing = Drawing(),
    progress: Progress | None = None,
    announce: Announce | None = None,
) -> PreparedDataset:
    """Renders what is planned: AU recordings, or expressions named by forty simulated annotators.

    In AU data, AUs co-occur, come in episodes and have the plan's base rates over all of the dataset. In expression
    data, `expression` is what most annotators chose, `votes` what each chose, `cause` why they may disagree, and the
    counts of the expressions and the shares of the causes are met exactly. Columns that begin with `true_` hold what
    was meant and rendered. Interrupted work goes on where it stopped; a finished dataset of the same settings is
    reused.

    Args:
        out: folder of the dataset.
        plan: what it holds.
        drawing: how it is drawn.
        progress: is told how many images are done, and of how many.
        announce: is told when something takes long once (building the head model).

    Raises:
        InputError: a setting is impossible, the `synth` extra is missing, or `out` holds another dataset.
    """
    drawing.check()
    plan.check()
    settings = settings_of(plan, size=drawing.size, rays=drawing.rays, seed=drawing.seed)
    writer = PreparedWriter(out, card_of(plan, drawing.size), settings)
    make: Callable[[int], list[Row]]
    if isinstance(plan, FePlan):
        sizes = portrait_parts(plan)
        make = functools.partial(_portrait_rows, plan=plan, drawing=drawing)
    else:
        sizes = [end - begin for _, begin, end in au_chunks(plan, FRAMES_PER_PART)]
        scale = calibrate(draw_latents(plan, drawing.seed), plan.rates)
        make = functools.partial(_recording_rows, plan=plan, scale=scale, drawing=drawing)
    write_parts(writer, make, sizes, drawing.workers, progress, announce)
    return writer.finish(len(sizes))


def card_of(plan: AuPlan | FePlan, size: int) -> DatasetCard:
    """The card of a rendered dataset, without what the writer fills in."""
    card = functools.partial(DatasetCard, plan.name, plan.source, LICENCE, crop=crop_recipe(size))
    if isinstance(plan, AuPlan):
        return card([au_column(au) for au in plan.aus], truths=dict(TRUTHS))
    return card([], list(EXPRESSIONS), truths={CAUSE: "string", "true_expression": "string", **TRUTHS})


def settings_of(plan: AuPlan | FePlan, **settings: object) -> dict[str, object]:
    """All that decides what the rows of a rendered dataset are."""
    if isinstance(plan, AuPlan):
        own: dict[str, object] = {"coder_noise": plan.coder_noise, "frames_per_second": round(1 / plan.step, 4)}
    else:
        own = {"causes": dict(plan.causes)}
    return {**plan_settings(plan), **own, **settings, "rendering": RENDERING}


def crop_recipe(size: int) -> dict[str, Any]:
    """How rendered crops are aligned, for the card of a dataset."""
    return {
        "kind": "similarity",
        "size": size,
        "points": "centres of the eyes (mean of landmarks 37-42 and of 43-48, counted from 1)",
        "template": {"right_eye": list(EYES[0]), "left_eye": list(EYES[1])},
        "template_unit": "share of the crop's width and height; the right eye is the person's",
        "jitter": {"scale": 0.02, "roll_radians": 0.02, "shift": 0.008},
    }


def portrait_parts(plan: FePlan) -> list[int]:
    """How many images each part has."""
    return [min(IMAGES_PER_PART, plan.images - first) for first in range(0, plan.images, IMAGES_PER_PART)]


def portraits_of(part: int, plan: FePlan, seed: int) -> list[Portrait]:
    """The portraits of one part."""
    first = part * IMAGES_PER_PART
    return list(portraits(plan, seed, range(first, min(first + IMAGES_PER_PART, plan.images))))


def _portrait_rows(part: int, *, plan: FePlan, drawing: Drawing) -> list[Row]:
    people = portraits_of(part, plan, drawing.seed)
    photos = photograph((portrait.shot for portrait in people), drawing.size, drawing.rays)
    return [with_picture(portrait_row(portrait), photo) for portrait, photo in zip(people, photos, strict=True)]


def _recording_rows(part: int, *, plan: AuPlan, scale: Scale, drawing: Drawing) -> list[Row]:
    """The rows of one part: at most `FRAMES_PER_PART` frames of one person."""
    number, begin, end = list(au_chunks(plan, FRAMES_PER_PART))[part]
    rows, shots, before = [], [], 0
    for which, clip in enumerate(plan.subjects[number].clips):
        frames = range(max(begin - before, 0), min(end - before, clip.frames))
        before += clip.frames
        if not frames:
            continue
        recording = record(plan, scale, drawing.seed, number, which)
        for frame in frames:
            shots.append(recording.shot(frame))
            rows.append(frame_row(recording, frame, shots[-1], plan.aus))
    return [with_picture(*pair) for pair in zip(rows, photograph(shots, drawing.size, drawing.rays), strict=True)]


def with_picture(row: Row, photo: Photo) -> Row:
    """A row with its picture."""
    return {**row, "image": photo.jpeg(), "landmarks": photo.landmarks}


def frame_row(recording: Recording, frame: int, shot: Shot, aus: Iterable[int]) -> Row:
    """The columns of one frame of a recording, counted from 0, but for the picture."""
    clip, subject = recording.clip, recording.subject
    row = {"subject": subject.name, "sequence": clip.name, "frame": clip.first + frame, "fold": subject.fold}
    for au in aus:
        level = int(recording.coded[frame, RIG_AUS.index(au)])
        row |= {au_column(au): int(level >= PRESENT_FROM), intensity_column(au_column(au)): level}
    return row | _truth(recording.levels[frame], recording.side_levels[frame], shot)


def portrait_row(portrait: Portrait) -> Row:
    """The columns of one portrait but for the picture."""
    image = portrait.assignment
    row = {"subject": image.name, "sequence": "1", "frame": 0, "fold": image.fold, CAUSE: image.cause}
    row |= {"expression": image.expression, "votes": portrait.votes, "true_expression": portrait.meant}
    return row | _truth(portrait.levels, portrait.side_levels, portrait.shot)


def _truth(levels: NDArray[np.int64], side_levels: NDArray[np.int64], shot: Shot) -> Row:
    """The columns `TRUTHS`; levels: (A,), side_levels: (2, A), right and left."""
    row: Row = {}
    for k, au in enumerate(RIG_AUS):
        name = true_column(au_column(au))
        row |= {name: int(levels[k]), f"{name}_right": int(side_levels[0, k]), f"{name}_left": int(side_levels[1, k])}
    who = shot.person.demographics
    facts = {"age": who.age, "male": who.male, "tone": who.tone, "yaw": shot.scene.yaw, "pitch": shot.scene.pitch}
    return row | {f"true_{name}": float(value) for name, value in facts.items()}


class Writer(Protocol):
    """Writes something in parts: a `PreparedWriter`, or a `RawTree`."""

    def has_part(self, part: int, /) -> bool: ...  # noqa: D102

    def write_part(self, part: int, rows: Sequence[Row], /) -> None: ...  # noqa: D102


def write_parts(
    writer: Writer,
    make: Callable[[int], list[Row]],
    sizes: Sequence[int],
    workers: int = 0,
    progress: Progress | None = None,
    announce: Announce | None = None,
) -> None:
    """Writes the missing parts of a dataset or a raw tree in several processes.

    Args:
        writer: of the dataset or the tree.
        make: part -> its rows; must not depend on anything but the part.
        sizes: how many rows each part has.
        workers: processes to use; 0 means all cores.
        progress: is told how many rows are done, and of how many.
        announce: is told when something takes long once (building the head model).
    """
    missing = [part for part in range(len(sizes)) if not writer.has_part(part)]
    done = sum(sizes) - sum(sizes[part] for part in missing)
    tell = progress or (lambda _done, _total: None)
    tell(done, sum(sizes))
    if missing:
        load_head(announce)
    task = functools.partial(_write_part, writer, make)
    for part in run_parts(task, missing, workers, ["metafacs.synth.raw", "facsynth.preload"], "rendering"):
        done += sizes[part]
        tell(done, sum(sizes))


def _write_part(writer: Writer, make: Callable[[int], list[Row]], part: int) -> int:
    writer.write_part(part, make(part))
    return part
