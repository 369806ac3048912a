"""GFT: label files whose columns the user declares, because the layout of the release is not known to us."""

import os
import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
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
from metafacs.datasets.folds import folds_from_lists
from metafacs.datasets.frames import Missing
from metafacs.datasets.textfiles import MOST, check_file, whole_number
from metafacs.errors import InputError
from metafacs.facs import parse_aus


@dataclass(frozen=True)
class Layout:
    """Where everything is; see the arguments of `GFT`."""

    files: str = "**/*.csv"
    columns: Mapping[str, str] = field(default_factory=dict)
    subjects: str = r"([^/]+)\.[^.]+$"
    image: str = ""
    video: str = ""
    first_frame: int = 1
    unknown: Sequence[float] = (-1, 9, 999)
    present_from: int = 0
    train: str = ""
    test: str = ""
    partition: str = ""


@DATASETS.register("gft")
class GFT(RawDataset):
    """Reads GFT through a mapping that you declare: the layout of its label files is not known to us.

    Args:
        files: which files hold labels, below the raw folder; CSV, TSV or Parquet.
        columns: what -> column, for names that do not tell, as in {"frame": "FrameNumber", "AU12": "a12"}.
        subjects: regular expression whose first group is the subject, looked for in the path of a label file where
            there is no column of subjects; by default the file's name without its ending.
        image: path of a frame's picture, as in "frames/{subject}/{frame}.jpg"; zero padding does not matter. Empty if
            there is a column of image paths, or videos.
        video: path of a person's video, as in "videos/{subject}.mp4".
        first_frame: the number that the labels give to a video's first frame.
        unknown: numbers that stand for "not labelled".
        present_from: 0 if AU labels are 0 and 1; for intensities, the one from which an AU counts as present.
        train: text file with the training subjects, one a line.
        test: text file with the test subjects, one a line.
        partition: in place of train and test: a table with a column of subjects and one of folds (fold, partition...).
        aus: which AUs; "gft" is the usual 10.
        mapping: JSON or YAML file that gives any of the options above but aus; what it says counts.
    """

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

    def __init__(
        self,
        files: str = Layout.files,
        columns: Mapping[str, str] | None = None,
        subjects: str = Layout.subjects,
        image: str = "",
        video: str = "",
        first_frame: int = 1,
        unknown: Sequence[float] = Layout.unknown,
        present_from: int = 0,
        train: str = "",
        test: str = "",
        partition: str = "",
        aus: str = "gft",
        mapping: str = "",
    ) -> None:
        given = Layout(
            files, columns or {}, subjects, image, video, first_frame, unknown, present_from, train, test, partition
        )
        self.layout = replace(given, **read_mapping(Path(mapping))) if mapping else given
        _check_layout(self.layout, mapping)
        self.subjects = subject_pattern(self.layout.subjects)
        self.aus = parse_aus(aus)
        self.labels = Labels(frozenset(self.layout.unknown), self.layout.present_from)

    def read(self, raw: Path) -> Listing:
        """See `RawDataset.read`."""
        check_raw(raw)
        folds, lists = self._folds()
        try:
            found = sorted(raw.glob(self.layout.files))
        except (OSError, ValueError, NotImplementedError, IndexError, re.error, RecursionError) as error:
            raise InputError(f"files='{self.layout.files}' is no pattern of files in {raw}: {error}") from error
        paths = [path for path in found if not path.name.startswith(".") and _real(path) not in lists]
        if not paths:
            raise InputError(f"no file in {raw} fits files='{self.layout.files}'; say where the labels are")
        rows, missing, pictures = RowTable(self.aus, self.aus), Missing(), PictureFolders(raw)
        skipped: list[Skip] = []
        for path in paths:
            skipped += self._add(rows, missing, pictures, path, folds)
        notes = ["read through the declared mapping; this was never tried on the real release of GFT"]
        subjects = sorted({str(subject) for subject in rows.values("subject")})
        strangers = [subject for subject in subjects if subject not in folds]
        if not folds:
            notes.append("no fold: give the official lists of subjects with train and test, or partition")
        elif strangers:
            notes.append(f"in no list of subjects, so without a fold: {', '.join(strangers)}")
        return rows.listing(raw, skipped + missing.skips(), notes, "gft")

    def _folds(self) -> tuple[dict[str, str], set[str]]:
        """The fold of every subject, and the files that say so."""
        named = {fold: Path(path) for fold in ("train", "test") if (path := getattr(self.layout, fold))}
        if not self.layout.partition:
            return folds_from_lists(named), {_real(path) for path in named.values()}
        if named:
            raise InputError("the folds are given twice: by partition, and by train or test; leave one out")
        path = Path(self.layout.partition)
        return folds_from_table(path), {_real(path)}

    def _add(
        self, rows: RowTable, missing: Missing, pictures: PictureFolders, path: Path, folds: Mapping[str, str]
    ) -> list[Skip]:
        """Reads one label file into `rows`; what has no picture goes to `missing`, repeats come back."""
        source = table_rows(path)
        columns = find_columns(next(source)[1], self.layout.columns, path)
        aus = chosen_aus(columns, self.aus, path)
        skipped: list[Skip] = []
        seen: dict[tuple[str, int], tuple[int, dict[str, int | None]]] = {}
        for line, row in source:
            subject, frame = self._subject(columns, row, path, pictures.raw), _frame(columns, row, line, path)
            values = au_labels(row, line, path, columns, aus, self.labels)
            if (subject, frame) in seen:
                if seen[subject, frame][1] != values:
                    raise InputError(
                        f"{path}: lines {seen[subject, frame][0]} and {line} give frame {frame} of {subject} different "
                        "labels; correct the file"
                    )
                skipped.append(Skip(f"{path.name}, line {line}", "repeats a frame"))
                continue
            seen[subject, frame] = line, values
            place, reason = self._place(pictures, columns.text(row, "image"), subject, frame)
            if reason:
                missing.add(subject, frame, reason)
                continue
            own = {"subject": subject, "sequence": subject, "frame": frame, "fold": folds.get(subject, "")}
            rows.add({**place, **own, **values})
        return skipped

    def _subject(self, columns: Columns, row: Sequence[str], path: Path, raw: Path) -> str:
        if subject := columns.text(row, "subject"):
            return subject
        match = self.subjects.search(path.relative_to(raw).as_posix())
        if match is None or not match[1]:
            raise InputError(f"{path} has no column of subjects and does not fit subjects='{self.layout.subjects}'")
        return match[1]

    def _place(self, pictures: PictureFolders, image: str, subject: str, frame: int) -> tuple[dict[str, Any], str]:
        """The image or video columns of a frame, and why there is none."""
        named = {"subject": subject, "frame": frame}
        if self.layout.video:
            video, index = _filled(self.layout.video, named), frame - self.layout.first_frame
            if not os.path.isfile(pictures.raw / video):  # noqa: PTH113 - a name may be too long for Path.is_file
                return {}, f"no video {video}"
            reason = f"frame {index} of {video} does not exist; is first_frame right?" if index < 0 else ""
            return {"video": video, "video_frame": index}, reason
        if not self.layout.image and not image:
            raise InputError("where are GFT's pictures? Give image or video, or declare a column image")
        tried = image.replace("\\", "/") or _filled(self.layout.image, named)
        found = pictures.find(tried, by_number=True)
        return ({"image": found}, "") if found else ({}, f"no picture {image or self.layout.image}")


