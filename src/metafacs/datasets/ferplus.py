"""FER2013 with FERPlus votes: pictures, or all pixels in one file, and ten people's votes in another."""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from metafacs.datasets.base import DATASETS, Listing, RawDataset, RowTable, Skip, SourceCard
from metafacs.datasets.folders import check_raw, find_file
from metafacs.datasets.protocols import Protocol
from metafacs.datasets.textfiles import AGAIN, position, read_csv, whole_number
from metafacs.errors import InputError
from metafacs.facs import EXPRESSIONS

SIDE = 48
"""Width and height of FER2013's grey images in pixels."""

USAGES = {"Training": 28709, "PublicTest": 3589, "PrivateTest": 3589}
"""Rows of FER2013 and FERPlus by their column `Usage`."""
VOTES = (*EXPRESSIONS, "contempt", "unknown", "NF")
"""The vote columns of `fer2013new.csv`; NF: not a face."""
VOTES_FILE = "fer2013new.csv"
LARGEST = 1 << 20
"""Bytes that a picture in a ZIP file may have."""
FOLDS = dict(zip(USAGES, ("train", "validation", "test"), strict=True))
"""`Usage` in the files -> fold."""
FOLDERS = dict(zip(USAGES, ("FER2013Train", "FER2013Valid", "FER2013Test"), strict=True))
"""`Usage` -> the folder of pictures that FERPlus's own tool writes."""
WinnerRule = Literal["majority", "most"]


@DATASETS.register("ferplus")
@dataclass
class FERPlus(RawDataset):
    """Reads fer2013new.csv (votes of ten people) with the pictures that FERPlus's own tool writes, or with fer2013.csv.

    Pictures are `FER2013Train/fer0000000.png`, in FER2013Valid and FER2013Test likewise: in the folder or in a ZIP file
    in it. Votes whose picture is not there are left out and counted. Votes may also be
    in a label.csv in each of the folders. Without pictures, fer2013.csv (all pixels) is read, whose rows pair one by
    one with those of fer2013new.csv. A name that stands twice is taken once.
    """

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
        "Recognition Challenge', fer2013new.csv from the repository microsoft/FERPlus; its tool makes pictures of them",
        url="https://github.com/microsoft/FERPlus",
        tried="the real release: the votes with a ZIP file of the pictures of Training and PublicTest, and fer2013.csv",
    )

    published = Protocol(rows=sum(USAGES.values()))
    aligned = True

    def __post_init__(self) -> None:
        if self.rule not in ("majority", "most"):
            raise InputError(f"--rule {self.rule}; known: majority, most")

    def read(self, raw: Path) -> Listing:
        """See `RawDataset.read`."""
        notes: list[str] = []
        rows, skipped, nameless, uneven, known = RowTable([]), [], 0, 0, set()
        for index, row in enumerate(_rows(raw, notes)):
            uneven += sum(row.votes) != 10
            nameless += not row.name
            expression, reason = winner(row.votes, self.rule)
            if row.name in known:
                expression, reason = None, "its name stood before"
            elif not row.shown:
                expression, reason = None, "no such picture" if row.name else "no image name"
            if not expression:
                skipped.append(Skip(row.where, reason))
                continue
            known |= {row.name} if row.name else set()
            sequence = row.name.rpartition(".")[0] or f"row{index:07d}"
            person = {"subject": sequence, "sequence": sequence, "fold": FOLDS[row.usage], "expression": expression}
            votes = [row.votes[VOTES.index(choice)] for choice in EXPRESSIONS]
            rows.add({**row.shown, **person, "votes": votes})
        notes += [f"expression by rule '{self.rule}'; votes leave out contempt, unknown and NF"]
        notes += [f"{nameless} rows have no image name (as in the real file)"] if nameless else []
        notes += [f"{uneven} rows have other than ten votes (the real file has one of nine)"] if uneven else []
        return rows.listing(raw, skipped, notes, "ferplus", people_known=False)


Shown = dict[str, str | bytes]
"""Where a picture is: "image" (path) or "pixels" (content of an image file)."""
Find = Callable[[str], Shown]
"""Gives the picture of a path such as "FER2013Train/fer0000000.png"; empty where there is none."""


@dataclass(frozen=True)
class Voted:
    """A row of votes and its picture, if there is one."""

    where: str
    name: str
    usage: str
    votes: list[int]
    shown: Shown


