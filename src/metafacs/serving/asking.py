"""From an upload to the detector's table: the one way that the API and the page share."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import BinaryIO

import pandas as pd
from starlette.requests import Request

from metafacs.inference.rows import NO_FACE
from metafacs.serving.limits import RefusedError, unreadable
from metafacs.serving.service import Job, Service
from metafacs.serving.uploads import PICTURE, Contents, drain, look_at, received

LOOK_SECONDS = 0.5
"""So often it is asked whether the client is still there."""


@dataclass(frozen=True, eq=False)
class Asked:
    """A request that is being worked on.

    Attributes:
        name: of the file.
        path: where it lies until the answer is given.
        contents: what it is.
        job: its place.
    """

    name: str
    path: Path
    contents: Contents
    job: Job


@asynccontextmanager
async def asked(request: Request, service: Service, folder: Path, faces: int, every: int) -> AsyncIterator[Asked]:
    """Takes a request in and starts the work; when the block ends, its file is gone and so is its place.

    Args:
        request: a form with a file.
        service: that answers.
        folder: private folder for files under way.
        faces: take only so many faces, the largest; 0 takes all.
        every: of a video, search whole frames only every so often.

    Raises:
        RefusedError: the queue is full, or the file cannot be used.
    """
    try:
        job = service.enter()
    except RefusedError:
        await drain(request, service.limits)
        raise
    place = Path(mkdtemp(dir=folder))
    try:
        path = place / "upload"
        async with received(request, service.limits) as (name, content):
            await asyncio.to_thread(_write, path, content)
        end = time.monotonic() + service.limits.timeout
        late = lambda: job.stopped() or time.monotonic() > end  # noqa: E731 - asked often, from another thread
        contents = await asyncio.to_thread(look_at, path, service.limits, late)
        service.submit(job, contents.kind, path, faces, every)
        yield Asked(name, path, contents, job)
    finally:
        job.stop()
        shutil.rmtree(place, ignore_errors=True)  # not in a thread: it must happen even where this task is cancelled


async def table_of(
    found: Asked,
    timeout: float,
    gone: Callable[[], Awaitable[bool]],
    each: float = LOOK_SECONDS,
) -> AsyncIterator[pd.DataFrame | None]:
    """None every so often while the work goes on, then the table, its `input` the name of the file.

    Args:
        found: the request.
        timeout: seconds.
        gone: whether the client went away.
        each: seconds between two looks.

    Raises:
        RefusedError: the file cannot be read, time ran out, or nobody is there any more.
    """
    future, end = asyncio.wrap_future(found.job.table), time.monotonic() + timeout
    while not future.done():
        await asyncio.wait({future}, timeout=each)
        if future.done():
            break
        if await gone():
            raise RefusedError(400, "broken_off", "the client went away")
        if time.monotonic() > end:
            raise RefusedError(503, "timeout", f"no answer within {timeout:g} s; try a shorter video, or later", 30)
        yield None
    with suppress(asyncio.CancelledError):
        table = future.result()
        problem = str(table["problem"].iloc[0])
        if found.contents.kind == PICTURE and problem not in ("", NO_FACE):
            raise unreadable(problem)
        table["input"] = found.name
        yield table
        return
    raise RefusedError(503, "stopping", "the server is being stopped", 10)


def _write(path: Path, content: BinaryIO) -> None:
    with path.open("wb") as out:
        shutil.copyfileobj(content, out)
