"""Rendered AU datasets in the prepared form: recordings of a few people, every AU's intensity known."""

import functools
from pathlib import Path

from metafacs.data.prepared import DatasetCard, PreparedDataset, PreparedWriter
from metafacs.facs import au_column
from metafacs.synth.activity import Scale, calibrate
from metafacs.synth.head import load_head
from metafacs.synth.model import Announce
from metafacs.synth.parts import LICENCE, RENDERING, Progress, Row, check_settings, write_dataset
from metafacs.synth.photo import encode, take
from metafacs.synth.plans import AuPlan, au_chunks, plan_settings
from metafacs.synth.recording import AU_TRUTHS, draw_latents, record, shot_facts
from metafacs.synth.scene import crop_recipe

PART = 128
"""Frames of one part, at most."""


def render_au_dataset(
    out: Path,
    plan: AuPlan,
    *,
    size: int = 96,
    rays: int = 2,
    seed: int = 0,
    workers: int = 0,
    progress: Progress | None = None,
    announce: Announce | None = None,
) -> PreparedDataset:
    """Renders an AU dataset: few people, many frames each, every AU's intensity known.

    AUs co-occur, come in episodes and have the plan's base rates over all of the dataset. Interrupted work goes on
    where it stopped; a finished dataset of the same settings is reused.

    Args:
        out: folder of the dataset.
        plan: who is in it, what is recorded of them, how often each AU acts.
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
    writer = PreparedWriter(out, au_card(plan, size), au_settings(plan, size=size, rays=rays, seed=seed))
    sizes = [end - begin for _, begin, end in au_chunks(plan, PART)]
    if all(map(writer.has_part, range(len(sizes)))):
        return writer.finish(len(sizes))
    scale = calibrate(draw_latents(plan, seed), plan.rates)
    make = functools.partial(au_rows, plan=plan, scale=scale, size=size, rays=rays, seed=seed)
    return write_dataset(writer, make, sizes, workers, progress, announce)


def au_card(plan: AuPlan, size: int) -> DatasetCard:
    """The card of an AU dataset, without what the writer fills in."""
    aus = [au_column(au) for au in plan.aus]
    return DatasetCard(plan.name, plan.source, LICENCE, aus, crop=crop_recipe(size), truths=dict(AU_TRUTHS))


def au_settings(plan: AuPlan, **settings: object) -> dict[str, object]:
    """All that decides what the rows of an AU dataset are."""
    timing = {"coder_noise": plan.coder_noise, "frames_per_second": round(1 / plan.step, 4)}
    return {**plan_settings(plan), **timing, **settings, "rendering": RENDERING}


def au_rows(part: int, *, plan: AuPlan, scale: Scale, size: int, rays: int, seed: int) -> list[Row]:
    """The rows of one part: at most `PART` frames of one person."""
    number, begin, end = list(au_chunks(plan, PART))[part]
    subject = plan.subjects[number]
    rows, shots, before = [], [], 0
    for which, clip in enumerate(subject.clips):
        frames = range(max(begin - before, 0), min(end - before, clip.frames))
        before += clip.frames
        if not frames:
            continue
        recording = record(plan, scale, seed, number, which)
        for frame in frames:
            shots.append(recording.shot(frame))
            where = {"subject": subject.name, "sequence": clip.name, "frame": clip.first + frame, "fold": subject.fold}
            rows.append({**where, **recording.labels(frame, plan.aus), **shot_facts(shots[-1])})
    pictures, points = take(load_head(), shots, size, rays)
    for row, shot, picture, marks in zip(rows, shots, pictures, points, strict=True):
        row |= {"image": encode(picture, shot.scene.habits.sensor), "landmarks": marks}
    return rows
