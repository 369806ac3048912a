"""Which raw layouts there are, and how a plan becomes one."""

import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa

from metafacs.errors import InputError
from metafacs.synth.activity import Scale, calibrate
from metafacs.synth.au_dataset import au_card, au_settings
from metafacs.synth.fe_dataset import fe_card, fe_parts, fe_settings
from metafacs.synth.model import Announce
from metafacs.synth.parts import Progress, Row, check_settings, work
from metafacs.synth.plans import AuPlan, FePlan
from metafacs.synth.raw import bp4d, disfa, ferplus, gft, rafdb
from metafacs.synth.raw.people import Footage, footage, recordings
from metafacs.synth.raw.tree import RawTree
from metafacs.synth.recording import draw_latents

WIDTH = 640
"""Width of a camera frame, in pixels, where nothing else is asked for."""
NARROWEST = 96
"""Smallest width of a camera frame, in pixels."""

Write = Callable[[Path, Footage, tuple[int, int], int], list[Row]]
_PEOPLE: Mapping[str, tuple[str, float, Write]] = MappingProxyType(
    {
        "bp4d": (bp4d.NAME, bp4d.EYES, bp4d.write_footage),
        "disfa": (disfa.NAME, disfa.EYES, disfa.write_footage),
        "gft": (gft.NAME, gft.EYES, gft.write_footage),
    }
)
LAYOUTS = (*_PEOPLE, "rafdb", "ferplus")
"""Presets that have a raw layout."""


def write_raw(
    out: Path,
    layout: str,
    plan: AuPlan | FePlan,
    *,
    width: int = WIDTH,
    rays: int = 2,
    seed: int = 0,
    workers: int = 0,
    progress: Progress | None = None,
    announce: Announce | None = None,
) -> Path:
    """Writes the people, poses and labels of a prepared dataset as a raw release: camera frames and label files.

    `out` then holds the tree and `truth.parquet`, one row an image: its path in the tree, subject, sequence, frame,
    fold, labels, votes, everything that is true of it, and 68 landmarks in pixels of the raw image. The tree appears
    when it is whole; interrupted work goes on where it stopped.

    Args:
        out: folder for both.
        layout: one of `LAYOUTS`.
        plan: of the preset of the same name.
        width: of a camera frame in pixels; FER2013's images and RAF-DB's crops have their own fixed size.
        rays: rays x rays samples are taken in each pixel.
        seed: as of the prepared dataset.
        workers: processes to use; 0 means all cores.
        progress: is told how many images are done, and of how many.
        announce: is told when something takes long once (building the head model).

    Returns:
        The tree.

    Raises:
        InputError: a setting is impossible, PyAV or the `synth` extra is missing, or `out` holds another tree.
    """
    check_settings(size=width, rays=rays, seed=seed, workers=workers)
    if width < NARROWEST:
        raise InputError(f"camera frames {width} pixels wide are too small; ask for a width of at least {NARROWEST}")
    plan.check()
    given = {"width": width, "rays": rays, "seed": seed}
    if isinstance(plan, AuPlan):
        return _write_people(out, layout, plan, given, workers, progress, announce)
    return _write_images(out, layout, plan, given, workers, progress, announce)


def _write_people(
    out: Path,
    layout: str,
    plan: AuPlan,
    given: dict[str, int],
    workers: int,
    progress: Progress | None,
    announce: Announce | None,
) -> Path:
    name, _, _ = _PEOPLE[layout]
    if layout == "disfa":
        disfa.require_av()
    tree = RawTree(out, name, au_card(plan, 0), au_settings(plan, layout=layout, **given))
    cameras = len(disfa.TURNS) if layout == "disfa" else 1
    sizes = [cameras * plan.subjects[number].clips[clip].frames for number, clip in recordings(plan)]
    if not all(map(tree.has_part, range(len(sizes)))):
        scale = calibrate(draw_latents(plan, given["seed"]), plan.rates)
        task = functools.partial(_write_recording, tree, layout, plan, scale, given)
        work(task, tree.has_part, sizes, workers, progress, announce)
    return tree.finish(len(sizes), gft.join if layout == "gft" else None)


def _write_recording(tree: RawTree, layout: str, plan: AuPlan, scale: Scale, given: dict[str, int], part: int) -> int:
    _, eyes, write = _PEOPLE[layout]
    size = (given["width"] * 3 // 4, given["width"])
    shown = footage(plan, scale, given["seed"], part, size, eyes)
    tree.write_part(part, write(tree.root, shown, size, given["rays"]))
    return part


def _write_images(
    out: Path,
    layout: str,
    plan: FePlan,
    given: dict[str, int],
    workers: int,
    progress: Progress | None,
    announce: Announce | None,
) -> Path:
    name = {"rafdb": rafdb.NAME, "ferplus": ferplus.NAME}[layout]
    tree = RawTree(out, name, fe_card(plan, 0), fe_settings(plan, layout=layout, **given))
    images = 2 if layout == "rafdb" else 1
    sizes = [images * count for count in fe_parts(plan)]
    task = functools.partial(_write_portraits, tree, layout, plan, given)
    work(task, tree.has_part, sizes, workers, progress, announce)
    return tree.finish(len(sizes), functools.partial(_join_images, tree, layout))


def _write_portraits(tree: RawTree, layout: str, plan: FePlan, given: dict[str, int], part: int) -> int:
    seed, width, rays = given["seed"], given["width"], given["rays"]
    if layout == "rafdb":
        rows = rafdb.write_images(tree.root, part, plan, seed, width, rays)
    else:
        rows = ferplus.write_images(tree.scratch, part, plan, seed, rays)
    tree.write_part(part, rows)
    return part


def _join_images(tree: RawTree, layout: str, root: Path, parts: Iterator[pa.Table]) -> None:
    if layout == "rafdb":
        rafdb.join(root, parts)
    else:
        ferplus.join(root, tree.scratch, parts)
