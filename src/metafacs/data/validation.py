"""Looks through a prepared dataset for everything that training or scoring would trip over."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from metafacs.data.card import FACES_FILE, LANDMARKS, true_levels
from metafacs.data.reader import PreparedDataset
from metafacs.errors import InputError
from metafacs.facs import INTENSITY_MAX, intensity_column


@dataclass(frozen=True)
class Problem:
    """Something wrong with a prepared dataset.

    Attributes:
        row: the row it is in, from 0; None where it concerns the whole dataset.
        column: the column it is in; empty where it concerns the file.
        message: what was found.
    """

    row: int | None
    column: str
    message: str


def validate(
    dataset: PreparedDataset, images: bool = True, progress: Callable[[int, int], None] | None = None
) -> list[Problem]:
    """Finds everything that is wrong with a dataset, in the order of rows, dataset-wide problems first.

    Args:
        dataset: what to check.
        images: decode every image, and compare the file with the card's SHA-256 (takes minutes on large datasets).
        progress: called with (rows done, rows in all) while images are decoded.

    Returns:
        The problems; empty if there are none.
    """
    table = dataset.to_pandas()
    problems = [
        *_check_labelled(dataset, table),
        *_check_subjects(table),
        *_check_frames(table),
        *_check_aus(dataset, table),
        *_check_expressions(dataset, table),
        *_check_landmarks(dataset),
    ]
    if images:
        problems = [*_check_file(dataset), *problems, *_check_images(dataset, progress)]
    return sorted(problems, key=lambda problem: -1 if problem.row is None else problem.row)


def _check_file(dataset: PreparedDataset) -> Iterator[Problem]:
    with (dataset.folder / FACES_FILE).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != dataset.card.faces_sha256:
        text = f"{FACES_FILE} is not the file its card describes (SHA-256 {found}); copy or prepare it again"
        yield Problem(None, "", text)


def _check_labelled(dataset: PreparedDataset, table: pd.DataFrame) -> Iterator[Problem]:
    labelled = [column for column in dataset.aus if table[column].notna().any()]
    if not labelled and not table["expression"].notna().any():
        yield Problem(None, "expression", "no row has an AU label or an expression")
    for column in dataset.aus:
        if labelled and column not in labelled:
            yield Problem(None, column, "no row is labelled for this AU, though the card lists it")


def _check_subjects(table: pd.DataFrame) -> Iterator[Problem]:
    for subject, folds in table.groupby("subject", sort=False)["fold"]:
        if folds.nunique() > 1:
            row = int(folds.index[folds != folds.iloc[0]][0])
            names = ", ".join(sorted(folds.dropna().unique()))
            yield Problem(row, "fold", f"subject {subject} is in several folds: {names}")
    for row in table.index[table["fold"].isna()]:
        yield Problem(int(row), "fold", "no fold")


def _check_frames(table: pd.DataFrame) -> Iterator[Problem]:
    key = ["subject", "sequence", "frame"]
    known = table[key].dropna()
    for row in known.index[known.duplicated()]:
        subject, sequence, frame = known.loc[row]
        text = f"frame {frame} of sequence {sequence}, subject {subject}, is there more than once"
        yield Problem(int(row), "frame", text)


def _check_aus(dataset: PreparedDataset, table: pd.DataFrame) -> Iterator[Problem]:
    for column in dataset.aus:
        label, intensity = table[column], table[intensity_column(column)]
        yield from _outside(label, column, 1, "label")
        yield from _outside(intensity, intensity_column(column), INTENSITY_MAX, "intensity")
        for present, at in ((1, 0), (0, INTENSITY_MAX)):
            for row in table.index[((label == present) & (intensity == at)).fillna(False)]:
                text = f"label {present} with intensity {at}: impossible whatever intensity counts as present"
                yield Problem(int(row), column, text)
    for column in true_levels(dataset.card.true_aus, sides=True):
        if column in dataset.card.truths:
            yield from _outside(table[column], column, INTENSITY_MAX, "intensity")
    unknown = table["subject"].isna() & table[dataset.aus].notna().any(axis=1)
    for row in table.index[unknown]:
        yield Problem(int(row), "subject", "AU labels but no subject, so it cannot be kept out of a test fold")


def _outside(values: pd.Series, column: str, highest: int, what: str) -> Iterator[Problem]:
    for row in values.index[((values < 0) | (values > highest)).fillna(False)]:
        yield Problem(int(row), column, f"impossible {what} {values[row]}; it must be 0 to {highest} or null")


def _check_expressions(dataset: PreparedDataset, table: pd.DataFrame) -> Iterator[Problem]:
    names = dataset.card.expressions
    unknown = table["expression"].notna() & ~table["expression"].isin(names)
    for row in table.index[unknown]:
        found = table["expression"][row]
        yield Problem(int(row), "expression", f"unknown expression '{found}'; the card lists {', '.join(names)}")
    for row, (votes, expression) in enumerate(zip(table["votes"], table["expression"], strict=True)):
        message = "" if votes is None else _wrong_votes(votes, expression, names)
        if message:
            yield Problem(row, "votes", message)


def _wrong_votes(votes: np.ndarray, expression: object, names: list[str]) -> str:
    """What is wrong with one row's votes; empty if nothing."""
    if len(votes) != len(names):
        return f"{len(votes)} votes, but {len(names)} expressions"
    if not (np.asarray(votes, float) >= 0).all():
        return f"negative or missing votes: {votes.tolist()}"
    if not votes.sum():
        return "no annotator voted; use null where votes are not known"
    if expression in names and not votes[names.index(str(expression))]:
        return f"no annotator chose the expression '{expression}'"
    return ""


def _check_landmarks(dataset: PreparedDataset) -> Iterator[Problem]:
    first = 0
    for chunk in dataset.table.column("landmarks").chunks:
        lengths = pc.list_value_length(chunk).fill_null(-1).to_numpy()
        for row in np.flatnonzero((lengths >= 0) & (lengths != LANDMARKS)):
            text = f"{lengths[row]} landmarks instead of {LANDMARKS}"
            yield Problem(first + int(row), "landmarks", text)
        coordinates = chunk.flatten().flatten().to_numpy(zero_copy_only=False)
        owners = np.repeat(np.arange(len(chunk)), 2 * lengths.clip(0))
        for row in np.unique(owners[~np.isfinite(coordinates)]):
            yield Problem(first + int(row), "landmarks", "landmarks that are not finite numbers")
        first += len(chunk)


def _check_images(dataset: PreparedDataset, progress: Callable[[int, int], None] | None) -> Iterator[Problem]:
    size = dataset.card.crop.get("size")
    for row in range(len(dataset)):
        try:
            height, width = dataset.image(row).shape[:2]
        except InputError as error:
            text = str(error).removeprefix(f"row {row} of {dataset.folder} has ")
            yield Problem(row, "image", text.partition("; `metafacs inspect")[0])
        else:
            if size is not None and (height, width) != (size, size):
                yield Problem(row, "image", f"{width}x{height} pixels, the card says {size}x{size}")
        if progress is not None:
            progress(row + 1, len(dataset))
