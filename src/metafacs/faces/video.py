"""Reads frames of videos and cameras, one after the other, in constant memory.

A frame's number is its place in the order of showing, from 0. Where the file gives every packet a time of its own, the
number comes from those times, so that a damaged frame does not shift the ones behind it and the decoder can start at
the key frame before the first one that is asked for; else frames are counted.
"""

import importlib
import sys
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from metafacs.errors import InputError
from metafacs.faces.face import Picture
from metafacs.faces.pictures import MOST_PIXELS, UnreadableError, read_animation, read_header

DAMAGED = "damaged frame"
_FORMATS = (
    *("mov", "mp4", "matroska", "webm", "avi", "asf", "flv", "gif", "apng", "mpeg", "mpegts", "mpegvideo", "m4v"),
    *("h264", "hevc", "obu", "ivf", "vc1", "ogg", "mxf", "gxf", "dv", "nut", "rm", "wtv", "yuv4mpegpipe"),
)
"""What FFmpeg may open. Not still pictures; not playlists (hls, concat, dash ...), which name other files to read."""
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": ",".join(_FORMATS)}


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of an input; a picture is an input of one frame.

    Attributes:
        number: its place in the order of showing, from 0.
        time: seconds after the first frame; None for pictures.
        picture: (H, W, 3) uint8, RGB, upright; None where it cannot be had.
        problem: why it cannot.
    """

    number: int
    time: float | None
    picture: Picture | None
    problem: str = ""


def read_frames(path: Path, numbers: Sequence[int]) -> Iterator[tuple[int, Picture]]:
    """Decodes some frames of a video.

    Args:
        path: the video.
        numbers: which frames, from 0, ascending.

    Yields:
        (number, (H, W, 3) uint8, RGB), upright, ascending; numbers the video does not have, or whose frame is
        damaged, are left out.

    Raises:
        UnreadableError: there is no such file, or it is not a video.
        InputError: PyAV is missing.
    """
    av = import_av()
    if not numbers:
        return
    chosen, last = set(numbers), max(numbers)
    for frame in _video_frames(path, min(numbers), av, chosen):
        if frame.picture is not None and frame.number in chosen:
            yield frame.number, frame.picture
        if frame.number >= last:
            return


def video_frames(path: Path, start: int = 0) -> Iterator[Frame]:
    """The frames of a video from number `start` on, in the order of showing, one in memory at a time.

    Frames that the file announces but that cannot be decoded come without a picture, so that no number is missing.
    Animated WebP files are videos too.

    Raises:
        UnreadableError: it is not a video, or nothing in it can be decoded.
        InputError: PyAV is missing.
    """
    anything = start > 0
    for frame in _video_frames(path, start, import_av()):
        anything = anything or frame.picture is not None
        yield frame
    if not anything:
        raise UnreadableError("no frame of the video can be decoded")


def camera_frames(index: int) -> Iterator[Frame]:
    """The frames of a camera of this computer until the program is stopped; `index` counts from 0.

    Raises:
        InputError: there is no such camera, or it gives no pictures.
    """
    av = import_av()
    name, form = {
        "darwin": (str(index), "avfoundation"),
        "win32": (f"video={index}", "dshow"),
    }.get(sys.platform, (f"/dev/video{index}", "v4l2"))
    try:
        with av.open(name, format=form) as container:
            first: float | None = None
            for number, frame in enumerate(container.decode(video=0)):
                now = float(frame.time or 0.0)
                first = now if first is None else first
                yield Frame(number, now - first, upright(frame))
    except (av.FFmpegError, IndexError, ValueError, OSError) as error:
        raise InputError(f"camera {index} ({name}) cannot be used: {cause(error)}") from error


def is_video(path: Path) -> bool:
    """Whether a file is a video by its content; not where PyAV is missing."""
    try:
        with open_video(path, import_av()) as (_, stream):
            return stream.codec_context is not None
    except InputError:
        return False


def count_frames(path: Path) -> int:
    """How many frames a video has, without decoding them where the file says so.

    Raises:
        UnreadableError: there is no such file, or it is not a video.
    """
    av = import_av()
    with open_video(path, av) as (container, stream):
        times = frame_times(container, stream, av)
    if times is not None:
        return len(times)
    with open_video(path, av) as (container, stream):
        return sum(1 for _ in decoded(container, stream, av))


def frame_seconds(path: Path) -> list[float]:
    """When each frame of a video is shown, seconds after the first; by its rate where the file does not say.

    Raises:
        UnreadableError: there is no such file, or it is not a video.
    """
    av = import_av()
    with open_video(path, av) as (container, stream):
        times = frame_times(container, stream, av)
        base, rate = float(stream.time_base or 0), float(stream.average_rate or 25)
    if times is None:
        return [number / rate for number in range(count_frames(path))]
    return [(time - times[0]) * base for time in times]


def expected_frames(path: Path) -> int:
    """About how many frames a video has, by its header; 0 where it does not say or is not of a video."""
    av = import_av()
    try:
        with open_video(path, av) as (container, stream):
            length = container.duration / av.time_base if container.duration else 0.0
            return int(stream.frames or length * float(stream.average_rate or 0))
    except UnreadableError:
        return 0


def announced_frames(path: Path, there: int, last: float) -> int:
    """How many frames the header of a video announces, if clearly fewer are there; else 0.

    Args:
        path: the video.
        there: how many frames were read.
        last: the time of the last one, in seconds after the first.
    """
    try:
        with open_video(path, import_av()) as (container, stream):
            if there >= stream.frames - max(2, stream.frames // 100):
                return 0
            if "mov" in container.format.name and stream.duration:
                # the frames that an edit list hides are announced too; how long what remains is shown is said as well
                length = float(stream.duration * stream.time_base)
                if last >= length - max(0.02 * length, 3 / float(stream.average_rate or 25)):
                    return 0
            return int(stream.frames)
    except UnreadableError:
        return 0


def frame_rate(path: Path) -> Fraction | None:
    """Frames a second of a video; None where it does not say."""
    try:
        with open_video(path, import_av()) as (_, stream):
            return Fraction(stream.average_rate) if stream.average_rate else None
    except UnreadableError:
        return None


@contextmanager
def open_video(path: Path, av: Any) -> Iterator[tuple[Any, Any]]:
    """The container of a video and its stream: the first that moves, as the cover of a film may stand before it.

    Raises:
        UnreadableError: there is no such file, it is a still picture, or it is damaged or not a video.
    """
    header = read_header(path)
    if header is not None and not header.moves:
        raise UnreadableError(f"a still picture ({header.format}), not a video")
    try:
        with av.open(str(path), options=_OPTIONS) as container:
            if not container.streams.video:
                raise UnreadableError("no video in it")
            place = 0
            if len(container.streams.video) > 1:
                with av.open(str(path), options=_OPTIONS) as again:
                    packets = Counter(p.stream.index for p in again.demux(again.streams.video) if p.size)
                counts = [packets[stream.index] for stream in container.streams.video]
                place = next((k for k, count in enumerate(counts) if count > 1), 0)
            yield container, container.streams.video[place]
    except UnreadableError:
        raise
    except PermissionError as error:
        raise UnreadableError("no permission to read it") from error
    except (av.FFmpegError, IndexError, ValueError, OverflowError) as error:
        raise UnreadableError(f"damaged or no video ({cause(error)})") from error


def frame_times(container: Any, stream: Any, av: Any) -> list[int] | None:
    """The time of every frame that is shown, in the order of showing; None where the file does not say.

    That is where packets have no time or share one, and where a codec shows frames in another order than it stores them
    but the file's times rise all the same, as in AVI.

    Raises:
        UnreadableError: its frames are too large, or no decoder here knows its kind.
    """
    if stream.codec_context is None:
        raise UnreadableError("a video that no decoder here knows")
    if stream.width * stream.height > MOST_PIXELS:
        raise UnreadableError(f"frames of {stream.width}x{stream.height} pixels, more than {MOST_PIXELS:,}")
    times = []
    try:
        for packet in container.demux(stream):
            if packet.size == 0 or packet.is_discard:
                continue  # the last one, which only flushes the decoder, or one that an edit list hides
            if packet.pts is None:
                return None
            times.append(packet.pts)
    except av.FFmpegError:
        return None  # cut off: count what can be decoded
    in_order = sorted(times)
    if len(set(times)) < len(times) or (stream.codec_context.has_b_frames and times == in_order):
        return None
    return in_order


def decoded(container: Any, stream: Any, av: Any) -> Iterator[Any]:
    """Frames; a damaged packet is passed over, the end of a cut-off file is an end."""
    stream.codec_context.thread_count = 1  # the work is split over processes already
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            return
        try:
            yield from packet.decode()
        except av.InvalidDataError:
            continue


def upright(frame: Any) -> Picture:
    """(H, W, 3) uint8, RGB: the pixels of a decoded frame, turned as the display matrix says."""
    image = frame.to_ndarray(format="rgb24")
    quarter = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarter))


def cause(error: BaseException) -> str:
    """What FFmpeg says, without the number and the path that it puts around."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def import_av() -> Any:
    """PyAV, or an error that says how to get it."""
    try:
        return importlib.import_module("av")
    except ImportError as error:
        raise InputError(
            f"videos cannot be read because PyAV cannot be imported ({error}); install the faces extra: "
            "pip install 'metafacs[faces]'"
        ) from error


