"""Writes pictures and videos again, with a box and AU bars for every face, from a finished table."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from metafacs.faces.face import Picture
from metafacs.faces.video import import_av
from metafacs.facs import au_title
from metafacs.files import atomic_file
from metafacs.inference.outputs import read_groups
from metafacs.inference.rows import BOX, present_column
from metafacs.inference.sources import PICTURE, VIDEO, Source, source_frames

COLOURS = ((80, 220, 120), (90, 170, 255), (255, 180, 60), (240, 100, 160), (190, 140, 255), (90, 230, 230))
"""Of the people, by their number."""
ABSENT, BACK = (205, 205, 205), (0, 0, 0, 165)
LINES = 28
"""A line of text is this part of the picture's height, but never smaller than `LEAST` pixels."""
LEAST = 9
RATE = 25
"""Frames a second where a video does not say."""


def write_overlays(
    folder: Path, sources: Sequence[Source], tables: Iterable[pd.DataFrame], aus: Sequence[str]
) -> Iterator[int]:
    """Writes every picture and video again, drawn on, into `folder`: pictures as PNG, videos as MP4 without sound.

    Frames that cannot be seen are left out. Inputs of one name are numbered.

    Args:
        folder: where to.
        sources: the inputs.
        tables: the finished rows, in the columns of `rows.tidy` and `source`, in order.
        aus: AU columns.

    Yields:
        How many frames are done, after each.
    """
    paths, count = overlay_paths(folder, sources), 0
    frames = zip(source_frames(sources), read_groups(tables, ["source", "frame"]), strict=False)
    for place, group in groupby(frames, key=lambda one: one[0][0]):
        shown = ((frame, frame.picture, rows) for (_, frame), (_, rows) in group)
        if sources[place].kind == PICTURE:
            for _, picture, rows in shown:
                if picture is not None:
                    with atomic_file(paths[place]) as partial:
                        Image.fromarray(draw(picture, rows, aus)).save(partial, "PNG")
                count += 1
                yield count
            continue
        with ExitStack() as stack:
            film: _Film | None = None
            for frame, picture, rows in shown:
                if picture is not None:
                    drawn = draw(picture, rows, aus)
                    film = film or _Film(stack.enter_context(atomic_file(paths[place])), sources[place], drawn, stack)
                    film.write(drawn, frame.time or 0.0)
                count += 1
                yield count


def overlay_paths(folder: Path, sources: Sequence[Source]) -> list[Path]:
    """Where the drawn copy of each input goes."""
    paths: list[Path] = []
    for source in sources:
        stem, ending = f"{source.path.stem}_aus", ".mp4" if source.kind == VIDEO else ".png"
        path, number = folder / f"{stem}{ending}", 1
        while path in paths:
            number += 1
            path = folder / f"{stem}_{number}{ending}"
        paths.append(path)
    return paths


def draw(picture: Picture, rows: pd.DataFrame, aus: Sequence[str]) -> Picture:
    """A copy of the picture with a box around each face and, beside it, a bar per AU as long as its probability.

    The bars stand to the right of the box where there is room, else to its left, else at the picture's edge. Those of
    AUs that are present have the colour of the person, those of absent ones are grey.

    Args:
        picture: (H, W, 3) uint8, RGB.
        rows: the rows of this picture, in the columns of `rows.tidy`.
        aus: AU columns.
    """
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image, "RGBA")
    line = max(LEAST, min(image.height // LINES, image.height // (len(aus) + 3)))
    font = ImageFont.load_default(line - 2)
    names, bar = 3.2 * line, 4 * line
    width, height = names + bar + line // 2, line * (len(aus) + 1) + 4
    for row in rows[rows["success"] == 1].to_dict("records"):
        colour = COLOURS[int(row["face"]) % len(COLOURS)]
        x0, y0, x1, y1 = (float(row[side]) for side in BOX)
        pen.rectangle((x0, y0, x1, y1), outline=colour, width=max(1, line // 6))
        left = x1 + 4 if x1 + 4 + width <= image.width else x0 - 4 - width
        left = max(0, min(left, image.width - width))
        top = max(0, min(y0, image.height - height))
        pen.rectangle((left, top, left + width, top + height), fill=BACK)
        pen.text((left + 3, top + 1), f"face {int(row['face'])}", fill=colour, font=font)
        for k, au in enumerate(aus):
            at = top + (k + 1) * line + 2
            shade = colour if row[present_column(au)] == 1 else ABSENT
            pen.text((left + 3, at), au_title(au), fill=shade, font=font)
            pen.rectangle((left + names, at + 2, left + names + bar, at + line - 3), outline=ABSENT)
            pen.rectangle((left + names, at + 2, left + names + bar * float(row[au]), at + line - 3), fill=shade)
    return np.asarray(image)


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
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()

    def check(self) -> None:
        """Raises the error of a write that failed."""
        if self._error is not None:
            raise self._error


class _Film:
    """An MP4 file of the first frame's size, closed with `stack`; frames of other sizes are scaled to it."""

    def __init__(self, path: Path, source: Source, first: Picture, stack: ExitStack) -> None:
        self._av = av = import_av()
        with av.open(str(source.path)) as container:
            rate = Fraction(container.streams.video[0].average_rate or RATE).limit_denominator(60000)
        self._sink = stack.enter_context(_Sink(path))
        self._container = stack.enter_context(av.open(self._sink, "w", format="mp4"))
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        self._stream = self._container.add_stream(codec, rate=rate)
        self._stream.width, self._stream.height = (side + side % 2 for side in (first.shape[1], first.shape[0]))
        self._stream.pix_fmt = "yuv420p"
        if codec == "mpeg4":
            self._stream.bit_rate = 8_000_000
        self._rate, self._last = rate, -1
        stack.callback(lambda: self._container.mux(self._stream.encode()))

    def write(self, drawn: Picture, time: float) -> None:
        """Adds a frame that is shown at so many seconds."""
        more_across, more_down = self._stream.width - drawn.shape[1], self._stream.height - drawn.shape[0]
        if not {more_across, more_down} <= {0, 1}:
            drawn = np.asarray(Image.fromarray(drawn).resize((self._stream.width, self._stream.height)))
        elif more_across or more_down:
            drawn = np.pad(drawn, ((0, more_down), (0, more_across), (0, 0)), mode="edge")
        image = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(drawn), format="rgb24")
        image.pts = self._last = max(self._last + 1, round(time * self._rate))
        image.time_base = 1 / self._rate
        self._container.mux(self._stream.encode(image))
        self._sink.check()
