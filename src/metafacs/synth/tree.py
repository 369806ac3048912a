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
from metafacs.synth.rendering import Row

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
        recipe = json.dumps({"tree": name, **self.settings}, sort_keys=True)
        self._hidden = self.out / PARTS_FOLDER
        self._work = self._hidden / hashlib.sha256(recipe.encode()).hexdigest()[:16]
        self.root, self.scratch = self._work / "tree", self._work / "pieces"
        columns = [column for column in card.schema() if column.name != "image"]
        self.schema = pa.schema([pa.field("path", pa.string()), *columns])
        self._lock: ExitStack | None = None
        if not self.folder.exists():
            if self._hidden.is_symlink():
                raise InputError(f"{self._hidden} is a link, and what is in it is removed; name another folder")
            if not self._hidden.exists():
                refuse_files(self.out, [TRUTH_FILE, CARD_FILE], "move that, or name another folder")
            busy = f"another process is writing the raw tree in {out}; wait for it, or name another folder"
            self._lock = lock(self._hidden / LOCK, busy)
        self.finished = self.folder.exists()
        if self.finished:
            self._check_same()
            self._clean()
            return
        for old in self._hidden.iterdir():
            if old not in (self._work, self._hidden / LOCK):
                shutil.rmtree(old, ignore_errors=True)
        write_text(self._work / "settings.json", recipe + "\n")

    def __getstate__(self) -> dict[str, Any]:
        """Processes that write parts do so under the lock of the one that they work for."""
        return {**self.__dict__, "_lock": None}

    def has_part(self, part: int) -> bool:
        """Whether part number `part` need not be written."""
        return self.finished or self._part(part).exists()

    def write_part(self, part: int, rows: Sequence[Row]) -> None:
        """Notes the truth of a part, atomically; call it when all of the part's files are in `root`."""
        arrays = []
        for column in self.schema:
            values = [row.get(column.name, self.card.name if column.name == "dataset" else None) for row in rows]
            if column.name in ("votes", "landmarks"):
                values = [None if value is None else np.asarray(value).tolist() for value in values]
            arrays.append(pa.array(values, column.type))
        with atomic_file(self._part(part)) as partial:
            pq.write_table(pa.Table.from_arrays(arrays, schema=self.schema), partial)

    def finish(self, parts: int, join: Callable[["RawTree", Iterator[pa.Table]], None] | None = None) -> Path:
        """Makes the tree whole and returns its folder.

        Args:
            parts: how many there are; all have been written.
            join: writes files that need all parts, given the tree and the truth of each part in order.
        """
        if not self.finished:
            tables = [self._part(part) for part in range(parts)]
            if join is not None:
                join(self, map(pq.read_table, tables))
            with atomic_file(self.out / TRUTH_FILE) as partial, pq.ParquetWriter(partial, self.schema) as writer:
                for table in map(pq.read_table, tables):
                    writer.write_table(table)
            entries = {"tree": self.folder.name, "source": self.card.source, "licence": self.card.licence}
            text = json.dumps({**entries, "settings": self.settings}, indent=2, ensure_ascii=False)
            write_text(self.out / CARD_FILE, text + "\n")
            self.root.rename(self.folder)
            self.finished = True
        self._clean()
        return self.folder

    def _clean(self) -> None:
        shutil.rmtree(self._hidden, ignore_errors=True)
        if self._lock:
            self._lock.close()
            self._lock = None

    def _part(self, part: int) -> Path:
        return self._work / f"part-{part:06d}.parquet"

    def _card(self) -> dict[str, Any]:
        """What the card beside the tree says; nothing where there is no card that can be read."""
        try:
            card = json.loads((self.out / CARD_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return card if isinstance(card, dict) else {}

    def _check_same(self) -> None:
        settings = self._card().get("settings")
        if not isinstance(settings, dict):
            raise InputError(
                f"{self.folder} is there already, without a {CARD_FILE} beside it that says what it is; "
                "name another folder"
            )
        names = sorted({*settings, *self.settings})
        pairs = [(name, settings.get(name), self.settings.get(name)) for name in names]
        differing = [f"{name} is {was!r}, asked for {now!r}" for name, was, now in pairs if was != now]
        if differing:
            raise InputError(
                f"{self.folder} was made with other settings: {'; '.join(differing)}; remove it or name another folder"
            )
