"""Files that are either whole or absent, and folders that one process at a time writes into."""

import errno
import hashlib
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from metafacs.errors import InputError

TEMPORARY, LOCK = ".partial", ".lock"
LONGEST = 255
"""Bytes of a file's name, at most, on the file systems in use."""
_PARTIAL = re.compile(rf"\..+\.(\d+){re.escape(TEMPORARY)}(\.[^.]*)?", re.DOTALL)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it is synced to disk and takes the place of `path`.

    On any error the temporary file is removed and what stood at `path` before is untouched. Where `path` is a symbolic
    link, the file takes the link's place; what it pointed to is left alone.

    Raises:
        InputError: the folder cannot be made, because something else is in its place.
    """
    make_folder(path.parent)
    partial = path.with_name(_partial_name(path.name, os.getpid()))
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


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of the operating system within that do not say where they happened, as failed writes, say `path`."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def _partial_name(name: str, process: int) -> str:
    """The temporary name of the file `name` while `process` writes it: hidden, beside it, with its ending."""
    ending = Path(name).suffix
    partial = f".{name}.{process}{TEMPORARY}{ending}"
    if len(os.fsencode(partial)) <= LONGEST:
        return partial
    short = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return f".{short}.{process}{TEMPORARY}{ending if len(os.fsencode(ending)) <= LONGEST // 4 else ''}"


def remove_partials(folder: Path, names: Collection[str] | None = None, of_living: bool = True) -> None:
    """Removes what killed processes left of files they were writing.

    Args:
        folder: where the files lie; what is below it is not looked at.
        names: of the files; None means all.
        of_living: also those of a process that is running now: its number may be that of a dead one again. Only where
            no other process writes those files.
    """
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            found = _PARTIAL.fullmatch(entry.name)
            if not found or entry.is_dir(follow_symlinks=False):
                continue
            if not of_living and _lives(int(found[1])):
                continue
            if names is None or any(entry.name == _partial_name(name, int(found[1])) for name in names):
                Path(entry.path).unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Makes a folder, and those above it, unless it is there.

    Raises:
        InputError: something else is in its place: a file, or a link that leads nowhere or in a circle.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise InputError(f"{_in_the_way(folder)}, where a folder is needed; choose another place") from error
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise InputError(f"{_in_the_way(folder)}, where a folder is needed; choose another place") from error


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def refuse_files(folder: Path, names: Collection[str], instead: str) -> None:
    """Refuses to write into a folder in which files of these names are, as nothing says that they may be replaced.

    Raises:
        InputError: one is there; `instead` says what to do.
    """
    found = [name for name in names if os.path.lexists(folder / name)]
    if found:
        raise InputError(f"{folder} holds {', '.join(found)} already, of nothing that can be gone on with; {instead}")


def _in_the_way(folder: Path) -> str:
    """What stands at `folder`, or at the first folder above it that is none."""
    place = next((one for one in [*reversed(folder.parents), folder] if not one.is_dir()), folder)
    return f"{place} is a link that leads to no folder" if place.is_symlink() else f"{place} is a file"


def lock(path: Path, told: str) -> IO[str]:
    """Takes a lock file, which is held until what is returned is closed or the process ends, however it ends.

    Not by `flock`: processes forked off would inherit that, and outlive a killed run by seconds. The price is that a
    process does not lock itself out.

    Args:
        path: of the lock file; its folder is made.
        told: the message where another process holds it.

    Raises:
        InputError: another process holds it, or the file system knows no locks.
    """
    import fcntl  # here, because only Unix has it, and reading and detecting need no locks

    make_folder(path.parent)
    while True:
        file = path.open("a", encoding="utf-8")  # not "w", which would empty what a link leads to
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
            file.close()  # its last holder has removed it, and another process may hold the next one
        except (BlockingIOError, PermissionError) as error:
            file.close()
            raise InputError(told) from error
        except FileNotFoundError:
            file.close()
            make_folder(path.parent)
        except OSError as error:
            file.close()
            raise InputError(f"{path} cannot be locked ({error.strerror}); choose another place") from error


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path` atomically, UTF-8."""
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
