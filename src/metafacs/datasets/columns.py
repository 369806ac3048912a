"""Which column of a user's table is what: declared by the user, or guessed from its name."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from metafacs.datasets.textfiles import check_file, position, read_csv
from metafacs.datasets.words import OTHER_EXPRESSIONS, UNKNOWN_WORDS, au_name, au_side, expression_name
from metafacs.errors import InputError
from metafacs.facs import ACTION_UNITS, EXPRESSIONS, INTENSITY_MAX, au_code, au_column, au_title, intensity_column

GUESSES: Mapping[str, tuple[str, ...]] = {
    "image": ("image", "image_path", "img_path", "imgpath", "img", "path", "file", "filename", "file_name", "filepath"),
    "subject": (
        *("subject", "subject_id", "id_subject", "subject_no", "subject_number", "subject_code", "subject_name"),
        *("subj", "subj_id", "sub", "participant", "participant_id", "id_participant", "person", "person_id"),
        *("id_person", "identity", "pid", "actor", "actor_id", "patient", "patient_id", "user_id", "proband"),
        *("versuchsperson", "vp", "vpn", "vp_id", "vp_code"),
    ),
    "sequence": ("sequence", "task", "session"),
    "video": ("video", "video_path", "video_file", "video_name", "clip", "recording", "movie"),
    "frame": ("frame", "frame_id", "frameidx", "frame_number", "frame_index"),
    "second": ("second", "seconds", "sec", "time", "time_s", "timestamp"),
    "fold": ("fold", "split", "part", "partition", "usage", "set"),
    "expression": ("expression", "emotion", "label", "class", "exp"),
}
"""What -> the names by which it is known, most telling first; case, spaces and marks do not matter."""

LEVELS = "ABCDE"
"""How FACS writes intensities 1 to 5."""

Row = tuple[int, list[str]]


@dataclass
class Columns:
    """Where everything stands in the rows of one table.

    Attributes:
        places: "image", "subject", ... -> position; what is lacking has none.
        aus: AU column -> position of its occurrence label.
        levels: AU column -> position of its intensity.
        sides: AU column -> positions of labels of the left or the right side alone.
        votes: expression -> position of its votes; all seven or none.
        unread: names of the columns that are nothing of these.
    """

    places: dict[str, int] = field(default_factory=dict)
    aus: dict[str, int] = field(default_factory=dict)
    levels: dict[str, int] = field(default_factory=dict)
    sides: dict[str, list[int]] = field(default_factory=dict)
    votes: dict[str, int] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)

    def text(self, row: Sequence[str], what: str) -> str:
        """The cell of one thing, "" where it is lacking or says nothing."""
        cell = row[self.places[what]] if what in self.places else ""
        return "" if cell.lower() in UNKNOWN_WORDS else cell


def find_columns(names: Sequence[str], declared: Mapping[str, str], path: Path) -> Columns:
    """Finds the columns of a table.

    Args:
        names: its header.
        declared: what ("image", "subject", "AU01", "AU01_intensity", ...) -> name of the column, for those whose name
            does not tell.
        path: the table, for messages.

    Raises:
        InputError: a declared column is not there, something is declared that does not exist, or two columns are the
            same AU.
    """
    columns = Columns()
    taken = set()
    for what, name in declared.items():
        at = position(names, name, path)
        taken.add(at)
        au = au_name(what)
        if au is None and what not in GUESSES:
            raise InputError(f"--columns.{what}: a column can be {', '.join(GUESSES)}, AU01, AU01_intensity, ...")
        if au is None:
            columns.places[what] = at
        else:
            (columns.levels if au[1] else columns.aus)[au_column(au[0])] = at
    for at, name in enumerate(names):
        au = au_name(name)
        side = au_side(name, names)
        if side is not None and at not in taken:
            columns.sides.setdefault(au_column(side), []).append(at)
            continue
        if au is None or at in taken:
            continue
        column, kind = au_column(au[0]), columns.levels if au[1] else columns.aus
        if column in kind and kind[column] not in taken:
            raise InputError(
                f"{path}, line 1: columns '{names[kind[column]]}' and '{name}' are both {au_title(column)}"
            )
        kind.setdefault(column, at)
    if not (columns.aus or columns.levels or columns.sides):
        columns.aus = _numbered(names, taken)
    _guess_places(columns, [_letters(name) for name in names], taken)
    voted = {choice: names.index(f"votes_{choice}") for choice in EXPRESSIONS if f"votes_{choice}" in names}
    columns.votes = voted if len(voted) == len(EXPRESSIONS) else {}
    read = {at for kind in (columns.places, columns.aus, columns.levels, columns.votes) for at in kind.values()}
    read |= {at for sides in columns.sides.values() for at in sides}
    columns.unread = [name for at, name in enumerate(names) if name and at not in read]
    return columns


def _numbered(names: Sequence[str], taken: Collection[int]) -> dict[str, int]:
    """AU column -> position, where two columns or more are named by plain numbers, and all of those are AUs."""
    numbers = {at: int(name) for at, name in enumerate(names) if name.isdecimal() and at not in taken}
    known = len(numbers) > 1 and set(numbers.values()) <= set(ACTION_UNITS)
    return {au_column(code): at for at, code in numbers.items()} if known else {}


def _letters(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())


def _guess_places(columns: Columns, names: list[str], taken: Collection[int]) -> None:
    for what, guesses in GUESSES.items():
        if what not in columns.places and not (what == "second" and {"image", "frame"} & columns.places.keys()):
            places = [at for guess in guesses for at, name in enumerate(names) if name == _letters(guess)]
            places = [at for at in places if at not in taken]
            columns.places.update({what: places[0]} if places else {})


def table_rows(path: Path) -> Iterator[Row]:
    """The header and the rows of a CSV, TSV or Parquet table, as text, with line numbers (of Parquet: row numbers).

    Raises:
        InputError: it cannot be read, or is of another kind.
    """
    suffix = path.suffix.lower()
    if suffix in (".parquet", ".pq"):
        yield from _parquet_rows(path)
    elif suffix in (".csv", ".tsv", ".txt", ".tab"):
        yield from read_csv(path, "the table", _delimiter(path))
    else:
        raise InputError(f"{path}: tables end in .csv, .tsv, .txt or .parquet")


def _parquet_rows(path: Path) -> Iterator[Row]:
    check_file(path, "the table")
    try:
        content = pq.read_table(path)
        nested = [field.name for field in content.schema if pa.types.is_nested(field.type)]
        if nested:
            raise InputError(f"{path}: the cells of column '{nested[0]}' are lists; a table has one value in each cell")
        # Without what pandas noted in the file of itself: that is a stranger's word, and may be damaged.
        table = content.replace_schema_metadata(None).to_pandas()
    except InputError:
        raise
    except (pa.ArrowException, ValueError, OSError) as error:
        raise InputError(f"{path} cannot be read as Parquet ({error})") from error
    yield 0, [str(name).strip() for name in table.columns]
    for number, row in enumerate(table.itertuples(index=False, name=None), 1):
        yield number, ["" if cell is None or cell is pd.NA or cell != cell else str(cell).strip() for cell in row]


def _delimiter(path: Path) -> str:
    check_file(path, "the table")
    if path.suffix.lower() in (".tsv", ".tab"):
        return "\t"
    with path.open("rb") as stream:
        header = stream.readline()
        header = header if b"sep=" not in header.replace(b"\0", b"") else stream.readline()
    # The header alone decides: cells of rows may hold any of these.
    return max(",;\t", key=lambda mark: header.count(mark.encode()))


@dataclass(frozen=True)
class Labels:
    """How the cells of AU columns are read.

    Attributes:
        unknown: numbers that stand for "not labelled".
        present_from: 0 if labels are 0 and 1; else they are intensities, present from this one on.
    """

    unknown: frozenset[float]
    present_from: int = 0

    def occurrence(self, cell: str, path: Path, line: int, column: str) -> tuple[int | None, int | None]:
        """Occurrence (0, 1, None) and intensity (0-5, None) of one cell of an AU column.

        Raises:
            InputError: it is not a label.
        """
        value = self._number(cell, path, line, column)
        if value is None:
            return None, None
        if not self.present_from and cell.upper() in LEVELS:
            return 1, int(value)
        if self.present_from and value in range(INTENSITY_MAX + 1):
            return int(value >= self.present_from), int(value)
        if not self.present_from and value in (0, 1):
            return int(value), None
        usual = f"0 to {INTENSITY_MAX}" if self.present_from else "0 and 1 (for intensities give --present_from)"
        raise InputError(
            f"{path}, line {line:,}: {au_title(column)} is {cell}; labels are {usual}, unknown ones "
            f"{', '.join(f'{code:g}' for code in sorted(self.unknown))} or empty"
        )

    def intensity(self, cell: str, path: Path, line: int, column: str) -> int | None:
        """Intensity (0-5, rounded, None) of one cell of an intensity column.

        Raises:
            InputError: it is not an intensity.
        """
        value = self._number(cell, path, line, column)
        if value is None or 0 <= value <= INTENSITY_MAX:
            return None if value is None else round(value)
        raise InputError(f"{path}, line {line:,}: intensity of {au_title(column)} is {cell}, not 0 to {INTENSITY_MAX}")

    def _number(self, cell: str, path: Path, line: int, column: str) -> float | None:
        if cell.lower() in UNKNOWN_WORDS:
            return None
        words = {"true": 1.0, "false": 0.0, **{level.lower(): k for k, level in enumerate(LEVELS, 1)}}
        try:
            value = words[cell.lower()] if cell.lower() in words else float(cell)
        except ValueError as error:
            raise InputError(f"{path}, line {line:,}: {au_title(column)} is '{cell}', not a number") from error
        return None if value in self.unknown else value


def au_labels(
    row: Sequence[str], line: int, path: Path, columns: Columns, aus: Sequence[str], labels: Labels
) -> dict[str, int | None]:
    """The AU columns of one row, and their intensities where there are any.

    Raises:
        InputError: a cell is not a label.
    """
    values: dict[str, int | None] = {}
    for column in aus:
        level = None
        if column in columns.levels:
            level = labels.intensity(row[columns.levels[column]], path, line, column)
        if column in columns.aus:
            values[column], graded = labels.occurrence(row[columns.aus[column]], path, line, column)
            level = graded if level is None else level
        else:
            values[column] = None if level is None else int(level >= max(1, labels.present_from))
        sides = [labels.occurrence(row[at], path, line, column) for at in columns.sides.get(column, ())]
        if sides:
            values[column] = _either([values[column], *(present for present, _ in sides)])
            level = max((each for each in (level, *(each for _, each in sides)) if each is not None), default=None)
        values[intensity_column(column)] = level
    return values


def _either(labels: Sequence[int | None]) -> int | None:
    """Whether an AU is there on either side: what is known of the whole face (the first), then of each side."""
    whole, *sides = labels
    if 1 in labels or whole is not None:
        return int(1 in labels)
    return None if None in sides else 0


def chosen_aus(columns: Columns, wanted: Sequence[str], path: Path) -> list[str]:
    """The AUs to read: those wanted, or all that the table has, by number.

    Raises:
        InputError: one that is wanted is not there.
    """
    known = [*columns.levels, *columns.aus, *columns.sides]
    lacking = [au_title(column) for column in wanted if column not in known]
    if lacking:
        have = ", ".join(au_title(column) for column in sorted(set(known))) or "none"
        raise InputError(
            f"{path}, line 1: no column for {', '.join(lacking)}; AUs found: {have}; name the others, as in "
            "--columns.AU12 smile"
        )
    return list(wanted) or sorted(set(known), key=au_code)


def expression_of(word: str, names: Mapping[str, str], path: Path, line: int) -> tuple[str | None, str]:
    """The expression a cell names (None for an empty one), and why the row cannot be used ("" if it can).

    Args:
        word: the cell.
        names: code or word -> expression, as the user declared them.
        path: the table, for messages.
        line: the row.

    Raises:
        InputError: nobody said what it means.
    """
    if not word:
        return None, ""
    key = re.sub(r"\.0+$", "", word)
    meant = names.get(key, names.get(word, word))
    name = expression_name(meant)
    if name is not None or meant.lower() in OTHER_EXPRESSIONS:
        return name, "" if name else f"expression {meant} is none of the seven"
    raise InputError(
        f"{path}, line {line:,}: expression '{word}' is none of {', '.join(EXPRESSIONS)}; say what it means, as in "
        f"--expressions.{word} happiness"
    )


def subject_pattern(pattern: str) -> re.Pattern[str]:
    """The regular expression whose first group finds the subject in a path.

    Raises:
        InputError: it is not one, or has no group.
    """
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise InputError(f"--subjects '{pattern}' is not a regular expression: {error}") from error
    if compiled.groups < 1:
        raise InputError(f"--subjects '{pattern}' has no group; put the subject into parentheses")
    return compiled
