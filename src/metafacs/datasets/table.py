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
from metafacs.faces.pictures import UnreadableError
from metafacs.faces.video import frame_seconds
from metafacs.facs import parse_aus

UNKNOWN = (-1, 9, 999)
"""Numbers that tables of AU labels use for "not labelled"."""

FEW = 10
"""Rows from which on a guessed column of people is doubted that never names one of them twice."""
MOST_NAMED = 12
"""So many columns are named in a note."""
_KINDS = frozenset({".csv", ".tsv", ".parquet"})
_PERSON = re.compile(r"(?:^|/)([FM]\d{3}|SN\d{3})(?=/|_)")
FOLDS = 3
"""So many folds people are dealt into where nothing says which."""
EXAMPLE = """\
video,second,subject,AU1,AU4,AU6,AU12
P01_interview.mp4,0.0,P01,0,0,0,0
P01_interview.mp4,0.5,P01,1,0,0,0
P01_interview.mp4,1.0,P01,1,0,1,1
P02_interview.mp4,0.0,P02,0,1,,0
P02_interview.mp4,0.5,P02,0,1,0,1
P03_interview.mp4,0.0,P03,0,0,1,1
"""
"""A table as a coder of videos may write it."""
EXPLAINED = """\
A row is a coded moment of a video, or a photograph. Columns are known by their names and may stand in any order:
  video     the video's name, below the folder given with --raw (or image: that of a picture)
  second    when, from the start of the video (or frame: the number of the frame)
  subject   who it is; may be left out where the videos' names begin with it, as P01_interview.mp4
  AU1 ...   1 present, 0 absent, empty where nobody coded it; intensities 0-5 with --present_from 2
Also known: fold (without it people are dealt into P1, P2 and P3), sequence, expression, AU1_intensity.
Put such a table beside your videos and run: metafacs prepare table --raw DIR --out prepared/mine"""


@DATASETS.register("table")
@dataclass
class Table(RawDataset):
    """Reads one table: a row an image, with its path and any of subject, sequence, frame, fold, AUs, expression, votes.

    In place of the image's path a row may name a video and a frame, by its number or by the second it is shown at.

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
    """regular expression whose first group is the subject, looked for in the path of the image or video where there is
    no column of subjects; by default it knows F001, M001 and SN001, and the first part of a video's name counts."""
    folds: int = 0
    """deal the people into so many folds, P1, P2 and so on, alike in size and in how often each AU is present; 3 where
    AUs are labelled, it is known who is who, and neither a column nor --protocol gives folds."""
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
        self.guessed = False

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
        timed, times = "second" in columns.places, dict[str, list[float]]()
        for line, row in source:
            where, named = f"{path.name}, line {line}", columns.text(row, files.what).replace("\\", "/")
            image, tried = files.find(named) if named else ("", f"the row names no {files.what}")
            place = self._place(columns, row, line, path, named)
            if image and timed:
                second = _second(columns.text(row, "second"), path, line)
                try:
                    times[image] = times.get(image) or frame_seconds(raw / image)
                    place["frame"] = _frame_at(second, times[image])
                except UnreadableError as error:
                    image, tried = "", f"{image}: {error}"
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
        if files.what == "video" and not self.subjects:
            self.guessed = _people_of_videos(people, rows)
        known_people, notes = self._people(people, columns, header)
        notes += [f"table {path.name}; AUs: {', '.join(aus) or 'none'}", *_column_notes(columns, header)]
        notes += [f"{files.alone:,} {files.what}s found by their names alone, in other folders"] if files.alone else []
        if timed:
            notes.append("of each second the frame nearest to it was taken")
        elif files.what == "video" and len(rows):
            notes += self._count_from(rows.values("video_frame"), path)
        listing = rows.listing(raw, skipped, notes, self.protocol, known_people)
        numbered = {"frame", "second", "sequence", "video"} & set(columns.places)
        listing.recorded = bool(numbered) or any(map(_PERSON.search, rows.values("image")))
        if not listing.recorded:
            listing.notes.append("photographs: no column of frames, so each has its largest face cut out")
        self._add_folds(listing, "fold" in columns.places)
        return listing

    def _check(self, columns: Columns, aus: Sequence[str], path: Path) -> None:
        places = columns.places.keys()
        if "image" not in places and not ("video" in places and places & {"frame", "second"}):
            raise InputError(
                f"{path}, line 1: no column of image paths; name it, as in --columns.image photo, or give a column of "
                "videos and one of frames or seconds (--columns.video, --columns.frame, --columns.second); "
                "`metafacs prepare table --example` shows a table"
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
        if self.guessed:
            source = f"the videos' names ({', '.join(sorted(names)[:MOST_NAMED])}); if that is not who is in them, say "
            source += "who is, with a column subject, --subject COLUMN or --subjects PATTERN"
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
        subjects, dealt = listing.rows["subject"], self.folds
        if not (has_folds or self.protocol) and listing.aus and listing.people_known and subjects.nunique() > 1:
            dealt = dealt or min(FOLDS, subjects.nunique())
        if dealt:
            if has_folds or self.protocol or not listing.people_known:
                why = "--protocol deals them already" if self.protocol else "the table has a column of folds"
                why = why if has_folds or self.protocol else listing.notes[0]
                raise InputError(f"--folds {self.folds}: people cannot be dealt into folds: {why}")
            labels = listing.rows[listing.aus].to_numpy(np.float32, na_value=np.nan)
            expressions = pd.get_dummies(listing.rows["expression"]).to_numpy(np.float32)
            folds = deal_people(subjects.tolist(), np.hstack([labels, expressions]), dealt, self.folds_seed)
            listing.rows["fold"] = subjects.map(folds)
            people = ", ".join(f"{fold} {count}" for fold, count in sorted(Counter(folds.values()).items()))
            why = "" if self.folds else ", as the table gives no folds (--folds says how many)"
            listing.notes.append(f"people dealt into folds (seed {self.folds_seed}): {people}{why}")
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


def _second(cell: str, path: Path, line: int) -> float:
    """Seconds of a cell such as 12.5 or 0:00:12.5."""
    try:
        return sum(float(part) * 60**k for k, part in enumerate(reversed(cell.replace(",", ".").split(":"))))
    except ValueError as error:
        raise InputError(f"{path}, line {line:,}: second is '{cell[:40]}'; give 12.5 or 0:00:12.5") from error


def _frame_at(second: float, times: Sequence[float]) -> int:
    """The frame nearest to a second; raises UnreadableError where the video is over by then, or has not begun."""
    nearest = int(np.abs(np.asarray(times) - second).argmin())
    if not abs(times[nearest] - second) <= max(times[-1] / len(times), 0.5):
        raise UnreadableError(f"it has no frame at second {second:g}; the last is at {times[-1]:g}")
    return nearest


def _people_of_videos(people: list[str], rows: RowTable) -> bool:
    """Names whom nothing names by the first part of the video's name, or by the whole where all begin alike.

    Returns:
        Whether there was somebody to name.
    """
    videos, subjects, sequences = (rows.values(name) for name in ("video", "subject", "sequence"))
    stems = {row: Path(videos[row]).stem for row, person in enumerate(people) if not person}
    firsts = {row: re.split(r"[\W_]", stem)[0] or stem for row, stem in stems.items()}
    for row, name in (firsts if len(set(firsts.values())) > 1 else stems).items():
        people[row] = subjects[row] = name
        sequences[row] = f"{name}/{stems[row]}"
    return bool(stems)


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
