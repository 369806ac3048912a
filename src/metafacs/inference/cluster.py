"""Spreads detection over a Ray cluster: a video, or some pictures, is a task that hands its rows over part by part.

Tasks, and not ray.data: people are followed from frame to frame, so a video is one after the other and its rows come
while it runs; when a worker dies, the work goes on at the last part that came, with the people known there, where
ray.data would begin the whole block anew; and rows have to come out in the order of the inputs.
"""

import functools
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from metafacs.errors import InputError
from metafacs.files import atomic_file
from metafacs.inference.detector import AUDetector
from metafacs.inference.sources import PICTURE, Source, source_frames
from metafacs.inference.tracking import Tracker
from metafacs.inference.watching import PART, Part, watch

PICTURES = 64
"""Pictures of one task."""
TRIES = 3
"""So often a worker may die at the same place."""
Place = dict[str, Any]
"""Where to go on: "source", "frame" and "tracker" (None: nobody is known)."""
Told = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """What every worker needs to know.

    Attributes:
        model: run folder or detector file, where all machines can read it.
        options: `finder`, `device` and `batch` of `AUDetector`.
        every: as in `Tracker`.
        faces: as in `Tracker`.
        part: frames of a part.
    """

    model: Path
    options: Mapping[str, Any]
    every: int = 1
    faces: int = 0
    part: int = PART


@dataclass(eq=False)
class Task:
    """Consecutive inputs that one worker sees to.

    Attributes:
        end: the input behind them.
        came: the place behind the parts that came.
        given: the place behind the parts that were given out.
        whole: nothing more will come.
        died: workers that died since the last part came.
    """

    end: int
    came: Place
    given: Place
    whole: bool = False
    died: int = 0


@dataclass(eq=False)
class Waiting:
    """Parts that came before their turn, each a file that is whole or absent, so that a stop does not cost them.

    Args:
        folder: where they lie.
    """

    folder: Path
    frames: int = field(default=0, init=False)

    def put(self, place: Place, part: Part) -> None:
        """Keeps a part that begins at a place."""
        metadata = {b"after": json.dumps(part.after).encode(), b"frames": str(part.frames).encode()}
        with atomic_file(self._path(place)) as partial:
            pq.write_table(part.rows.replace_schema_metadata(metadata), partial)
        self.frames += part.frames

    def get(self, place: Place) -> Part | None:
        """The part that begins at a place."""
        path = self._path(place)
        if not path.exists():
            return None
        try:
            rows = pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path} is damaged ({error}); start anew with --overwrite") from error
        found = rows.schema.metadata
        return Part(rows.replace_schema_metadata(None), int(found[b"frames"]), json.loads(found[b"after"]))

    def drop(self, place: Place, part: Part) -> None:
        """Forgets a part that was used."""
        self._path(place).unlink(missing_ok=True)
        self.frames -= part.frames

    def forget_before(self, place: Place) -> None:
        """Removes what a stop left behind although it was used, and counts the rest."""
        first = self._path(place).name
        for path in self.folder.glob("ahead-*.parquet"):
            if path.name < first:
                path.unlink()
            else:
                self.frames += int(pq.read_schema(path).metadata[b"frames"])

    def _path(self, place: Place) -> Path:
        return self.folder / f"ahead-{place['source']:09d}-{place['frame']:09d}.parquet"


def spread(
    ray: Any, job: Job, sources: Sequence[Source], folder: Path, begin: Place | None = None, told: Told | None = None
) -> Iterator[Part]:
    """The parts of `watch`, in the order of the inputs, made by the workers of a cluster.

    Rows are those of a run on one machine, but for the last digits of probabilities, because other faces share a
    batch. A part never reaches from one task into the next.

    Args:
        ray: the module, connected.
        job: what to do.
        sources: pictures and videos that every machine can read.
        folder: where parts wait for their turn.
        begin: go on from the place behind the last part that was given out.
        told: is told, now and then, how things stand.

    Raises:
        InputError: an input makes every worker die, or a worker cannot do its work.
    """
    start = begin or {"source": 0, "frame": 0, "tracker": None}
    waiting = Waiting(folder)
    waiting.forget_before(start)
    tasks = [_found(task, waiting) for task in divide(sources, start)]
    workers = _Workers(ray, job, sources, deque(task for task in tasks if not task.whole))
    try:
        for number, task in enumerate(tasks):
            while True:
                while (part := waiting.get(task.given)) is not None:
                    yield part
                    waiting.drop(task.given, part)
                    task.given = part.after
                if task.whole:
                    break
                workers.collect(waiting)
                if told:
                    told(f"{number}/{len(tasks)} tasks, {waiting.frames} frames ahead, {workers.busy} at work")
    finally:
        workers.stop()


