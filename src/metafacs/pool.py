"""Work cut into parts, done in several processes, the same whatever their number."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from metafacs.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_parts(
    task: Callable[[Item], Result],
    parts: Sequence[Item],
    workers: int,
    preload: Sequence[str] = (),
    what: str = "working",
) -> Iterator[Result]:
    """Runs a task for each part, in this process or in several, and yields what it returns, in the order of ending.

    The task must give the same for a part wherever it runs; each process uses a single thread.

    Args:
        task: what to do with a part; it is pickled, and so should be small.
        parts: the parts: numbers, or the data to work on; they are pickled one by one, as they come to their turn.
        workers: processes to use; 0 means all cores.
        preload: modules that are imported once before the processes are forked off.
        what: what the processes do, for the message when one is killed ("rendering").

    Raises:
        InputError: a process was killed.
    """
    workers = min(workers or cores(), len(parts))
    if workers <= 1:
        with single_thread():
            yield from map(task, parts)
        return
    pool = ProcessPoolExecutor(workers, _context(preload), _start_worker)
    try:
        for future in as_completed([pool.submit(task, part) for part in parts]):
            yield future.result()
    except BrokenProcessPool as error:
        raise InputError(
            f"a {what} process was killed, perhaps for lack of memory; run the command again, it goes on where it "
            f"stopped, with fewer workers than {workers}"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _context(preload: Sequence[str]) -> multiprocessing.context.BaseContext:
    """Workers are forked off a small server process that has imported `preload` once, where the system can."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    return context


def _start_worker() -> None:
    """Called once in each worker process: one thread each, and no life after the parent's, even if that is killed."""
    _set_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _set_threads(count: int) -> None:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)


@contextmanager
def single_thread() -> Iterator[None]:
    """One thread in torch for the length of a block, so that sums are added up in the same order everywhere."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 1
    _set_threads(1)
    try:
        yield
    finally:
        _set_threads(before)
