"""FER2013 with FERPlus votes: pixels in one file, ten people's votes in another, row by row."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Literal

from metafacs.datasets.base import DATASETS, Listing, RawDataset, RowTable, Skip, SourceCard
from metafacs.datasets.folders import find_file
from metafacs.datasets.protocols import Protocol
from metafacs.datasets.textfiles import AGAIN, position, read_csv, whole_number
from metafacs.errors import InputError
from metafacs.facs import EXPRESSIONS

SIDE = 48
"""Width and height of FER2013's grey images in pixels."""

USAGES = {"Training": 28709, "PublicTest": 3589, "PrivateTest": 3589}
"""Rows of FER2013 and FERPlus by their column `Usage`."""

FOLDS = dict(zip(USAGES, ("train", "validation", "test"), strict=True))
"""`Usage` in the files -> fold."""

VOTES = (*EXPRESSIONS, "contempt", "unknown", "NF")
"""The vote columns of `fer2013new.csv`; NF: not a face."""

WinnerRule = Literal["majority", "most"]


@DATASETS.register("ferplus")
@dataclass
class FERPlus(RawDataset):
    """Reads fer2013.csv (pixels) with fer2013new.csv (votes of ten people), paired by row."""

    rule: WinnerRule = "majority"
    """which expression an image gets. "majority", as FERPlus's authors: votes of a single person are dropped, then more
    than half of the rest must agree; "most": the class with the most votes, ties left out. Either way images whose
    winner is unknown, NF (no face) or contempt are left out and counted."""

    card = SourceCard(
        title="FER2013 with FERPlus votes",
        what="48x48 grey faces from web searches; FERPlus has ten people vote on each, among eight expressions, "
        "unknown and no face",
        count="35,887 images: 28,709 Training, 3,589 PublicTest, 3,589 PrivateTest",
        split="Training is the fold train, PublicTest validation, PrivateTest test",
        licence="votes: MIT; images: of a public competition, rights with their owners",
        citation="E. Barsoum et al., Training deep networks for facial expression recognition with crowd-sourced label "
        "distribution, ICMI 2016; I. Goodfellow et al., Challenges in representation learning, ICONIP 2013",
        obtain="fer2013.csv from the Kaggle competition 'Challenges in Representation Learning: Facial Expression "
        "Recognition Challenge', fer2013new.csv from the repository microsoft/FERPlus",
        url="https://github.com/microsoft/FERPlus",
    )

    published = Protocol(rows=sum(USAGES.values()))
    aligned = True

    def __post_init__(self) -> None:
        if self.rule not in ("majority", "most"):
            raise InputError(f"--rule {self.rule}; known: majority, most")

    def read(self, raw: Path) -> Listing:
        """See `RawDataset.read`."""
        pixels, votes = _need(raw, "fer2013.csv", "pixels"), _need(raw, "fer2013new.csv", "FERPlus votes")
        rows, skipped, nameless, uneven = RowTable([]), [], 0, 0
        for index, (image, vote) in enumerate(zip_longest(read_pixels(pixels), read_votes(votes))):
            if image is None or vote is None:
                raise InputError(_unpaired(pixels, votes, index, image is None))
            (line, encoded, usage), (vote_line, name, vote_usage, counts) = image, vote
            if usage != vote_usage:
                raise InputError(
                    f"{pixels}, line {line} is of {usage}, its partner {votes}, line {vote_line} of {vote_usage}: rows "
                    f"are not in the order of the releases; {AGAIN}"
                )
            uneven += sum(counts) != 10
            expression, reason = winner(counts, self.rule)
            nameless += not name
            if not expression:
                skipped.append(Skip(f"{votes.name}, line {vote_line}", reason))
                continue
            sequence = name.rpartition(".")[0] or f"row{index:07d}"
            person = {"subject": sequence, "sequence": sequence, "fold": FOLDS[usage]}
            shown = [counts[VOTES.index(choice)] for choice in EXPRESSIONS]
            rows.add({"pixels": encoded, **person, "expression": expression, "votes": shown})
        notes = [f"expression by rule '{self.rule}'; votes leave out contempt, unknown and NF"]
        notes += [f"{nameless} rows have no image name (as in the real file)"] if nameless else []
        notes += [f"{uneven} rows have other than ten votes (the real file has one of nine)"] if uneven else []
        return rows.listing(raw, skipped, notes, "ferplus")


