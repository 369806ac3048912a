"""Writes pictures and videos again, with a box for every face and AU bars beside the picture, from a finished table."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from metafacs.faces.face import Picture
from metafacs.faces.video import frame_rate, import_av
from metafacs.facs import au_title
from metafacs.files import atomic_file
from metafacs.inference.outputs import read_groups
from metafacs.inference.rows import BOX, face_colour, face_name, present_column
from metafacs.inference.sources import PICTURE, RECORDING, Source, source_frames

ABSENT, TRACK, BACK = "#707070", "#d9dfe5", "#ffffff"
SHARE, CELL, COLUMN = 0.45, 1.5, 4
"""Of the picture's width, the panel beside it takes so much, but at least so many lines
an AU, and for each of few faces."""
LINES = 32
"""A line of text is this part of the picture's height, but never smaller than `LEAST` pixels."""
LEAST = 13
LISTED = 3
"""Up to so many faces stand beside each other, an AU a line; of more faces each has a line of its own."""
LONGEST = 10
"""A bar and its number are never longer than so many lines."""
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
        looks = ((frame, frame.picture, rows) for (_, frame), (_, rows) in group)
        if sources[place].kind == PICTURE:
            for _, picture, rows in looks:
                if picture is not None:
                    with atomic_file(paths[place]) as partial:
                        Image.fromarray(draw(picture, rows, aus)).save(partial, "PNG")
                count += 1
                yield count
            continue
        with ExitStack() as stack:
            film: _Film | None = None
            for frame, picture, rows in looks:
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
        stem, ending = f"{source.path.stem}_aus", ".png" if source.kind == PICTURE else ".mp4"
        path, number = folder / f"{stem}{ending}", 1
        while path in paths:
            number += 1
            path = folder / f"{stem}_{number}{ending}"
        paths.append(path)
    return paths


def draw(picture: Picture, rows: pd.DataFrame, aus: Sequence[str]) -> Picture:
    """A copy of the picture with a thin box and a number at each face, and the faces' AUs in a panel to its right.

    The panel's size depends on the picture's alone, so that frames of a video have one size. Bars are as long as the
    probability, which stands beside them in percent; those of AUs that are present have the colour of the person. Of
    up to three faces the panel has a column each, of more a line each; what does not fit is counted.

    Args:
        picture: (H, W, 3) uint8, RGB.
        rows: the rows of this picture, in the columns of `rows.tidy`.
        aus: AU columns.

    Returns:
        (H', W', 3) uint8, RGB: the picture lies at its top left.
    """
    height, width = picture.shape[:2]
    line = max(LEAST, height // LINES)
    panel = round(max(SHARE * width, CELL * line * (len(aus) + 1), COLUMN * line * (LISTED + 1)))
    size = width + panel, max(height, line * (len(aus) + 2))
    image = Image.new("RGB", size, BACK)
    image.paste(Image.fromarray(picture))
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(round(0.8 * line))
    faces = rows[rows["success"] == 1].to_dict("records")
    for row in faces:
        x0, y0, x1, y1 = (float(row[side]) for side in BOX)
        edge = max(1, line // 10)
        pen.rectangle((x0 - edge, y0 - edge, x1 + edge, y1 + edge), outline=BACK, width=edge)
        pen.rectangle((x0, y0, x1, y1), outline=face_colour(row["face"]), width=edge)
        if len(faces) > 1:
            pen.text(
                (x0, y0),
                str(int(row["face"])),
                fill=face_colour(row["face"]),
                font=font,
                anchor="lb",
                stroke_width=1,
                stroke_fill=BACK,
            )
    few = len(faces) <= LISTED
    lines = _beside(faces, aus) if few else _below(faces, aus)
    names = (3 if few else 2) * line
    cell = (panel - names - line // 2) / max(len(faces) if few else len(aus), 1)
    most = size[1] // line - 1
    for k, cells in enumerate(lines[:most]):
        top = line // 2 + k * line
        for j, (text, colour, share) in enumerate(cells):
            left = width + (line // 2 if j == 0 else names + (j - 1) * cell)
            pen.text((left, top + line / 2), text, fill=colour, font=font, anchor="lm")
            if share is not None:
                _bar(pen, (left, top), (min(cell, LONGEST * line), line), share, colour, thin=not few)
    if len(lines) > most:
        pen.text((width + line // 2, size[1]), f"and {len(lines) - most} more", fill=ABSENT, font=font, anchor="lb")
    return np.asarray(image)


Cell = tuple[str, str, float | None]
"""Text, its colour, and how long the bar is, in [0, 1]; None without a bar."""


def _beside(faces: Sequence[Mapping[Any, Any]], aus: Sequence[str]) -> list[list[Cell]]:
    """Lines of the panel, an AU each, with the faces beside each other."""
    head: list[Cell] = [
        ("", ABSENT, None),
        *((face_name(row["face"]), face_colour(row["face"]), None) for row in faces),
    ]
    return [head, *([(au_title(au), ABSENT, None), *(_cell(row, au) for row in faces)] for au in aus)] if faces else []


def _below(faces: Sequence[Mapping[Any, Any]], aus: Sequence[str]) -> list[list[Cell]]:
    """Lines of the panel, a face each, with the AUs beside each other."""
    head: list[Cell] = [("AU", ABSENT, None), *((au_title(au).removeprefix("AU"), ABSENT, None) for au in aus)]
    return [
        head,
        *([(str(int(row["face"])), face_colour(row["face"]), None), *(_cell(row, au) for au in aus)] for row in faces),
    ]


def _cell(row: Mapping[Any, Any], au: str) -> Cell:
    colour = face_colour(row["face"]) if row[present_column(au)] == 1 else ABSENT
    return f"{100 * float(row[au]):.0f}", colour, float(row[au])


def _bar(
    pen: ImageDraw.ImageDraw,
    corner: tuple[float, float],
    size: tuple[float, float],
    share: float,
    colour: str,
    thin: bool,
) -> None:
    """A bar in a cell: behind the number, or, where there is no room, below it."""
    (left, top), (width, line) = corner, size
    if thin:
        start, end, y0, y1 = left, left + 0.85 * width, top + 0.92 * line, top + 0.98 * line
    else:
        start, end, y0, y1 = left + 1.6 * line, left + width - line / 2, top + 0.4 * line, top + 0.6 * line
    pen.rectangle((start, y0, end, y1), fill=TRACK)
    pen.rectangle((start, y0, start + share * (end - start), y1), fill=colour)


class _Sink:
    """A file for FFmpeg, which ends the process when it learns in the middle of a film that the disk is full.

    So it does not: after a write that failed all are dropped, and `check` and the end of the context raise why.
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
        said = source.rate if source.kind == RECORDING else frame_rate(source.path)
        rate = Fraction(said or RATE).limit_denominator(60000)
        self._sink = stack.enter_context(_Sink(path))
        self._container = stack.enter_context(av.open(self._sink, "w", format="mp4"))
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        # x264's bytes depend on where its buffers lie in memory, and on the number of threads, unless told otherwise
        same = {"x264-params": "cpu-independent=1"} if codec == "libx264" else {}
        self._stream = self._container.add_stream(codec, rate=rate, options=same)
        self._stream.width, self._stream.height = (side + side % 2 for side in (first.shape[1], first.shape[0]))
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.thread_count = 1
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
