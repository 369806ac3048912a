"""Which pictures of one dataset are pictures of another under another name, also when they were encoded again."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dct

from metafacs.data.reader import PreparedDataset
from metafacs.faces.pictures import UNREADABLE

SIDE, KEPT = 32, 16
"""Pictures are shrunk to this side, pixels; of their cosine transform so many rows and columns are kept."""
MOST_DIFFERENT = 12
"""Of the 255 signs of two copies of one picture, so many may differ.

Among the 516 million pairs of the 32,137 pictures of FERPlus, 2,034 are within that, and all of them are copies (they
correlate with 0.95 or more, all but four with 0.98). Of pictures saved again as JPEG of quality 75, 99 % are found.
"""
FLAT = 4.0
"""Grey levels: pictures that deviate less show nothing, and are compared with none."""
BLOCK = 4096
_WAVES = dct(np.eye(SIDE, dtype=np.float32), axis=0)[:KEPT]


def signatures(dataset: PreparedDataset, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """The signs of the coarse cosine transform of pictures.

    Args:
        dataset: what holds them.
        rows: n of its rows.

    Returns:
        (n, 255), 1 or -1; 0 for pictures that show nothing or cannot be read.
    """
    signs = np.zeros((len(rows), KEPT * KEPT - 1), np.float32)
    for k, row in enumerate(rows):
        try:
            with Image.open(io.BytesIO(dataset.image_bytes(int(row)))) as picture:
                picture.draft("L", (SIDE, SIDE))  # a JPEG is decoded at an eighth of its size where that is enough
                small = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        except UNREADABLE:
            continue
        pixels = np.asarray(small, np.float32)
        if pixels.std() >= FLAT:
            signs[k] = np.where((_WAVES @ pixels @ _WAVES.T).ravel()[1:] > 0, 1, -1)
    return signs


def copied(signs: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which pictures are among others, by their `signatures`.

    Args:
        signs: (n, 255).
        others: (m, 255).

    Returns:
        (n,) whether one of the others is the same picture.
    """
    least = signs.shape[1] - 2 * MOST_DIFFERENT
    same = np.zeros(len(signs), bool)
    for start in range(0, len(signs), BLOCK):
        part = slice(start, start + BLOCK)
        for other in range(0, len(others), BLOCK):
            same[part] |= (signs[part] @ others[other : other + BLOCK].T >= least).any(axis=1)
    return same