def _video_frames(path: Path, start: int, av: Any, chosen: Container[int] | None = None) -> Iterator[Frame]:
    """As `video_frames`; of frames that are not chosen the pixels are not made. No error if nothing can be decoded."""
    header = read_header(path)
    if header is not None and header.moves and header.format in ("WEBP", "AVIF"):  # FFmpeg sees only that they move
        yield from _animated(path, start)
        return
    with open_video(path, av) as (container, stream):
        times = frame_times(container, stream, av)
    with open_video(path, av) as (container, stream):
        if times is None:
            yield from _counted(container, stream, start, av, chosen)
        else:
            yield from _timed(container, stream, times, start, av, chosen)


def _timed(
    container: Any, stream: Any, times: list[int], start: int, av: Any, chosen: Container[int] | None
) -> Iterator[Frame]:
    """Frames numbered by their times, so that a damaged one does not shift those behind it."""
    if start >= len(times):
        return
    place = {time: number for number, time in enumerate(times)}
    seconds = [(time - times[0]) * float(stream.time_base or 0) for time in times]
    if start:
        container.seek(times[start], stream=stream, backward=True)
    expected = start
    for frame in decoded(container, stream, av):
        number = place.get(frame.pts, -1)
        if number < expected:
            continue
        for missing in range(expected, number):
            yield Frame(missing, seconds[missing], None, DAMAGED)
        yield _frame(number, seconds[number], frame, chosen)
        expected = number + 1
    for missing in range(expected, len(times)):
        yield Frame(missing, seconds[missing], None, DAMAGED)


def _counted(container: Any, stream: Any, start: int, av: Any, chosen: Container[int] | None) -> Iterator[Frame]:
    """Frames counted from the start, where the file does not give each a time of its own."""
    rate = float(stream.average_rate or 25)
    for number, frame in enumerate(decoded(container, stream, av)):
        if number >= start:
            yield _frame(number, number / rate, frame, chosen)


def _animated(path: Path, start: int) -> Iterator[Frame]:
    """The pictures of an animation, by Pillow."""
    time = 0.0
    for number, (picture, seconds) in enumerate(read_animation(path)):
        if number >= start:
            yield Frame(number, time, picture)
        time += seconds


def _frame(number: int, time: float, frame: Any, chosen: Container[int] | None) -> Frame:
    """A decoded frame; frames may change their size in the middle of a video."""
    if frame.width * frame.height > MOST_PIXELS:
        return Frame(number, time, None, f"a frame of {frame.width}x{frame.height} pixels")
    return Frame(number, time, None if chosen is not None and number not in chosen else upright(frame))
