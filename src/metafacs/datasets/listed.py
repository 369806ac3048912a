"""What preparation keeps of a reader's listing, so that a dataset can be audited without its raw release."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from metafacs.datasets.base import Listing
from metafacs.errors import InputError
from metafacs.faces.pictures import UnreadableError
from metafacs.faces.video import count_frames
from metafacs.files import write_text

LISTING_FILE = "listing.json"
"""Beside the card: the rows that had a label and a picture, counted, before faces were sought."""
MOST_SUBJECTS = 1000
"""Of more people than this, only their number is kept."""


@dataclass(frozen=True)
class Clip:
    """A video and the labels that belong to it.

    Attributes:
        video: its path in the release.
        first: the first labelled frame, counted from 0.
        last: the last one.
        frames: how many the video has; None where it cannot be read.
    """

    video: str
    first: int
    last: int
    frames: int | None


@dataclass(frozen=True)
class Listed:
    """Counts of the rows a reader found.

    Attributes:
        protocol: name of the dataset whose protocol they should match, or "".
        notes: what the reader had to say.
        rows: how many.
        people: how many subjects.
        subjects: rows per subject; empty where there are too many.
        folds: rows per fold ("" where a row is in none).
        aus: AU column -> [labelled rows, rows with the AU present].
        expressions: fold -> expression -> rows.
        videos: videos with labels.
    """

    protocol: str
    notes: list[str]
    rows: int
    people: int
    subjects: dict[str, int] = field(default_factory=dict)
    folds: dict[str, int] = field(default_factory=dict)
    aus: dict[str, list[int]] = field(default_factory=dict)
    expressions: dict[str, dict[str, int]] = field(default_factory=dict)
    videos: list[Clip] = field(default_factory=list)

    @classmethod
    def of(cls, listing: Listing, raw: Path) -> "Listed":
        """Counts the rows of a listing; `raw` is the folder that paths of videos start from."""
        rows = listing.rows
        subjects = rows["subject"].value_counts().sort_index()
        return cls(
            protocol=listing.protocol,
            notes=list(listing.notes),
            rows=len(rows),
            people=len(subjects),
            subjects=_counts(subjects) if len(subjects) <= MOST_SUBJECTS else {},
            folds=_counts(rows["fold"].fillna("").value_counts().sort_index()),
            aus={au: [int(rows[au].notna().sum()), int((rows[au] == 1).sum())] for au in listing.aus},
            expressions=_expressions(rows),
            videos=_clips(rows, raw),
        )

    def write(self, folder: Path) -> None:
        """Writes it into `folder`, atomically."""
        write_text(folder / LISTING_FILE, json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "Listed | None":
        """What lies in `folder`; None for a dataset that was not prepared from a release.

        Raises:
            InputError: the file is damaged.
        """
        path = folder / LISTING_FILE
        if not path.is_file():
            return None
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{**entries, "videos": [Clip(**clip) for clip in entries["videos"]]})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"{path} cannot be read ({error}); prepare the dataset again") from error


def _counts(series: pd.Series) -> dict[str, int]:
    return {str(name): int(count) for name, count in series.items()}


def _expressions(rows: pd.DataFrame) -> dict[str, dict[str, int]]:
    named = rows[rows["expression"].notna()]
    counts: dict[str, dict[str, int]] = {}
    for (fold, name), rows_of in named.groupby([named["fold"].fillna(""), "expression"]):
        counts.setdefault(str(fold), {})[str(name)] = len(rows_of)
    return counts


def _clips(rows: pd.DataFrame, raw: Path) -> list[Clip]:
    shown: Any = rows["video"].fillna("") if "video" in rows else pd.Series("", rows.index)
    used = rows[shown != ""]
    return [
        Clip(str(video), int(frames.min()), int(frames.max()), _length(raw / str(video)))
        for video, frames in used.groupby("video")["video_frame"]
    ]


def _length(path: Path) -> int | None:
    try:
        return count_frames(path)
    except UnreadableError:
        return None
