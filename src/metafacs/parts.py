"""Unfinished work in parts: a folder of finished ones, each whole or absent, from which the work goes on."""

import json
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from metafacs.errors import InputError
from metafacs.files import LOCK, atomic_file, flat, lock, write_text

SETTINGS = "settings.json"
DIGESTS = {"listing": "the table or the release", "inputs": "the inputs", "model": "the detector"}
"""Settings that are digests of something, and what of."""
BATCH_ROWS = 512
"""Rows of a record batch, at most."""
_NOTE = b"metafacs"


class PartsFolder:
    """Finished parts of some work, Arrow tables under their numbers, and the settings that made them.

    As long as it lives, no other process can open the folder. Hand it (pickled) to the processes that write parts.

    Args:
        folder: made if need be; it is removed in the end, so nothing else may lie in it.
        settings: all that the parts depend on, JSON values.
        instead: where the folder cannot be used, what else to do, for the message.
        anew: throw away what is there.

    Raises:
        InputError: another process has the folder, its parts were made with other settings, or it holds something else.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], instead: str, anew: bool = False) -> None:
        self.folder = folder
        path, settings = folder / SETTINGS, json.loads(json.dumps(dict(settings)))
        others = [one.name for one in folder.iterdir() if one.name[0] != "."] if folder.is_dir() else []
        if others and SETTINGS not in others:
            raise InputError(
                f"{folder} is where unfinished work lies and is removed in the end, but it holds {others[0]}, which is "
                f"something else; move that, or {instead}"
            )
        self._lock: ExitStack | None = lock(
            folder / LOCK, f"another process is at work in {folder}; wait for it, or {instead}"
        )
        if anew:
            self._empty()
        if not path.exists():
            write_text(path, json.dumps(settings, indent=2) + "\n")
        try:
            before = dict(json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise InputError(f"{path} is damaged ({error}); remove {folder}, or {instead}") from error
        if before != settings:
            raise InputError(
                f"{folder} holds unfinished work of other settings: {differences(before, settings)}; give the same, "
                f"remove {folder}, or {instead}"
            )

    def __getstate__(self) -> dict[str, Any]:
        """Processes that write parts do so under the lock of the one that they work for."""
        return {**self.__dict__, "_lock": None}

    def has_part(self, number: int) -> bool:
        """Whether part `number` need not be written."""
        return self._path(number).exists()

    def write_part(self, number: int, table: pa.Table, note: Any = None) -> None:
        """Writes a part and a note (JSON values) together, atomically; in any order, by several processes."""
        table = table.replace_schema_metadata({_NOTE: json.dumps(note)})
        with (
            atomic_file(self._path(number)) as partial,
            partial.open("wb") as file,
            pa.ipc.new_file(file, table.schema) as writer,
        ):
            writer.write_table(table, max_chunksize=BATCH_ROWS)

    def read_part(self, number: int) -> pa.Table:
        """A part, memory-mapped.

        Raises:
            InputError: it is damaged.
        """
        return self._read(number).replace_schema_metadata(None)

    def note(self, number: int) -> Any:
        """What was noted with a part.

        Raises:
            InputError: the part is damaged.
        """
        return json.loads(self._read(number).schema.metadata[_NOTE])

    def remove(self) -> None:
        """Removes the folder: the work is done."""
        self._empty()
        with suppress(OSError):
            (self.folder / LOCK).unlink()
            self.folder.rmdir()
        self.close()

    def close(self) -> None:
        """Lets other processes go on with the work."""
        if self._lock:
            self._lock.close()

    def _path(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}.arrow"

    def _read(self, number: int) -> pa.Table:
        path = self._path(number)
        try:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
            table.validate(full=True)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path} is damaged ({error}); remove it and run the same command again") from error
        return table

    def _empty(self) -> None:
        """Removes all but the lock, the last part first: what a kill leaves can be gone on with."""
        names = sorted(path.name for path in self.folder.iterdir() if path.name not in (LOCK, SETTINGS))
        for name in [*reversed(names), SETTINGS]:
            (self.folder / name).unlink(missing_ok=True)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between two settings, for a message.

    Example:
        >>> differences({"size": 64, "crop": {"margin": 0.1}}, {"size": 32, "crop": {}})
        'size is 64, asked for 32; crop.margin is 0.1, asked for nothing'
    """
    before, now = ({key: value for key, value in flat(one).items() if value not in (None, {})} for one in (before, now))
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    changed = [f"{what} changed since" for name, what in DIGESTS.items() if name in names]
    said = [
        f"{name.removeprefix('options.')} is {before.get(name, 'nothing')}, asked for {now.get(name, 'nothing')}"
        for name in names
        if name not in DIGESTS
    ]
    return "; ".join(said or changed)  # with other options the listing is another, too