def read_mapping(path: Path) -> dict[str, Any]:
    """Options from a JSON or YAML file.

    Raises:
        InputError: it cannot be read, or says something that is no option, or of the wrong type.
    """
    check_file(path, "the mapping")
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8-sig"))  # JSON is YAML
    except (yaml.YAMLError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        # Of dates and numbers that cannot be, and of lists in lists without end, PyYAML raises what Python does.
        raise InputError(f"{path} is neither JSON nor YAML: {error}") from error
    known = {entry.name: getattr(Layout(), entry.name) for entry in fields(Layout)}
    if not isinstance(found, dict) or not found.keys() <= known.keys():
        names = [str(name)[:40] for name in found if name not in known] if isinstance(found, dict) else ["no pairs"]
        strange = ", ".join(names[:5])
        raise InputError(f"{path}: {strange}; a mapping gives any of {', '.join(known)}")
    for name, value in found.items():
        kind = (list, tuple) if isinstance(known[name], tuple) else type(known[name])
        if not isinstance(value, kind):
            # `reprlib`: a few lines of YAML can stand for a text without end.
            raise InputError(f"{path}: {name} is {reprlib.repr(value)}; an example is {known[name]!r}")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def _check_layout(layout: Layout, mapping: str) -> None:
    """Checks what types of options do not say; those of a mapping were checked by nobody else."""
    where = f"{mapping}: " if mapping else ""
    if not all(isinstance(text, str) for pair in layout.columns.items() for text in pair):
        raise InputError(f"{where}columns is {reprlib.repr(layout.columns)}; give names, as in {{'AU12': 'a12'}}")
    if not all(isinstance(value, int | float) for value in layout.unknown):
        raise InputError(f"{where}unknown is {reprlib.repr(layout.unknown)}; give numbers, as in [-1, 9, 999]")
    if abs(layout.first_frame) >= MOST:
        raise InputError(f"{where}first_frame is {layout.first_frame}; no video has so many frames")


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
        raise InputError(f"{path}, line 1: no column of frame numbers; declare it, as in columns={{'frame': 'Time'}}")
    return whole_number(columns.text(row, "frame"), path, line, "the frame number")


def _real(path: Path) -> str:
    """Where a path leads; unlike `Path.resolve`, a link that leads to itself is no error here."""
    return os.path.realpath(path)


def _filled(template: str, named: Mapping[str, object]) -> str:
    try:
        return template.format(**named)
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"'{template}' is no path with {{subject}} and {{frame}} in it: {error}") from error
