"""Writes pictures and videos again, with boxes and AU bars, from a finished table."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from metafacs.files import atomic_file
from metafacs.inference.drawing import Picture, draw
from metafacs.inference.frames import Frame, import_av
from metafacs.inference.outputs import read_groups
from metafacs.inference.sources import PICTURE, VIDEO, Source, source_frames

RATE = 25
"""Frames a second where a video does not say."""


def write_overlays(
    folder: Path, sources: Sequence[Source], tables: Iterable[pd.DataFrame], aus: Sequence[str]
) -> Iterator[int]:
    """Writes every input again, drawn on, into `folder`: pictures as PNG, videos as MP4 without sound.

    Frames that cannot be seen are left out. Inputs of one name are numbered.

    Args:
        folder: where to.
        sources: the inputs; cameras are passed over, as their frames are gone.
        tables: the finished rows, in the columns of `rows.tidy` and `source`, in order.
        aus: AU columns.

    Yields:
        How many frames are done, after each.
    """
    places = overlay_paths(folder, sources)
    frames = source_frames([source for source in sources if source.kind in (PICTURE, VIDEO)])
    with ExitStack() as stack:
        writer, current = None, -1
        for count, ((place, frame), (_, rows)) in enumerate(zip(frames, _groups(tables), strict=False)):
            if place != current:
                stack.close()
                writer, current = None, place
            if frame.picture is not None:
                drawn = draw(frame.picture, rows, aus)
                if sources[place].kind == PICTURE:
                    _write_picture(places[place], drawn)
                else:
                    if writer is None:
                        rate = _rate(sources[place].path)
                        writer = _VideoWriter(stack.enter_context(atomic_file(places[place])), drawn, rate, stack)
                    writer.write(drawn, frame)
            yield count + 1


def overlay_paths(folder: Path, sources: Sequence[Source]) -> list[Path]:
    """Where the drawn copy of each input goes."""
    taken: set[str] = set()
    paths = []
    for source in sources:
        ending = ".mp4" if source.kind == VIDEO else ".png"
        name, number = f"{source.path.stem}_aus{ending}", 1
        while name in taken:
            number += 1
            name = f"{source.path.stem}_aus_{number}{ending}"
        taken.add(name)
        paths.append(folder / name)
    return paths


def _groups(tables: Iterable[pd.DataFrame]) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    return read_groups(tables, ["source", "frame"])


def _write_picture(path: Path, drawn: Picture) -> None:
    with atomic_file(path) as partial:
        Image.fromarray(drawn).save(partial, "PNG")


def _rate(path: Path) -> Fraction:
    with import_av().open(str(path)) as container:
        return Fraction(container.streams.video[0].average_rate or RATE).limit_denominator(60000)


class _Sink:
    """A file for FFmpeg, which ends the process when it is told in the middle of a film that the disk is full.

    So it is not told: after a write that failed all are dropped, and `check` and the end of the context raise why.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._error: OSError | None = None

    def __enter__(self) -> "_Sink":
        return self

    def __exit__(self, kind: type[BaseException] | None, *about: object) -> None:
        self._file.close()
        if kind is None:
            self.check()

    def write(self, data: bytes) -> int:
        """Takes all of it, come what may."""
        left = memoryview(data)
        try:
            while left and self._error is None:
                left = left[self._file.write(left) :]
        except OSError as error:
            self._error = error
        return len(data)

    def seek(self, place: int, whence: int = 0) -> int:
        """As of any file."""
        return self._file.seek(place, whence)

    def tell(self) -> int:
        """As of any file."""
        return self._file.tell()

    def check(self) -> None:
        """Raises the error of a write that failed."""
        if self._error is not None:
            raise self._error


class _VideoWriter:
    """An MP4 file of the first frame's size; frames of other sizes are scaled to it."""

    def __init__(self, path: Path, first: Picture, rate: Fraction, stack: ExitStack) -> None:
        av = import_av()
        self._av = av
        self._sink = stack.enter_context(_Sink(path))
        self._container = stack.enter_context(av.open(self._sink, "w", format="mp4"))
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        self._stream = self._container.add_stream(codec, rate=rate)
        self._stream.width, self._stream.height = (side + side % 2 for side in (first.shape[1], first.shape[0]))
        self._stream.pix_fmt = "yuv420p"
        if codec == "mpeg4":
            self._stream.bit_rate = 8_000_000
        self._rate, self._last = float(rate), -1
        stack.callback(self._end)

    def write(self, drawn: Picture, frame: Frame) -> None:
        height, width = drawn.shape[:2]
        wanted = (self._stream.width, self._stream.height)
        if (width, height) != wanted:
            near = abs(width - wanted[0]) < 2 and abs(height - wanted[1]) < 2
            if near:
                drawn = np.pad(drawn, ((0, wanted[1] - height), (0, wanted[0] - width), (0, 0)), mode="edge")
            else:
                drawn = np.asarray(Image.fromarray(drawn).resize(wanted))
        image = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(drawn), format="rgb24")
        image.pts = self._last = max(self._last + 1, round((frame.time or 0.0) * self._rate))
        image.time_base = 1 / Fraction(self._rate).limit_denominator(60000)
        self._container.mux(self._stream.encode(image))
        self._sink.check()

    def _end(self) -> None:
        self._container.mux(self._stream.encode())
