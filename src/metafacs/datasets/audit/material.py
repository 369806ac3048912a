"""What an audit looks at: the dataset, what was left out of it, and what the reader had found."""

import importlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from metafacs.data.prepared import PreparedDataset
from metafacs.datasets.audit.listed import Listed
from metafacs.datasets.base import DATASETS, SourceCard
from metafacs.datasets.preparation import read_skipped


@dataclass(frozen=True)
class Material:
    """A prepared dataset and its history.

    Attributes:
        dataset: the dataset.
        rows: its rows, without images.
        skipped: rows left out, in the columns of `skipped.csv`.
        listed: what the reader found; None where the dataset was not prepared from a release.
        source: the data card of the release, where its reader is known.
    """

    dataset: PreparedDataset
    rows: pd.DataFrame
    skipped: pd.DataFrame
    listed: Listed | None
    source: SourceCard | None

    @classmethod
    def gather(cls, folder: Path) -> "Material":
        """Opens the prepared dataset in `folder`.

        Raises:
            InputError: there is none, or a file of it is damaged.
        """
        dataset = PreparedDataset.open(folder)
        skipped = read_skipped(folder)
        return cls(dataset, dataset.to_pandas(), skipped, Listed.read(folder), source_of(dataset))

    @property
    def protocol(self) -> str:
        """Whose published counts apply, or ""."""
        return self.listed.protocol if self.listed else ""

    @property
    def folds(self) -> dict[str, int]:
        """Prepared faces per fold."""
        return {str(fold): int(count) for fold, count in self.rows["fold"].value_counts().sort_index().items()}

    def stage(self, name: str) -> pd.DataFrame:
        """What was left out at one stage: "listing", "picture" or "face"."""
        return self.skipped[self.skipped["stage"] == name]

    def lost(self, name: str) -> int:
        """How many rows were left out at one stage."""
        return int(self.stage(name)["rows"].sum())


def source_of(dataset: PreparedDataset) -> SourceCard | None:
    """The card of the release that a dataset was prepared from, if its reader is known."""
    importlib.import_module("metafacs.datasets")  # registers the readers
    name = dataset.card.settings.get("reader")
    return DATASETS[name].card if isinstance(name, str) and name in DATASETS else None
