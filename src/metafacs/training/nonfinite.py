"""When a loss or a parameter is no longer a finite number: the step that went wrong, and its batch, are kept."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metafacs import __version__
from metafacs.sample import Batch
from metafacs.tensorfile import write_tensors

Batches = Mapping[Any, Batch]
"""By stream, in one step."""
Values = Mapping[str, Tensor]
"""What a method returned of one step: detached scalars."""


@dataclass(frozen=True)
class Taken:
    """A step that was taken.

    Attributes:
        step: its number, from 0.
        values: what the method returned.
    """

    step: int
    values: Values


def first_broken(steps: Iterable[Taken]) -> Taken | None:
    """The first step of which this process has a value that is not a finite number; waits for the device."""
    return next((taken for taken in steps if not all(value.isfinite() for value in taken.values.values())), None)


def save_batch(
    path: Path, taken: Taken, batch: Batches, rows: Mapping[str, NDArray[np.int64]], about: Mapping[str, object]
) -> None:
    """Writes all that is needed to look into a step that went wrong, for `safetensors.torch.load_file`.

    The tensors are `STREAM.images` (n, 3, S, S) as the network was shown them, `STREAM.labels`, `STREAM.rows` (of the
    prepared dataset), and `STREAM.landmarks` where they were used; the header (JSON, entry `metafacs` of the file's
    metadata) has the step, from 1, its losses as texts, and `about`.

    Args:
        path: the file.
        taken: the step.
        batch: of this process.
        rows: of every stream.
        about: what else there is to say.
    """
    tensors: dict[str, Tensor] = {}
    for name, part in batch.items():
        values = {"images": part.sample.images, "landmarks": part.sample.landmarks, "labels": part.labels}
        tensors |= {f"{name}.{kind}": v.detach().cpu().contiguous() for kind, v in values.items() if v is not None}
        tensors[f"{name}.rows"] = torch.from_numpy(np.ascontiguousarray(rows[name], np.int64))
    losses = {name: str(float(value)) for name, value in taken.values.items()}
    header = {"kind": "batch", "tool_version": __version__, "step": taken.step + 1, "losses": losses}
    write_tensors(path, tensors, {**header, **about})
