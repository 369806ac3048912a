"""GFT: label files whose columns the user declares, because the layout of the release is not known to us."""

import os
import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from metafacs.datasets.base import DATASETS, Listing, RawDataset, RowTable, Skip, SourceCard
from metafacs.datasets.columns import (
    Columns,
    Labels,
    au_labels,
    chosen_aus,
    find_columns,
    subject_pattern,
    table_rows,
)
from metafacs.datasets.folders import PictureFolders, check_raw
from metafacs.datasets.frames import Missing
from metafacs.datasets.protocols import Protocol, folds_from_lists
from metafacs.datasets.textfiles import MOST, check_file, whole_number
from metafacs.errors import InputError
from metafacs.facs import AU_SETS, parse_aus

GROUPS, GROUP_SIZE, SECONDS, RATE = 32, 3, 60, 30
"""Groups, people in each, and what is annotated of each: a minute at 30 frames a second."""


@DATASETS.register("gft")
@dataclass
class GFT(RawDataset):
    """Reads GFT through a mapping that you declare: the layout of its label files is not known to us."""

    files: str = "**/*.csv"
    """which files hold labels, below the raw folder; CSV, TSV or Parquet."""
    columns: Mapping[str, str] | None = None
    """what -> column, for names that do not tell, as in --columns.frame FrameNumber --columns.AU12 a12."""
    subjects: str = r"([^/]+)\.[^.]+$"
    """regular expression whose first group is the subject, looked for in the path of a label file where there is no
    column of subjects; by default the file's name without its ending."""
    image: str = ""
    """path of a frame's picture, as in "frames/{subject}/{frame}.jpg"; zero padding does not matter. Empty if there is
    a column of image paths, or videos."""
    video: str = ""
    """path of a person's video, as in "videos/{subject}.mp4"."""
    first_frame: int = 1
    """the number that the labels give to a video's first frame."""
    unknown: Sequence[float] = (-1, 9, 999)
    """numbers that stand for "not labelled"."""
    present_from: int = 0
    """0 if AU labels are 0 and 1; for intensities, the one from which an AU counts as present."""
    train: str = ""
    """text file with the training subjects, one a line."""
    test: str = ""
    """text file with the test subjects, one a line."""
    partition: str = ""
    """in place of train and test: a table with a column of subjects and one of folds (fold, partition...)."""
    aus: str = "gft"
    """which AUs; "gft" is the usual 10."""
    mapping: str = ""
    """JSON or YAML file that gives any of the options above but aus; what it says counts."""

    card = SourceCard(
        title="GFT (Sayette Group Formation Task)",
        what="three strangers talking over drinks, a minute of each coded frame by frame",
        count="96 people in 32 groups, 172,800 coded frames",
        split="official lists of training and test subjects come with the release: give them with train and test",
        licence="labels: CC-BY; videos: for research, by signed agreement",
        citation="J. M. Girard et al., Sayette Group Formation Task (GFT) spontaneous facial expression database, "
        "FG 2017",
        obtain="labels and lists from osf.io/7wcyz; videos from the University of Pittsburgh with a signed agreement",
        url="https://osf.io/7wcyz",
        tried="miniature trees of our own making only; the layout of the real release is unknown to us",
    )

    published = Protocol(aus=AU_SETS["gft"], people=GROUPS * GROUP_SIZE, rows=GROUPS * GROUP_SIZE * SECONDS * RATE)

    def __post_init__(self) -> None:
        for name, value in read_mapping(Path(self.mapping)).items() if self.mapping else ():
            setattr(self, name, value)
        where = f"{self.mapping}: " if self.mapping else ""
        self.declared = self.columns or {}
        if not all(isinstance(text, str) for pair in self.declared.items() for text in pair):
            raise InputError(f"{where}columns is {reprlib.repr(self.columns)}; give names, as in AU12: a12")
        if not all(isinstance(value, int | float) for value in self.unknown):
            raise InputError(f"{where}unknown is {reprlib.repr(self.unknown)}; give numbers, as in [-1, 9, 999]")
        if abs(self.first_frame) >= MOST:
            raise InputError(f"{where}first_frame is {self.first_frame}; no video has so many frames")
        self.pattern = subject_pattern(self.subjects)
        self.au_columns = parse_aus(self.aus)
        self.labels = Labels(frozenset(self.unknown), self.present_from)

    def read(self, raw: Path) -> Listing:
        """See `RawDataset.read`."""
        check_raw(raw)
        folds, lists = self._folds()
        try:
            matching = sorted(raw.glob(self.files))
        except (OSError, ValueError, NotImplementedError, IndexError, re.error, RecursionError) as error:
            raise InputError(f"--files '{self.files}' is not a pattern of files in {raw}: {error}") from error
        paths = [path for path in matching if not path.name.startswith(".") and _real(path) not in lists]
        if not paths:
            raise InputError(f"no file in {raw} fits --files '{self.files}'; say where the labels are")
        rows, missing, pictures = RowTable(self.au_columns, self.au_columns), Missing(), PictureFolders(raw)
        skipped: list[Skip] = []
        for path in paths:
            skipped += self._add(rows, missing, pictures, path, folds)
        notes = ["read through the declared mapping; this was never tried on the real release of GFT"]
        subjects = sorted({str(subject) for subject in rows.values("subject")})
        strangers = [subject for subject in subjects if subject not in folds]
        if not folds:
            notes.append("no fold: give the official lists of subjects with --train and --test, or --partition")
        elif strangers:
            notes.append(f"in no list of subjects, so without a fold: {', '.join(strangers)}")
        return rows.listing(raw, skipped + missing.skips(), notes, "gft")

    def _folds(self) -> tuple[dict[str, str], set[str]]:
        """The fold of every subject, and the files that say so."""
        named = {fold: Path(path) for fold in ("train", "test") if (path := getattr(self, fold))}
        if not self.partition:
            return folds_from_lists(named), {_real(path) for path in named.values()}
        if named:
            raise InputError("the folds are given twice: by --partition, and by --train or --test; leave one out")
        path = Path(self.partition)
        return folds_from_table(path), {_real(path)}

    def _add(
        self, rows: RowTable, missing: Missing, pictures: PictureFolders, path: Path, folds: Mapping[str, str]
    ) -> list[Skip]:
        """Reads one label file into `rows`; what has no picture goes to `missing`, repeats come back."""
        source = table_rows(path)
        columns = find_columns(next(source)[1], self.declared, path)
        aus = chosen_aus(columns, self.au_columns, path)
        skipped: list[Skip] = []
        known: dict[tuple[str, int], tuple[int, dict[str, int | None]]] = {}
        for line, row in source:
            subject, frame = self._subject(columns, row, path, pictures.raw), _frame(columns, row, line, path)
            values = au_labels(row, line, path, columns, aus, self.labels)
            if (subject, frame) in known:
                if known[subject, frame][1] != values:
                    raise InputError(
                        f"{path}: lines {known[subject, frame][0]} and {line} give frame {frame} of {subject} "
                        "different labels; correct the file"
                    )
                skipped.append(Skip(f"{path.name}, line {line}", "repeats a frame"))
                continue
            known[subject, frame] = line, values
            place, reason = self._place(pictures, columns.text(row, "image"), subject, frame)
            if reason:
                missing.add(subject, frame, reason)
                continue
            person = {"subject": subject, "sequence": subject, "frame": frame, "fold": folds.get(subject, "")}
            rows.add({**place, **person, **values})
        return skipped

    def _subject(self, columns: Columns, row: Sequence[str], path: Path, raw: Path) -> str:
        if subject := columns.text(row, "subject"):
            return subject
        match = self.pattern.search(path.relative_to(raw).as_posix())
        if match is None or not match[1]:
            raise InputError(f"{path} has no column of subjects and does not fit --subjects '{self.subjects}'")
        return match[1]

    def _place(self, pictures: PictureFolders, image: str, subject: str, frame: int) -> tuple[dict[str, Any], str]:
        """The image or video columns of a frame, and why there is none."""
        named = {"subject": subject, "frame": frame}
        if self.video:
            video, index = _filled(self.video, named), frame - self.first_frame
            if not os.path.isfile(pictures.raw / video):  # noqa: PTH113 - a name may be too long for Path.is_file
                return {}, f"no video {video}"
            reason = f"frame {index} of {video} does not exist; is --first_frame right?" if index < 0 else ""
            return {"video": video, "video_frame": index}, reason
        if not self.image and not image:
            raise InputError("where are GFT's pictures? Give --image, --video or --columns.image")
        tried = image.replace("\\", "/") or _filled(self.image, named)
        found = pictures.find(tried, by_number=True)
        return ({"image": found}, "") if found else ({}, f"no picture {image or self.image}")


