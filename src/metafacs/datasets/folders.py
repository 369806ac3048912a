"""Finding the folders, files and pictures of a release, whatever was put around them."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from metafacs.errors import InputError
from metafacs.faces.kinds import PICTURES, natural

_ELSEWHERE = re.compile(r"[a-z]:/|/", re.IGNORECASE)
"""How the names of files of another machine begin."""
DEPTH = 3
"""How many folders deep a named folder or file is looked for: archives unpack into folders of their own."""


def check_raw(raw: Path) -> None:
    """Checks that the raw folder is a folder.

    Raises:
        InputError: it is missing, or a file.
    """
    if not raw.exists():
        raise InputError(f"there is no folder {raw}; give the folder of the unpacked release")
    if not raw.is_dir():
        raise InputError(f"{raw} is a file; give the folder of the unpacked release")


def find_folder(raw: Path, names: Sequence[str]) -> Path | None:
    """The folder with one of `names` (any case; `raw` itself counts), at most `DEPTH` deep; None if there is none.

    Raises:
        InputError: `raw` is not a folder, or there are several on one level.
    """
    check_raw(raw)
    spellings = {name.lower() for name in names}
    if raw.name.lower() in spellings:
        return raw
    return _only(raw, names, lambda entry: _is_folder(entry) and entry.name.lower() in spellings)


def need_folder(raw: Path, names: Sequence[str], what: str, expected: str) -> Path:
    """Like `find_folder`, for what must be there.

    Args:
        raw: where to look.
        names: names it may have.
        what: what it is, for the message.
        expected: its usual place, for the message.

    Raises:
        InputError: it is not there.
    """
    folder = find_folder(raw, names)
    if folder is None:
        raise InputError(f"{raw} has no folder {' or '.join(names)} ({what}); expected as {expected}")
    return folder


def find_file(raw: Path, names: Sequence[str]) -> Path | None:
    """The file with one of `names` (any case), at most `DEPTH` deep; None if there is none.

    Raises:
        InputError: `raw` is not a folder, there are several on one level, or a folder has that name.
    """
    check_raw(raw)
    spellings = {name.lower() for name in names}
    path = _only(raw, names, lambda entry: entry.name.lower() in spellings)
    if path is not None and path.is_dir():
        raise InputError(f"{path} is a folder, but a file is expected there; unpack or download it again")
    return path


def files_below(raw: Path, suffixes: frozenset[str]) -> Iterator[str]:
    """Paths (relative to `raw`, with "/") of all files with one of `suffixes`, 2 before 10, hidden ones left out.

    Links to folders are followed, but no folder is entered twice.
    """
    entered: set[str] = set()
    for folder, folders, files in os.walk(raw, followlinks=True):
        real = os.path.realpath(folder)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted((name for name in folders if not name.startswith(".")), key=natural)
        inside = Path(folder).relative_to(raw).as_posix()
        prefix = "" if inside == "." else f"{inside}/"
        for name in sorted(files, key=natural):
            # "._0001.jpg" and the like are what macOS leaves in archives.
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes:  # noqa: PTH122
                yield prefix + name


class PictureFolders:
    """Finds single pictures by name: any case, any picture format and, where asked for, any zero padding.

    A file whose ending is not of a picture counts where its whole name is given.

    Folders are listed once, when first looked into.

    Args:
        raw: the folder that paths are relative to.
    """

    def __init__(self, raw: Path) -> None:
        self.raw = raw
        self._folders: dict[str, dict[str, list[str]]] = {}

    def find(self, path: str, by_number: bool = False) -> str | None:
        """The picture at `path` (relative, with "/"), or None if there is none or more than one that could be meant.

        Args:
            path: with or without the ending of a picture file.
            by_number: whether 0111.jpg may be 111.jpg on disk.
        """
        folder, _, name = path.rpartition("/")
        stem, suffix = os.path.splitext(name)  # noqa: PTH122
        stem = (stem if suffix.lower() in PICTURES else name).lower()
        names = self._listed(folder)
        entries = names.get(stem, [])
        if not entries and by_number and stem.isdecimal():
            entries = names.get(_numbered(stem), [])
        exact = [entry for entry in entries if entry == name] or entries
        return (f"{folder}/{exact[0]}" if folder else exact[0]) if len(exact) == 1 else None

    def _listed(self, folder: str) -> dict[str, list[str]]:
        if folder not in self._folders:
            names: dict[str, list[str]] = {}
            place = self.raw / folder
            # Not Path.is_dir: a table may name folders that are longer than any system takes.
            there = os.path.isdir(place)  # noqa: PTH112
            entries = sorted(os.scandir(place), key=lambda entry: entry.name) if there else []
            for entry in entries:
                stem, suffix = os.path.splitext(entry.name)  # noqa: PTH122
                known = suffix.lower() in PICTURES
                if entry.name.startswith(".") or not (known or entry.is_file()):
                    continue
                names.setdefault((stem if known else entry.name).lower(), []).append(entry.name)
                if known and stem.isdecimal():
                    names.setdefault(_numbered(stem), []).append(entry.name)
            self._folders[folder] = names
        return self._folders[folder]


class NamedFiles:
    """Finds the files that a table names, whatever machine and folder their names were written on.

    Args:
        raw: the folder that paths are relative to.
        kinds: endings of the files meant.
        bases: folders below `raw` that the names may start from.

    Attributes:
        what: "image" or "video".
        alone: how many were found below `raw` by a name without a folder.
    """

    def __init__(self, raw: Path, kinds: frozenset[str], bases: Sequence[str]) -> None:
        self.raw, self.kinds, self.bases, self.alone = raw, kinds, bases, 0
        self.what = "image" if kinds == PICTURES else "video"
        self._at = PictureFolders(raw).find if self.what == "image" else self._by_path

    def find(self, name: str) -> tuple[str, str]:
        """The path of a file (relative to `raw`, or absolute), and why there is none: (path, "") or ("", reason)."""
        name = name.replace("\\", "/")
        if Path(name).is_absolute() and os.path.isfile(name):  # noqa: PTH113 - it may be too long for Path.is_file
            return name, ""
        parts, elsewhere = name.split("/"), _ELSEWHERE.match(name) is not None
        ends = ["/".join(parts[k:]) for k in range(1, len(parts))] if elsewhere else [name]
        tried = [end if base in (".", "") else f"{base}/{end}" for end in ends for base in self.bases]
        path = next((path for one in tried if (path := self._at(one))), None)
        if path:
            return path, ""
        places = self._names.get(name.lower(), []) if len(parts) == 1 else []
        if len(places) > 1:
            return "", f"{len(places)} files are called {name}, as {places[0]} and {places[1]}"
        self.alone += len(places)
        missing = f"{name}, nor the end of this path below {self.raw}" if elsewhere else " or ".join(tried)
        return (places[0], "") if places else ("", f"no {'picture' if self.what == 'image' else 'video'} {missing}")

    def _by_path(self, path: str) -> str | None:
        places = self._names.get(path.lower().rpartition("/")[2], [])
        same = [place for place in places if place.lower() in (path.lower(), path.lower() + Path(place).suffix.lower())]
        return same[0] if len(same) == 1 else None

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        """Name, in small letters, with and without its ending -> paths."""
        names: dict[str, list[str]] = {}
        for path in files_below(self.raw, self.kinds):
            name = path.rpartition("/")[2].lower()
            for key in {name, name.rpartition(".")[0]}:
                names.setdefault(key, []).append(path)
        return names


def _only(raw: Path, names: Sequence[str], matches: Callable[[os.DirEntry[str]], bool]) -> Path | None:
    level = [str(raw)]
    for _ in range(DEPTH + 1):
        entries = [entry for folder in level for entry in sorted(os.scandir(folder), key=lambda entry: entry.name)]
        entries = [entry for entry in entries if not entry.name.startswith(".")]
        matching = [entry.path for entry in entries if matches(entry)]
        if len(matching) > 1:
            raise InputError(
                f"more than one {' or '.join(names)}: {', '.join(matching[:4])}; give the folder around one of them"
            )
        if matching:
            return Path(matching[0])
        level = [entry.path for entry in entries if _is_folder(entry)]
    return None


def _numbered(stem: str) -> str:
    """The key of a picture by its number, whatever its zero padding and its length."""
    return f"#{stem.lstrip('0') or '0'}"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """A link that leads to itself is not one."""
    try:
        return entry.is_dir()
    except OSError:
        return False
