"""Reads frames of videos and cameras, one after the other, in constant memory.

A frame's number is its place in the order of showing, from 0. Where the file gives every packet a time of its own, the
number comes from those times, so that a damaged frame does not shift the ones behind it and the decoder can start at
the key frame before the first one that is asked for; else frames are counted.
"""

import importlib
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metafacs.errors import InputError
from metafacs.faces.face import Picture
from metafacs.faces.pictures import MOST_PIXELS, UnreadableError, check_file, read_animation

DAMAGED = "damaged frame"


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


def count_frames(path: Path) -> int:
    """How many frames a video has, without decoding them where the file says so.

    Raises:
        UnreadableError: there is no such file, or it is not a video.
    """
    av = import_av()
    check_file(path)
    try:
        with av.open(str(path)) as container:
            times = frame_times(container, av)
        if times is not None:
            return len(times)
        with av.open(str(path)) as container:
            return sum(1 for _ in decoded(container, av))
    except (av.FFmpegError, IndexError) as error:
        raise UnreadableError(f"damaged or no video ({cause(error)})") from error


def announced_frames(path: Path) -> int:
    """How many frames the header of a video announces; 0 where it does not say or is not of a video."""
    return _of_header(path, lambda container, av: int(container.streams.video[0].frames))


def expected_frames(path: Path) -> int:
    """About how many frames a video has, by its header; 0 where it does not say or is not of a video."""

    def by_length(container: Any, av: Any) -> int:
        length = container.duration / av.time_base if container.duration else 0.0
        return int(length * float(container.streams.video[0].average_rate or 0))

    return announced_frames(path) or _of_header(path, by_length)


def frame_times(container: Any, av: Any) -> list[int] | None:
    """The time of every frame in the order of showing; None where the file does not say.

    That is where packets have no time, share one, or are not to be shown, and where a codec shows frames in another
    order than it stores them but the file's times rise all the same, as in AVI.

    Raises:
        UnreadableError: there is no video in the file, its frames are too large, or no decoder here knows its kind.
    """
    if not container.streams.video:
        raise UnreadableError("no video in it")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise UnreadableError("a video that no decoder here knows")
    if stream.width * stream.height > MOST_PIXELS:
        raise UnreadableError(f"frames of {stream.width}x{stream.height} pixels, more than {MOST_PIXELS:,}")
    times = []
    try:
        for packet in container.demux(stream):
            if packet.size == 0:
                continue  # the last one, which only flushes the decoder
            if packet.pts is None or packet.is_discard:
                return None
            times.append(packet.pts)
    except av.FFmpegError:
        return None  # cut off: count what can be decoded
    in_order = sorted(times)
    if len(set(times)) < len(times) or (stream.codec_context.has_b_frames and times == in_order):
        return None
    return in_order


def decoded(container: Any, av: Any) -> Iterator[Any]:
    """Frames; a damaged packet is passed over, the end of a cut-off file is an end."""
    stream = container.streams.video[0]
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
    check_file(path)
    if path.suffix.lower() == ".webp":  # FFmpeg sees no more of them than that they move
        yield from _animated(path, start)
        return
    try:
        with av.open(str(path)) as container:
            times = frame_times(container, av)
        with av.open(str(path)) as container:
            if times is None:
                yield from _counted(container, start, av, chosen)
            else:
                yield from _timed(container, times, start, av, chosen)
    except UnreadableError:
        raise
    except PermissionError as error:
        raise UnreadableError("no permission to read it") from error
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise UnreadableError(f"damaged or no video ({cause(error)})") from error


def _timed(container: Any, times: list[int], start: int, av: Any, chosen: Container[int] | None) -> Iterator[Frame]:
    """Frames numbered by their times, so that a damaged one does not shift those behind it."""
    if start >= len(times):
        return
    stream = container.streams.video[0]
    place = {time: number for number, time in enumerate(times)}
    seconds = [(time - times[0]) * float(stream.time_base or 0) for time in times]
    if start:
        container.seek(times[start], stream=stream, backward=True)
    expected = start
    for frame in decoded(container, av):
        number = place.get(frame.pts, -1)
        if number < expected:
            continue
        for missing in range(expected, number):
            yield Frame(missing, seconds[missing], None, DAMAGED)
        yield _frame(number, seconds[number], frame, chosen)
        expected = number + 1
    for missing in range(expected, len(times)):
        yield Frame(missing, seconds[missing], None, DAMAGED)


def _counted(container: Any, start: int, av: Any, chosen: Container[int] | None) -> Iterator[Frame]:
    """Frames counted from the start, where the file does not give each a time of its own."""
    rate = float(container.streams.video[0].average_rate or 25)
    for number, frame in enumerate(decoded(container, av)):
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


def _of_header(path: Path, ask: Callable[[Any, Any], int]) -> int:
    av = import_av()
    try:
        check_file(path)
        with av.open(str(path)) as container:
            return ask(container, av)
    except (UnreadableError, av.FFmpegError, IndexError, ValueError, OSError):
        return 0
