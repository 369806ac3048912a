"""Pictures that are in a prepared dataset more than once."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metafacs.data.prepared import PreparedDataset
from metafacs.datasets.audit.finding import CHECK, DIFFERS, NOTE, Finding
from metafacs.errors import InputError

MOST_LISTED = 5
EVERY = 500
"""Rows between two reports of progress."""


@dataclass(frozen=True)
class Duplicates:
    """Faces that are the same to the last bit.

    Attributes:
        surplus: how many there are beyond the first of each.
        same_labels: how many of those have the labels of the first, too.
        runs: stretches of one sequence that repeat a picture: subject, sequence, first and last frame, `frames`.
        strangers: groups of rows that share a picture but not the subject, as row numbers.
        folds: how many of those groups are in several folds.
        contradicting: groups that have different labels, as row numbers.
    """

    surplus: int
    same_labels: int
    runs: pd.DataFrame
    strangers: list[list[int]]
    folds: int
    contradicting: list[list[int]]


def find_duplicates(
    dataset: PreparedDataset, rows: pd.DataFrame, progress: Callable[[int, int], None] | None = None
) -> Duplicates:
    """Compares the JPEG files of all faces: equal pictures cut out alike give equal files.

    Args:
        dataset: what to look through.
        rows: its rows.
        progress: is told (rows done, rows in all).
    """
    digests = _digests(dataset, progress)
    marks, number = np.unique(digests, return_inverse=True)
    groups = pd.Series(np.arange(len(rows))).groupby(number)
    several = [own.tolist() for _, own in groups if len(own) > 1] if len(marks) < len(rows) else []
    labels = pd.util.hash_pandas_object(rows[[*dataset.aus, "expression"]].astype(object).astype(str), index=False)
    told, subjects, folds = labels.to_numpy(), rows["subject"].astype(str), rows["fold"].astype(str)
    strangers = [own for own in several if subjects.iloc[own].nunique() > 1]
    return Duplicates(
        surplus=sum(len(own) - 1 for own in several),
        same_labels=sum(int((told[own[1:]] == told[own[0]]).sum()) for own in several),
        runs=_runs(rows, number),
        strangers=strangers,
        folds=sum(folds.iloc[own].nunique() > 1 for own in strangers),
        contradicting=[own for own in several if len(set(told[own])) > 1],
    )


def check_duplicates(found: Duplicates, rows: pd.DataFrame) -> list[Finding]:
    """What to say about them."""
    if not found.surplus:
        return [Finding(NOTE, "duplicates", "no picture is there twice")]
    text = f"{found.surplus:,} faces repeat another one to the last bit, {found.same_labels:,} with the same labels"
    out = [Finding(CHECK, "duplicates", text, "was a video extracted twice, or at a higher rate than it has?")]
    if found.folds:
        text = f"{found.folds:,} pictures are in several folds under different names, as rows {found.strangers[0]}"
        out.append(Finding(DIFFERS, "duplicates", text, "test faces leak into training: remove the copies"))
    elif found.strangers:
        text = f"{len(found.strangers):,} pictures belong to several people, as rows {found.strangers[0]}"
        out.append(Finding(CHECK, "duplicates", text, "are folders of people mixed up?"))
    if found.contradicting:
        text = f"{len(found.contradicting):,} pictures have several sets of labels, as rows {found.contradicting[0]}"
        out.append(Finding(CHECK, "duplicates", text, "only one can be right; frozen video or shifted labels?"))
    if len(found.runs):
        longest = found.runs.sort_values("frames", ascending=False).head(MOST_LISTED)
        told = ", ".join(f"{row.sequence} frames {row.first}-{row.last}" for row in longest.itertuples())
        out.append(Finding(CHECK, "duplicates", f"{len(found.runs):,} stretches repeat one picture: {told}", "look"))
    return out


def _digests(dataset: PreparedDataset, progress: Callable[[int, int], None] | None) -> NDArray[np.bytes_]:
    """16 bytes that stand for each picture; a row without one stands for itself."""
    out = []
    for row in range(len(dataset)):
        try:
            picture = dataset.image_bytes(row)
        except InputError:
            picture = f"row {row}".encode()
        out.append(hashlib.blake2b(picture, digest_size=16).hexdigest())
        if progress and (row % EVERY == 0 or row + 1 == len(dataset)):
            progress(row + 1, len(dataset))
    return np.array(out, dtype="S32")


def _runs(rows: pd.DataFrame, number: NDArray[np.int_]) -> pd.DataFrame:
    keys = rows["subject"].astype(str) + "\0" + rows["sequence"].astype(str)
    same = np.zeros(len(rows), bool)
    same[1:] = (number[1:] == number[:-1]) & (keys.to_numpy()[1:] == keys.to_numpy()[:-1])
    run = np.cumsum(~same)
    found = []
    for _, own in rows.groupby(run):
        if len(own) > 1:
            first, last = own.iloc[0], own.iloc[-1]
            found.append((first["subject"], first["sequence"], int(first["frame"]), int(last["frame"]), len(own)))
    return pd.DataFrame(found, columns=["subject", "sequence", "first", "last", "frames"])
