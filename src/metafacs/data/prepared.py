"""Prepared datasets: a folder with one Arrow file of faces and a card, from here on all that metafacs reads.

`card.py` says what is in the folder, `writer.py` makes it in resumable parts, `reader.py` reads it memory-mapped, and
`validation.py` looks for everything that is wrong with it. This module gathers the names others use.
"""

from metafacs.data.card import CARD_FILE, CAUSE, FACES_FILE, DatasetCard, schema, true_column, true_levels
from metafacs.data.reader import PreparedDataset
from metafacs.data.validation import Problem, validate
from metafacs.data.writer import PreparedWriter

__all__ = [
    "CARD_FILE",
    "CAUSE",
    "FACES_FILE",
    "DatasetCard",
    "PreparedDataset",
    "PreparedWriter",
    "Problem",
    "schema",
    "true_column",
    "true_levels",
    "validate",
]
