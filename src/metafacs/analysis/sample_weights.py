"""The weights that a method learned, an image a row: averaged over its runs, with what is known of each image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from metafacs.analysis.records import read_run_name, read_sample_weights
from metafacs.analysis.statistics import Estimate, spearman_interval
from metafacs.data.card import true_column
from metafacs.data.joined import open_datasets
from metafacs.data.reader import PreparedDataset
from metafacs.errors import InputError
from metafacs.evaluation.predictions import PREDICTIONS_FILE, read_predictions
from metafacs.facs import ACTION_UNITS, PRESENT_FROM, au_column
from metafacs.runs import SAMPLE_WEIGHTS, data_folders, read_config

IMAGE = ["stream", "folder", "row"]
"""What an image is known by: its stream, and its row in the prepared dataset in a folder."""
ACTIVE = "active_aus"
_ALL_AUS = [au_column(code) for code in ACTION_UNITS]


@dataclass(frozen=True)
class MethodWeights:
    """The weights of one method's runs.

    Attributes:
        method: its name or label.
        images: one row per image, as in `read_sample_weights`, with `folder` (of its prepared dataset), `weight` (mean
            over the runs that trained on it) and `active_aus` (how many of the trained AUs are active in the picture;
            NaN where not known).
        by_run: the weight of every image (index `IMAGE`) in every run (a column each), NaN where it did not train.
        notes: what could not be found out; one sentence each.
    """

    method: str
    images: pd.DataFrame
    by_run: pd.DataFrame
    notes: list[str] = field(default_factory=list)

    def stream(self, name: str) -> pd.DataFrame:
        """The images of one stream."""
        return self.images[self.images["stream"] == name]

    def correlation(self, column: str, stream: str = "auxiliary") -> Estimate:
        """Spearman's correlation of the weights with a column, the mean over the runs, bootstrapped over people.

        It is the correlation within a run: averaging the weights over runs first would make it look stronger.
        """
        rows = self.stream(stream).set_index(IMAGE)
        rows = rows[rows[column].notna()]
        weights = self.by_run.loc[rows.index].dropna(axis=1, how="all")
        kept = weights.notna().any(axis=1).to_numpy()  # an AU image trains in some folds only
        x = rows.loc[kept, column].to_numpy(dtype=np.float64)
        if not len(x):
            return Estimate(float("nan"), float("nan"), float("nan"), 0)
        people = rows.loc[kept, "subject"].astype(str).to_numpy() if "subject" in rows else None
        return spearman_interval(x, weights[kept].to_numpy(dtype=np.float64).T, people)

    def each_run(self, column: str, stream: str = "auxiliary") -> dict[str, Estimate]:
        """`correlation` of every run by itself."""
        return {
            str(run): MethodWeights(self.method, self.images, self.by_run[[run]]).correlation(column, stream)
            for run in self.by_run.columns
        }


def read_method_weights(runs: Sequence[Path]) -> dict[str, MethodWeights]:
    """The weights of every method that learned some, by method in the order of first appearance.

    Args:
        runs: run folders; those without `sample_weights.parquet` are passed over.

    Raises:
        InputError: a file cannot be used.
    """
    runs_of: dict[str, list[Path]] = {}
    for run in map(Path, runs):
        if (run / SAMPLE_WEIGHTS).exists():
            runs_of.setdefault(read_run_name(run).method, []).append(run)
    return {method: _together(method, paths) for method, paths in runs_of.items()}


def dataset_of(images: pd.DataFrame) -> PreparedDataset:
    """The prepared dataset that images of one stream come from, checked to be the one that was trained on.

    Args:
        images: rows of `MethodWeights.images` that share a folder.

    Raises:
        InputError: it is not there (any more), or holds other faces.
    """
    folder = Path(str(images["folder"].iloc[0]))
    dataset = open_datasets(str(folder).split("\n"))
    rows = images["row"].to_numpy(dtype=np.int64)
    same = rows.max(initial=-1) < len(dataset)
    if same and "subject" in images:
        same = bool((dataset.column("subject")[rows].astype(str) == images["subject"].astype(str).to_numpy()).all())
    if not same:
        raise InputError(f"{folder} holds other faces than those the run was trained on: it was prepared anew")
    return dataset


def _together(method: str, runs: Sequence[Path]) -> MethodWeights:
    tables: list[pd.DataFrame] = []
    notes: list[str] = []
    for run in runs:
        table = read_sample_weights(run)
        table["folder"] = table["stream"].map(_folders(run))
        table["run"] = str(run)
        table[ACTIVE] = _active(table, _trained_aus(run), notes)
        tables.append(table)
    every = pd.concat(tables, ignore_index=True)
    by_run = every.pivot(index=IMAGE, columns="run", values="weight")
    images = every.drop(columns=["run", "weight"]).drop_duplicates(IMAGE).set_index(IMAGE)
    images["weight"] = by_run.mean(axis=1)
    return MethodWeights(method, images.sort_index().reset_index(), by_run, list(dict.fromkeys(notes)))


def _folders(run: Path) -> Mapping[str, str]:
    try:
        data = read_config(run).get("data")
    except InputError:  # tables alone, without the run's settings
        return {"primary": "", "auxiliary": ""}
    data = data if isinstance(data, dict) else {}
    folders = {stream: data.get(stream) or [] for stream in ("primary", "auxiliary")}
    return {stream: "\n".join(map(str, data_folders(run, named))) for stream, named in folders.items()}


def _trained_aus(run: Path) -> list[str]:
    """The AUs that the run trained; all there are where it has no predictions."""
    return read_predictions(run).aus if (run / PREDICTIONS_FILE).exists() else _ALL_AUS


def _active(table: pd.DataFrame, aus: Sequence[str], notes: list[str]) -> pd.Series:
    """How many of `aus` each image shows: by rendered truth, else by its labels; NaN where neither is known."""
    counts = pd.Series(np.nan, index=table.index)
    for stream, images in table.groupby("stream"):
        active = _counted(images, aus)
        if active.isna().all():
            try:
                active = _counted(_from_dataset(images, aus), aus)
            except (InputError, FileNotFoundError) as error:
                notes.append(f"active AUs of the {stream} images are in no table and could not be looked up: {error}")
        counts.loc[images.index] = active
    return counts


def _counted(table: pd.DataFrame, aus: Sequence[str]) -> pd.Series:
    truths = [true_column(au) for au in aus if true_column(au) in table]
    labels = [au for au in aus if au in table]
    counts = pd.Series(np.nan, index=table.index)
    for names, least in ((labels, 1), (truths, PRESENT_FROM)):  # truth takes the place of labels
        values = table[names].astype("Float64")
        known = values.notna().all(axis=1) & bool(names)
        counts = counts.mask(known, (values >= least).sum(axis=1).astype(float))
    return counts


def _from_dataset(images: pd.DataFrame, aus: Sequence[str]) -> pd.DataFrame:
    dataset = dataset_of(images)
    names = [name for au in aus for name in (au, true_column(au)) if name in dataset.table.column_names]
    rows = images["row"].to_numpy(dtype=np.int64)
    return pd.DataFrame({name: dataset.column(name)[rows] for name in names}, index=images.index)
