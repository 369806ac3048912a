"""SHA-256 digests over a `faces.arrow`: which bytes are checked when.

Encoded images are all but a few per cent of the file. Everything else in it (labels, landmarks, votes, offsets, Arrow's
own descriptions, padding) is covered by one digest, checked when the dataset is opened. The images of every record
batch, some hundred rows, are covered by a digest of their own, checked when the first of these rows is read, so nothing
waits for a pass over the whole file. `metafacs inspect` checks everything at once.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class ImageBlock:
    """The encoded images of one record batch.

    Attributes:
        first: row of the dataset.
        last: row of the dataset, the last of the block.
        start: where they begin in the file, bytes.
        stop: where they end.
    """

    first: int
    last: int
    start: int
    stop: int


def image_blocks(table: pa.Table, whole: pa.Buffer) -> list[ImageBlock]:
    """Where the encoded images lie.

    Args:
        table: read from `whole` without copying, with the column `image` of `card.schema`.
        whole: the file, memory-mapped.
    """
    blocks, row = [], 0
    for chunk in table.column("image").chunks:
        data = chunk.field("bytes").buffers()[2]
        if data is not None and data.size:
            start = data.address - whole.address
            blocks.append(ImageBlock(row, row + len(chunk) - 1, start, start + data.size))
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


def image_digest(whole: pa.Buffer, block: ImageBlock) -> str:
    """SHA-256 of the images of a block, hexadecimal."""
    return hashlib.sha256(memoryview(whole)[block.start : block.stop]).hexdigest()


class ImageChecks:
    """Which blocks were found to hold the images that were written.

    Args:
        whole: the file, memory-mapped.
        blocks: in the order of their rows.
        digests: what each block is to have.
    """

    def __init__(self, whole: pa.Buffer, blocks: Sequence[ImageBlock], digests: Sequence[str]) -> None:
        self._whole, self._blocks, self._digests = whole, list(blocks), list(digests)
        self._starts = np.array([block.first for block in blocks], np.int64)
        self._sound = np.zeros(len(self._blocks), bool)

    def damaged(self, row: int) -> ImageBlock | None:
        """The block of `row`, if it is damaged; a sound one is read once and then known."""
        place = int(np.searchsorted(self._starts, row, "right")) - 1
        if place < 0 or self._sound[place]:
            return None
        block = self._blocks[place]
        if image_digest(self._whole, block) != self._digests[place]:
            return block
        self._sound[place] = True
        return None

    def all_damaged(self) -> list[ImageBlock]:
        """Every damaged block; reads the whole file."""
        return [block for block in self._blocks if self.damaged(block.first)]
