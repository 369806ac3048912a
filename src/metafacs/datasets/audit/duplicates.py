"""Pictures that are in a prepared dataset more than once."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from metafacs.data.prepared import PreparedDataset
from metafacs.datasets.audit.material import CHECK, DIFFERS, NOTE, Finding
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


def picture_digests(dataset: PreparedDataset, progress: Callable[[int, int], None] | None = None) -> list[str]:
    """A digest of every face's JPEG file: equal pictures cut out alike give equal files, and those equal digests.

    A row whose picture cannot be read stands for itself.

    Args:
        dataset: n faces.
        progress: is told (rows done, rows in all).
    """
    digests = []
    for row in range(len(dataset)):
        try:
            picture = dataset.image_bytes(row)
        except InputError:
            picture = f"row {row}".encode()
        digests.append(hashlib.blake2b(picture, digest_size=16).hexdigest())
        if progress and (row % EVERY == 0 or row + 1 == len(dataset)):
            progress(row + 1, len(dataset))
    return digests


def find_duplicates(
    dataset: PreparedDataset, rows: pd.DataFrame, progress: Callable[[int, int], None] | None = None
) -> Duplicates:
    """Compares the pictures of all faces.

    Args:
        dataset: what to look through.
        rows: its rows.
        progress: is told (rows done, rows in all).
    """
    digests = pd.Series(picture_digests(dataset, progress), rows.index)
    repeated = digests[digests.duplicated(keep=False)]
    groups = [[int(row) for row in same.index] for _, same in repeated.groupby(repeated, sort=False)]
    labels = rows.loc[repeated.index, [*dataset.aus, "expression"]].apply(lambda row: "/".join(map(str, row)), axis=1)
    strangers = [same for same in groups if rows["subject"].iloc[same].nunique() > 1]
    return Duplicates(
        surplus=sum(len(same) - 1 for same in groups),
        same_labels=sum(int((labels[same[1:]] == labels[same[0]]).sum()) for same in groups),
        runs=_runs(rows, digests),
        strangers=strangers,
        folds=sum(rows["fold"].iloc[same].nunique() > 1 for same in strangers),
        contradicting=[same for same in groups if labels[same].nunique() > 1],
    )


def _runs(rows: pd.DataFrame, digests: pd.Series) -> pd.DataFrame:
    keys = rows[["subject", "sequence"]].astype(str).assign(picture=digests)
    run = (keys != keys.shift()).any(axis=1).cumsum()
    stretches = rows.groupby(run).agg(
        subject=("subject", "first"),
        sequence=("sequence", "first"),
        first=("frame", "first"),
        last=("frame", "last"),
        frames=("frame", "size"),
    )
    return stretches[stretches["frames"] > 1].reset_index(drop=True)


def check_duplicates(duplicates: Duplicates) -> list[Finding]:
    """What to say about them."""
    if not duplicates.surplus:
        return [Finding(NOTE, "duplicates", "no picture is there twice")]
    same = f"{duplicates.same_labels:,} with the same labels"
    text = f"{duplicates.surplus:,} faces repeat another one to the last bit, {same}"
    action = "was a video extracted twice, or at a higher rate than it has?"
    findings = [Finding(CHECK, "duplicates", text, action)]
    strangers, contradicting, runs = duplicates.strangers, duplicates.contradicting, duplicates.runs
    if duplicates.folds:
        text = f"{duplicates.folds:,} pictures are in several folds under different names, as rows {strangers[0]}"
        action = "test faces leak into training: remove the copies"
        findings.append(Finding(DIFFERS, "duplicates", text, action))
    elif strangers:
        text = f"{len(strangers):,} pictures belong to several people, as rows {strangers[0]}"
        findings.append(Finding(CHECK, "duplicates", text, "are folders of people mixed up?"))
    if contradicting:
        text = f"{len(contradicting):,} pictures have several sets of labels, as rows {contradicting[0]}"
        findings.append(Finding(CHECK, "duplicates", text, "only one can be right; frozen video or shifted labels?"))
    if len(runs):
        longest = runs.sort_values("frames", ascending=False, kind="stable").head(MOST_LISTED)
        shown = ", ".join(f"{row.sequence} frames {row.first}-{row.last}" for row in longest.itertuples())
        text = f"{len(runs):,} stretches repeat one picture: {shown}"
        findings.append(Finding(CHECK, "duplicates", text, "look at the video"))
    return findings
