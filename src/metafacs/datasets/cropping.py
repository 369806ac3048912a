"""Opens the pictures of consecutive rows, finds the face in each and cuts it out, or says why not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metafacs.data.card import LANDMARKS, NO_FOLD
from metafacs.faces import Face, FaceFinder, Recipe, Tracker, align, given_face, make_finder, move, to_jpeg
from metafacs.faces.face import Box, Picture
from metafacs.faces.finders import nobody
from metafacs.faces.pictures import UnreadableError, enlarged, read_picture
from metafacs.faces.recipe import WHOLE
from metafacs.faces.video import read_frames
from metafacs.facs import intensity_column

GAP = 50
"""Frames of a sequence further apart than this are not taken for neighbours in time."""
CLOSEST_EYES = 4.0
"""Eyes nearer to each other than this many pixels make no crop."""

Row = dict[str, Any]
Seen = tuple[Any, Picture | UnreadableError]


@dataclass(frozen=True)
class Skipped:
    """Rows that are not in the prepared dataset.

    Attributes:
        stage: "listing" (the reader left them out), "picture" (not readable) or "face" (none found, or no landmarks).
        where: the image, the video and its frame, or what the reader named.
        reason: why.
        subject: whose; empty where not known, as with the next two.
        sequence: which sequence.
        frame: which frame, as the dataset counts.
        rows: how many rows.
    """

    stage: str
    where: str
    reason: str
    subject: str = ""
    sequence: str = ""
    frame: int | str = ""
    rows: int = 1


class NoFaceError(Exception):
    """A picture without a face to cut out; the message says why."""


def crop_rows(
    rows: pd.DataFrame, aus: Sequence[str], raw: Path, recipe: Recipe, recorded: bool = True
) -> tuple[list[Row], list[Skipped], int]:
    """Prepares consecutive rows of a listing, holding one picture at a time.

    Args:
        rows: rows in the columns of `Listing.rows`, by sequence, then frame.
        aus: AU columns.
        raw: the folder that paths start from.
        recipe: how faces are found and cut out.
        recorded: whether rows of one sequence are frames of a recording, in which the face of the row before is taken;
            of photographs the largest.

    Returns:
        Rows for `PreparedWriter.write_part`, the rows that gave no face, and how many pictures have several faces.

    Raises:
        InputError: what finds faces is missing.
    """
    finder = _Counting.of(make_finder(recipe.finder))
    tracker = Tracker(recipe.every, most=1, largest=recipe.choice == "largest")
    columns = [*aus, *(intensity_column(au) for au in aus if intensity_column(au) in rows.columns)]
    made, skipped, before = [], [], None
    for row, picture in _pictures(rows, raw):
        if not recorded or not _follows(row, before):
            tracker.start()
        before = row
        if isinstance(picture, UnreadableError):
            skipped.append(_skip(row, "picture", str(picture)))
            continue
        try:
            made.append(
                {
                    **_labels(row, columns),
                    **_crop(enlarged(picture) if finder else picture, row, finder, tracker, recipe),
                }
            )
        except NoFaceError as error:
            skipped.append(_skip(row, "face", str(error)))
    return made, skipped, finder.several if finder else 0


@dataclass
class _Counting:
    """A finder that counts the pictures in which it found several faces."""

    finder: FaceFinder
    several: int = 0

    @classmethod
    def of(cls, finder: FaceFinder | None) -> "_Counting | None":
        return cls(finder) if finder else None

    def find(self, image: Picture, around: Box | None = None) -> list[Face]:
        faces = self.finder.find(image, around)
        self.several += around is None and len(faces) > 1
        return faces

    def sought(self, image: Picture) -> tuple[float, str]:
        return self.finder.sought(image)


def _pictures(rows: pd.DataFrame, raw: Path) -> Iterator[Seen]:
    """Each row with its picture, or with why there is none."""
    records: list[Row] = [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]
    for video, group in groupby(records, key=lambda row: row.get("video") or ""):
        if video:
            yield from _frames(list(group), raw / video)
            continue
        for row in group:
            try:
                pixels = row.get("pixels")
                yield row, read_picture(pixels if isinstance(pixels, bytes) else raw / row["image"])
            except UnreadableError as error:
                yield row, error


def _frames(rows: Sequence[Row], path: Path) -> Iterator[Seen]:
    """Rows of one video; where their frames do not ascend, the video is opened again."""
    start = 0
    for end in range(1, len(rows) + 1):
        if end == len(rows) or rows[end]["video_frame"] <= rows[end - 1]["video_frame"]:
            yield from _ascending(rows[start:end], path)
            start = end


def _ascending(rows: Sequence[Row], path: Path) -> Iterator[Seen]:
    waiting = iter(rows)
    row = next(waiting)
    reason = "the video has no such frame, or it is damaged"
    try:
        for number, picture in read_frames(path, [one["video_frame"] for one in rows]):
            while row["video_frame"] < number:
                yield row, UnreadableError(reason)
                row = next(waiting)
            yield row, picture
            following = next(waiting, None)
            if following is None:
                return
            row = following
    except UnreadableError as error:
        reason = str(error)
    yield row, UnreadableError(reason)
    for row in waiting:
        yield row, UnreadableError(reason)


def _crop(picture: Picture, row: Row, finder: FaceFinder | None, tracker: Tracker, recipe: Recipe) -> Row:
    """`image` and `landmarks` of a row; raises NoFaceError."""
    face = _face(picture, row, finder, tracker, recipe)
    crop, matrix = align(picture, None if face is None else face.eyes, recipe)
    points = None if face is None or len(face.points) != LANDMARKS else move(face.points, matrix).astype(np.float32)
    return {"image": to_jpeg(crop, recipe.quality), "landmarks": points}


def _face(picture: Picture, row: Row, finder: FaceFinder | None, tracker: Tracker, recipe: Recipe) -> Face | None:
    if finder:
        people = tracker.next(finder.find, picture)
        if not people:
            raise NoFaceError(nobody(finder, recipe.finder["name"], picture))
        face = people[0][1]
    else:
        points = row.get("points")
        if recipe.kind == WHOLE and (points is None or len(points) != LANDMARKS):
            return None
        if points is None:
            raise NoFaceError("the dataset has no landmarks for it")
        try:
            face = given_face(points, recipe.eyes)
        except ValueError as error:
            raise NoFaceError(str(error)) from error
    if recipe.kind != WHOLE:
        _check_eyes(face.eyes, picture.shape[1], picture.shape[0])
    return face


def _check_eyes(eyes: NDArray[np.float64], width: int, height: int) -> None:
    apart, (x, y) = float(np.linalg.norm(eyes[1] - eyes[0])), eyes.mean(axis=0)
    if not CLOSEST_EYES <= apart <= max(width, height) or not (0 <= x <= width and 0 <= y <= height):
        raise NoFaceError(
            f"impossible eyes: {apart:.1f} pixels apart around ({x:.1f}, {y:.1f}) in {width}x{height} pixels"
        )


def _follows(row: Row, before: Row | None) -> bool:
    """Whether a row is a neighbour in time of the one before."""
    if before is None or any(row[name] != before[name] for name in ("subject", "sequence")):
        return False
    return 0 <= row["frame"] - before["frame"] <= GAP


def _labels(row: Row, columns: Sequence[str]) -> Row:
    found: Row = {name: _known(row.get(name)) for name in columns}
    found |= {name: row.get(name) or None for name in ("subject", "sequence", "expression")}
    return {**found, "frame": row["frame"], "fold": row.get("fold") or NO_FOLD, "votes": row.get("votes")}


def _known(value: Any) -> int | None:
    return None if value is None or value is pd.NA or value != value else int(value)


def _skip(row: Row, stage: str, reason: str) -> Skipped:
    where = row.get("image") or "pixels in the table"
    if row.get("video"):
        where = f"{row['video']}, frame {row['video_frame']} from 0"
    return Skipped(stage, where, reason, row["subject"] or "", row["sequence"] or "", int(row["frame"]))
