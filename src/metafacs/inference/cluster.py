"""Spreads detection over a Ray cluster: a video, or some pictures, is a task of Ray and makes one part.

Tasks, and not ray.data: people are followed from frame to frame, so that nothing smaller than a video can be divided.
"""

import functools
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from metafacs.errors import InputError
from metafacs.inference.detector import AUDetector
from metafacs.inference.rows import raw_schema
from metafacs.inference.sources import PICTURE, Source, source_frames
from metafacs.inference.watching import Part, watch

PICTURES = 64
"""Pictures of one task."""
TRIES = 3
"""So often Ray gives a task to another worker when one dies."""


@dataclass(frozen=True)
class Work:
    """What every worker needs to know.

    Attributes:
        model: run folder or detector file, where all machines can read it.
        options: `finder`, `device` and `batch` of `AUDetector`.
        every: as in `Tracker`.
        faces: as in `Tracker`.
    """

    model: Path
    options: Mapping[str, Any]
    every: int = 1
    faces: int = 0


def spread(
    ray: Any, work: Work, sources: Sequence[Source], begin: Mapping[str, Any] | None, note: Callable[[str], None]
) -> Iterator[Part]:
    """A part of each task, in the order of the inputs, made by the workers of a cluster.

    Rows are those of a run on one machine, but for the last digits of probabilities, because other faces share a
    batch. What is done before its turn waits in the memory of the cluster.

    Args:
        ray: the module, connected.
        work: what to do.
        sources: pictures and videos that every machine can read.
        begin: go on from the place behind the last part that was given out.
        note: is told, now and then, how many tasks are done.

    Raises:
        InputError: an input makes every worker die, or a worker cannot do its work.
    """
    gpus = {"num_gpus": 1} if work.options.get("device") == "cuda" else {}
    remote = ray.remote(num_cpus=1, max_retries=TRIES, **gpus)(_detect)
    work = replace(work, model=work.model.resolve())
    everywhere = [
        replace(one, path=one.path.resolve(), pictures={k: path.resolve() for k, path in one.pictures.items()})
        for one in sources
    ]
    start = begin or {"source": 0, "frame": 0, "tracker": None}
    waiting = deque[tuple[int, Any]]()
    for first, end in divide(sources, start["source"]):
        place = start if first == start["source"] else {"source": first, "frame": 0, "tracker": None}
        waiting.append((first, remote.remote(work, everywhere[first:end], place)))
    total = len(waiting)
    try:
        while waiting:
            first, result = waiting[0]
            while not ray.wait([result], timeout=1.0, fetch_local=False)[0]:
                results = [one for _, one in waiting]
                ready, _ = ray.wait(results, num_returns=len(results), timeout=0, fetch_local=False)
                note(f"{total - len(waiting) + len(ready)}/{total} tasks")
            part = Part(*ray.get(result))
            waiting.popleft()
            yield part
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, InputError) else error) from None
    except ray.exceptions.RayError as error:
        raise InputError(
            f"{TRIES + 1} workers died one after the other at {sources[first].name} or just behind it "
            f"({type(error).__name__}); what was found is kept: mend or leave out the file, then --resume"
        ) from error
    finally:
        for _, result in waiting:
            ray.cancel(result, force=True)


def divide(sources: Sequence[Source], first: int = 0) -> list[tuple[int, int]]:
    """Each video a task, and every so many pictures that follow each other: first input and the one behind the last.

    Example:
        >>> inputs = [Source(name, kind, Path(name)) for name, kind in zip("abc", ("picture", "picture", "video"))]
        >>> divide(inputs)
        [(0, 2), (2, 3)]
    """
    tasks = []
    for kind, group in groupby(range(first, len(sources)), key=lambda k: sources[k].kind):
        places, step = list(group), PICTURES if kind == PICTURE else 1
        tasks += [(places[k], places[min(k + step, len(places)) - 1] + 1) for k in range(0, len(places), step)]
    return tasks


def _detect(work: Work, sources: Sequence[Source], begin: Mapping[str, Any]) -> tuple[pa.Table, int, dict[str, Any]]:
    """A worker's task: rows, number of frames and the place behind them."""
    detector, first = _detector(str(work.model), json.dumps(dict(work.options))), begin["source"]
    tracker = detector.tracker(work.every, work.faces)
    if begin["tracker"] is not None:
        tracker.restore(begin["tracker"])
    frames = ((first + k, frame) for k, frame in source_frames(sources, 0, begin["frame"]))
    names = {first + k: source.name for k, source in enumerate(sources)}
    parts = list(watch(detector, names, frames, tracker, -1 if begin["tracker"] is None else first))
    rows = pa.concat_tables([raw_schema(detector.aus).empty_table(), *(part.rows for part in parts)])
    return rows, sum(part.frames for part in parts), parts[-1].after if parts else dict(begin)


@functools.lru_cache(1)
def _detector(model: str, options: str) -> AUDetector:
    """Workers are processes that see to many tasks; each loads the model once."""
    return AUDetector.from_run(model, **json.loads(options))
