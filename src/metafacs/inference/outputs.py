"""Writes tables that come part by part, so that a table of hours never has to fit into memory."""

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from metafacs.errors import InputError
from metafacs.files import LONGEST, atomic_file, naming

ENDINGS = (".csv", ".parquet")


def check_outputs(paths: Sequence[Path], overwrite: bool = False) -> None:
    """Refuses what could not be written in the end, before any work is done.

    Raises:
        InputError: an ending is neither .csv nor .parquet, a name is too long or not UTF-8, a file is named twice,
            is a folder, or is there already (unless `overwrite` is on).
    """
    wrong = [str(path) for path in paths if path.suffix.lower() not in ENDINGS]
    if wrong:
        raise InputError(f"--out {', '.join(wrong)}: the name has to end in .csv or .parquet, which says the kind")
    if len({os.path.realpath(path) for path in paths}) < len(paths):  # not `resolve`, which fails at a loop of links
        raise InputError("--out names a file twice")
    for path in paths:
        if path.is_dir():
            raise InputError(f"{path} is a folder; give the name of a file to write")
        try:
            str(path.absolute()).encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"{str(path)!a}: the name is not UTF-8, which Parquet files need; choose another"
            ) from error
        if len(os.fsencode(partial_path(path).name)) > LONGEST:
            raise InputError(f"{path}: the name is too long, as {partial_path(path).name} has to stand beside it")
        if (path.exists() or path.is_symlink()) and not overwrite:
            raise InputError(f"{path} is there already; choose another --out, or replace it with --overwrite")


def writable_folder(folder: Path) -> None:
    """Makes a folder and tries whether files can be written into it.

    Raises:
        InputError: it cannot be made or written into.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"nothing can be written into {folder} ({error.strerror}); choose another place") from error


def write_tables(paths: Sequence[Path], tables: Iterable[pd.DataFrame]) -> int:
    """Writes the tables, one behind the other, into each of the files, atomically; returns the number of rows.

    The first file gets its name first: as long as it is not there, none is.
    """
    rows = 0
    with ExitStack() as stack:
        partials = [stack.enter_context(atomic_file(path)) for path in reversed(paths)]
        with ExitStack() as writing:
            writers = [_Writer(path, writing) for path in partials]
            for table in tables:
                rows += len(table)
                for writer in writers:
                    writer.write(table)
    return rows


def partial_path(out: Path) -> Path:
    """What was found so far, as CSV, while `out` is being made.

    Example:
        >>> partial_path(Path("session.parquet")).name
        'session.partial.csv'
    """
    return out.with_name(f"{out.stem}.partial.csv")


def append_csv(path: Path, table: pd.DataFrame, first: bool) -> None:
    """Adds rows to a CSV file, which is begun anew with the `first`."""
    text = to_csv(table, header=first)
    with naming(path), path.open("w" if first else "a", encoding="utf-8", newline="") as file:
        file.write(text)


def to_csv(table: pd.DataFrame, header: bool) -> str:
    """A table as CSV; nothing for what is not known."""
    return table.to_csv(index=False, header=header, lineterminator="\n")


class _Writer:
    """Writes tables of the same columns, one behind the other, into a file that is closed with `stack`."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._path, self._stack = path, stack
        self._file: Any = None

    def write(self, table: pd.DataFrame) -> None:
        first = self._file is None
        if self._path.suffix.lower() == ".parquet":
            if first:
                # columns of text are text even where the first part has none
                schema = pa.Schema.from_pandas(table, preserve_index=False)
                untyped = [k for k, kind in enumerate(schema.types) if kind in (pa.null(), pa.large_string())]
                for k in untyped:
                    schema = schema.set(k, pa.field(schema.names[k], pa.string()))
                self._file = self._stack.enter_context(pq.ParquetWriter(self._path, schema.remove_metadata()))
            self._file.write_table(pa.Table.from_pandas(table, schema=self._file.schema, preserve_index=False))
        else:
            if first:
                self._file = self._stack.enter_context(self._path.open("w", encoding="utf-8", newline=""))
            self._file.write(to_csv(table, header=first))


def read_groups(tables: Iterable[pd.DataFrame], keys: Sequence[str]) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Consecutive rows with equal keys, together, even where a part ends between them."""
    kept: pd.DataFrame | None = None
    for table in tables:
        table = table if kept is None else pd.concat([kept, table], ignore_index=True)
        changes = (table[list(keys)].ne(table[list(keys)].shift()).any(axis=1)).cumsum()
        groups = [group for _, group in table.groupby(changes, sort=False)]
        for group in groups[:-1]:
            yield tuple(group[list(keys)].iloc[0]), group
        kept = groups[-1] if groups else None
    if kept is not None:
        yield tuple(kept[list(keys)].iloc[0]), kept
