"""Any table of image path, subject and labels: CSV, TSV or Parquet; FG-Net's and LibreFace's lists among them."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from metafacs.data.splits import deal_people
from metafacs.datasets.base import (
    DATASETS,
    UNKNOWN_PEOPLE,
    Listing,
    RawDataset,
    RowTable,
    Skip,
    SourceCard,
    protocol_of,
    with_folds,
)
from metafacs.datasets.columns import (
    Columns,
    Labels,
    au_labels,
    chosen_aus,
    expression_of,
    find_columns,
    subject_pattern,
    table_rows,
)
from metafacs.datasets.folders import NamedFiles, check_raw, files_below
from metafacs.datasets.textfiles import MOST, whole_number
from metafacs.errors import InputError
from metafacs.faces.kinds import PICTURES, VIDEOS
from metafacs.facs import parse_aus

UNKNOWN = (-1, 9, 999)
"""Numbers that tables of AU labels use for "not labelled"."""

FEW = 10
"""Rows from which on a guessed column of people is doubted that never names one of them twice."""
MOST_NAMED = 12
"""So many columns are named in a note."""
_KINDS = frozenset({".csv", ".tsv", ".parquet"})
_PERSON = re.compile(r"(?:^|/)([FM]\d{3}|SN\d{3})(?=/|_)")


@DATASETS.register("table")
@dataclass
class Table(RawDataset):
    """Reads one table: a row an image, with its path and any of subject, sequence, frame, fold, AUs, expression, votes.

    In place of the image's path a row may name a video and the number of a frame.

    Columns are known by their names (image_path, subject, fold, au1, AU01, AU01_intensity, expression, votes_anger...);
    others are declared.
    """

    file: str = ""
    """the table, relative to the raw folder; may be left out where there is only one."""
    columns: Mapping[str, str] | None = None
    """what -> column, for names that do not tell, as in --columns.image photo --columns.AU12 smile."""
    subject: str = ""
    """the column that says who it is, where its name does not tell; the same as --columns.subject."""
    images: str = ""
    """the folder that image paths start from, relative to the raw folder; by default that of the table, or the raw
    folder."""
    first_frame: int | None = None
    """number of a video's first frame, where rows name videos and frames; by default 0 if any row is of frame 0, else
    1."""
    aus: str = ""
    """which AUs, in which order; all that the table has by default."""
    unknown: Sequence[float] = UNKNOWN
    """numbers that stand for "not labelled"; empty cells and NaN do in any case."""
    present_from: int = 0
    """0 if AU labels are 0 and 1; for intensities, the one from which an AU counts as present."""
    expressions: Mapping[str, str] | None = None
    """code -> expression, where the table has codes, as in --expressions.1 surprise."""
    subjects: str = ""
    """regular expression whose first group is the subject, looked for in the image path where there is no column of
    subjects; by default it knows F001, M001 and SN001."""
    folds: int = 0
    """deal the people into so many folds, P1, P2 and so on, alike in size and in how often each AU is present."""
    folds_seed: int = 0
    """another number deals the people otherwise."""
    protocol: str = ""
    """name of a dataset with published folds by subject, such as bp4d or disfa, to get them."""

    card = SourceCard(
        title="A table of your own",
        what="any images with AUs, expressions or votes, listed in one CSV, TSV or Parquet file",
        count="as many as the table has",
        split="a column of folds, folds that people are dealt into, or those of BP4D or DISFA by subject",
        licence="that of your images",
        citation="that of your images",
        obtain="make it with any program that writes tables",
        tried="miniature tables, among them one in the form of FG-Net's lists",
    )

    def __post_init__(self) -> None:
        if self.protocol and self.protocol not in with_folds():
            raise InputError(
                f"there is no dataset '{self.protocol}' with published folds; give --protocol one of "
                f"{', '.join(with_folds())}"
            )
        self.declared = {**(self.columns or {}), **({"subject": self.subject} if self.subject else {})}
        self.au_columns = parse_aus(self.aus) if self.aus else []
        self.labels = Labels(frozenset(self.unknown), self.present_from)
        self.names = {str(code): name for code, name in (self.expressions or {}).items()}
        self.person = subject_pattern(self.subjects) if self.subjects else _PERSON

    def read(self, raw: Path) -> Listing:
        """See `RawDataset.read`."""
        check_raw(raw)
        path = raw / self.file if self.file else only_table(raw)
        source = table_rows(path)
        header = next(source)[1]
        columns = find_columns(header, self.declared, path)
        aus = chosen_aus(columns, self.au_columns, path)
        self._check(columns, aus, path)
        graded = aus if self.labels.present_from else [column for column in aus if column in columns.levels]
        rows, skipped, files = RowTable(aus, graded), [], self._files(raw, path, "image" in columns.places)
        people: list[str] = []
        first_lines: dict[tuple[str, str], int] = {}
        for line, row in source:
            where, named = f"{path.name}, line {line}", columns.text(row, files.what).replace("\\", "/")
            image, tried = files.find(named) if named else ("", f"the row names no {files.what}")
            place = self._place(columns, row, line, path, named)
            shown: dict[str, object] = {"image": image}
            if image and files.what == "video":
                shown = {"video": image, "video_frame": place["frame"]}
                image = f"frame {place['frame']} of {image}"
            expression, reason = expression_of(columns.text(row, "expression"), self.names, path, line)
            values = au_labels(row, line, path, columns, aus, self.labels)
            first = first_lines.setdefault((image, str(values) + str(expression)), line)
            if not image or reason or first != line:
                skipped.append(Skip(where, tried or reason or f"repeats line {first}"))
                continue
            known = {name: value for name, value in values.items() if name in aus or name.split("_")[0] in graded}
            votes = [_votes(row[at], path, line) for at in columns.votes.values()] or None
            people.append(columns.text(row, "subject") or self._person_in(named))
            rows.add({**shown, "expression": expression, "votes": votes, **place, **known})
        _check_conflicts(first_lines, path)
        known_people, notes = self._people(people, columns, header)
        notes += [f"table {path.name}; AUs: {', '.join(aus) or 'none'}", *_column_notes(columns, header)]
        notes += [f"{files.alone:,} {files.what}s found by their names alone, in other folders"] if files.alone else []
        notes += self._count_from(rows.values("video_frame"), path) if files.what == "video" and len(rows) else []
        listing = rows.listing(raw, skipped, notes, self.protocol, known_people)
        numbered = {"frame", "sequence", "video"} & set(columns.places)
        listing.recorded = bool(numbered) or any(map(_PERSON.search, rows.values("image")))
        if not listing.recorded:
            listing.notes.append("photographs: no column of frames, so each has its largest face cut out")
        self._add_folds(listing, "fold" in columns.places)
        return listing

    def _check(self, columns: Columns, aus: Sequence[str], path: Path) -> None:
        if "image" not in columns.places and not {"video", "frame"} <= columns.places.keys():
            raise InputError(
                f"{path}, line 1: no column of image paths; name it, as in --columns.image photo, or give a column of "
                "videos and one of frames (--columns.video, --columns.frame)"
            )
        if not aus and "expression" not in columns.places:
            raise InputError(
                f"{path}, line 1: neither AU columns (au1, AU01...) nor a column expression; name them, as in "
                "--columns.AU12 smile or --columns.expression feeling"
            )

    def _files(self, raw: Path, table: Path, pictures: bool) -> NamedFiles:
        """What finds the pictures, or the videos, that the table names."""
        beside = table.parent.relative_to(raw).as_posix() if table.parent.is_relative_to(raw) else "."
        bases = [self.images.strip("/")] if self.images else list(dict.fromkeys([beside, "."]))
        return NamedFiles(raw, PICTURES if pictures else VIDEOS, bases)

    def _count_from(self, frames: list[int], path: Path) -> list[str]:
        """Counts the frames of videos from 0, and says from where the table counts."""
        first = (0 if 0 in frames else 1) if self.first_frame is None else self.first_frame
        if min(frames) < first:
            raise InputError(f"{path}: there is a frame {min(frames)}, but --first_frame is {first}")
        frames[:] = [frame - first for frame in frames]
        return [f"frames of videos are counted from {first} (--first_frame)"]

    def _person_in(self, image: str) -> str:
        """Who the path of an image says it is, "" where it does not."""
        match = self.person.search(image)
        return match[1] if match else ""

    def _people(self, people: Sequence[str], columns: Columns, header: Sequence[str]) -> tuple[bool, list[str]]:
        """Whether it is known of every row who it is, and what to say about that."""
        names, nameless = set(people) - {""}, people.count("")
        column = header[columns.places["subject"]] if "subject" in columns.places else ""
        source = f"the column '{column}'" if column else "the image paths"
        if column and "subject" not in self.declared and len(names) == len(people) >= FEW:
            nameless, problem = len(people), f"{source} has another value in every row; if it is right, say so with"
            problem += f" --subject '{column}'"
        else:
            problem = "say which column tells, as in --subject COLUMN, or give --subjects, a pattern for image paths"
        if not nameless:
            return True, [f"people: {len(names):,}, from {source}"]
        unread = f" (is it {' or '.join(columns.unread[:MOST_NAMED])}?)" if columns.unread else ""
        return False, [f"{UNKNOWN_PEOPLE}, in {nameless:,} of {len(people):,} rows; {problem}{unread}"]

    def _place(self, columns: Columns, row: Sequence[str], line: int, path: Path, named: str) -> dict[str, object]:
        stem = named.rpartition(".")[0] or named
        subject = columns.text(row, "subject") or self._person_in(named) or stem
        digits = re.search(r"(\d+)$", stem)
        frame = columns.text(row, "frame")
        number = whole_number(frame, path, line, "the frame") if frame else int(digits[1]) % MOST if digits else 0
        task = columns.text(row, "sequence") or columns.text(row, "video")
        sequence = f"{subject}/{task}" if task else stem.rpartition("/")[0] or subject
        return {"subject": subject, "sequence": sequence, "frame": number, "fold": columns.text(row, "fold")}

    def _add_folds(self, listing: Listing, has_folds: bool) -> None:
        subjects = listing.rows["subject"]
        if self.folds:
            if has_folds or self.protocol or not listing.people_known:
                why = "--protocol deals them already" if self.protocol else "the table has a column of folds"
                why = why if has_folds or self.protocol else listing.notes[0]
                raise InputError(f"--folds {self.folds}: people cannot be dealt into folds: {why}")
            labels = listing.rows[listing.aus].to_numpy(np.float32, na_value=np.nan)
            expressions = pd.get_dummies(listing.rows["expression"]).to_numpy(np.float32)
            folds = deal_people(subjects.tolist(), np.hstack([labels, expressions]), self.folds, self.folds_seed)
            listing.rows["fold"] = subjects.map(folds)
            people = ", ".join(f"{fold} {count}" for fold, count in sorted(Counter(folds.values()).items()))
            listing.notes.append(f"people dealt into folds (seed {self.folds_seed}): {people}")
        elif self.protocol:
            folds, notes = protocol_of(self.protocol).assign(subjects)
            listing.rows["fold"] = subjects.map(folds)
            listing.notes += notes
        elif not has_folds:
            published = " or ".join(f"--protocol {name}" for name in with_folds())
            listing.notes.append(
                f"no fold: give a column of folds, --folds 3 to deal people, or {published} for the published ones"
            )


def only_table(raw: Path) -> Path:
    """The one table in a folder.

    Raises:
        InputError: there is none, or more than one.
    """
    tables = [path for path in files_below(raw, _KINDS) if path.count("/") < 2]
    if len(tables) != 1:
        shown = f"{len(tables)} tables ({', '.join(tables[:4])})" if tables else "no table (.csv, .tsv or .parquet)"
        raise InputError(f"{raw} has {shown}; say which with --file")
    return raw / tables[0]


def _column_notes(columns: Columns, header: Sequence[str]) -> list[str]:
    """Which columns were understood by a guess, and which were not read."""
    guessed = [header[at] for column, at in columns.aus.items() if header[at].isdecimal()]
    sides = [header[at] for places in columns.sides.values() for at in places]
    strange = [name for name in columns.unread if name.lower().startswith("au")]
    others = [name for name in columns.unread if name not in strange]
    said = {
        "columns taken for AUs by their numbers": guessed,
        "one side of the face each, the AU counts as present if either side is": sides,
        "columns that are not understood, and so not read (if one is an AU, say so as in --columns.AU12 NAME)": strange,
        "columns not read": others,
    }
    return [f"{what}: {', '.join(names[:MOST_NAMED])}" for what, names in said.items() if names]


def _votes(cell: str, path: Path, line: int) -> int:
    votes = whole_number(cell, path, line, "votes")
    if votes < 0:
        raise InputError(f"{path}, line {line:,}: {votes} votes; count from 0")
    return votes


def _check_conflicts(first_lines: Mapping[tuple[str, str], int], path: Path) -> None:
    first: dict[str, int] = {}
    for (image, _), line in first_lines.items():
        if image and first.setdefault(image, line) != line:
            raise InputError(
                f"{path}: lines {first[image]} and {line} give {image} different labels; correct the table"
            )
