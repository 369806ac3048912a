"""From frames to rows: faces found and followed, cut out, and given to the network in batches."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from metafacs.faces import Face
from metafacs.faces.finders import Box
from metafacs.inference.frames import Frame
from metafacs.inference.rows import empty_row, face_row, raw_table
from metafacs.inference.tracking import Tracker

Picture = NDArray[np.uint8]
T = TypeVar("T")
PART = 250
"""Frames of one part: what a kill can cost."""


class StoppedError(Exception):
    """The work was ended because it was asked to end."""


class Detector(Protocol):
    """What finds faces and reads their AUs."""

    aus: list[str]
    batch: int

    def find(self, picture: Picture, around: Box | None = None) -> list[Face]:
        """All faces of a picture."""

    def crop(self, picture: Picture, face: Face) -> Any:
        """A face as the network's input is cut from; what of it `logits` needs."""

    def logits(self, crops: Sequence[Any]) -> NDArray[np.float32]:
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
    names: Sequence[str],
    frames: Iterable[tuple[int, Frame]],
    tracker: Tracker,
    last: int = -1,
    part: int = PART,
) -> Iterator[Part]:
    """Detects the AUs of every face of every frame.

    The network sees the same batches wherever work is resumed, because none reaches over the end of a part.

    Args:
        detector: finds and reads faces.
        names: of the inputs.
        frames: input and frame, in order.
        tracker: follows people; starts anew with each input.
        last: the input that the tracker knows already, where work is resumed.
        part: frames of a part.
    """
    with ThreadPoolExecutor(1) as pool:
        yield from _parts(detector, names, frames, tracker, last, part, _Batches(detector, pool))


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


def _parts(
    detector: Detector,
    names: Sequence[str],
    frames: Iterable[tuple[int, Frame]],
    tracker: Tracker,
    last: int,
    part: int,
    batches: "_Batches",
) -> Iterator[Part]:
    rows: list[dict[str, Any]] = []
    count = 0
    after: dict[str, Any] = {}
    for source, frame in frames:
        if source != last:
            tracker.start()
            last = source
        faces = _people(detector, frame, tracker)
        for number, face in faces:
            assert frame.picture is not None
            rows.append(face_row(source, names[source], frame, number, face))
            batches.add(detector.crop(frame.picture, face))
        if not faces:
            rows.append(empty_row(source, names[source], frame))
        count += 1
        if count == part:
            after = {"source": source, "frame": frame.number + 1, "tracker": tracker.state()}
            yield Part(raw_table(rows, batches.take(), detector.aus), count, after)
            rows, count = [], 0
    if rows:
        after = {"source": last, "frame": int(rows[-1]["frame"]) + 1, "tracker": tracker.state()}
        yield Part(raw_table(rows, batches.take(), detector.aus), count, after)


class _Batches:
    """Gathers crops into batches, which a thread gives to the network while the next faces are sought.

    At most two batches are in memory: one that fills and one in the network.
    """

    def __init__(self, detector: Detector, pool: ThreadPoolExecutor) -> None:
        self._detector, self._pool = detector, pool
        self._waiting: list[Any] = []
        self._running: Future[NDArray[np.float32]] | None = None
        self._done: list[NDArray[np.float32]] = []

    def add(self, crop: Any) -> None:
        self._waiting.append(crop)
        if len(self._waiting) >= self._detector.batch:
            self._run()

    def take(self) -> NDArray[np.float32]:
        """(N, A) the logits of all crops since the last time."""
        if self._waiting:
            self._run()
        self._collect()
        done, self._done = self._done, []
        return np.concatenate(done) if done else np.zeros((0, len(self._detector.aus)), np.float32)

    def _run(self) -> None:
        self._collect()
        self._running = self._pool.submit(self._detector.logits, self._waiting)
        self._waiting = []

    def _collect(self) -> None:
        if self._running is not None:
            self._done.append(self._running.result())
            self._running = None


def _people(detector: Detector, frame: Frame, tracker: Tracker) -> list[tuple[int, Face]]:
    if frame.picture is None:
        tracker.missed()
        return []
    find: Callable[[Picture, Box | None], list[Face]] = detector.find
    return tracker.next(find, frame.picture)
