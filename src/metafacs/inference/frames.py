"""The frames of videos and cameras, one after the other, every one accounted for, decoded ahead of their use."""

import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from metafacs.errors import InputError
from metafacs.faces.pictures import MOST_PIXELS, UnreadableError, check_file, read_animation, read_picture
from metafacs.faces.video import cause, decoded, frame_times, import_av, upright

Picture = NDArray[np.uint8]
T = TypeVar("T")

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


def picture_frame(source: Path | bytes) -> Frame:
    """The only frame of a picture; one that cannot be read says why."""
    try:
        return Frame(0, None, read_picture(source))
    except UnreadableError as error:
        return Frame(0, None, None, str(error))
    except PermissionError:
        return Frame(0, None, None, "no permission to read it")


def video_frames(path: Path, start: int = 0) -> Iterator[Frame]:
    """The frames of a video from number `start` on, in the order of showing, one in memory at a time.

    Frames that the file announces but that cannot be decoded come without a picture, so that no number is missing.
    Animated WebP files are videos too.

    Raises:
        UnreadableError: no video, or nothing in it can be decoded.
        InputError: PyAV is missing.
    """
    av = import_av()
    check_file(path)
    if path.suffix.lower() == ".webp":  # FFmpeg sees no more of them than that they move
        yield from _animated(path, start)
        return
    try:
        with av.open(str(path)) as container:
            _check_video(container)
            times = frame_times(container, av)
        with av.open(str(path)) as container:
            made = _counted(container, start, av) if times is None else _timed(container, times, start, av)
            anything = start > 0
            for frame in made:
                anything = anything or frame.picture is not None
                yield frame
    except UnreadableError:
        raise
    except PermissionError as error:
        raise UnreadableError("no permission to read it") from error
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise UnreadableError(f"damaged or no video ({cause(error)})") from error
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


def announced_frames(path: Path) -> int:
    """How many frames the header of a video announces; 0 where it does not say or is no video."""
    return _of_header(path, lambda container, av: int(container.streams.video[0].frames))


def expected_frames(path: Path) -> int:
    """About how many frames a video has, by its header; 0 where it does not say or is no video."""
    return announced_frames(path) or _of_header(path, _by_length)


def _by_length(container: Any, av: Any) -> int:
    length = container.duration / av.time_base if container.duration else 0.0
    return int(length * float(container.streams.video[0].average_rate or 0))


def _of_header(path: Path, ask: Callable[[Any, Any], int]) -> int:
    av = import_av()
    try:
        check_file(path)
        with av.open(str(path)) as container:
            return ask(container, av)
    except (UnreadableError, av.FFmpegError, IndexError, ValueError, OSError):
        return 0


def ahead(items: Iterator[T], depth: int = 3) -> Generator[T, None, None]:
    """The same items, made by a thread of their own while earlier ones are used; at most `depth` wait."""
    waiting: Queue[Callable[[], T] | None] = Queue(depth)
    stop = threading.Event()

    def put(item: Callable[[], T] | None) -> None:
        while not stop.is_set():
            with suppress(Full):
                waiting.put(item, timeout=0.1)
                return

    def work() -> None:
        try:
            for item in items:
                put(lambda item=item: item)  # type: ignore[misc]
                if stop.is_set():
                    return
            put(None)
        except BaseException as error:
            put(_raising(error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (found := _get(waiting)) is not None:
            yield found()
    finally:
        stop.set()
        thread.join(5)


def _get(waiting: "Queue[Callable[[], T] | None]") -> Callable[[], T] | None:
    while True:  # a wait without an end would keep Ctrl-C from being seen on some systems
        with suppress(Empty):
            return waiting.get(timeout=0.5)


def _raising(error: BaseException) -> Callable[[], Any]:
    def throw() -> Any:
        raise error

    return throw


def _check_video(container: Any) -> None:
    if not container.streams.video:
        raise UnreadableError("no video in it")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise UnreadableError("a video that no decoder here knows")
    if stream.width * stream.height > MOST_PIXELS:
        raise UnreadableError(f"frames of {stream.width}x{stream.height} pixels, more than {MOST_PIXELS:,}")


def _timed(container: Any, times: list[int], start: int, av: Any) -> Iterator[Frame]:
    """Frames numbered by their times, so that a damaged one does not shift those behind it."""
    if start >= len(times):
        return
    stream = container.streams.video[0]
    place = {time: number for number, time in enumerate(times)}
    seconds = float(stream.time_base or 0)
    if start:
        container.seek(times[start], stream=stream, backward=True)
    expected = start
    for frame in decoded(container, av):
        number = place.get(frame.pts, -1)
        if number < expected:
            continue
        for missing in range(expected, number):
            yield Frame(missing, (times[missing] - times[0]) * seconds, None, DAMAGED)
        yield _seen(number, (frame.pts - times[0]) * seconds, frame)
        expected = number + 1
    for missing in range(expected, len(times)):
        yield Frame(missing, (times[missing] - times[0]) * seconds, None, DAMAGED)


def _counted(container: Any, start: int, av: Any) -> Iterator[Frame]:
    """Frames counted from the start, where the file does not give each a time of its own."""
    rate = float(container.streams.video[0].average_rate or 25)
    for number, frame in enumerate(decoded(container, av)):
        if number >= start:
            yield _seen(number, number / rate, frame)


def _animated(path: Path, start: int) -> Iterator[Frame]:
    """The pictures of an animation, by Pillow."""
    time = 0.0
    for number, (picture, seconds) in enumerate(read_animation(path)):
        if number >= start:
            yield Frame(number, time, picture)
        time += seconds


def _seen(number: int, time: float, frame: Any) -> Frame:
    """A decoded frame; frames may change their size in the middle of a video."""
    if frame.width * frame.height > MOST_PIXELS:
        return Frame(number, time, None, f"a frame of {frame.width}x{frame.height} pixels")
    return Frame(number, time, upright(frame))
