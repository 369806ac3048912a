"""Unfinished detection beside the output: what was found so far, part by part, and the place to go on from."""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from metafacs.errors import InputError
from metafacs.inference.outputs import writable_folder
from metafacs.inference.watching import Part
from metafacs.parts import PartsFolder


class Parts(PartsFolder):
    """The folder `OUT.parts`, which is there while `OUT` is being made.

    Args:
        out: the output to be.
        settings: what the parts depend on, JSON values; parts of other settings are not mixed.
        resume: go on with unfinished work, if there is any.
        overwrite: throw unfinished work away.

    Attributes:
        count: of parts that follow each other from the beginning.

    Raises:
        InputError: unfinished work is there and `resume` is off, it is of other settings, another process is at it, or
            something else is in the folder's place.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any], resume: bool = False, overwrite: bool = False) -> None:
        folder = parts_folder(out)
        if folder.exists() and not (resume or overwrite):
            raise InputError(
                f"{folder} holds unfinished work; go on with it with --resume, or start anew with --overwrite"
            )
        writable_folder(folder)
        super().__init__(folder, settings, "choose another --out, or start anew with --overwrite", anew=not resume)
        self.count = next(number for number in itertools.count() if not self.has_part(number))

    def after(self) -> dict[str, Any] | None:
        """The place behind the last part, as `watch` gave it; None if there is no part yet."""
        return dict(self.note(self.count - 1)) if self.count else None

    def append(self, part: Part) -> None:
        """Writes a part and the place behind it, together and atomically."""
        self.write_part(self.count, part.rows, {**part.after, "frames": self.frames() + part.frames})
        self.count += 1

    def frames(self) -> int:
        """How many frames are done."""
        return int((self.after() or {}).get("frames", 0))

    def read(self) -> Iterator[pa.Table]:
        """The parts, in order, one in memory at a time."""
        return map(self.read_part, range(self.count))


def parts_folder(out: Path) -> Path:
    """Where unfinished work on `out` lies.

    Example:
        >>> parts_folder(Path("results/session.csv")).name
        'session.csv.parts'
    """
    return out.with_name(f"{out.name}.parts")
