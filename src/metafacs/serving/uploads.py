"""Takes uploads in, within limits, and looks at what they are before anything is decoded."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from metafacs.errors import InputError
from metafacs.faces.kinds import PICTURE, VIDEO, kind_of
from metafacs.faces.pictures import UnreadableError, read_header
from metafacs.faces.video import import_av, open_video
from metafacs.serving.limits import Limits
from metafacs.serving.refusals import RefusedError, timed_out, too_large, unreadable

FIELD, NEUTRAL = "file", "neutral"
"""Fields of the form: what is to be looked at, and, if one likes, a picture of the person with a resting face."""
NAME_LENGTH = 120
OVERHEAD = 100_000
"""Bytes of a request beside the file: the form's boundaries, names and small fields."""


@dataclass(frozen=True)
class Contents:
    """What an upload is.

    Attributes:
        kind: "picture" or "video".
        width: pixels as stored, before it is turned upright.
        height: pixels as stored.
        seconds: length; 0 for pictures.
        frames: 1 for pictures.
    """

    kind: str
    width: int
    height: int
    seconds: float
    frames: int


async def save_upload(request: Request, path: Path, neutral: Path, limits: Limits) -> str:
    """Saves the form's file, and its neutral picture if it has one, counted while they come in; returns the name.

    Raises:
        RefusedError: too large, too slow, or not a form with such a file.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise RefusedError(
            415,
            "no_form",
            f"send the photo or video as multipart/form-data, in the field '{FIELD}' (curl -F {FIELD}=@photo.jpg)",
        )
    count, most = 0, limits.most_bytes + OVERHEAD

    async def receive() -> Message:
        nonlocal count
        message = await request.receive()
        count += len(message.get("body", b""))
        if count > most:
            raise too_large(limits.most_bytes)
        return message

    with path.open("wb") as out:
        try:
            if int(request.headers.get("content-length") or 0) > most:
                raise too_large(limits.most_bytes)
            async with (
                asyncio.timeout(limits.upload_timeout),
                Request(request.scope, receive).form(max_files=2, max_fields=8) as form,
            ):
                file = form.get(FIELD)
                if not isinstance(file, UploadFile):
                    raise RefusedError(422, "no_file", f"there is no file in the field '{FIELD}' of the form; send one")
                await asyncio.to_thread(shutil.copyfileobj, file.file, out)
                if isinstance(rest := form.get(NEUTRAL), UploadFile):
                    with neutral.open("wb") as second:
                        await asyncio.to_thread(shutil.copyfileobj, rest.file, second)
                return clean_name(file.filename)
        except RefusedError:
            raise
        except TimeoutError as error:
            message = f"the upload took longer than {limits.upload_timeout:g} s; try a smaller file"
            raise RefusedError(408, "slow_upload", message) from error
        except ClientDisconnect as error:
            raise RefusedError(400, "broken_off", "the upload was broken off") from error
        except (HTTPException, ValueError, LookupError, AssertionError, RuntimeError) as error:
            # what the parser refuses, and what it lets through of malformed headers
            reason = getattr(error, "detail", None) or str(error) or type(error).__name__
            raise RefusedError(400, "bad_form", f"the form cannot be read: {reason}") from error


def clean_name(name: str | None) -> str:
    """A file's name without folders and without what cannot be shown.

    Example:
        >>> clean_name("../../etc/passwd")
        'passwd'
        >>> clean_name(None)
        'upload'
    """
    last = (name or "").replace("\\", "/").rsplit("/", 1)[-1].encode("utf-8", "replace").decode()
    return "".join(letter for letter in last if letter.isprintable())[-NAME_LENGTH:] or "upload"


def look_at(path: Path, limits: Limits, stopped: Callable[[], bool] = lambda: False) -> Contents:
    """What a file is, from its content alone; its pixels are not decoded.

    Args:
        path: the file.
        limits: what is accepted.
        stopped: asked now and then; true ends the reading of a long file.

    Raises:
        RefusedError: it is neither picture nor video, or too large or long.
    """
    if not path.stat().st_size:
        raise unreadable("it is empty")
    if path.stat().st_size > limits.most_bytes:
        raise too_large(limits.most_bytes)
    header = read_header(path, weakly=True) if kind_of(path) == PICTURE else None
    if header is not None:
        found = Contents(PICTURE, header.width, header.height, 0.0, 1)
    else:
        found = _video(path, limits, stopped)
    if found.width * found.height > limits.most_pixels:
        raise RefusedError(
            413,
            "too_many_pixels",
            f"{found.width} x {found.height} pixels are more than the {limits.most_pixels / 1e6:g} million that this "
            "server takes; make the picture smaller",
        )
    return found


def _video(path: Path, limits: Limits, stopped: Callable[[], bool]) -> Contents:
    """Counts a video's packets, because what its header says of its length need not be true."""
    try:
        av = import_av()
    except InputError as error:
        raise RefusedError(501, "no_videos", f"this server reads photos only: {error}") from error
    try:
        with open_video(path, av) as (container, stream):
            if stream.codec_context is None or stream.width < 1 or stream.height < 1:
                raise unreadable("its pictures have no size")
            frames, seconds = _span(container, stream, limits, stopped)
            return Contents(VIDEO, stream.width, stream.height, seconds, frames)
    except UnreadableError as error:
        raise unreadable(f"no picture or video of a known format, or a damaged one: {error}") from error


def _span(container: Any, stream: Any, limits: Limits, stopped: Callable[[], bool]) -> tuple[int, float]:
    """Frames and seconds; stops as soon as there are too many."""
    base, frames = float(stream.time_base or 0), 0
    first = last = None
    for packet in container.demux(stream):
        if packet.size == 0:
            continue
        frames += 1
        time_of = packet.pts if packet.pts is not None else packet.dts
        if time_of is not None:
            first = time_of if first is None else min(first, time_of)
            last = time_of if last is None else max(last, time_of)
        seconds = 0.0 if first is None or last is None else (last - first) * base
        if frames > limits.most_frames or seconds > limits.most_seconds:
            raise RefusedError(
                413,
                "too_long",
                f"the video is longer than the {limits.most_seconds:g} s or {limits.most_frames:,} frames that this "
                "server takes; cut it, or use `metafacs detect`, which has no limit",
            )
        if stopped():
            raise timed_out()
    if not frames:
        raise unreadable("there is no frame in the video")
    return frames, 0.0 if first is None or last is None else (last - first) * base
