"""From a listing of a raw dataset to a prepared one: find each face, align it, encode it; account for every row."""

import csv
import functools
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metafacs.data.card import CARD_FILE, PARTS_FOLDER
from metafacs.data.prepared import DatasetCard, PreparedDataset, PreparedWriter
from metafacs.datasets.base import Listing, SourceCard
from metafacs.datasets.cropping import Skipped, crop_rows
from metafacs.datasets.listed import LISTING_FILE, Listed
from metafacs.errors import InputError
from metafacs.faces import Recipe
from metafacs.faces.finders import settled
from metafacs.files import refuse_files, write_text
from metafacs.pool import run_parts

PART = 250
"""Rows of one part, at most: a few seconds of work, which is what a kill can cost."""
SKIPPED_FILE = "skipped.csv"
"""Lists every row that was left out, beside the card."""
AUDIT_FILES = ("audit.txt", "audit.json", "audit.html")
"""What `metafacs audit` will write beside the card."""
SEVERAL = "pictures_with_several_faces"
"""What the card's counts call them."""
PREPARATION = 1
"""Goes up when the same pictures give other crops, so that parts of two versions are not mixed."""


@dataclass(frozen=True)
class Prepared:
    """A prepared dataset and what is not in it.

    Attributes:
        dataset: the dataset.
        skipped: rows left out, by the reader and by the preparation, in the columns of `skipped.csv`.
    """

    dataset: PreparedDataset
    skipped: pd.DataFrame


