"""Noise that is made once per process and differs between people by where it is looked at, mirrored or not."""

import functools

import numpy as np
from numpy.typing import NDArray

from facsynth.texture import TEXTURE

Map = NDArray[np.float32]

FIELDS = 3
"""Different fields of each grain."""
_SEED = 20230621


def noise(rng: np.random.Generator, across: float, along: float | None = None) -> Map:
    """(TEXTURE, TEXTURE) noise of unit spread; a view of a field that all people share, not to be written to.

    Args:
        rng: decides where the field is looked at.
        across: width of the bumps, in pixels of the texture.
        along: their height; the same where left out.
    """
    field = _field(across, along or across, int(rng.integers(FIELDS)))
    row, column = (int(k) for k in rng.integers(TEXTURE, size=2))
    flip = int(rng.integers(2))
    window = field[row : row + TEXTURE, column : column + TEXTURE]
    return window[:, ::-1] if flip else window


def relief_noise(rng: np.random.Generator, size: float) -> NDArray[np.float32]:
    """(TEXTURE, TEXTURE, 3) slopes of unit spread and pits in [0, 1] of an uneven surface; a shared view.

    Args:
        rng: decides where the surface is looked at.
        size: of its bumps, in pixels of the texture.
    """
    field = _relief(size, int(rng.integers(FIELDS)))
    row, column = (int(k) for k in rng.integers(TEXTURE, size=2))
    return field[row : row + TEXTURE, column : column + TEXTURE]


@functools.cache
def _field(across: float, along: float, number: int) -> Map:
    """(2 TEXTURE, 2 TEXTURE) a field that repeats every TEXTURE pixels, twice in either direction."""
    rng = np.random.default_rng([_SEED, round(100 * across), round(100 * along), number])
    spectrum = np.fft.rfft2(rng.standard_normal((TEXTURE, TEXTURE)))
    rows, columns = np.fft.fftfreq(TEXTURE)[:, None] * along, np.fft.rfftfreq(TEXTURE)[None] * across
    smooth = np.fft.irfft2(spectrum * np.exp(-4 * (rows**2 + columns**2)), s=(TEXTURE, TEXTURE))
    smooth = (smooth - smooth.mean()) / smooth.std()
    return np.tile(smooth.astype(np.float32), (2, 2))


@functools.cache
def _relief(size: float, number: int) -> NDArray[np.float32]:
    height = _field(size, size, number)[:TEXTURE, :TEXTURE]
    rise_x = np.roll(height, -1, axis=1) - np.roll(height, 1, axis=1)
    rise_z = np.roll(height, 1, axis=0) - np.roll(height, -1, axis=0)  # rows run downwards
    pits = 0.7 * np.clip(-height - 0.8, 0, 1)
    one = np.stack([rise_x / rise_x.std(), rise_z / rise_z.std(), pits], axis=-1)
    return np.tile(one.astype(np.float32), (2, 2, 1))


def smoothstep(t: NDArray[np.floating]) -> Map:
    """0 below 0, 1 above 1, smooth between."""
    t = np.clip(t, 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)
