"""Reads a prepared dataset through a memory map."""

import io
import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image, UnidentifiedImageError

from metafacs.data.card import CARD_FILE, FACES_FILE, LANDMARKS, DatasetCard
from metafacs.errors import InputError
from metafacs.faces.pictures import UNREADABLE


class PreparedDataset:
    """A prepared dataset, memory-mapped: it may be far larger than memory, and opening it reads no pixels.

    Opening checks the card, the size of the file and Arrow's own structure; `metafacs inspect` also compares the file
    with the card's SHA-256, which reads all of it.

    It can be pickled: another process then opens the same folder.

    Attributes:
        folder: where it lies.
        card: its card.
        table: all rows, as in `card.schema()`.
    """

    def __init__(self, folder: Path, card: DatasetCard, table: pa.Table) -> None:
        self.folder = folder
        self.card = card
        self.table = table
        self._images = table.column("image")

    @classmethod
    def open(cls, folder: Path | str) -> "PreparedDataset":
        """Opens the prepared dataset in `folder`.

        Raises:
            InputError: there is none, it is half-written, or its files are damaged or do not belong together.
        """
        folder = Path(folder)
        card = DatasetCard.read(folder)
        path = folder / FACES_FILE
        size = path.stat().st_size if path.is_file() else None
        if size != card.faces_bytes:
            found = "is missing" if size is None else f"has {size} bytes"
            raise InputError(
                f"{path} {found}, its card says {card.faces_bytes} bytes: it is truncated or belongs to "
                "another dataset; copy both files again, or remove the folder and prepare it again"
            )
        return cls(folder, card, _map_table(path, card))

    def __reduce__(self) -> tuple[Any, ...]:
        return (PreparedDataset.open, (self.folder,))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __getitem__(self, row: int) -> dict[str, Any]:
        """A row, as column -> value; `image` is (H, W, 3) uint8, RGB, and what is null is None.

        Args:
            row: its number; below 0 from the end.

        Raises:
            IndexError: there is no such row.
            InputError: the image cannot be decoded.
        """
        number = operator.index(row)
        number += len(self) if number < 0 else 0
        image = self.image(number)
        (values,) = self.table.drop_columns(["image"]).slice(number, 1).to_pylist()
        return {"image": image, **values}

    @property
    def aus(self) -> list[str]:
        """The AU columns, in order."""
        return list(self.card.aus)

    def column(self, name: str) -> np.ndarray:
        """One column, (N,): numbers as numbers (float with NaN where some are null), all else as objects.

        Raises:
            InputError: there is no such column.
        """
        return np.asarray(self.table.column(self._known(name)).to_numpy())

    def matrix(self, columns: Sequence[str]) -> np.ndarray:
        """Numeric columns side by side, (N, len(columns)) float32, NaN for null.

        Raises:
            InputError: there is no such column.
        """
        values = np.empty((len(self), len(columns)), np.float32)
        for k, name in enumerate(columns):
            values[:, k] = self.table.column(self._known(name)).cast(pa.float32()).to_numpy()
        return values

    def au_labels(self, aus: Sequence[str]) -> np.ndarray:
        """AU labels, (N, len(aus)) float32: 1 present, 0 absent, NaN not labelled.

        Raises:
            InputError: the dataset has no such AU.
        """
        absent = [column for column in aus if column not in self.card.aus]
        if absent:
            raise InputError(f"{self.folder} has no labels for {', '.join(absent)}; it has {', '.join(self.aus)}")
        return self.matrix(aus)

    def expression_labels(self) -> np.ndarray:
        """Index of each row's expression in `card.expressions`, (N,) int64; -1 where there is none.

        Raises:
            InputError: an expression is not in the card.
        """
        names = pa.array(self.card.expressions, pa.string())
        column = self.table.column("expression")
        index = pc.index_in(column, value_set=names)
        if index.null_count != column.null_count:
            unknown = sorted(set(column.unique().to_pylist()) - {None, *self.card.expressions})
            raise InputError(f"{self.folder} has expressions that its card does not list: {', '.join(unknown)}")
        return index.fill_null(-1).to_numpy().astype(np.int64)

    def votes(self) -> np.ndarray:
        """Annotator votes per expression, (N, len(card.expressions)) float32; NaN where not known.

        Raises:
            InputError: a row has votes, but not one number per expression.
        """
        column, classes = self.table.column("votes"), len(self.card.expressions)
        values = np.full((len(self), classes), np.nan, np.float32)
        known = column.is_valid().to_numpy()
        wrong = pc.not_equal(pc.list_value_length(column), classes).fill_null(False).to_numpy()
        if wrong.any():
            row = int(wrong.argmax())
            raise InputError(f"row {row} of {self.folder} has not {classes} votes, one per expression")
        values[known] = pc.list_flatten(column).to_numpy().reshape(-1, classes)
        return values

    def consistency(self) -> np.ndarray:
        """Share of the annotators who chose the row's expression, (N,) float32 in [0, 1]; NaN where not known."""
        votes, labels = self.votes(), self.expression_labels()
        total = votes.sum(axis=1)
        total[(labels < 0) | (total == 0)] = np.nan
        return votes[np.arange(len(self)), labels] / total

    def image_bytes(self, row: int) -> bytes:
        """The encoded image (JPEG) of a row.

        Raises:
            IndexError: there is no such row.
            InputError: the row has no image.
        """
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        encoded = self._images[row]["bytes"].as_py()
        if encoded is None:
            raise InputError(f"row {row} of {self.folder} has no image; see `metafacs inspect`")
        return encoded

    def image(self, row: int) -> np.ndarray:
        """The image of a row, (H, W, 3) uint8, RGB.

        Raises:
            IndexError: there is no such row.
            InputError: the image cannot be decoded.
        """
        with self._picture(row) as picture:
            return np.asarray(picture.convert("RGB"))

    @contextmanager
    def _picture(self, row: int) -> Iterator[Image.Image]:
        encoded = self.image_bytes(row)
        try:
            with Image.open(io.BytesIO(encoded)) as picture:
                yield picture
        except UNREADABLE as error:
            reason = "no known format" if isinstance(error, UnidentifiedImageError) else error
            raise InputError(
                f"row {row} of {self.folder} has an unreadable image: {reason}; `metafacs inspect {self.folder}` lists "
                "all such rows: mend or leave out their pictures and prepare the dataset again"
            ) from error

    def landmarks(self, row: int) -> np.ndarray | None:
        """The landmarks of a row, (68, 2) float32, (x, y) in pixels of its image, or None."""
        points = self.table.column("landmarks")[row].as_py()
        return None if points is None else np.asarray(points, np.float32)

    def landmark_array(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """The landmarks of some rows, (n, 68, 2) float32, (x, y) in pixels of their images; NaN where not known."""
        column = self.table.column("landmarks").take(pa.array(rows))
        points = np.full((len(rows), LANDMARKS, 2), np.nan, np.float32)
        known = column.is_valid().to_numpy()
        points[known] = pc.list_flatten(pc.list_flatten(column)).to_numpy().reshape(-1, LANDMARKS, 2)
        return points

    def image_size(self, row: int) -> tuple[int, int]:
        """Width and height of the image of a row, pixels; reads its header alone."""
        with self._picture(row) as picture:
            return picture.size

    def to_pandas(self, images: bool = False, landmarks: bool = False) -> pd.DataFrame:
        """All rows as a data frame; integers are nullable ones, so labels stay 0, 1 or NA.

        Args:
            images: take the encoded images along (they then have to fit into memory).
            landmarks: take the landmarks along (slow, and large, for many rows).
        """
        left_out = [name for name, kept in (("image", images), ("landmarks", landmarks)) if not kept]
        integers = {pa.int8(): pd.Int8Dtype(), pa.int32(): pd.Int32Dtype()}
        table = self.table.drop_columns(left_out).replace_schema_metadata(None)
        return table.to_pandas(types_mapper=integers.get)

    def _known(self, name: str) -> str:
        if name not in self.table.column_names:
            known = ", ".join(self.table.column_names)
            raise InputError(f"{self.folder} has no column '{name}'; it has {known}")
        return name


def _map_table(path: Path, card: DatasetCard) -> pa.Table:
    """Maps the file; validation reads offsets, not pixels."""
    try:
        stream = pa.ipc.open_stream(pa.memory_map(str(path)))
        matching = stream.schema.equals(card.schema())
        table = stream.read_all() if matching else None
        if table is not None:
            table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(
            f"{path} is damaged ({error}); copy it again, or remove the folder and prepare it again"
        ) from error
    if table is None or table.num_rows != card.rows:
        found = "other columns than" if table is None else f"{table.num_rows} rows instead of the {card.rows} of"
        raise InputError(
            f"{path} has {found} the {CARD_FILE} beside it: they do not belong together; "
            "copy both files again, or remove the folder and prepare it again"
        )
    return table
