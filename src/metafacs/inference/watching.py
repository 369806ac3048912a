"""From frames to rows: faces found and followed, cut out, and given to the network in batches."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from metafacs.ahead import ahead
from metafacs.faces import Face
from metafacs.faces.face import Box, Picture
from metafacs.faces.tracking import Tracker
from metafacs.faces.turning import turned_back, upright_faces
from metafacs.faces.video import Frame
from metafacs.inference.rows import empty_row, face_row, raw_table

T = TypeVar("T")
PART = 250
"""Frames of one part: what a kill can cost."""


class StoppedError(Exception):
    """The work was ended because it was asked to end."""


class Crop(NamedTuple):
    """A face as the network's input is cut from."""

    image: Picture
    """(S, S, 3) uint8, S the detector's card's `resize`."""
    landmarks: NDArray[np.float64] | None = None
    """(68, 2), (x, y) in pixels of `image`, where the network uses landmarks and the finder gave them."""


class Detector(Protocol):
    """What finds faces and reads their AUs."""

    aus: list[str]
    batch: int

    def find(self, picture: Picture, around: Box | None = None) -> list[Face]:
        """All faces of a picture."""

    def nobody(self, picture: Picture) -> str:
        """What is said of a picture without a face."""

    def crop(self, picture: Picture, face: Face) -> Crop:
        """A face as the network's input is cut from."""

    def logits(self, crops: Sequence[Crop]) -> NDArray[np.float32]:
        """(N, A) logits of crops."""


@dataclass(frozen=True, eq=False)
class Part:
    """The rows of consecutive frames.

    Attributes:
        rows: in the columns of `raw_schema`.
        frames: how many frames.
        after: the place behind them, for `watch` to go on from: "source", "frame", "tracker"; JSON values.
    """

    rows: pa.Table
    frames: int
    after: dict[str, Any]


def watch(
    detector: Detector,
    names: Sequence[str] | Mapping[int, str],
    frames: Iterable[tuple[int, Frame]],
    tracker: Tracker,
    last: int = -1,
    part: int = PART,
) -> Iterator[Part]:
    """Detects the AUs of every face of every frame.

    A thread gives faces to the network while the next ones are sought. The network sees the same batches wherever work
    is resumed, because none reaches over the end of a part.

    Args:
        detector: finds and reads faces.
        names: of the inputs.
        frames: input and frame, in order.
        tracker: follows people; starts anew with each input.
        last: the input that the tracker knows already, where work is resumed.
        part: frames of a part.
    """
    frames = iter(frames)
    while True:
        rows: list[dict[str, Any]] = []
        crops = _crops(detector, names, islice(frames, part), tracker, last, rows)
        logits = list(ahead(detector.logits, _batches(crops, detector.batch)))
        if not rows:
            return
        last, frame = rows[-1]["source"], rows[-1]["frame"]
        none = np.zeros((0, len(detector.aus)), np.float32)
        table = raw_table(rows, np.concatenate([none, *logits]), detector.aus)
        done = len({(row["source"], row["frame"]) for row in rows})
        yield Part(table, done, {"source": last, "frame": frame + 1, "tracker": tracker.state()})


def heeding(
    frames: Iterable[T], stop: Callable[[], bool] | None = None, progress: Callable[[int], None] | None = None
) -> Iterator[T]:
    """The same frames, for work that can be ended and followed.

    Args:
        frames: in order.
        stop: asked before each frame; true ends the work.
        progress: told how many frames were used, when the next one is asked for.

    Raises:
        StoppedError: `stop` said so.
    """
    for count, frame in enumerate(frames, start=1):
        if stop is not None and stop():
            raise StoppedError("the work was stopped")
        yield frame
        if progress is not None:
            progress(count)


def _crops(
    detector: Detector,
    names: Sequence[str] | Mapping[int, str],
    frames: Iterable[tuple[int, Frame]],
    tracker: Tracker,
    last: int,
    rows: list[dict[str, Any]],
) -> Iterator[Crop]:
    """The faces of some frames, for the network; what else is known of them is added to `rows`."""
    for source, frame in frames:
        if source != last:
            tracker.start()
            last = source
        if frame.picture is None:
            tracker.next(detector.find, None)
            rows.append(empty_row(source, names[source], frame))
            continue
        if frame.time is None:  # a photograph
            picture, faces, turned = upright_faces(detector.find, frame.picture)
            people = tracker.next(lambda _picture, _around, faces=faces: faces, picture)  # type: ignore[misc]
        else:
            picture, people, turned = frame.picture, tracker.next(detector.find, frame.picture), 0
        for number, face in people:
            there = turned_back(face, turned, frame.picture)
            rows.append(face_row(source, names[source], frame, number, there, turned))
            yield detector.crop(picture, face)
        if not people:
            rows.append(empty_row(source, names[source], frame, detector.nobody(frame.picture)))


def _batches(crops: Iterator[Crop], size: int) -> Iterator[list[Crop]]:
    while batch := list(islice(crops, size)):
        yield batch
