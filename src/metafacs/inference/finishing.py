"""From finished parts to what users get: calibrated tables, timelines, and an account of what could not be read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from metafacs.faces.finders import NO_FACE
from metafacs.faces.video import announced_frames
from metafacs.inference.calibration import Person, by_baseline, by_frame, lowered
from metafacs.inference.detector import AUDetector
from metafacs.inference.parts import Parts
from metafacs.inference.rows import logit_column, tidy
from metafacs.inference.sources import CAMERA, PICTURE, RECORDING, VIDEO, Source
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
            self._rests, self._everybody = {}, detector.rest(Path(neutral))
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


@dataclass
class Account:
    """What finished parts hold, and what they lack.

    Attributes:
        faces: rows with a face.
        problems: inputs of which not one frame could be seen, with the reason.
        cut_off: one sentence for each video of which clearly fewer frames could be read than its header announces.
    """

    faces: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    cut_off: list[str] = field(default_factory=list)


def account(parts: Parts, sources: Sequence[Source]) -> Account:
    """Looks through the parts of the sources."""
    result, seen, last = Account(), set(), dict[int, tuple[int, float]]()
    for part in parts.read():
        result.faces += int(pc.sum(part["success"]).as_py() or 0)
        columns = (part[name].to_pylist() for name in ("source", "input", "frame", "timestamp", "problem"))
        for source, name, frame, time, problem in zip(*columns, strict=True):
            last[source] = frame + 1, time or 0.0
            if not problem or problem.startswith(NO_FACE):
                seen.add(name)
            else:
                result.problems.setdefault(name, problem)
    result.problems = {name: problem for name, problem in result.problems.items() if name not in seen}
    for place, source in enumerate(sources):
        there, time = last.get(place, (0, 0.0))
        if source.kind == VIDEO and (announced := announced_frames(source.path, there, time)):
            result.cut_off.append(f"{source.name}: {there:,} of {announced:,} frames are there; was it cut off?")
    return result


def plot_timelines(folder: Path, sources: Sequence[Source], calibrated: Calibrated, detector: AUDetector) -> None:
    """A timeline of each video, and one of all pictures together, as PNG files in `folder`."""
    paths: dict[Path, list[int]] = {}
    for k, source in enumerate(sources):
        stem = {PICTURE: "pictures", CAMERA: "camera"}.get(source.kind, source.path.stem)
        path = folder / f"{stem}_timeline.png"
        if source.kind in (VIDEO, RECORDING) and (path in paths or stem == "pictures"):
            path = folder / f"{stem}_{k}_timeline.png"
        paths.setdefault(path, []).append(k)
    for path, places in paths.items():
        plot_timeline(path, calibrated.tables(places), detector.aus, detector.thresholds)
