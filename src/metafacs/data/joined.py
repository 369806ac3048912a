"""Several prepared datasets as one: the union of their AUs and expressions, people kept apart by dataset."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metafacs.data.card import DatasetCard
from metafacs.data.reader import PreparedDataset
from metafacs.errors import InputError

Folders = Path | str | Sequence[Path | str]
PLUS = " + "
"""Between the names of datasets that are one."""
_RECIPE = ("kind", "template", "margin")
logger = logging.getLogger(__name__)


class JoinedDataset(PreparedDataset):
    """The rows of several prepared datasets, one after the other; their images stay where they are.

    What a dataset has no column for is null: labels of its missing AUs are masked like any that are not known. A
    subject is named "dataset/subject".

    Args:
        parts: the datasets, at least two.

    Attributes:
        sizes: rows of each.
    """

    def __init__(self, parts: Sequence[PreparedDataset]) -> None:
        cards = [part.card for part in parts]
        names = list(dict.fromkeys(card.name for card in cards))
        card = DatasetCard(
            PLUS.join(names),
            PLUS.join(dict.fromkeys(card.source for card in cards)),
            PLUS.join(dict.fromkeys(card.licence for card in cards)),
            sorted({au for card in cards for au in card.aus}),
            list(dict.fromkeys(name for card in cards for name in card.expressions)),
            cards[0].crop,
            truths={name: kind for card in cards for name, kind in card.truths.items()},
            people_known=all(card.people_known for card in cards),
            rows=sum(map(len, parts)),
        )
        try:
            table = pa.concat_tables([_fitted(part, card) for part in parts])
        except pa.ArrowException as error:
            raise InputError(f"{PLUS.join(names)} cannot be one dataset: {error}") from error
        for other in cards[1:]:
            if differ := [key for key in _RECIPE if cards[0].crop.get(key) != other.crop.get(key)]:
                logger.warning(
                    "faces of %s and %s were cut out differently: %s", names[0], other.name, ", ".join(differ)
                )
        super().__init__(Path(PLUS.join(str(part.folder) for part in parts)), card, table)
        self.parts, self.sizes = list(parts), [len(part) for part in parts]

    def __reduce__(self) -> tuple[Any, ...]:
        return (open_datasets, ([part.folder for part in self.parts],))


def open_datasets(folders: Folders) -> PreparedDataset:
    """Opens a prepared dataset, or several as one.

    Raises:
        InputError: one of them cannot be opened, or is named twice.
    """
    if isinstance(folders, str | Path):
        return PreparedDataset.open(folders)
    if len({Path(folder).resolve() for folder in folders}) < len(folders):
        raise InputError(f"a dataset is named twice: {', '.join(map(str, folders))}")
    parts = [PreparedDataset.open(folder) for folder in folders]
    return parts[0] if len(parts) == 1 else JoinedDataset(parts)


def _fitted(part: PreparedDataset, card: DatasetCard) -> pa.Table:
    """The table of a dataset with the columns of `card`, its people's names with its own before them."""
    table, schema = part.table, card.schema()
    people = pc.binary_join_element_wise(table["dataset"], table["subject"], "/")
    arrays = {name: table[name] for name in table.column_names} | {"subject": people}
    if part.card.expressions != card.expressions:
        arrays["votes"] = _votes(part, card.expressions)
    columns = [arrays.get(field.name, pa.nulls(len(table), field.type)) for field in schema]
    return pa.table(columns, schema=schema)


def _votes(part: PreparedDataset, expressions: Sequence[str]) -> pa.Array:
    """The votes of a dataset for a longer list of expressions."""
    votes = part.votes()
    known, wider = ~np.isnan(votes).all(axis=1), np.zeros((len(votes), len(expressions)), np.int16)
    places = [expressions.index(name) for name in part.card.expressions]
    wider[:, places] = np.nan_to_num(votes)
    return pa.array(
        [row if yes else None for row, yes in zip(wider.tolist(), known, strict=True)], pa.list_(pa.int16())
    )


def identities(dataset: PreparedDataset) -> list[tuple[str, str]]:
    """(dataset, subject) of every row, the same whether the dataset was joined to others or not."""
    rows = zip(dataset.column("dataset").tolist(), dataset.column("subject").tolist(), strict=True)
    return [(name, str(subject).removeprefix(f"{name}/")) for name, subject in rows]