def prepare(
    listing: Listing,
    raw: Path,
    out: Path,
    *,
    name: str,
    source: SourceCard,
    recipe: Recipe,
    title: str = "",
    options: Mapping[str, Any] | None = None,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Prepares a dataset; interrupted work goes on where it stopped, a finished dataset of equal settings is reused.

    The same listing and recipe give the same bytes, whatever the number of processes.

    Args:
        listing: the rows, as a reader gave them.
        raw: the folder that their paths start from.
        out: folder of the dataset to be.
        name: the reader's.
        source: what the card says about where the faces come from.
        recipe: how faces are found and cut out.
        title: how tables and figures call the dataset, where not by the reader's name.
        options: the reader's own options, for the card.
        workers: processes to use; 0 means all cores.
        progress: is told how many rows are done, and of how many.

    Raises:
        InputError: not one face was found, what finds faces is missing, or `out` holds another dataset.
    """
    if workers < 0:
        raise InputError(f"workers is {workers}; give 0 (all cores) or more")
    recipe = replace(recipe, finder=settled(recipe.finder, recipe.eyes))
    card = DatasetCard(title or name, source.title, source.licence, listing.aus, crop=recipe.to_card())
    card.people_known = listing.people_known
    settings: dict[str, Any] = {"reader": name, "options": dict(options or {}), "listing": digest(listing.rows)}
    settings |= {} if listing.recorded else {"recorded": False}
    if not (out / PARTS_FOLDER).exists() and not (out / CARD_FILE).exists():
        refuse_files(out, [SKIPPED_FILE, LISTING_FILE, *AUDIT_FILES], "move that, or name another folder")
    writer = PreparedWriter(out, card, {**settings, "preparation": PREPARATION})
    if writer.finished:
        if not (out / LISTING_FILE).exists():  # prepared before there were audits
            Listed.of(listing, Path(raw)).write(out)
        return Prepared(writer.finish(0), read_skipped(out))
    parts = [Part(number, listing.rows.iloc[rows]) for number, rows in enumerate(cut(listing.rows))]
    missing = [part for part in parts if not writer.has_part(part.number)]
    total = len(listing.rows)
    done = total - sum(len(part.rows) for part in missing)
    tell = progress or (lambda _done, _total: None)
    tell(done, total)
    task = functools.partial(_write_part, writer, Path(raw), recipe, listing.recorded)
    for rows in run_parts(task, missing, workers, ["metafacs.datasets.preparation"], "preparing"):
        done += rows
        tell(done, total)
    return _finish(writer, listing, Path(raw), len(parts))


@dataclass(frozen=True, eq=False)
class Part:
    """Consecutive rows of a listing that one process works on."""

    number: int
    rows: pd.DataFrame


def cut(rows: pd.DataFrame) -> list[slice]:
    """Cuts a listing into parts of at most `PART` rows: short sequences together, long ones into equal pieces."""
    if not len(rows):
        return []
    keys = (rows["subject"].astype(str) + "\0" + rows["sequence"].astype(str)).to_numpy()
    starts = [0, *(np.flatnonzero(keys[1:] != keys[:-1]) + 1).tolist()]
    slices: list[slice] = []
    for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
        pieces = -(-(end - start) // PART)
        bounds = [start + (end - start) * k // pieces for k in range(pieces + 1)]
        if slices and pieces == 1 and end - slices[-1].start <= PART:
            slices[-1] = slice(slices[-1].start, end)
        else:
            slices += [slice(one, other) for one, other in pairwise(bounds)]
    return slices


def digest(rows: pd.DataFrame) -> str:
    """SHA-256, hexadecimal, of everything a listing says."""
    sha256 = hashlib.sha256()
    for name in rows.columns:
        sha256.update(f"\0{name}\0".encode())
        for value in rows[name].astype(object):
            sha256.update(value if isinstance(value, bytes) else _text(value).encode())
            sha256.update(b"\0")
    return sha256.hexdigest()


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return "" if value is None or value is pd.NA else str(value)


def _write_part(writer: PreparedWriter, raw: Path, recipe: Recipe, recorded: bool, part: Part) -> int:
    """Prepares a part, with a note of what it leaves out."""
    rows, skipped, several = crop_rows(part.rows, writer.card.aus, raw, recipe, recorded)
    writer.write_part(part.number, rows, {"skipped": [asdict(one) for one in skipped], SEVERAL: several})
    return len(part.rows)


def _finish(writer: PreparedWriter, listing: Listing, raw: Path, parts: int) -> Prepared:
    skipped = [Skipped("listing", skip.where, skip.reason, rows=skip.rows) for skip in listing.skipped]
    several = 0
    for note in map(writer.note, range(parts)):
        note = {"skipped": note, SEVERAL: 0} if isinstance(note, list) else note  # of an earlier version
        skipped += [Skipped(**one) for one in note["skipped"]]
        several += note[SEVERAL]
    write_text(writer.folder / SKIPPED_FILE, _csv(skipped))
    counts: Counter[str] = Counter(dict.fromkeys(("listing", "picture", "face"), 0))
    for one in skipped:
        counts[one.stage] += one.rows
    here = [one for one in skipped if one.stage != "listing"]
    if len(here) >= len(listing.rows):
        raise InputError(
            f"not one of {len(listing.rows)} rows gave a face: {_reasons(here)}; "
            f"{writer.folder / SKIPPED_FILE} lists every row"
        )
    Listed.of(listing, raw).write(writer.folder)
    dataset = writer.finish(parts, {"skipped": dict(counts), SEVERAL: several})
    return Prepared(dataset, read_skipped(writer.folder))


def _csv(skipped: Sequence[Skipped]) -> str:
    buffer = io.StringIO()
    written = csv.DictWriter(buffer, Skipped.__dataclass_fields__, lineterminator="\n")
    written.writeheader()
    written.writerows(asdict(one) for one in skipped)
    return buffer.getvalue()


def read_skipped(folder: Path) -> pd.DataFrame:
    """The rows that are not in a prepared dataset: stage, where, reason, subject, sequence, frame, rows."""
    path = folder / SKIPPED_FILE
    if not path.is_file():
        return pd.DataFrame(columns=list(Skipped.__dataclass_fields__))
    return pd.read_csv(path, keep_default_na=False, dtype={"subject": str, "sequence": str})


def _reasons(skipped: Sequence[Skipped]) -> str:
    counted = Counter(one.reason for one in skipped)
    return "; ".join(f"{rows} times {reason}" for reason, rows in counted.most_common(3))
