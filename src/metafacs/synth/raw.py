"""Rendered faces as the raw releases of datasets come: camera frames, label files, and the truth about every image."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from facsynth.activity import Scale, calibrate
from facsynth.footage import Footage, film, require_av, snapshot, write_video
from facsynth.model import Announce
from facsynth.photo import Photo, photograph
from facsynth.plans import AuPlan, FePlan
from facsynth.portraits import Portrait
from facsynth.recording import draw_latents, record
from facsynth.rig import RIG_AUS
from metafacs.datasets import ferplus, rafdb
from metafacs.errors import InputError
from metafacs.facs import AU_SETS, EXPRESSIONS, PRESENT_FROM, au_column, intensity_column
from metafacs.files import atomic_file, write_text
from metafacs.synth import layouts
from metafacs.synth.rendering import (
    Drawing,
    Progress,
    Row,
    card_of,
    frame_row,
    portrait_parts,
    portrait_row,
    portraits_of,
    settings_of,
    write_parts,
)
from metafacs.synth.tree import RawTree

NARROWEST = 96
"""Smallest width of a camera frame, in pixels."""
TURNS = {"Left": -0.09, "Right": 0.09}
"""Camera of DISFA -> how far it stands to the side, radians."""
UNKNOWN = 9
"""BP4D's code of an AU that nobody coded."""
FER2013_EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""FER2013's first labels, in the order of their codes in the column `emotion`."""
ALIGNED, FER_SIDE = 100, 48
"""Side of RAF-DB's crops and of FER2013's images, in pixels."""
TAGGERS = 10
"""Annotators of an image of FERPlus, of the forty."""
SHORT = 7
"""The image of FERPlus, counted from 0, that has a vote less, as one of the real ones."""
_TAGGERS, _NOISE = 12, 13  # streams of random numbers beside those of `portraits`


def write_raw(
    out: Path,
    preset: str,
    plan: AuPlan | FePlan,
    drawing: Drawing,
    progress: Progress | None = None,
    announce: Announce | None = None,
) -> Path:
    """Writes the people, poses and labels of a prepared dataset as a raw release: camera frames and label files.

    `out` then holds the tree and `truth.parquet`, one row an image: its path in the tree, subject, sequence, frame,
    fold, labels, votes, everything that is true of it, and 68 landmarks in pixels of the raw image. The tree appears
    when it is whole; interrupted work goes on where it stopped.

    Args:
        out: folder for both.
        preset: one of `RELEASES`.
        plan: of the preset.
        drawing: `size` is the width of a camera frame; FER2013's images and RAF-DB's crops have their own fixed size.
        progress: is told how many images are done, and of how many.
        announce: is told when something takes long once (building the head model).

    Returns:
        The tree.

    Raises:
        InputError: a setting is impossible, PyAV or the `synth` extra is missing, or `out` holds another tree.
    """
    drawing.check()
    if drawing.size < NARROWEST:
        raise InputError(
            f"camera frames {drawing.size} pixels wide are too small; ask for a width of at least {NARROWEST}"
        )
    plan.check()
    if preset == "disfa":
        require_av()
    release = RELEASES[preset]
    settings = settings_of(plan, layout=preset, width=drawing.size, rays=drawing.rays, seed=drawing.seed)
    tree = RawTree(out, release.name, card_of(plan, 0), settings)
    if isinstance(plan, FePlan):
        counts, scale = portrait_parts(plan), None
    else:
        counts = [plan.subjects[number].clips[clip].frames for number, clip in _recordings(plan)]
        scale = calibrate(draw_latents(plan, drawing.seed), plan.rates)
    sizes = [release.images * count for count in counts]
    make = functools.partial(_rows, tree=tree, release=release, plan=plan, scale=scale, drawing=drawing)
    write_parts(tree, make, sizes, drawing.workers, progress, announce)
    return tree.finish(len(sizes), release.join)


def _recordings(plan: AuPlan) -> list[tuple[int, int]]:
    """(person, recording) of every part."""
    return [(number, clip) for number, subject in enumerate(plan.subjects) for clip in range(len(subject.clips))]


def _rows(
    part: int, *, tree: RawTree, release: "Release", plan: AuPlan | FePlan, scale: Scale | None, drawing: Drawing
) -> list[Row]:
    """Writes the files of one part and returns what is true of each image."""
    if isinstance(plan, FePlan):
        return release.write(tree, part, portraits_of(part, plan, drawing.seed), plan, drawing)
    assert scale
    recording = record(plan, scale, drawing.seed, *_recordings(plan)[part])
    return release.write(tree, part, film(recording, _frame(drawing), release.eyes), plan, drawing)


