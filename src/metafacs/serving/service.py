"""One detector for many requests: a bounded queue, pictures in batches, one video at a time."""

import ctypes
import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

import pandas as pd

from metafacs.errors import InputError
from metafacs.faces.pictures import UnreadableError
from metafacs.inference import AUDetector, StoppedError
from metafacs.serving.limits import Limits, RefusedError, unreadable
from metafacs.serving.uploads import VIDEO

logger = logging.getLogger(__name__)

TOGETHER = 8
"""So many waiting pictures are given to the detector at once."""
LONGEST_WAIT = 120
"""Seconds: the largest `Retry-After`."""
IDLE = 1.0
"""Seconds without a request after which freed memory goes back."""


class Job:
    """A request that has its place.

    Attributes:
        table: becomes the detector's table.
        done: frames of a video that were searched.
    """

    def __init__(self, leave: Callable[["Job"], None]) -> None:
        self.table: Future[pd.DataFrame] = Future()
        self.done = 0
        self.kind, self.path, self.faces, self.every = "", Path(), 0, 1
        self.begun: float | None = None
        self._stop = threading.Event()
        self._leave = leave
        self._given = False

    def give(self, kind: str, path: Path, faces: int, every: int) -> None:
        """Says what is to be done."""
        self.kind, self.path, self.faces, self.every = kind, path, faces, every
        self._given = True
        self.table.add_done_callback(lambda _: self._leave(self))

    def stop(self) -> None:
        """Nobody waits any more: work ends soon, and the place is free when it has ended."""
        self._stop.set()
        self.table.cancel()
        if not self._given:
            self._leave(self)

    def searched(self, frames: int) -> None:
        """So many frames of a video are done."""
        self.done = frames

    def stopped(self) -> bool:
        """Whether nobody waits any more."""
        return self._stop.is_set()


class Service:
    """Answers requests one after the other with one detector.

    Pictures and videos have a thread each, so that a photo does not wait for a long video; the detector lets both in.

    Args:
        detector: the model.
        limits: how many requests may be under way.
    """

    def __init__(self, detector: AUDetector, limits: Limits) -> None:
        self.detector, self.limits = detector, limits
        self._lock = threading.Lock()
        self._inside: set[Job] = set()
        self._seconds = 1.0
        self._pictures: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._videos: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._serve_pictures, name="pictures", daemon=True),
            threading.Thread(target=self._serve_videos, name="videos", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def enter(self) -> Job:
        """A place; to be asked for before the upload is read.

        Raises:
            RefusedError: all are taken.
        """
        with self._lock:
            if len(self._inside) >= self.limits.places:
                wait = min(LONGEST_WAIT, max(1, math.ceil(self._seconds * len(self._inside) / 2)))
                said = f"the queue is full ({self.limits.places} requests are under way); try again in {wait} s"
                raise RefusedError(503, "queue_full", said, wait)
            job = Job(self._left)
            self._inside.add(job)
            return job

    def submit(self, job: Job, kind: str, path: Path, faces: int = 0, every: int = 1) -> None:
        """Begins the work on a job; the file must stay until its table is done.

        Args:
            job: from `enter`.
            kind: "picture" or "video".
            path: the file.
            faces: take only so many faces, the largest; 0 takes all.
            every: of a video, search whole frames only every so often.
        """
        job.give(kind, path, faces, every)
        (self._videos if kind == VIDEO else self._pictures).put(job)

    def under_way(self) -> int:
        """Requests that have a place."""
        with self._lock:
            return len(self._inside)

    def close(self) -> None:
        """Ends what is under way and the threads."""
        with self._lock:
            jobs = list(self._inside)
        for job in jobs:
            job.stop()
        self._pictures.put(None)
        self._videos.put(None)
        for thread in self._threads:
            thread.join(10)

    def _left(self, job: Job) -> None:
        with self._lock:
            self._inside.discard(job)
            if job.begun is not None:
                self._seconds = 0.9 * self._seconds + 0.1 * (time.monotonic() - job.begun)

    def _serve_pictures(self) -> None:
        while (first := _next(self._pictures)) is not None:
            jobs, last = [first], False
            while len(jobs) < TOGETHER and not self._pictures.empty():
                more = self._pictures.get()
                if more is None:
                    last = True
                    break
                jobs.append(more)
            for faces in {job.faces for job in jobs}:
                self._answer_pictures([job for job in jobs if job.faces == faces and _starts(job)], faces)
            if last:
                return

    def _answer_pictures(self, jobs: Sequence[Job], faces: int) -> None:
        if not jobs:
            return
        try:
            table = self.detector.detect([job.path for job in jobs], faces)
            parts = dict(iter(table.groupby("input", sort=False)))
            for job in jobs:
                _settle(job, parts[str(job.path)].reset_index(drop=True))
        except Exception as error:
            if len(jobs) == 1:
                _fail(jobs[0], error)
                return
            for job in jobs:  # one bad file must not cost the others their answers
                if not job.table.done():
                    self._answer_pictures([job], faces)

    def _serve_videos(self) -> None:
        while (job := _next(self._videos)) is not None:
            if not _starts(job):
                continue
            try:
                table = self.detector.detect_video(
                    job.path, job.every, job.faces, stop=job.stopped, progress=job.searched
                )
                _settle(job, table)
            except Exception as error:
                _fail(job, error)


def _next(waiting: "queue.SimpleQueue[Job | None]") -> Job | None:
    """The next job; where there is none for a while, memory goes back to the system first."""
    with suppress(queue.Empty):
        return waiting.get(timeout=IDLE)
    release_memory()
    return waiting.get()


def release_memory() -> None:
    """Gives memory that was freed back to the system; the C library of Linux would keep it for the next request."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _starts(job: Job) -> bool:
    if not job.table.set_running_or_notify_cancel():
        return False
    job.begun = time.monotonic()
    return True


def _settle(job: Job, table: pd.DataFrame) -> None:
    if not job.table.done():
        job.table.set_result(table)


def _fail(job: Job, error: BaseException) -> None:
    if isinstance(error, StoppedError):
        error = RefusedError(503, "timeout", "the answer took too long; try a shorter video", 10)
    elif isinstance(error, UnreadableError | InputError):
        error = unreadable(str(error))
    elif not isinstance(error, RefusedError):
        logger.error("a request failed", exc_info=error)
        error = RefusedError(500, "internal", "something went wrong here; the server's log has the details")
    if not job.table.done():
        job.table.set_exception(error)
