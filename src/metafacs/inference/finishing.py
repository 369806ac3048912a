"""From finished parts to what users get: calibrated tables, timelines, and an account of what could not be read."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from metafacs.errors import InputError
from metafacs.inference.calibration import Person, by_baseline, by_frame, lowered
from metafacs.inference.detector import AUDetector
from metafacs.inference.frames import announced_frames
from metafacs.inference.parts import Parts
from metafacs.inference.rows import NO_FACE, logit_column, tidy
from metafacs.inference.sources import PICTURE, VIDEO, Source
from metafacs.inference.timeline import plot_timeline


class Calibrated:
    """The parts after calibration, one in memory at a time; can be read any number of times.

    Args:
        parts: what was found.
        detector: what found it.
        baseline: take each person's rest from the video itself.
        neutral: or from a picture of a neutral face, or from the frame of this number; None for neither.

    Attributes:
        people: how many people's rest is known; None where nothing is calibrated, or all alike by a picture.

    Raises:
        InputError: the picture cannot be read or shows no face.
    """

    def __init__(self, parts: Parts, detector: AUDetector, baseline: bool = False, neutral: str | None = None) -> None:
        self._parts, self._detector = parts, detector
        self._logits = [logit_column(au) for au in detector.aus]
        self._rests: dict[Person, NDArray[np.float64]] | None = None
        self._everybody: NDArray[np.float64] | None = None
        if baseline:
            self._rests = by_baseline(parts.read(), self._logits)
        elif neutral and neutral.isdigit():
            self._rests = by_frame(parts.read(), self._logits, int(neutral))
        elif neutral:
            self._rests, self._everybody = {}, rest_of(detector, Path(neutral))
        self.people = None if self._rests is None or self._everybody is not None else len(self._rests)

    def __iter__(self) -> Iterator[pa.Table]:
        for part in self._parts.read():
            yield part if self._rests is None else lowered(part, self._logits, self._rests, self._everybody)

    def tables(self, chosen: Sequence[int] | None = None) -> Iterator[pd.DataFrame]:
        """As tidy tables with the column `source`, of some sources or of all."""
        for part in self:
            if chosen is not None:
                part = part.filter(pc.is_in(part["source"], pa.array(chosen, pa.int32())))
            if part.num_rows:
                table = tidy(part, self._detector.aus, self._detector.thresholds)
                yield table.assign(source=part["source"].to_numpy())


def rest_of(detector: AUDetector, picture: Path) -> NDArray[np.float64]:
    """(A,) logits of the largest face of a picture.

    Raises:
        InputError: it cannot be read or shows no face.
    """
    found = detector.detect(picture, faces=1)
    if not found["success"].iloc[0]:
        raise InputError(f"{picture}: {found['problem'].iloc[0]}; give a picture of the person with a neutral face")
    odds = found[detector.aus].iloc[0].to_numpy(np.float64).clip(1e-7, 1 - 1e-7)
    return np.asarray(np.log(odds / (1 - odds)))


def unreadable(parts: Parts) -> tuple[dict[str, str], int]:
    """Inputs of which not one frame could be seen, with the reason; and how many faces were found in all."""
    problems: dict[str, str] = {}
    faces, seen = 0, set()
    for part in parts.read():
        faces += int(pc.sum(part["success"]).as_py() or 0)
        for name, problem in zip(part["input"].to_pylist(), part["problem"].to_pylist(), strict=True):
            if problem in ("", NO_FACE):
                seen.add(name)
            else:
                problems.setdefault(name, problem)
    return {name: problem for name, problem in problems.items() if name not in seen}, faces


def cut_off(parts: Parts, sources: Sequence[Source]) -> list[str]:
    """One sentence for each video of which clearly fewer frames could be read than its header announces."""
    frames: dict[int, int] = {}
    for part in parts.read():
        last = part.group_by("source").aggregate([("frame", "max")]).to_pydict()
        frames |= {source: most + 1 for source, most in zip(last["source"], last["frame_max"], strict=True)}
    told = []
    for place, source in enumerate(sources):
        announced = announced_frames(source.path) if source.kind == VIDEO else 0
        if frames.get(place, 0) < announced - max(2, announced // 100):
            told.append(f"{source.name}: {frames.get(place, 0):,} of {announced:,} frames are there; was it cut off?")
    return told


def plot_timelines(folder: Path, sources: Sequence[Source], calibrated: Calibrated, detector: AUDetector) -> None:
    """A timeline of each video, and one of all pictures together, as PNG files in `folder`."""
    taken: set[str] = set()
    for k, source in enumerate(sources):
        if source.kind != PICTURE:
            name = source.path.stem if source.kind == VIDEO else "camera"
            name = name if name not in taken else f"{name}_{k}"
            taken.add(name)
            path = folder / f"{name}_timeline.png"
            plot_timeline(path, calibrated.tables([k]), detector.aus, detector.thresholds)
    still = [k for k, source in enumerate(sources) if source.kind == PICTURE]
    if still:
        plot_timeline(folder / "pictures_timeline.png", calibrated.tables(still), detector.aus, detector.thresholds)
