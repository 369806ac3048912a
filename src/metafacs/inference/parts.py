"""Unfinished work beside the output: finished parts, each whole or absent, and the place to go on from."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from metafacs.errors import InputError
from metafacs.files import LOCK, TEMPORARY, atomic_file, write_text
from metafacs.inference.outputs import writable_folder
from metafacs.inference.watching import Part

SETTINGS = "settings.json"
_AFTER = b"metafacs_after"
_OURS = re.compile(
    rf"(part-\d+|ahead-\d+-\d+)\.parquet|{re.escape(SETTINGS)}|{re.escape(LOCK)}|\..+{re.escape(TEMPORARY)}.*"
)
"""Names of all that may lie in the folder; it is removed in the end, and nobody else's files with it."""


class Parts:
    """The folder `OUT.parts`, which is there while `OUT` is being made.

    Args:
        out: the output to be.
        settings: what the parts depend on, JSON values; parts of other settings are not mixed.
        resume: go on with unfinished work, if there is any.
        overwrite: throw unfinished work away.

    Raises:
        InputError: unfinished work is there and `resume` is off, it is of other settings, another process is at it, or
            something else is in the folder's place.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any], resume: bool = False, overwrite: bool = False) -> None:
        self.folder = parts_folder(out)
        if self.folder.exists() and not (resume or overwrite):
            raise InputError(
                f"{self.folder} holds unfinished work; go on with it with --resume, or start anew with --overwrite"
            )
        _check_place(self.folder)
        writable_folder(self.folder)
        self._lock = _locked(self.folder)
        if not resume:
            self._empty()
        path = self.folder / SETTINGS
        if not path.exists():
            write_text(path, json.dumps(dict(settings), indent=2) + "\n")
        _check_settings(path, settings)
        self.count = len(self._files())

    def after(self) -> dict[str, Any] | None:
        """The place behind the last part, as `watch` gave it; None if there is no part yet."""
        if not self.count:
            return None
        metadata = self._open(self._path(self.count - 1)).schema_arrow.metadata
        found: dict[str, Any] = json.loads(metadata[_AFTER])
        return found

    def append(self, part: Part) -> None:
        """Writes a part and the place behind it, together and atomically."""
        metadata = {_AFTER: json.dumps({**part.after, "frames": self.frames() + part.frames}).encode()}
        with atomic_file(self._path(self.count)) as partial:
            pq.write_table(part.rows.replace_schema_metadata(metadata), partial)
        self.count += 1

    def frames(self) -> int:
        """How many frames are done."""
        return int((self.after() or {}).get("frames", 0))

    def read(self) -> Iterator[pa.Table]:
        """The parts, in order, one in memory at a time."""
        for number in range(self.count):
            yield self._open(self._path(number)).read().replace_schema_metadata(None)

    def remove(self) -> None:
        """The output is there: the parts go."""
        self._empty()
        with suppress(OSError):
            (self.folder / LOCK).unlink()
            self.folder.rmdir()
        self.close()

    def _empty(self) -> None:
        """Removes all but the lock, the last part first: what a kill leaves can be gone on with."""
        names = sorted(path.name for path in self.folder.iterdir() if path.name not in (LOCK, SETTINGS))
        for name in [*reversed(names), SETTINGS]:
            (self.folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Lets other processes go on with the work."""
        self._lock.close()

    def _path(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}.parquet"

    def _files(self) -> list[Path]:
        files = sorted(self.folder.glob("part-*.parquet"))
        if files != [self._path(number) for number in range(len(files))]:
            raise InputError(f"a part is missing in {self.folder}; start anew with --overwrite")
        return files

    def _open(self, path: Path) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path} is damaged ({error}); start anew with --overwrite") from error


def parts_folder(out: Path) -> Path:
    """Where unfinished work on `out` lies.

    Example:
        >>> parts_folder(Path("results/session.csv")).name
        'session.csv.parts'
    """
    return out.with_name(f"{out.name}.parts")


def _check_settings(path: Path, settings: Mapping[str, Any]) -> None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); start anew with --overwrite") from error
    wanted = json.loads(json.dumps(dict(settings)))
    if found != wanted:
        names = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
        raise InputError(
            f"the unfinished work in {path.parent} was begun with another {', '.join(names)}; give the same, choose "
            "another --out, or start anew with --overwrite"
        )


def _check_place(folder: Path) -> None:
    """Refuses a folder in which there is, or to which leads, what is not ours to remove."""
    if folder.is_symlink():
        raise InputError(
            f"{folder} is a link, and unfinished work is removed in the end; remove it, or choose another --out"
        )
    strange = (
        [path.name for path in sorted(folder.iterdir()) if not _OURS.fullmatch(path.name)] if folder.is_dir() else []
    )
    if strange:
        raise InputError(
            f"{folder} is where unfinished work lies and is removed in the end, but it holds {', '.join(strange[:3])}, "
            "which metafacs did not put there; move that, or choose another --out"
        )


def _locked(folder: Path) -> IO[str]:
    """By `flock`, unlike `files.lock`: it holds between two users in one process too, and no process outlives this."""
    import fcntl  # here, because only Unix has it, and detecting from Python needs no locks

    lock = (folder / LOCK).open("a", encoding="utf-8")  # not "w", which would empty what a link leads to
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise InputError(f"another process is working on {folder}; wait for it, or choose another --out") from error
    return lock