def divide(sources: Sequence[Source], begin: Place) -> list[Task]:
    """Each video a task, and every so many pictures that follow each other; from a place on.

    Example:
        >>> inputs = [Source(name, kind, Path(name)) for name, kind in zip("abc", ("picture", "picture", "video"))]
        >>> [task.end for task in divide(inputs, {"source": 0, "frame": 0, "tracker": None})]
        [2, 3]
    """
    ends = []
    for kind, group in groupby(range(len(sources)), key=lambda k: sources[k].kind):
        places, step = list(group), PICTURES if kind == PICTURE else 1
        ends += [places[min(k + step, len(places)) - 1] + 1 for k in range(0, len(places), step)]
    starts = [0, *ends][: len(ends)]
    tasks = []
    for first, end in zip(starts, ends, strict=True):
        if end > begin["source"]:
            place = begin if first <= begin["source"] else {"source": first, "frame": 0, "tracker": None}
            tasks.append(Task(end, place, place))
    return tasks


def _found(task: Task, waiting: Waiting) -> Task:
    """A task with what came of it before a stop."""
    while (part := waiting.get(task.came)) is not None:
        task.came = part.after
    return task


class _Workers:
    """Tasks at work; one that loses its worker begins anew behind the last part that came."""

    def __init__(self, ray: Any, job: Job, sources: Sequence[Source], queue: deque[Task]) -> None:
        self._ray, self._job, self._queue = ray, replace(job, model=job.model.resolve()), queue
        self._sources = [replace(source, path=source.path.resolve()) for source in sources]
        gpus = {"num_gpus": 1} if job.options.get("device") == "cuda" else {}
        self._remote = ray.remote(num_cpus=1, max_retries=0, **gpus)(_see_to)
        self._most = max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._running: dict[Any, Task] = {}

    @property
    def busy(self) -> int:
        """How many tasks are at work."""
        return len(self._running)

    def collect(self, waiting: Waiting) -> None:
        """Waits a moment for a part, of whichever task, and keeps it."""
        while self._queue and len(self._running) < self._most:
            task = self._queue.popleft()
            inputs = self._sources[task.came["source"] : task.end]
            self._running[self._remote.options(num_returns="streaming").remote(self._job, inputs, task.came)] = task
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=1.0, fetch_local=False)
        for parts in ready:
            task = self._running[parts]
            try:
                rows, frames, after = self._ray.get(next(parts))
            except StopIteration:
                task.whole = True
                del self._running[parts]
                continue
            except self._ray.exceptions.RayTaskError as error:
                raise (error.cause if isinstance(error.cause, InputError) else error) from None
            except self._ray.exceptions.RayError as error:
                del self._running[parts]
                self._again(task, error)
                continue
            waiting.put(task.came, Part(rows, frames, after))
            task.came, task.died = after, 0

    def stop(self) -> None:
        """Ends what is still at work."""
        for parts in self._running:
            self._ray.cancel(parts, force=True)
        self._running = {}

    def _again(self, task: Task, error: Exception) -> None:
        task.died += 1
        if task.died >= TRIES:
            name = self._sources[task.came["source"]].name
            raise InputError(
                f"{task.died} workers died one after the other at frame {task.came['frame']} of {name} or just behind "
                f"it ({type(error).__name__}); what was found is kept: mend or leave out the file, then --resume"
            ) from error
        self._queue.appendleft(task)


def _see_to(job: Job, sources: Sequence[Source], begin: Place) -> Iterator[tuple[pa.Table, int, Place]]:
    """A worker's task: rows, number of frames and the place behind them, part by part."""
    offset = begin["source"]
    tracker = Tracker(job.every, job.faces)
    if begin["tracker"] is not None:
        tracker.restore(begin["tracker"])
    last = -1 if begin["tracker"] is None else 0
    detector = _detector(str(job.model), json.dumps(dict(job.options)))
    names = [source.name for source in sources]
    frames = source_frames(sources, 0, begin["frame"])
    for part in watch(detector, names, frames, tracker, last, job.part):
        moved = pa.array(part.rows["source"].to_numpy() + offset, pa.int32())
        rows = part.rows.set_column(part.rows.column_names.index("source"), "source", moved)
        yield rows, part.frames, {**part.after, "source": part.after["source"] + offset}


@functools.lru_cache(1)
def _detector(model: str, options: str) -> AUDetector:
    """Workers are processes that see to many tasks; each loads the model once."""
    return AUDetector.from_run(model, **json.loads(options))
