"""Which pictures of one dataset are pictures of another under another name, also when they were encoded again."""

import io
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from scipy.fft import dct

from metafacs.data.joined import JoinedDataset
from metafacs.data.reader import PreparedDataset
from metafacs.faces.pictures import UNREADABLE
from metafacs.files import atomic_file
from metafacs.progress import progress_bar

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


def signatures(dataset: PreparedDataset, console: Console) -> NDArray[np.float32]:
    """The signs of the coarse cosine transform of all pictures; kept in a hidden file with the dataset.

    Args:
        dataset: n pictures.
        console: for the bar.

    Returns:
        (n, 255), 1 or -1; 0 for pictures that show nothing or cannot be read.
    """
    if isinstance(dataset, JoinedDataset):
        return np.concatenate([signatures(part, console) for part in dataset.parts])
    kept = dataset.folder / f".signatures-{dataset.card.faces_sha256[:16]}.npy"
    with suppress(OSError, ValueError):
        bits = np.load(kept)
        if bits.shape == (len(dataset), KEPT * KEPT // 8) and bits.dtype == np.uint8:
            return _signs(bits)
    bits = np.zeros((len(dataset), KEPT * KEPT // 8), np.uint8)
    with progress_bar(f"comparing pictures of {dataset.card.name}, once", console) as (update, _):
        for row in range(len(dataset)):
            bits[row] = _signature(dataset.image_bytes(row))
            update(row + 1, len(dataset))
    with suppress(OSError), atomic_file(kept) as partial, partial.open("wb") as file:  # it may lie where nobody writes
        np.save(file, bits)
    return _signs(bits)


def _signature(encoded: bytes) -> NDArray[np.uint8]:
    """(32,): whether the picture shows anything, and where each wave of its is positive, as bits."""
    try:
        with Image.open(io.BytesIO(encoded)) as picture:
            picture.draft("L", (SIDE, SIDE))  # a JPEG is decoded at an eighth of its size where that is enough
            small = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    except UNREADABLE:
        return np.zeros(KEPT * KEPT // 8, np.uint8)
    pixels = np.asarray(small, np.float32)
    positive = (_WAVES @ pixels @ _WAVES.T).ravel() > 0
    positive[0] = True  # the mean brightness says nothing
    return np.packbits(positive & (pixels.std() >= FLAT))


def _signs(bits: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, 32) of `_signature` as (n, 255)."""
    positive = np.unpackbits(bits, axis=1).astype(np.float32)
    return (2 * positive[:, 1:] - 1) * positive[:, :1]


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
