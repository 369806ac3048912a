"""A raw folder tree that is written in parts and appears under its name only when it is whole."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from metafacs.data.card import PARTS_FOLDER, DatasetCard
from metafacs.errors import InputError
from metafacs.files import atomic_file, refuse_files, write_text
from metafacs.parts import PartsFolder, differences
from metafacs.synth.rendering import Row

TRUTH_FILE = "truth.parquet"
CARD_FILE = "raw.json"
TREE_FOLDER = ".tree"


class RawTree:
    """Writes a raw folder tree in parts, so that interrupted work goes on where it stopped.

    Until it is whole the tree lies in a hidden folder beside that of its parts, which hold the truth about the images.
    Then the truth and a card are written beside its place, and it is renamed: `out/NAME` either is not there or is
    whole. Make one and hand it (pickled) to the processes that write parts.

    Args:
        out: folder that is to hold the tree, the truth and the card.
        name: of the tree's own folder, as real datasets call it.
        card: the columns of the truth (those of the prepared dataset, with `path` in place of `image`).
        settings: all that decides what is in the tree.

    Attributes:
        root: where files of the tree are written while it is not whole.
        scratch: a folder for pieces of files that `finish` joins.
        schema: the columns of the truth.

    Raises:
        InputError: `out` holds another tree or truth already, or another process is writing there.
    """

    def __init__(self, out: Path, name: str, card: DatasetCard, settings: Mapping[str, Any]) -> None:
        self.out, self.folder, self.card = Path(out), Path(out) / name, card
        self.settings = json.loads(json.dumps(dict(settings)))
        self.root, self.scratch = self.out / TREE_FOLDER / name, self.out / TREE_FOLDER / "pieces"
        columns = [column for column in card.schema() if column.name != "image"]
        self.schema = pa.schema([pa.field("path", pa.string()), *columns])
        self._parts: PartsFolder | None = None
        hidden = self.out / PARTS_FOLDER
        if not self.folder.exists():
            new = not hidden.exists()
            if new:
                refuse_files(self.out, [TRUTH_FILE, CARD_FILE], "move that, or name another folder")
            self._parts = PartsFolder(hidden, {"tree": name, **self.settings}, "name another folder")
            if new:
                shutil.rmtree(self.out / TREE_FOLDER, ignore_errors=True)  # files of parts that somebody removed
        if self.folder.exists():  # by another process, perhaps, just before the lock was free
            self._check_same()
            self._parts = None
            for unfinished in (hidden, self.out / TREE_FOLDER):  # of a process that was killed when all else was done
                shutil.rmtree(unfinished, ignore_errors=True)

    def has_part(self, part: int) -> bool:
        """Whether part number `part` need not be written."""
        return self._parts is None or self._parts.has_part(part)

    def write_part(self, part: int, rows: Sequence[Row]) -> None:
        """Notes the truth of a part, atomically; call it when all of the part's files are in `root`."""
        if self._parts is None:
            raise InputError(f"{self.folder} is whole; no part can be added")
        arrays = []
        for column in self.schema:
            values = [row.get(column.name, self.card.name if column.name == "dataset" else None) for row in rows]
            if column.name in ("votes", "landmarks"):
                values = [None if value is None else np.asarray(value).tolist() for value in values]
            arrays.append(pa.array(values, column.type))
        self._parts.write_part(part, pa.Table.from_arrays(arrays, schema=self.schema))

    def finish(self, parts: int, join: Callable[["RawTree", Iterator[pa.Table]], None] | None = None) -> Path:
        """Makes the tree whole and returns its folder.

        Args:
            parts: how many there are; all have been written.
            join: writes files that need all parts, given the tree and the truth of each part in order.
        """
        if self._parts is None:
            return self.folder
        if join is not None:
            join(self, map(self._parts.read_part, range(parts)))
        with atomic_file(self.out / TRUTH_FILE) as partial, pq.ParquetWriter(partial, self.schema) as writer:
            for table in map(self._parts.read_part, range(parts)):
                writer.write_table(table)
        entries = {"tree": self.folder.name, "source": self.card.source, "licence": self.card.licence}
        text = json.dumps({**entries, "settings": self.settings}, indent=2, ensure_ascii=False)
        write_text(self.out / CARD_FILE, text + "\n")
        self.root.rename(self.folder)
        shutil.rmtree(self.out / TREE_FOLDER)
        self._parts.remove()
        self._parts = None
        return self.folder

    def _check_same(self) -> None:
        """Refuses a tree that is not the one that is asked for."""
        try:
            settings = dict(json.loads((self.out / CARD_FILE).read_text(encoding="utf-8"))["settings"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{self.folder} is there already, without a {CARD_FILE} beside it that says what it is; "
                "name another folder"
            ) from error
        if settings != self.settings:
            raise InputError(
                f"{self.folder} was made with other settings: {differences(settings, self.settings)}; remove it or "
                "name another folder"
            )
