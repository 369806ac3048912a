"""Writes a prepared dataset in parts that survive an interruption, then joins them."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
import pyarrow as pa

from metafacs.data.card import CARD_FILE, FACES_FILE, PARTS_FOLDER, DatasetCard
from metafacs.data.digests import image_blocks, table_digest
from metafacs.data.reader import PreparedDataset
from metafacs.errors import InputError
from metafacs.files import LOCK, atomic_file, lock, refuse_files, remove_partials, write_text

BATCH_ROWS = 512
BATCH_BYTES = 16 * 2**20
"""A record batch of `faces.arrow` ends at this many rows or bytes: few enough batches to open fast, small enough
to write in little memory."""

DIGEST_BYTES = hashlib.sha256().digest_size
REQUIRED = ("image", "dataset", "fold")
"""Columns without which a row is refused."""


class PreparedWriter:
    """Writes a prepared dataset in parts, so that interrupted work goes on where it stopped.

    Parts wait in a hidden folder named after the settings, so parts of other settings can never slip in; those are
    discarded. Where `folder` holds a finished dataset of the same settings, every part is there already and
    `finish` just opens it. Make one writer and hand it (pickled) to the processes that write parts. As long as it
    lives and has not finished, no other process can make one for this folder.

    Args:
        folder: where the dataset is to lie; made if need be.
        card: the card, without the entries that the writer fills in.
        settings: all that decides what the rows are (numbers, texts, lists, dictionaries).

    Raises:
        InputError: `folder` holds a finished dataset made with other settings or a file that would be replaced,
            another process is writing there, or the card holds what cannot be printed.
    """

    def __init__(self, folder: Path, card: DatasetCard, settings: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        card.check()
        self.card = replace(card, settings=json.loads(json.dumps(dict(settings))))
        recipe = json.dumps(_recipe(self.card), sort_keys=True)
        hidden = self.folder / PARTS_FOLDER
        self._parts = hidden / hashlib.sha256(recipe.encode()).hexdigest()[:16]
        self._lock: IO[str] | None = None
        if not (self.folder / CARD_FILE).exists():
            if hidden.is_symlink():
                raise InputError(
                    f"{hidden} is a link, and parts are removed in the end; remove it or name another folder"
                )
            if not hidden.exists():
                refuse_files(self.folder, [FACES_FILE], "move that, or name another folder")
            told = f"another process is writing the dataset in {self.folder}; wait for it, or name another folder"
            self._lock = lock(hidden / LOCK, told)
        self.finished = (self.folder / CARD_FILE).exists()  # by another process, perhaps, just before the lock was free
        if self.finished:
            _check_same(self.folder, DatasetCard.read(self.folder), self.card)
            self._clean()
            return
        for other in hidden.iterdir():
            if other not in (self._parts, hidden / LOCK):
                shutil.rmtree(other, ignore_errors=True)
        remove_partials(self.folder)
        write_text(self._parts / "settings.json", recipe + "\n")

    def __getstate__(self) -> dict[str, Any]:
        """Processes that write parts do so under the lock of the one that they work for."""
        return {**self.__dict__, "_lock": None}

    def has_part(self, part: int) -> bool:
        """Whether part number `part` need not be written."""
        return self.finished or self._part(part).exists()

    def write_part(self, part: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes the rows of one part, atomically; parts may be written in any order, by several processes.

        A part is held in memory: a few thousand rows at most.

        Args:
            part: its number, from 0; the dataset has the parts in this order.
            rows: column -> value; columns left out are null. `image` is the encoded image (bytes), `dataset`
                defaults to the card's name, `landmarks` may be an array. NaN counts as null.

        Raises:
            InputError: a column is unknown, a value does not fit it, or a row has no image or fold.
        """
        if self.finished:
            raise InputError(f"{self.folder} is a finished dataset; no part can be added")
        table = _to_table(rows, self.card, f"part {part} of {self.folder}")
        with atomic_file(self._part(part)) as partial, partial.open("wb") as file:
            sink = _HashingFile(file)
            with pa.ipc.new_stream(sink, table.schema) as stream:
                stream.write_table(table, max_chunksize=BATCH_ROWS)
            file.write(sink.digest.digest())

    def finish(self, parts: int, counts: Mapping[str, Any] | None = None) -> PreparedDataset:
        """Joins parts 0 to `parts` - 1 into the dataset, writes its card last and removes the parts.

        Args:
            parts: how many there are.
            counts: what to count in the card besides its own counts, such as rows left out.

        Raises:
            InputError: parts are missing, or there is not a single row.
        """
        if not self.finished:
            self._join(parts, counts or {})
            self.finished = True
        return PreparedDataset.open(self.folder)

    def _join(self, parts: int, counts: Mapping[str, Any]) -> None:
        missing = [str(part) for part in range(parts) if not self.has_part(part)]
        if missing:
            names = ", ".join(missing[:10]) + (", ..." if len(missing) > 10 else "")
            found = f"{len(missing)} of {parts} parts of {self.folder} are missing"
            raise InputError(f"{found}: {names}; write them before finishing")
        tally = _Tally(self.card.aus)
        with atomic_file(self.folder / FACES_FILE) as partial:
            with partial.open("wb") as file:
                sink = _HashingFile(file)
                with pa.ipc.new_stream(sink, self.card.schema()) as stream:
                    for batch in _even_batches(map(self._part, range(parts))):
                        stream.write_batch(batch)
                        tally.add(batch)
            if not tally.rows:
                raise InputError(f"there is nothing to put into {self.folder}: no part has a row")
            digests = _digests(partial)
        card = replace(self.card, rows=tally.rows, counts={**tally.counts(), **counts}, **digests)
        replace(card, faces_bytes=sink.size, faces_sha256=sink.digest.hexdigest()).write(self.folder)
        self._clean()

    def _part(self, part: int) -> Path:
        return self._parts / f"part-{part:06d}.arrow"

    def _clean(self) -> None:
        shutil.rmtree(self.folder / PARTS_FOLDER, ignore_errors=True)
        remove_partials(self.folder, of_living=False)  # another process may be writing its audit
        if self._lock:
            self._lock.close()
            self._lock = None


