"""A raw folder tree that is written in parts and appears under its name only when it is whole."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from metafacs.data.card import PARTS_FOLDER, DatasetCard
from metafacs.errors import InputError
from metafacs.files import LOCK, atomic_file, lock, refuse_files, write_text
from metafacs.synth.parts import Row

TRUTH_FILE = "truth.parquet"
CARD_FILE = "raw.json"


class RawTree:
    """Writes a raw folder tree in parts, so that interrupted work goes on where it stopped.

    Until it is whole the tree lies in a hidden folder named after the settings. Then the truth and a card are written
    beside its place, and it is renamed: `out/NAME` either is not there or is whole. Make one and hand it (pickled) to
    the processes that write parts.

    Args:
        out: folder that is to hold the tree, the truth and the card.
        name: of the tree's own folder, as real datasets call it.
        card: the columns of the truth (those of the prepared dataset, with `path` in place of `image`).
        settings: all that decides what is in the tree.

    Raises:
        InputError: `out` holds another tree or truth already, or another process is writing there.
    """

    def __init__(self, out: Path, name: str, card: DatasetCard, settings: Mapping[str, Any]) -> None:
        self.folder = Path(out) / name
        self.card = card
        self.settings = json.loads(json.dumps(dict(settings)))
        recipe = json.dumps({"tree": name, **self.settings}, sort_keys=True)
        self._hidden = Path(out) / PARTS_FOLDER
        self._work = self._hidden / hashlib.sha256(recipe.encode()).hexdigest()[:16]
        self._lock: ExitStack | None = None
        if not self.folder.exists():
            self._check_place()
            if self._hidden.is_symlink():
                raise InputError(f"{self._hidden} is a link, and what is in it is removed; name another folder")
            if not self._hidden.exists():
                refuse_files(Path(out), [TRUTH_FILE], "move that, or name another folder")
            told = f"another process is writing the raw tree in {out}; wait for it, or name another folder"
            self._lock = lock(self._hidden / LOCK, told)
        self.finished = self.folder.exists()
        if self.finished:
            self._check_same()
            self._clean()
            return
        for other in self._hidden.iterdir():
            if other not in (self._work, self._hidden / LOCK):
                shutil.rmtree(other, ignore_errors=True)
        write_text(self._work / "settings.json", recipe + "\n")

    def __getstate__(self) -> dict[str, Any]:
        """Processes that write parts do so under the lock of the one that they work for."""
        return {**self.__dict__, "_lock": None}

    @property
    def root(self) -> Path:
        """Where files of the tree are to be written while it is not whole."""
        return self._work / "tree"

    @property
    def scratch(self) -> Path:
        """A folder for pieces of files that `finish` joins."""
        return self._work / "pieces"

    def has_part(self, part: int) -> bool:
        """Whether part number `part` need not be written."""
        return self.finished or self._part(part).exists()

    def write_part(self, part: int, rows: Sequence[Row]) -> None:
        """Notes the truth of a part, atomically; call it when all of the part's files are in `root`."""
        rows = [{"dataset": self.card.name, **row} for row in rows]
        table = pa.Table.from_arrays(
            [_array([row.get(column.name) for row in rows], column) for column in self.schema], schema=self.schema
        )
        with atomic_file(self._part(part)) as partial:
            pq.write_table(table, partial)

    def finish(self, parts: int, join: Callable[[Path, Iterator[pa.Table]], None] | None = None) -> Path:
        """Makes the tree whole and returns its folder.

        Args:
            parts: how many there are; all have been written.
            join: writes files that need all parts, given `root` and the truth of each part in order.
        """
        if not self.finished:
            if join is not None:
                join(self.root, map(self._read, range(parts)))
            with (
                atomic_file(self.folder.parent / TRUTH_FILE) as partial,
                pq.ParquetWriter(partial, self.schema) as writer,
            ):
                for part in range(parts):
                    writer.write_table(self._read(part))
            entries = {"tree": self.folder.name, "source": self.card.source, "licence": self.card.licence}
            text = json.dumps({**entries, "settings": self.settings}, indent=2, ensure_ascii=False)
            write_text(self.folder.parent / CARD_FILE, text + "\n")
            self.root.rename(self.folder)
            self.finished = True
        self._clean()
        return self.folder

    def _clean(self) -> None:
        shutil.rmtree(self._hidden, ignore_errors=True)
        if self._lock:
            self._lock.close()
            self._lock = None

    @property
    def schema(self) -> pa.Schema:
        """The columns of the truth."""
        columns = [column for column in self.card.schema() if column.name != "image"]
        return pa.schema([pa.field("path", pa.string()), *columns])

    def _part(self, part: int) -> Path:
        return self._work / f"part-{part:06d}.parquet"

    def _read(self, part: int) -> pa.Table:
        return pq.read_table(self._part(part))

    def _check_same(self) -> None:
        card = self.folder.parent / CARD_FILE
        try:
            found = json.loads(card.read_text(encoding="utf-8"))["settings"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{self.folder} is there already, without a {CARD_FILE} beside it that says what it is; "
                "name another folder"
            ) from error
        names = sorted({*found, *self.settings})
        pairs = [(name, found.get(name), self.settings.get(name)) for name in names]
        differing = [f"{name} is {was!r}, asked for {now!r}" for name, was, now in pairs if was != now]
        if differing:
            raise InputError(
                f"{self.folder} was made with other settings: {'; '.join(differing)}; remove it or name another folder"
            )

    def _check_place(self) -> None:
        card = self.folder.parent / CARD_FILE
        try:
            tree = json.loads(card.read_text(encoding="utf-8"))["tree"]
        except (OSError, ValueError, KeyError, TypeError):
            return
        if tree != self.folder.name and (self.folder.parent / str(tree)).exists():
            raise InputError(f"{self.folder.parent} holds the raw tree {tree} already; name another folder")


def _array(values: list[Any], column: pa.Field) -> pa.Array:
    if column.name in ("votes", "landmarks"):
        values = [None if value is None else np.asarray(value).tolist() for value in values]
    return pa.array(values, column.type)
