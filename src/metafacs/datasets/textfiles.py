"""Label files as people have them: with BOM, CRLF and spaces, but never cut off or damaged unnoticed."""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from metafacs.errors import InputError

MOST = 2**31
"""Numbers of frames and codes are below it, and so is what a prepared dataset can hold."""
AGAIN = "unpack or download it again"
_WHOLE = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", re.ASCII)


def check_file(path: Path, what: str) -> None:
    """Checks that `path` is a file with something in it.

    Args:
        path: the file.
        what: what it is, for the message ("the list of labels").

    Raises:
        InputError: it is missing, a folder, or empty.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder, but {what} must be a file; {AGAIN}")
    if not path.is_file():
        raise InputError(f"there is no file {path} ({what}); check the folder given and that all was unpacked")
    if path.stat().st_size == 0:
        raise InputError(f"{path} ({what}) is empty, 0 bytes; {AGAIN}")


def read_lines(path: Path, what: str) -> list[tuple[int, str]]:
    """The lines of a text file that hold something, with their numbers from 1, without spaces around.

    Raises:
        InputError: missing, a folder, empty, or not text.
    """
    check_file(path, what)
    text = _decoded(path, what)
    lines = enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1)
    kept = [(number, line.strip()) for number, line in lines if line.strip()]
    if not kept:
        raise InputError(f"{path} ({what}) holds blank lines only; {AGAIN}")
    return kept


def read_csv(path: Path, what: str, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file, one at a time, with line numbers; cells without spaces around, blank lines left out.

    Every row must have as many cells as the first: a file cut off in the middle of a line is never read silently.

    Raises:
        InputError: missing, a folder, empty, not text, or a row of another length.
    """
    check_file(path, what)
    width, number = 0, 0
    try:
        with path.open(encoding=_encoding(path), newline="") as stream:
            reader = csv.reader(stream, delimiter=delimiter, strict=True)
            for cells in reader:
                number = reader.line_num
                row = [cell.strip() for cell in cells]
                if not any(row) or (not width and row == ["sep=", ""]):  # Excel's word on what parts the cells
                    continue
                if any("\0" in cell for cell in row):
                    raise InputError(_zero_bytes(path, what))
                width = width or len(row)
                if len(row) != width:
                    last = next(reader, None) is None
                    raise InputError(_wrong_width(path, number, len(row), width, last))
                yield number, row
    except UnicodeError as error:
        raise InputError(_not_text(path, what, error)) from error
    except csv.Error as error:
        raise InputError(f"{path} after line {number:,}: {error}; the file is cut off or damaged, {AGAIN}") from error
    if not width:
        raise InputError(f"{path} ({what}) holds blank lines only; {AGAIN}")


def position(names: Sequence[str], column: str, path: Path) -> int:
    """Where a column stands in a header, whatever the case.

    Raises:
        InputError: it is not there, or twice.
    """
    places = [place for place, name in enumerate(names) if name.lower() == column.lower()]
    if len(places) != 1:
        count = "no column" if not places else f"{len(places)} columns"
        shown = ", ".join(names[:40])
        raise InputError(f"{path}, line 1: {count} '{column}'; one is needed. Its columns are: {shown}")
    return places[0]


def whole_number(text: str, path: Path, line: int, what: str) -> int:
    """The whole number that a cell holds ("3", "3.0" and "3.0000000e+00" are all 3), of less than 32 bits.

    Raises:
        InputError: it holds anything else; names file and line.
    """
    if not _WHOLE.fullmatch(text) or not float(text).is_integer() or abs(float(text)) >= MOST:
        content = f"'{text[:40]}'" if text else "nothing"
        raise InputError(
            f"{path}, line {line:,}: {content} where {what} should be a whole number; the file is cut off or damaged "
            f"there, or is another kind of file; {AGAIN}"
        )
    return int(float(text))


def _encoding(path: Path) -> str:
    with path.open("rb") as stream:
        start = stream.read(2)
    return "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _decoded(path: Path, what: str) -> str:
    try:
        text = path.read_text(encoding=_encoding(path))
    except UnicodeError as error:
        raise InputError(_not_text(path, what, error)) from error
    if "\0" in text:
        raise InputError(_zero_bytes(path, what))
    return text


def _not_text(path: Path, what: str, error: UnicodeError) -> str:
    return f"{path} ({what}) is not text in UTF-8 ({error}); {AGAIN}, or save it as UTF-8"


def _zero_bytes(path: Path, what: str) -> str:
    return f"{path} ({what}) holds zero bytes: it is damaged or not a text file; {AGAIN}"


def _wrong_width(path: Path, number: int, cells: int, width: int, last: bool) -> str:
    where = "the last line: the file was cut off there" if last else "the file is damaged there"
    return f"{path}, line {number:,}: {cells} of {width} columns; {where}, {AGAIN}"
