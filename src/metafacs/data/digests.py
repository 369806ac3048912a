"""SHA-256 digests over a `faces.arrow`: which bytes are checked when.

Encoded images are all but a few per cent of the file. Everything else in it (labels, landmarks, votes, offsets, Arrow's
own descriptions, padding) is covered by one digest, checked when the dataset is opened. The images of every record
batch, some hundred rows, are covered by a digest of their own, checked when the first of these rows is read, so nothing
waits for a pass over the whole file. `metafacs inspect` checks everything at once.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa


@dataclass(frozen=True)
class ImageBlock:
    """The encoded images of one record batch.

    Attributes:
        first: row of the dataset.
        last: row of the dataset, the last of the block.
        start: where they begin in the file, bytes.
        stop: where they end.
        sha256: of these bytes, hexadecimal.
    """

    first: int
    last: int
    start: int
    stop: int
    sha256: str

    @classmethod
    def from_card(cls, entry: Mapping[str, Any]) -> "ImageBlock":
        """The block that an entry of a card's `image_blocks` describes.

        Raises:
            ValueError: it describes none.
        """
        try:
            block = cls(**entry)
        except TypeError as error:
            raise ValueError(str(error)) from error
        numbers = (block.first, block.last, block.start, block.stop)
        if not all(isinstance(number, int) and number >= 0 for number in numbers) or block.start > block.stop:
            raise ValueError("a block of images has no place")
        return block


def image_blocks(table: pa.Table, whole: pa.Buffer) -> list[ImageBlock]:
    """Where the encoded images lie, and their digests.

    Args:
        table: read from `whole` without copying, with the column `image` of `card.schema`.
        whole: the file, memory-mapped.
    """
    blocks, row, content = [], 0, memoryview(whole)
    for chunk in table.column("image").chunks:
        data = chunk.field("bytes").buffers()[2]
        if data is not None and data.size:
            start = data.address - whole.address
            digest = hashlib.sha256(content[start : start + data.size]).hexdigest()
            blocks.append(ImageBlock(row, row + len(chunk) - 1, start, start + data.size, digest))
        row += len(chunk)
    return blocks


def table_digest(whole: pa.Buffer, blocks: Sequence[ImageBlock]) -> str:
    """SHA-256 of the file without its encoded images, hexadecimal."""
    content, found, at = memoryview(whole), hashlib.sha256(), 0
    for block in sorted(blocks, key=lambda block: block.start):
        found.update(content[at : block.start])
        at = block.stop
    found.update(content[at:])
    return found.hexdigest()


class ImageChecks:
    """Which blocks were found to hold the images that were written.

    Args:
        whole: the file, memory-mapped.
        blocks: in the order of their rows.
    """

    def __init__(self, whole: pa.Buffer, blocks: Sequence[ImageBlock]) -> None:
        self._whole, self._blocks = whole, list(blocks)
        self._starts = [block.first for block in blocks]
        self._sound = [False] * len(self._blocks)

    def damaged(self, row: int) -> ImageBlock | None:
        """The block of `row`, if it is damaged; a sound one is read once and then known."""
        place = bisect_right(self._starts, row) - 1
        if place < 0 or self._sound[place]:
            return None
        block = self._blocks[place]
        if hashlib.sha256(memoryview(self._whole)[block.start : block.stop]).hexdigest() != block.sha256:
            return block
        self._sound[place] = True
        return None

    def all_damaged(self) -> list[ImageBlock]:
        """Every damaged block; reads the whole file."""
        return [block for block in self._blocks if self.damaged(block.first)]
