"""Takes what a person's face shows at rest out of the probabilities.

Faces differ: some look at rest as if they frowned. Where a detector gives an AU of somebody's resting face the
probability b, above `REST`, all logits of that AU and person are lowered by logit(b) - logit(`REST`): at rest the
probability is then `REST`, and the odds are divided by the same number everywhere. AUs at or below `REST` at rest are
left as they are: nothing is ever raised.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

REST = 0.1
"""Probability that a resting face may have."""
QUANTILE = 0.2
"""Without a neutral frame, rest is this quantile of a person's logits in a video."""
FEWEST = 50
"""People seen in fewer frames than this are left as they are, because their rest is not known."""

Person = tuple[int, int]
"""Source and number of the face."""
Rests = Mapping[Person, NDArray[np.float64]]
"""(A,) logits at rest of each person."""


def by_baseline(parts: Iterable[pa.Table], logits: list[str]) -> dict[Person, NDArray[np.float64]]:
    """Rest as a low quantile of everything a person shows in a video.

    Args:
        parts: columns of `rows.raw_schema`, in order.
        logits: the logit columns.
    """
    values: dict[Person, list[NDArray[np.float32]]] = {}
    for person, rows in _people(parts, logits):
        values.setdefault(person, []).append(rows)
    joined = {person: np.concatenate(found) for person, found in values.items()}
    enough = {person: found for person, found in joined.items() if len(found) >= FEWEST}
    return {person: np.quantile(found.astype(np.float64), QUANTILE, axis=0) for person, found in enough.items()}


def by_frame(parts: Iterable[pa.Table], logits: list[str], frame: int) -> dict[Person, NDArray[np.float64]]:
    """Rest as what each person shows in frame number `frame` of the video."""
    chosen = (part.filter(pc.equal(part["frame"], frame)) for part in parts)
    return {person: rows[0].astype(np.float64) for person, rows in _people(chosen, logits)}


def lowered(part: pa.Table, logits: list[str], rests: Rests, everybody: NDArray[np.float64] | None = None) -> pa.Table:
    """A part with its logits calibrated.

    Args:
        part: columns of `rows.raw_schema`.
        logits: the logit columns.
        rests: of the people whose rest is known.
        everybody: (A,) rest of all others; None leaves them as they are.
    """
    values = _values(part, logits)
    keys = list(zip(part["source"].to_pylist(), part["face"].to_pylist(), strict=True))
    none = np.full(len(logits), -np.inf) if everybody is None else everybody
    rest = np.array([rests.get(key, none) for key in keys]).reshape(len(keys), len(logits))
    shift = np.maximum(0, rest - np.log(REST / (1 - REST)))
    for k, name in enumerate(logits):
        column = pa.array((values[:, k] - shift[:, k]).astype(np.float32), pa.float32())
        part = part.set_column(part.column_names.index(name), name, column)
    return part


def _people(parts: Iterable[pa.Table], logits: list[str]) -> Iterator[tuple[Person, NDArray[np.float32]]]:
    for part in parts:
        part = part.filter(pc.equal(part["success"], 1))
        values, sources, faces = _values(part, logits), part["source"].to_numpy(), part["face"].to_numpy()
        for source, face in sorted(set(zip(sources.tolist(), faces.tolist(), strict=True))):
            yield (source, face), values[(sources == source) & (faces == face)]


def _values(part: pa.Table, logits: list[str]) -> NDArray[np.float32]:
    return np.stack([part[name].to_numpy() for name in logits], axis=1)