def _frame(drawing: Drawing) -> tuple[int, int]:
    """(height, width) of a camera frame."""
    return drawing.size * 3 // 4, drawing.size


def _bp4d(tree: RawTree, part: int, footage: Footage, plan: AuPlan, drawing: Drawing) -> list[Row]:
    """One task of one person; frames are numbered with three or four digits, by recording."""
    clip, subject, coded = footage.recording.clip, footage.recording.subject.name, footage.recording.coded
    frames = range(clip.first, clip.first + clip.frames)
    levels = {au: coded[:, RIG_AUS.index(au)] for au in plan.aus}
    codes = {
        au: (levels[au] >= PRESENT_FROM).astype(int) if au in levels else np.full(clip.frames, UNKNOWN)
        for au in range(1, 100)
    }
    graded = {au: levels[au] for au in AU_SETS["bp4d_intensity"]}
    layouts.bp4d_labels(tree.root, f"{subject}_{clip.name}", frames, codes, graded)
    digits = max(len(str(frames[-1])), 4 if int(clip.name[1:]) % 2 else 3)
    paths = [f"{subject}/{clip.name}/{frame:0{digits}d}.jpg" for frame in frames]
    return _write_frames(tree.root, footage, paths, plan, drawing)


def _gft(tree: RawTree, part: int, footage: Footage, plan: AuPlan, drawing: Drawing) -> list[Row]:
    clip, subject = footage.recording.clip, footage.recording.subject.name
    paths = [layouts.gft_frame(subject, clip.first + frame) for frame in range(clip.frames)]
    rows = _write_frames(tree.root, footage, paths, plan, drawing)
    columns = [name for au in map(au_column, plan.aus) for name in (au, intensity_column(au))]
    labels = ([row[name] for name in ("frame", *columns)] for row in rows)
    layouts.gft_labels(tree.root, subject, columns, labels)
    return rows


def _write_frames(root: Path, footage: Footage, paths: list[str], plan: AuPlan, drawing: Drawing) -> list[Row]:
    """Writes the frames of a recording as pictures."""
    shots, rows = list(footage.shots()), []
    (root / paths[0]).parent.mkdir(parents=True, exist_ok=True)
    for frame, photo in enumerate(photograph(shots, _frame(drawing), drawing.rays)):
        (root / paths[frame]).write_bytes(photo.jpeg())
        row = frame_row(footage.recording, frame, shots[frame], plan.aus)
        rows.append({**row, "path": paths[frame], "landmarks": photo.landmarks})
    return rows


def _disfa(tree: RawTree, part: int, footage: Footage, plan: AuPlan, drawing: Drawing) -> list[Row]:
    """Both videos of one person, and what the coder wrote down, also of the four AUs that papers leave out."""
    recording, subject = footage.recording, footage.recording.subject.name
    coded = {au: recording.coded[:, RIG_AUS.index(au)] for au in AU_SETS["disfa_all"]}
    layouts.disfa_labels(tree.root, subject, coded)
    rows: list[Row] = []

    def pictures(path: str, turn: float) -> Iterator[bytes]:
        shots = list(footage.shots(turn))
        for frame, photo in enumerate(photograph(shots, _frame(drawing), drawing.rays)):
            row = frame_row(recording, frame, shots[frame], plan.aus)
            rows.append({**row, "path": path, "landmarks": photo.landmarks})
            yield photo.jpeg()

    for camera, turn in TURNS.items():
        path = layouts.disfa_video(camera, subject)
        write_video(tree.root / path, pictures(path, turn), _frame(drawing), 1 / recording.step)
    return rows


def _rafdb(tree: RawTree, part: int, people: list[Portrait], plan: FePlan, drawing: Drawing) -> list[Row]:
    """The crops, and the photos that they were cropped from, `drawing.size` pixels wide."""
    rows: list[Row] = []

    def write(portrait: Portrait, kind: str, photo: Photo) -> None:
        path = Path("basic") / layouts.rafdb_image(portrait.assignment.name, kind)
        (tree.root / path).parent.mkdir(parents=True, exist_ok=True)
        (tree.root / path).write_bytes(photo.jpeg())
        rows.append({**portrait_row(portrait), "path": path.as_posix(), "landmarks": photo.landmarks})

    crops = photograph((portrait.shot for portrait in people), ALIGNED, drawing.rays)
    for portrait, crop in zip(people, crops, strict=True):
        write(portrait, "aligned", crop)
        shot, size = snapshot(portrait, drawing.size)
        write(portrait, "original", next(photograph([shot], size, drawing.rays)))
    return rows


