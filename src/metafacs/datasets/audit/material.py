"""What an audit looks at, and what it says: the dataset, what was left out of it, what the reader found; findings."""

import importlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from metafacs.data.prepared import PreparedDataset
from metafacs.datasets.base import DATASETS, SourceCard, protocol_of
from metafacs.datasets.listed import Listed
from metafacs.datasets.preparation import read_skipped
from metafacs.datasets.protocols import Protocol

DIFFERS, CHECK, NOTE = "differs", "check", "note"
"""How much it matters: results cannot be compared with published ones; somebody should look; good to know."""


@dataclass(frozen=True)
class Finding:
    """What was found and what to do about it.

    Attributes:
        level: "differs", "check" or "note".
        topic: what it is about, in a word or two.
        text: what was found.
        action: what to do; empty for notes.
    """

    level: str
    topic: str
    text: str
    action: str = ""


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
        importlib.import_module("metafacs.datasets")  # registers the readers
        dataset = PreparedDataset.open(folder)
        name = dataset.card.settings.get("reader")
        source = DATASETS[name].card if isinstance(name, str) and name in DATASETS else None
        return cls(dataset, dataset.to_pandas(), read_skipped(folder), Listed.read(folder), source)

    @property
    def name(self) -> str:
        """The dataset whose protocol the rows should match, or ""."""
        return self.listed.protocol if self.listed else ""

    @property
    def protocol(self) -> Protocol:
        """What is published about it."""
        return protocol_of(self.name)

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