def _rows(raw: Path, notes: list[str]) -> Iterator[Voted]:
    """All rows, in the order of the votes; what else is worth telling goes into `notes`."""
    find, votes = _folders(raw) or _archive(raw), find_file(raw, [VOTES_FILE])
    pixels = None if find else find_file(raw, ["fer2013.csv"])
    if find and not votes:
        yield from _labelled(raw, find)
        return
    if not votes:
        raise InputError(f"{raw} has no {VOTES_FILE} (FERPlus votes); put it beside the pictures or fer2013.csv")
    if not find and not pixels:
        raise InputError(
            f"{raw} has no pictures and no fer2013.csv (pixels); put FER2013Train/fer0000000.png and so on, a ZIP file "
            f"of them, or fer2013.csv beside {VOTES_FILE}"
        )
    images = read_pixels(pixels) if pixels else None
    rows = 0
    for line, name, usage, counts in read_votes(votes):
        rows += 1
        where = f"{votes.name}, line {line}"
        if find:
            yield Voted(where, name, usage, counts, find(f"{FOLDERS[usage]}/{name}"))
            continue
        image = next(images, None) if images else None
        if image is None:
            raise InputError(_unpaired(f"{pixels}", f"{votes}", rows - 1))
        if image[2] != usage:
            raise InputError(
                f"{pixels}, line {image[0]} is of {image[2]}, its partner {votes}, line {line} of {usage}: rows are "
                f"not in the order of the releases; {AGAIN}"
            )
        yield Voted(where, name, usage, counts, {"pixels": image[1]})
    try:
        more = images is not None and next(images, None) is not None
    except InputError:  # some mirrors hang the list of an archive's files behind the last row
        notes.append(f"{pixels} has lines behind its last row, row {rows:,}, which are not read")
        return
    if more:
        raise InputError(_unpaired(f"{votes}", f"{pixels}", rows))


def _labelled(raw: Path, find: Find) -> Iterator[Voted]:
    """The rows of the label.csv in each folder: name, box, ten votes, without a header."""
    for usage, folder in FOLDERS.items():
        listed = find(f"{folder}/label.csv")
        if not listed or "image" not in listed:
            continue
        path = raw / str(listed["image"])
        for line, cells in read_csv(path, "FERPlus votes"):
            if len(cells) != 2 + len(VOTES):
                raise InputError(f"{path}, line {line}: {len(cells)} columns; name, box and ten votes are needed")
            counts = [whole_number(cell, path, line, "a vote") for cell in cells[2:]]
            yield Voted(f"{folder}/label.csv, line {line}", cells[0], usage, counts, find(f"{folder}/{cells[0]}"))


def _folders(raw: Path) -> Find | None:
    """Pictures in folders of `raw`, or of a folder in it."""
    check_raw(raw)
    for place in (raw, *sorted(path for path in raw.iterdir() if path.is_dir())):
        folders = [place / name for name in FOLDERS.values() if (place / name).is_dir()]
        if folders:
            there = {f"{folder.name}/{path.name}" for folder in folders for path in folder.iterdir()}
            return lambda path: {"image": (place / path).relative_to(raw).as_posix()} if path in there else {}
    return None


def _archive(raw: Path) -> Find | None:
    """Pictures in a ZIP file in `raw`."""
    for path in sorted(raw.glob("*.zip")):
        try:
            archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise InputError(f"{path} cannot be read ({error}); {AGAIN}") from error
        members = {"/".join(name.split("/")[-2:]): name for name in archive.namelist() if name.endswith(".png")}
        if any(name.split("/")[0] in FOLDERS.values() for name in members):
            return lambda name: _unzipped(path, archive, members[name]) if name in members else {}
    return None


def _unzipped(path: Path, archive: zipfile.ZipFile, member: str) -> Shown:
    try:
        if archive.getinfo(member).file_size > LARGEST:
            raise InputError(f"{path}: {member} is not a picture of {SIDE} x {SIDE} pixels; {AGAIN}")
        return {"pixels": archive.read(member)}
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        raise InputError(f"{path}: {member} cannot be read ({error}); {AGAIN}") from error


def _unpaired(short: str, long: str, rows: int) -> str:
    return (
        f"{short} ends after {rows:,} rows, {long} goes on, but rows are paired one by one: {Path(short).name} was cut "
        f"off, {AGAIN}"
    )


def winner(counts: list[int], rule: WinnerRule) -> tuple[str | None, str]:
    """The expression that the votes give an image, and why there is none.

    Args:
        counts: votes in the order of `protocols.VOTES`.
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
            raise InputError(
                f"{path}, line {line}: a pixel is not a number from 0 to 255 ({error}); {AGAIN}"
            ) from error
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