def read_mapping(path: Path) -> dict[str, Any]:
    """Options from a JSON or YAML file.

    Raises:
        InputError: it cannot be read, or says something that is not an option, or of the wrong type.
    """
    check_file(path, "the mapping")
    try:
        options = yaml.safe_load(path.read_text(encoding="utf-8-sig"))  # JSON is YAML
    except (yaml.YAMLError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        # Of dates and numbers that cannot be, and of lists in lists without end, PyYAML raises what Python does.
        raise InputError(f"{path} is neither JSON nor YAML: {error}") from error
    known = {entry.name: entry.default for entry in fields(GFT) if entry.name not in ("aus", "mapping")} | {
        "columns": {}
    }
    if not isinstance(options, dict) or not options.keys() <= known.keys():
        names = [str(name)[:40] for name in options if name not in known] if isinstance(options, dict) else ["no pairs"]
        strange = ", ".join(names[:5])
        raise InputError(f"{path}: {strange}; a mapping gives any of {', '.join(known)}")
    for name, value in options.items():
        kind = (list, tuple) if isinstance(known[name], tuple) else type(known[name])
        if not isinstance(value, kind):
            # `reprlib`: a few lines of YAML can stand for a text without end.
            raise InputError(f"{path}: {name} is {reprlib.repr(value)}; an example is {known[name]!r}")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}


def folds_from_table(path: Path) -> dict[str, str]:
    """Subject -> fold from a table with a row a subject.

    Raises:
        InputError: a column is missing, a cell empty, or a subject in two folds.
    """
    rows = table_rows(path)
    columns = find_columns(next(rows)[1], {}, path)
    for what in ("subject", "fold"):
        if what not in columns.places:
            raise InputError(f"{path}, line 1: no column {what}; one of subjects and one of folds are needed")
    folds: dict[str, str] = {}
    for line, row in rows:
        subject, fold = columns.text(row, "subject"), columns.text(row, "fold")
        if not subject or not fold or folds.setdefault(subject, fold) != fold:
            raise InputError(f"{path}, line {line}: '{subject}' in fold '{fold}'; each subject needs one fold")
    return folds


def _frame(columns: Columns, row: Sequence[str], line: int, path: Path) -> int:
    if "frame" not in columns.places:
        raise InputError(f"{path}, line 1: no column of frame numbers; name it, as in --columns.frame Time")
    return whole_number(columns.text(row, "frame"), path, line, "the frame number")


def _real(path: Path) -> str:
    """Where a path leads; unlike `Path.resolve`, a link that leads to itself is not an error here."""
    return os.path.realpath(path)


def _filled(template: str, named: Mapping[str, object]) -> str:
    try:
        return template.format(**named)
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"'{template}' is not a path with {{subject}} and {{frame}} in it: {error}") from error
