"""Readers of raw datasets, one file each; importing this package registers them all."""

from metafacs.datasets import affectnet, bp4d, ckplus, disfa, ferplus, gft, lists, rafau, rafdb, table
from metafacs.datasets.base import DATASETS, Listing, RawDataset, Skip, SourceCard
from metafacs.datasets.protocols import Protocol, fold_numbering

__all__ = [
    "DATASETS",
    "Listing",
    "Protocol",
    "RawDataset",
    "Skip",
    "SourceCard",
    "affectnet",
    "bp4d",
    "ckplus",
    "disfa",
    "ferplus",
    "fold_numbering",
    "gft",
    "lists",
    "rafau",
    "rafdb",
    "table",
]