def winner(counts: list[int], rule: WinnerRule) -> tuple[str | None, str]:
    """The expression that the votes give an image, and why there is none.

    Args:
        counts: votes in the order of `VOTES`.
        rule: see `FERPlus`.

    Example:
        >>> winner([6, 0, 4, 0, 0, 0, 0, 0, 0, 0], "majority")
        ('neutral', '')
        >>> winner([5, 0, 5, 0, 0, 0, 0, 0, 0, 0], "most")
        (None, 'a tie')
    """
    # One person alone counts as a slip of the finger in FERPlus's own rule.
    kept = [count if count > 1 or rule == "most" else 0 for count in counts]
    top = max(kept)
    if top == 0:
        return None, "no votes" if not any(counts) else "no two people agree"
    if rule == "majority" and 2 * top <= sum(kept):
        return None, "no majority"
    if kept.count(top) > 1:
        return None, "a tie"
    choice = VOTES[kept.index(top)]
    return (choice, "") if choice in EXPRESSIONS else (None, f"most votes for {choice}")


def read_pixels(path: Path) -> Iterator[tuple[int, bytes, str]]:
    """Line number, image and usage of every row of fer2013.csv.

    Images become binary PGM files, which any image library opens: nothing is compressed or held decoded.

    Raises:
        InputError: a column is missing, or pixels are cut off or out of range.
    """
    rows = read_csv(path, "pixels")
    _, names = next(rows)
    pixels_at, usage_at = position(names, "pixels", path), position(names, "Usage", path)
    header = f"P5 {SIDE} {SIDE} 255\n".encode()
    for line, row in rows:
        try:
            grey = _grey(row[pixels_at].split())
        except ValueError as error:
            raise InputError(f"{path}, line {line}: a pixel is not a number, 0 to 255 ({error}); {AGAIN}") from error
        if len(grey) != SIDE * SIDE:
            raise InputError(f"{path}, line {line}: {len(grey)} of {SIDE * SIDE} pixels; cut off there, {AGAIN}")
        yield line, header + grey, _usage(row[usage_at], path, line)


def read_votes(path: Path) -> Iterator[tuple[int, str, str, list[int]]]:
    """Line number, image name (may be empty), usage and votes of every row of fer2013new.csv.

    Raises:
        InputError: a column is missing, or a vote is not a number.
    """
    rows = read_csv(path, "FERPlus votes")
    _, names = next(rows)
    usage_at, name_at = position(names, "Usage", path), position(names, "Image name", path)
    places = [position(names, vote, path) for vote in VOTES]
    for line, row in rows:
        counts = [whole_number(row[place], path, line, "a vote") for place in places]
        if min(counts) < 0:
            raise InputError(f"{path}, line {line}: {min(counts)} votes; {AGAIN}")
        yield line, row[name_at], _usage(row[usage_at], path, line), counts


_LEVELS = {str(level): level for level in range(256)}


def _grey(cells: list[str]) -> bytes:
    """The bytes of pixels written as text; looked up, which is faster than `int` 80 million times."""
    try:
        return bytes(map(_LEVELS.__getitem__, cells))
    except KeyError:
        return bytes(map(int, cells))


def _usage(text: str, path: Path, line: int) -> str:
    if text not in FOLDS:
        raise InputError(f"{path}, line {line}: usage '{text}'; known: {', '.join(FOLDS)}")
    return text


def _need(raw: Path, name: str, what: str) -> Path:
    path = find_file(raw, [name])
    if path is None:
        raise InputError(f"{raw} has no {name} ({what}); put fer2013.csv and fer2013new.csv into one folder")
    return path


def _unpaired(pixels: Path, votes: Path, rows: int, no_pixels: bool) -> str:
    short, long = (pixels, votes) if no_pixels else (votes, pixels)
    return (
        f"{short} ends after {rows:,} rows, {long} goes on, but rows are paired one by one: {short.name} was cut off, "
        f"{AGAIN}"
    )
