"""The skin texture: the front of the average head laid flat."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

TEXTURE = 384
"""Side of a skin texture, in pixels."""
TEXTURE_SPAN = 0.24
"""Metres of the face that it covers in either direction."""
TEXTURE_CENTRE = 0.12
"""Height of its middle above the neck's base, in metres."""


def front_place(points: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """(..., 2) x and z of the average head, in metres -> u and v on the skin texture, in [0, 1]."""
    u = points[..., 0] / TEXTURE_SPAN + 0.5
    v = (TEXTURE_CENTRE - points[..., 1]) / TEXTURE_SPAN + 0.5
    return np.stack([u, v], axis=-1).astype(np.float32)


def texture_grid() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(TEXTURE, TEXTURE) x and z of the average head, in metres, at the pixels of a skin texture."""
    step = (np.arange(TEXTURE, dtype=np.float32) + 0.5) / TEXTURE - 0.5
    z, x = np.meshgrid(TEXTURE_CENTRE - step * TEXTURE_SPAN, step * TEXTURE_SPAN, indexing="ij")
    return x.astype(np.float32), z.astype(np.float32)
