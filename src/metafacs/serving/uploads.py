"""Takes uploads in, within limits, and looks at what they are before anything is decoded."""

import asyncio
import time
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from metafacs.errors import InputError
from metafacs.faces.pictures import UNREADABLE
from metafacs.faces.video import import_av
from metafacs.serving.limits import Limits, RefusedError, too_large, unreadable

PICTURE, VIDEO = "picture", "video"
FIELD = "file"
PICTURE_FORMATS = frozenset({"JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF"})
"""What Pillow may read here. Not EPS (runs Ghostscript) and other formats that do more than hold pixels."""
VIDEO_FORMATS = frozenset(
    {
        *("mov", "mp4", "m4a", "3gp", "3g2", "mj2", "m4v", "matroska", "webm", "avi", "asf", "flv", "gif"),
        *("mpeg", "mpegts", "mpegvideo", "h264", "hevc", "ogg"),
    }
)
"""What FFmpeg may open here. Not playlists (hls, concat, dash ...), which name other files and addresses to read."""
NAME_LENGTH = 120
OVERHEAD = 100_000
"""Bytes of a request beside the file: the form's boundaries, names and small fields."""
DRAIN_SECONDS = 5.0


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


@asynccontextmanager
async def received(request: Request, limits: Limits) -> AsyncIterator[tuple[str, BinaryIO]]:
    """The name and content of the form's file; counted while it comes in, gone from disk when the block ends.

    Raises:
        RefusedError: too large, too slow, or no form with such a file.
    """
    form = await _form(request, limits)
    try:
        file = form.get(FIELD)
        if not isinstance(file, UploadFile):
            raise RefusedError(422, "no_file", f"there is no file in the field '{FIELD}' of the form; send one there")
        yield clean_name(file.filename), file.file
    finally:
        await form.close()


async def _form(request: Request, limits: Limits) -> FormData:
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        await drain(request, limits)
        raise RefusedError(
            415,
            "no_form",
            f"send the photo or video as multipart/form-data, in the field '{FIELD}' (curl -F {FIELD}=@photo.jpg)",
        )
    if int(request.headers.get("content-length") or 0) > limits.most_bytes + OVERHEAD:
        await drain(request, limits)
        raise too_large(limits.most_bytes)
    body = _Counted(request, limits)
    try:
        return await Request(request.scope, body).form(max_files=1, max_fields=8)
    except ClientDisconnect as error:
        raise RefusedError(400, "broken_off", "the upload was broken off") from error
    except HTTPException as error:
        if not body.ended:  # else there is nothing left to wait for, and its place in the queue would be held
            await drain(request, limits)
        raise RefusedError(400, "bad_form", f"the form cannot be read: {error.detail}") from error
    except (ValueError, LookupError, AssertionError, RuntimeError) as error:
        # what the parser lets through of malformed headers
        raise RefusedError(400, "bad_form", f"the form cannot be read: {error or type(error).__name__}") from error


class _Counted:
    """Takes a request's body in, as far as the limits allow.

    Attributes:
        ended: whether all of it was taken.
    """

    def __init__(self, request: Request, limits: Limits) -> None:
        self.ended = False
        self._request, self._limits = request, limits
        self._count, self._end = 0, time.monotonic() + limits.upload_timeout

    async def __call__(self) -> Message:
        try:
            message = await asyncio.wait_for(self._request.receive(), max(0.001, self._end - time.monotonic()))
        except TimeoutError as error:
            wanted = f"the upload took longer than {self._limits.upload_timeout:g} s; try a smaller file"
            raise RefusedError(408, "slow_upload", wanted) from error
        self.ended = message["type"] == "http.disconnect" or not message.get("more_body", False)
        self._count += len(message.get("body", b""))
        if self._count > self._limits.most_bytes + OVERHEAD:
            raise too_large(self._limits.most_bytes)
        return message


async def drain(request: Request, limits: Limits) -> None:
    """Reads and forgets the rest of a refused request: else the connection breaks before the reason is read."""
    left, end = limits.most_bytes * 2, time.monotonic() + DRAIN_SECONDS
    with suppress(TimeoutError, ClientDisconnect, RuntimeError):
        while left > 0 and time.monotonic() < end:
            message = await asyncio.wait_for(request.receive(), max(0.001, end - time.monotonic()))
            left -= len(message.get("body", b""))
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                return


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
    found = _picture(path)
    if found is None:
        found = _video(path, limits, stopped)
    if found.width * found.height > limits.most_pixels:
        raise RefusedError(
            413,
            "too_many_pixels",
            f"{found.width} x {found.height} pixels are more than the {limits.most_pixels / 1e6:g} million that this "
            "server takes; make the picture smaller",
        )
    return found


def _picture(path: Path) -> Contents | None:
    """None: no still picture."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            if image.format not in PICTURE_FORMATS:
                return None
            if image.format == "GIF" and int(getattr(image, "n_frames", 1)) > 1:
                return None
            return Contents(PICTURE, image.width, image.height, 0.0, 1)
    except (*UNREADABLE, IndexError, MemoryError, Image.DecompressionBombError):
        return None


def _video(path: Path, limits: Limits, stopped: Callable[[], bool]) -> Contents:
    """Counts a video's packets, because what its header says of its length need not be true."""
    try:
        av = import_av()
    except InputError as error:
        raise RefusedError(501, "no_videos", f"this server reads photos only: {error}") from error
    options = {"protocol_whitelist": "file", "format_whitelist": ",".join(sorted(VIDEO_FORMATS))}
    try:
        with av.open(str(path), options=options) as container:
            names = set(container.format.name.split(","))
            if not names & VIDEO_FORMATS or not container.streams.video:
                raise unreadable("no picture or video of a known format")
            stream = container.streams.video[0]
            if stream.codec_context is None or stream.width < 1 or stream.height < 1:
                raise unreadable("its pictures have no size")
            frames, seconds = _span(container, stream, limits, stopped)
            return Contents(VIDEO, stream.width, stream.height, seconds, frames)
    except (av.FFmpegError, IndexError, ValueError, OverflowError) as error:
        raise unreadable("no picture or video of a known format, or a damaged one") from error


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
            raise RefusedError(503, "timeout", "the video took too long to read", 10)
    if not frames:
        raise unreadable("there is no frame in the video")
    return frames, 0.0 if first is None or last is None else (last - first) * base
