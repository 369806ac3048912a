"""What a reader of a raw dataset is: raw folder -> listing (one row a face to be); and the table of readers."""

import posixpath
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from metafacs.datasets.protocols import Protocol
from metafacs.errors import InputError
from metafacs.facs import intensity_column
from metafacs.registry import Registry

DEFAULTS: dict[str, Any] = {
    "image": "",
    "video": "",
    "video_frame": -1,
    "pixels": None,
    "subject": "",
    "sequence": "",
    "frame": 0,
    "fold": "",
    "expression": None,
    "votes": None,
    "points": None,
}
"""The columns of every listing besides those of AUs, with what stands where a reader gives nothing."""


@dataclass(frozen=True)
class SourceCard:
    """What one should know about a public dataset before using it.

    Attributes:
        title: its full name.
        what: what it shows and how it is labelled.
        count: how many people, faces or frames.
        split: how people split it into training and test.
        licence: what may be done with it.
        citation: the paper to cite.
        obtain: whom to ask for it, and how.
        url: its page; may be empty.
        tried: on what this reader was tried.
    """

    title: str
    what: str
    count: str
    split: str
    licence: str
    citation: str
    obtain: str
    url: str = ""
    tried: str = "miniature trees in the documented layout; never the real release"


@dataclass(frozen=True)
class Skip:
    """Rows that were left out.

    Attributes:
        where: file and line, or image, or sequence and frames.
        reason: why, with what was tried.
        rows: how many rows.
    """

    where: str
    reason: str
    rows: int = 1


@dataclass
class Listing:
    """What a reader found.

    Attributes:
        rows: one row a face to be, by sequence, then frame: `image` (path relative to the raw folder, or ""), `video`
            (the same) and `video_frame` (from 0; -1 where there is no video), `pixels` (an encoded image, or None),
            `subject`, `sequence`, `frame`, `fold` ("" in none), `AU01`... (Int8, 0, 1 or missing),
            `AU01_intensity`... (Int8, 0-5 or missing; only where known), `expression` (a name or None), `votes` (7
            counts in the order of `facs.EXPRESSIONS`, or None), `points` ((n, 2) landmarks in pixels, or None).
        aus: AU columns, in order.
        skipped: what was left out.
        notes: what a user should know.
        protocol: name of the dataset whose protocol the rows should match ("bp4d", ...), or "".
        people_known: whether every row's `subject` says who it is; if not, rows count as people of their own.
        recorded: whether rows of one sequence are frames of a recording; else each is a photograph by itself.
    """

    rows: pd.DataFrame
    aus: list[str]
    skipped: list[Skip] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    protocol: str = ""
    people_known: bool = True
    recorded: bool = True


class RawDataset(ABC):
    """A reader: knows one dataset's layouts, reads its label files and lists its folders, never opens a picture.

    A subclass provides `card` and `read`, and `published` where something is published. It is a dataclass whose fields
    are its options: their types and the sentences below them become flags.
    """

    card: ClassVar[SourceCard]
    published: ClassVar[Protocol] = Protocol()
    aligned: bool = False
    """Whether the pictures are aligned faces already, which nobody need find again."""

    @abstractmethod
    def read(self, raw: Path) -> Listing:
        """Reads labels and finds the pictures they belong to.

        Args:
            raw: the folder of the release.

        Raises:
            InputError: something makes reading impossible or ambiguous; names the file, the line and the fix.
        """


class RowTable:
    """Rows under construction, kept by column: a hundred thousand rows as dictionaries would take ten times the room.

    Args:
        aus: AU columns, in order.
        intensities: AU columns whose intensity is known too.
    """

    def __init__(self, aus: Sequence[str], intensities: Sequence[str] = ()) -> None:
        self.aus = list(aus)
        self._graded = [intensity_column(column) for column in intensities]
        names = [*DEFAULTS, *self.aus, *self._graded]
        self._columns: dict[str, list[Any]] = {name: [] for name in names}

    def __len__(self) -> int:
        return len(self._columns["image"])

    def add(self, values: Mapping[str, Any]) -> None:
        """Appends a row; columns left out get their default, AUs none."""
        if not values.keys() <= self._columns.keys():
            raise KeyError(sorted(values.keys() - self._columns.keys()))
        for name, column in self._columns.items():
            column.append(values.get(name, DEFAULTS.get(name)))

    def values(self, name: str) -> list[Any]:
        """What one column holds so far."""
        return self._columns[name]

    def listing(
        self, raw: Path, skipped: list[Skip], notes: list[str], protocol: str = "", people_known: bool = True
    ) -> Listing:
        """The rows in order.

        Raises:
            InputError: there are none, or two of them give one picture different labels.
        """
        if not len(self):
            raise InputError(f"nothing usable was found in {raw}: {_reasons(skipped)}")
        table = pd.DataFrame({name: self._column(name) for name in self._columns})
        self._check_pictures(table, raw)
        table = table.sort_values(["sequence", "frame"], kind="stable", ignore_index=True)
        return Listing(table, self.aus, skipped, notes, protocol, people_known)

    def _check_pictures(self, table: pd.DataFrame, raw: Path) -> None:
        """Lists may name one picture in several ways (1.jpg and 0001.jpg, another case, a ./ in the path)."""
        shown = table["image"].map(posixpath.normpath)
        again = shown[(shown != ".") & shown.duplicated(keep=False)]
        columns = [table[name].tolist() for name in ("sequence", *self.aus, *self._graded, "expression", "votes")]
        first: dict[str, tuple[str, str]] = {}
        for row, image in zip(again.index.tolist(), again.tolist(), strict=True):
            where, *labels = (str(column[row]) for column in columns)
            before, place = first.setdefault(image, (str(labels), where))
            if before != str(labels):
                raise InputError(
                    f"{raw}: the picture {image} is listed twice with different labels, as {place} and as {where}; "
                    "correct the lists"
                )

    def _column(self, name: str) -> pd.Series:
        kind = "object"
        if name in self.aus or name in self._graded:
            kind = "Int8"
        elif name in ("frame", "video_frame"):
            kind = "int64"
        return pd.Series(self._columns[name], dtype=kind)


def _reasons(skipped: Sequence[Skip]) -> str:
    counted: Counter[str] = Counter()
    for skip in skipped:
        counted[skip.reason] += skip.rows
    most = [f"{rows:,} rows left out, {reason}" for reason, rows in counted.most_common(3)]
    return "; ".join(most) or "no label file has a row"


DATASETS: Registry[RawDataset] = Registry("dataset")


def protocol_of(name: str) -> Protocol:
    """The protocol of a dataset; an empty one where there is no reader of that name."""
    return DATASETS[name].published if name in DATASETS else Protocol()


def with_folds() -> list[str]:
    """Names of the datasets whose folds are published by subject."""
    return [name for name in DATASETS if DATASETS[name].published.folds]


UNKNOWN_PEOPLE = "nobody knows who is who: every image counts as a person of its own"
"""What readers of photographs from the web note."""
