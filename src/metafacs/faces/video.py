"""Reads frames of videos by their number, one after the other, in constant memory.

A frame's number is its place in the order of showing, from 0. Where the file gives every packet a time of its own, the
number comes from those times, so that a damaged frame does not shift the ones behind it and the decoder can start at
the key frame before the first wanted one; else frames are counted.
"""

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metafacs.errors import InputError
from metafacs.faces.pictures import UnreadableError, check_file

Picture = NDArray[np.uint8]


def read_frames(path: Path, numbers: Sequence[int]) -> Iterator[tuple[int, Picture]]:
    """Decodes some frames of a video.

    Args:
        path: the video.
        numbers: which frames, from 0, ascending.

    Yields:
        (number, (H, W, 3) uint8, RGB), upright, ascending; numbers the video does not have, or whose frame is
        damaged, are left out.

    Raises:
        UnreadableError: there is no such file, or it is no video.
        InputError: PyAV is missing.
    """
    av = import_av()
    wanted = set(numbers)
    if not wanted:
        return
    check_file(path)
    try:
        with av.open(str(path)) as container:
            times = frame_times(container, av)
        last = max(wanted)
        with av.open(str(path)) as container:
            for number, frame in _numbered(container, times, min(wanted), av):
                if number in wanted:
                    yield number, upright(frame)
                if number >= last:
                    return
    except (av.FFmpegError, IndexError) as error:
        raise UnreadableError(f"damaged or no video ({cause(error)})") from error


def count_frames(path: Path) -> int:
    """How many frames a video has, without decoding them where the file says so.

    Raises:
        UnreadableError: there is no such file, or it is no video.
    """
    av = import_av()
    check_file(path)
    try:
        with av.open(str(path)) as container:
            times = frame_times(container, av)
        if times is not None:
            return len(times)
        with av.open(str(path)) as container:
            return sum(1 for _ in _numbered(container, None, 0, av))
    except (av.FFmpegError, IndexError) as error:
        raise UnreadableError(f"damaged or no video ({cause(error)})") from error


def frame_times(container: Any, av: Any) -> list[int] | None:
    """The time of every frame in the order of showing; None where the file does not say.

    That is where packets have no time, share one, or are not to be shown, and where a codec shows frames in another
    order than it stores them but the file's times rise all the same, as in AVI.

    Raises:
        UnreadableError: the file does not even say what kind of video it holds.
    """
    times = []
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise UnreadableError("a video that no decoder here knows")
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


def _numbered(container: Any, times: list[int] | None, first: int, av: Any) -> Iterator[tuple[int, Any]]:
    stream = container.streams.video[0]
    if times is None:
        for number, frame in enumerate(decoded(container, av)):
            yield number, frame
        return
    place = {time: number for number, time in enumerate(times)}
    if 0 < first < len(times):
        container.seek(times[first], stream=stream, backward=True)
    for frame in decoded(container, av):
        if frame.pts in place:
            yield place[frame.pts], frame


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
