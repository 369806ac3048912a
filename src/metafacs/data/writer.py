"""Writes a prepared dataset in parts that survive an interruption, then joins them."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from metafacs.data.card import CARD_FILE, FACES_FILE, PARTS_FOLDER, DatasetCard
from metafacs.data.reader import PreparedDataset
from metafacs.errors import InputError
from metafacs.files import atomic_file, refuse_files
from metafacs.parts import BATCH_ROWS, PartsFolder, differences

BATCH_BYTES = 16 * 2**20
"""A record batch of `faces.arrow` ends at `BATCH_ROWS` rows or this many bytes: few enough batches to open fast, small
enough to write in little memory."""
REQUIRED = ("image", "dataset", "fold")
"""Columns without which a row is refused."""


class PreparedWriter:
    """Writes a prepared dataset in parts, so that interrupted work goes on where it stopped.

    Parts wait in a hidden folder. Where `folder` holds a finished dataset of the same settings, every part is there
    already and `finish` just opens it. Make one writer and hand it (pickled) to the processes that write parts. As long
    as it lives and has not finished, no other process can make one for this folder.

    Args:
        folder: where the dataset is to lie; made if need be.
        card: the card, without the entries that the writer fills in.
        settings: all that decides what the rows are (numbers, texts, lists, dictionaries).

    Raises:
        InputError: `folder` holds a dataset, finished or not, made with other settings or a file that would be
            replaced, or another process is writing there.
    """

    def __init__(self, folder: Path, card: DatasetCard, settings: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.card = replace(card, settings=json.loads(json.dumps(dict(settings))))
        self._parts: PartsFolder | None = None
        hidden = self.folder / PARTS_FOLDER
        if not (self.folder / CARD_FILE).exists():
            if not hidden.exists():
                refuse_files(self.folder, [FACES_FILE], "move that, or name another folder")
            self._parts = PartsFolder(hidden, _recipe(self.card), "name another folder")
        self.finished = (self.folder / CARD_FILE).exists()  # by another process, perhaps, just before the lock was free
        if self.finished:
            different = differences(_recipe(DatasetCard.read(self.folder)), _recipe(self.card))
            if different:
                raise InputError(
                    f"{self.folder} holds a dataset made with other settings: {different}; remove it or name another "
                    "folder"
                )
            self._parts = None
            shutil.rmtree(hidden, ignore_errors=True)  # of a process that was killed when all else was done

    def has_part(self, part: int) -> bool:
        """Whether part number `part` need not be written."""
        return self._parts is None or self._parts.has_part(part)

    def write_part(self, part: int, rows: Sequence[Mapping[str, Any]], note: Any = None) -> None:
        """Writes the rows of one part, atomically; parts may be written in any order, by several processes.

        A part is held in memory: a few thousand rows at most.

        Args:
            part: its number, from 0; the dataset has the parts in this order.
            rows: column -> value; columns left out are null. `image` is the encoded image (bytes), `dataset`
                defaults to the card's name, `landmarks` may be an array. NaN counts as null.
            note: JSON values to be kept with the part until the dataset is finished.

        Raises:
            InputError: a column is unknown, a value does not fit it, or a row has no image or fold.
        """
        if self._parts is None:
            raise InputError(f"{self.folder} is a finished dataset; no part can be added")
        self._parts.write_part(part, _to_table(rows, self.card, f"part {part} of {self.folder}"), note)

    def note(self, part: int) -> Any:
        """What was noted with a part of an unfinished dataset."""
        return self._parts.note(part) if self._parts else None

    def finish(self, parts: int, counts: Mapping[str, Any] | None = None) -> PreparedDataset:
        """Joins parts 0 to `parts` - 1 into the dataset, writes its card last and removes the parts.

        Args:
            parts: how many there are.
            counts: what to count in the card besides its own counts, such as rows left out.

        Raises:
            InputError: parts are missing, or there is not a single row.
        """
        if self._parts is not None:
            self._join(self._parts, parts, counts or {})
            self._parts.remove()
            self._parts, self.finished = None, True
        return PreparedDataset.open(self.folder)

    def _join(self, parts: PartsFolder, count: int, counts: Mapping[str, Any]) -> None:
        missing = [str(part) for part in range(count) if not parts.has_part(part)]
        if missing:
            names = ", ".join(missing[:10]) + (", ..." if len(missing) > 10 else "")
            raise InputError(
                f"{len(missing)} of {count} parts of {self.folder} are missing: {names}; write them before finishing"
            )
        tally = _Tally(self.card.aus)
        with atomic_file(self.folder / FACES_FILE) as partial:
            with partial.open("wb") as file, pa.ipc.new_stream(file, self.card.schema()) as stream:
                for batch in _even_batches(map(parts.read_part, range(count))):
                    stream.write_batch(batch)
                    tally.add(batch)
            if not tally.rows:
                raise InputError(f"there is nothing to put into {self.folder}: no part has a row")
            with partial.open("rb") as whole:
                digest = hashlib.file_digest(whole, "sha256").hexdigest()
            size = partial.stat().st_size
        card = replace(self.card, rows=tally.rows, counts={**tally.counts(), **counts})
        card.write_readme(self.folder)
        replace(card, faces_bytes=size, faces_sha256=digest).write(self.folder)


class _Tally:
    """Counts rows while they are written, for the card."""

    def __init__(self, aus: Sequence[str]) -> None:
        self.rows = 0
        self.subjects: set[str] = set()
        self.folds: Counter[str] = Counter()
        self.expressions: Counter[str] = Counter()
        self.labelled = Counter(dict.fromkeys(aus, 0))

    def add(self, batch: pa.RecordBatch) -> None:
        self.rows += batch.num_rows
        self.subjects.update(batch.column("subject").drop_null().to_pylist())
        self.folds.update(batch.column("fold").to_pylist())
        self.expressions.update(batch.column("expression").drop_null().to_pylist())
        for column in self.labelled:
            self.labelled[column] += batch.num_rows - batch.column(column).null_count

    def counts(self) -> dict[str, Any]:
        return {
            "subjects": len(self.subjects),
            "folds": dict(sorted(self.folds.items())),
            "expressions": dict(sorted(self.expressions.items())),
            "labelled": dict(self.labelled),
        }


def _even_batches(parts: Iterable[pa.Table]) -> Iterator[pa.RecordBatch]:
    """Joins small batches, so that a dataset of many small parts opens as fast as one of few."""
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for part in parts:
        for batch in part.to_batches():
            waiting.append(batch)
            rows, size = rows + batch.num_rows, size + batch.nbytes
            if rows >= BATCH_ROWS or size >= BATCH_BYTES:
                yield from pa.Table.from_batches(waiting).combine_chunks().to_batches()
                waiting, rows, size = [], 0, 0
    if waiting:
        yield from pa.Table.from_batches(waiting).combine_chunks().to_batches()


def _to_table(rows: Sequence[Mapping[str, Any]], card: DatasetCard, where: str) -> pa.Table:
    columns = card.schema()
    unknown = sorted({name for row in rows for name in row} - set(columns.names))
    if unknown:
        raise InputError(f"{where} has unknown columns {', '.join(unknown)}; known: {', '.join(columns.names)}")
    arrays = []
    for column in columns:
        values = [row.get(column.name) for row in rows]
        if column.name == "dataset":
            values = [card.name if value is None else value for value in values]
        if column.name in REQUIRED and None in values:
            raise InputError(f"{where}, row {values.index(None)}, has no {column.name}; every face needs one")
        try:
            arrays.append(_to_array(values, column))
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise InputError(f"{where} has a value in column {column.name} that does not fit: {error}") from error
    return pa.Table.from_arrays(arrays, schema=columns)


def _to_array(values: list[Any], column: pa.Field) -> pa.Array:
    if column.name == "image":
        values = [{"bytes": value, "path": None} if isinstance(value, bytes) else value for value in values]
    elif column.name in ("votes", "landmarks"):
        values = [value if value is None else np.asarray(value).tolist() for value in values]
    elif pa.types.is_integer(column.type):
        # Through float64, because pyarrow turns 1.5 into 1 without a word when it reads a list as integers.
        return pa.array(values, pa.float64(), from_pandas=True).cast(column.type)
    return pa.array(values, column.type, from_pandas=True)


def _recipe(card: DatasetCard) -> dict[str, Any]:
    """All that decides what is in a dataset."""
    fixed = {name: getattr(card, name) for name in ("format", "name", "aus", "truths", "expressions", "crop")}
    return dict(json.loads(json.dumps({**card.settings, **fixed})))
