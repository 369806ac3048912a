"""Files that are either whole or absent, and folders that one process at a time writes into."""

import errno
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from metafacs.errors import InputError

TEMPORARY, LOCK = ".partial", ".lock"
LONGEST = 255
"""Bytes of a file's name, at most, on the file systems in use."""


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it is synced to disk and takes the place of `path`.

    On any error the temporary file is removed and what stood at `path` before is untouched. What a killed process
    left of it is overwritten by the next one that writes `path`; only one may do so at a time. Where `path` is a
    symbolic link, the file takes the link's place; what it pointed to is left alone.

    Raises:
        InputError: the folder cannot be made, because something else is in its place.
    """
    make_folder(path.parent)
    partial = temporary_path(path)
    try:
        with naming(path):
            yield partial
            with partial.open("rb") as written:
                os.fsync(written.fileno())
            partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def temporary_path(path: Path) -> Path:
    """Where `path` lies while it is being written: hidden, beside it, with its ending.

    Example:
        >>> temporary_path(Path("table.csv")).name
        '.table.csv.partial.csv'
    """
    return path.with_name(f".{path.name}{TEMPORARY}{path.suffix}")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of the operating system within that do not say where they happened, as failed writes, say `path`."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def make_folder(folder: Path) -> None:
    """Makes a folder, and those above it, unless it is there.

    Raises:
        InputError: something else is in its place: a file, or a link that leads nowhere or in a circle.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ELOOP):
            raise
        raise InputError(
            f"{folder} cannot be made: a file, or a link that leads to no folder, is in its place; choose another place"
        ) from error


def refuse_files(folder: Path, names: Collection[str], instead: str) -> None:
    """Refuses to write into a folder in which files of these names are, as nothing says that they may be replaced.

    Raises:
        InputError: one is there; `instead` says what to do.
    """
    there = [name for name in names if os.path.lexists(folder / name)]
    if there:
        raise InputError(f"{folder} holds {', '.join(there)} already, of nothing that can be gone on with; {instead}")


def lock(path: Path, refusal: str) -> ExitStack:
    """Takes a lock file, held until what is returned is closed (or its `with` block ends) or the process ends.

    Args:
        path: of the lock file; its folder is made.
        refusal: the message where another process holds it.

    Raises:
        InputError: another process holds it.
    """
    make_folder(path.parent)
    held = ExitStack()
    try:
        held.enter_context(FileLock(path).acquire(blocking=False))
    except Timeout as error:
        raise InputError(refusal) from error
    return held


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path` atomically, UTF-8."""
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under the names that their flags have.

    Example:
        >>> flat({"method": "mal", "data": {"side": 64}})
        {'method': 'mal', 'data.side': 64}
    """
    result: dict[str, Any] = {}
    for key, value in settings.items():
        result |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return result


def read_yaml(path: Path) -> Any:
    """The value in a YAML file: plain values only.

    Raises:
        InputError: it cannot be read; says why.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no UTF-8, or a date that does not exist
        raise InputError(f"{path} is not valid YAML: {error}") from error