def _ferplus(tree: RawTree, part: int, people: list[Portrait], plan: FePlan, drawing: Drawing) -> list[Row]:
    """One part's lines of both tables, as pieces.

    The votes are those of ten of the forty annotators, drawn for each image; the first label, as of FER2013, is what
    was meant. As in the real tables one image has nine votes, and a few show no face: their image name is empty and
    everybody voted NF.
    """
    usages = dict(zip(plan.counts, ferplus.USAGES, strict=True))
    codes = {name: code for code, name in enumerate(FER2013_EXPRESSIONS)}
    training = sum(next(iter(plan.counts.values())).values())
    rows: list[Row] = []
    pixels, votes = [], []
    photos = photograph((portrait.shot for portrait in people), FER_SIDE, drawing.rays)
    for portrait, photo in zip(people, photos, strict=True):
        number, usage = portrait.place[-1], usages[portrait.assignment.fold]
        line = number + (number >= training)  # behind the last training image stands one that shows no face
        rows.append({**portrait_row(portrait), "path": layouts.FER_PIXELS, "frame": line, "landmarks": photo.landmarks})
        grey = np.asarray(Image.fromarray(photo.pixels).convert("L"))
        pixels.append(layouts.fer_pixels(codes[portrait.meant], grey.ravel(), usage))
        rng = np.random.default_rng([*portrait.place, 0, _TAGGERS])
        chosen = rng.multivariate_hypergeometric(portrait.votes, TAGGERS - (number == SHORT))
        by_name = dict(zip(EXPRESSIONS, chosen, strict=True))
        votes.append(layouts.fer_votes(usage, f"fer{line:07d}.png", [by_name.get(name, 0) for name in ferplus.VOTES]))
        if number in (training - 1, plan.images - 1):
            noise = np.random.default_rng([*portrait.place, 0, _NOISE]).integers(0, 256, FER_SIDE**2)
            pixels.append(layouts.fer_pixels(codes["neutral"], noise, usage))
            votes.append(layouts.fer_votes(usage, "", [*[0] * (len(ferplus.VOTES) - 1), TAGGERS]))
    for name, lines in ((layouts.FER_PIXELS, pixels), (layouts.FER_VOTES, votes)):
        write_text(tree.scratch / f"{name}-{part:06d}", "".join(lines))
    return rows


def _join_gft(tree: RawTree, parts: Iterator[pa.Table]) -> None:
    layouts.gft_partition(tree.root, {part["subject"][0].as_py(): part["fold"][0].as_py() for part in parts})


def _join_rafdb(tree: RawTree, parts: Iterator[pa.Table]) -> None:
    codes = {name: code for code, name in rafdb.CODES.items()}
    labels: dict[str, int] = {}
    for part in parts:
        pairs = zip(part["subject"].to_pylist(), part["expression"].to_pylist(), strict=True)
        labels |= {name: codes[expression] for name, expression in pairs}
    layouts.rafdb_labels(tree.root / "basic", labels)


def _join_ferplus(tree: RawTree, parts: Iterator[pa.Table]) -> None:
    numbers = range(sum(1 for _ in parts))
    for name, header in layouts.FER_HEADERS.items():
        with atomic_file(tree.root / name) as partial, partial.open("w", encoding="utf-8") as file:
            file.write(header)
            for part in numbers:
                file.write((tree.scratch / f"{name}-{part:06d}").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Release:
    """How a raw release is written.

    Attributes:
        name: of the tree's own folder, as the release calls it.
        write: writes the files of one part, a recording or some portraits, and gives what is true of each image.
        join: writes the files that need all parts.
        eyes: distance between the eyes in a camera frame, as a share of its width, on average.
        images: of each frame or portrait.
    """

    name: str
    write: Callable[[RawTree, int, Any, Any, Drawing], list[Row]]
    join: Callable[[RawTree, Iterator[pa.Table]], None] | None = None
    eyes: float = 0.0
    images: int = 1


RELEASES = {
    "bp4d": Release("BP4D", _bp4d, eyes=0.13),
    "disfa": Release("DISFA", _disfa, eyes=0.11, images=len(TURNS)),
    "gft": Release("GFT", _gft, _join_gft, eyes=0.1),
    "rafdb": Release("RAF-DB", _rafdb, _join_rafdb, images=2),
    "ferplus": Release("FER2013", _ferplus, _join_ferplus),
}
"""Preset -> its raw layout."""
