"""One detector for many requests: a bounded queue, one picture and one video at a time."""

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from starlette.requests import Request

from metafacs.errors import InputError
from metafacs.faces.finders import NO_FACE
from metafacs.inference import AUDetector, StoppedError
from metafacs.serving.limits import Limits
from metafacs.serving.refusals import RefusedError, internal, timed_out, unreadable
from metafacs.serving.uploads import PICTURE, VIDEO, Contents, look_at, save_upload

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.3
"""So often it is asked whether the client is still there."""
RETRY_SECONDS = 5
"""After which it is worth asking a full server again."""


class Job:
    """A request that has a place in the queue.

    Attributes:
        path: where its file lies until the answer is given.
        neutral: where its neutral picture lies, if it has one.
        name: of the file, as the client calls it.
        contents: what the file is.
        begun: whether it is worked on.
        frames: of a video, so many were searched.
        table: becomes the detector's table.
    """

    name: str
    contents: Contents
    table: asyncio.Future[pd.DataFrame]

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path, self.neutral = path, path.with_name(f"{path.name}-neutral")
        self.begun, self.frames = False, 0
        self._end, self._timeout = float("inf"), limits.timeout
        self._left = threading.Event()

    def start_clock(self) -> None:
        """From now on the time for the answer runs."""
        self._end = time.monotonic() + self._timeout

    def is_over(self) -> bool:
        """Whether nobody waits any more, or for too long; asked by the thread that works."""
        return self._left.is_set() or time.monotonic() > self._end

    def count(self, frames: int) -> None:
        """Notes how many frames were searched."""
        self.frames = frames

    def leave(self) -> None:
        """Nobody waits any more: a video that is worked on ends with the next frame."""
        self._left.set()

    async def is_done(self, request: Request) -> bool:
        """Waits a moment for the table.

        Raises:
            RefusedError: time ran out, or the client went away.
        """
        await asyncio.wait({self.table}, timeout=LOOK_SECONDS)
        if not self.table.done():
            if await request.is_disconnected():
                raise RefusedError(400, "broken_off", "the client went away")
            if time.monotonic() > self._end:
                raise timed_out()
        return self.table.done()


class Service:
    """Answers requests one after the other with one detector.

    Pictures and videos have a thread each, so that a photo does not wait for a long video; the detector lets both in.

    Args:
        detector: the model.
        limits: what is accepted.
    """

    def __init__(self, detector: AUDetector, limits: Limits) -> None:
        self.detector, self.limits = detector, limits
        self._folder = TemporaryDirectory(prefix="metafacs-serve-", ignore_cleanup_errors=True)
        self._threads = {kind: ThreadPoolExecutor(1, thread_name_prefix=kind) for kind in (PICTURE, VIDEO)}
        self._jobs: set[Job] = set()  # added to by the event loop alone, so that no lock is needed

    @property
    def under_way(self) -> int:
        """Requests that have a place."""
        return len(self._jobs)

    @asynccontextmanager
    async def job(self, request: Request, faces: int, every: int, smaller: bool = False) -> AsyncIterator[Job]:
        """Takes a request in and puts it into the queue; when the block ends, its file is gone.

        Its place is free when the work on it has ended, too.

        Args:
            request: a form with a file.
            faces: take only so many faces, the largest; 0 takes all.
            every: of a video, search whole frames only every so often.
            smaller: seek smaller faces, too.

        Raises:
            RefusedError: the queue is full, or the file cannot be used.
        """
        if self.under_way >= self.limits.places:
            message = f"the queue is full ({self.limits.places} requests are under way); try again in {RETRY_SECONDS} s"
            raise RefusedError(503, "queue_full", message, {"Retry-After": str(RETRY_SECONDS)})
        job = Job(Path(self._folder.name) / secrets.token_hex(8), self.limits)
        self._jobs.add(job)
        work = None
        try:
            job.name = await save_upload(request, job.path, job.neutral, self.limits)
            job.start_clock()
            job.contents = await asyncio.to_thread(look_at, job.path, self.limits, job.is_over)
            if job.neutral.exists():
                rest = await asyncio.to_thread(look_at, job.neutral, self.limits, job.is_over)
                if rest.kind != PICTURE:
                    raise unreadable("the neutral picture is a video; send a photo")
            detector = self.detector.closer() if smaller else self.detector
            work = self._threads[job.contents.kind].submit(self._table, detector, job, faces, every)
            work.add_done_callback(lambda _: self._jobs.discard(job))
            job.table = asyncio.wrap_future(work)
            # what comes when nobody waits any more is looked at, or asyncio would log it as an error that was missed
            job.table.add_done_callback(lambda table: table.cancelled() or table.exception())
            yield job
        finally:
            job.leave()
            job.path.unlink(missing_ok=True)
            job.neutral.unlink(missing_ok=True)
            if work is None:
                self._jobs.discard(job)
            else:
                work.cancel()

    def close(self) -> None:
        """Ends what is under way; no file is left."""
        for job in list(self._jobs):
            job.leave()
        for threads in self._threads.values():
            threads.shutdown(cancel_futures=True)
        self._folder.cleanup()

    def _table(self, detector: AUDetector, job: Job, faces: int, every: int) -> pd.DataFrame:
        """The detector's table of a file, its `input` the file's name; raises nothing but RefusedError."""
        job.begun = True
        try:
            neutral = job.neutral.read_bytes() if job.neutral.exists() else None
            if job.contents.kind == VIDEO:
                table = detector.detect_video(
                    job.path, every, faces, neutral=neutral, stop=job.is_over, progress=job.count
                )
            else:
                table = detector.detect([job.path], faces, neutral=neutral)
        except StoppedError as error:
            raise timed_out() from error
        except InputError as error:
            raise unreadable(str(error)) from error
        except Exception as error:
            logger.exception("a request failed")
            raise internal() from error
        problem = str(table["problem"].iloc[0])
        if job.contents.kind == PICTURE and problem and not problem.startswith(NO_FACE):
            raise unreadable(problem)
        table["input"] = job.name
        return table