def _digests(path: Path) -> dict[str, Any]:
    """The entries of the card about parts of the file."""
    whole = pa.memory_map(str(path)).read_buffer()
    blocks = image_blocks(pa.ipc.open_stream(whole).read_all(), whole)
    return {"table_sha256": table_digest(whole, blocks), "image_blocks": [asdict(block) for block in blocks]}


class _HashingFile:
    """A file to write to that knows the size and the SHA-256 of what went through."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.digest = hashlib.sha256()
        self.size = 0
        self.closed = False

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        written = self.file.write(data)
        self.size += written
        return written

    def flush(self) -> None:
        self.file.flush()


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


def _even_batches(parts: Iterable[Path]) -> Iterator[pa.RecordBatch]:
    """Joins small batches, so that a dataset of many small parts opens as fast as one of few."""
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for part in parts:
        for batch in _read_part(part):
            waiting.append(batch)
            rows, size = rows + batch.num_rows, size + batch.nbytes
            if rows >= BATCH_ROWS or size >= BATCH_BYTES:
                yield from pa.Table.from_batches(waiting).combine_chunks().to_batches()
                waiting, rows, size = [], 0, 0
    if waiting:
        yield from pa.Table.from_batches(waiting).combine_chunks().to_batches()


def _read_part(part: Path) -> list[pa.RecordBatch]:
    """The batches of a part, memory-mapped; behind them stands the SHA-256 of what is before it."""
    try:
        whole = pa.memory_map(str(part)).read_buffer()
        content = whole.slice(0, max(0, whole.size - DIGEST_BYTES))
        if hashlib.sha256(content).digest() != whole.slice(content.size).to_pybytes():
            raise ValueError("it is not as it was written: the SHA-256 differs")
        table = pa.ipc.open_stream(content).read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{part} is damaged ({error}); remove it and run the same command again") from error
    return table.to_batches()


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
    fixed = {name: getattr(card, name) for name in ("format", "name", "aus", "truths", "expressions", "crop")}
    return json.loads(json.dumps({**fixed, "settings": card.settings}))


def _check_same(folder: Path, found: DatasetCard, wanted: DatasetCard) -> None:
    old, new = _recipe(found), _recipe(wanted)
    pairs = {name: (old.get(name), new.get(name)) for name in old if name != "settings"}
    old, new = old["settings"], new["settings"]
    pairs |= {name: (old.get(name), new.get(name)) for name in {**old, **new}}
    differing = [f"{name} is {was!r}, asked for {now!r}" for name, (was, now) in pairs.items() if was != now]
    if differing:
        raise InputError(
            f"{folder} holds a dataset made with other settings: {'; '.join(differing)}; "
            "remove it or name another folder"
        )
