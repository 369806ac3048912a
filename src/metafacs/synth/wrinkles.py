"""Wrinkles and bulges of the skin that come with AUs, as relief on the skin texture."""

import functools

import numpy as np
from numpy.typing import NDArray

from metafacs.synth.texture import TEXTURE

PATTERNS: tuple[str, ...] = ()
"""Names of the K wrinkle patterns, those of the right and the left apart."""


@functools.cache
def wrinkle_maps() -> NDArray[np.float32]:
    """(K, TEXTURE, TEXTURE, 3) relief of each pattern at strength 1.

    Channels: slope of the skin towards the person's left (+x) and upwards (+z), metres per metre, positive where the
    skin rises; and how much the fold darkens, in [0, 1].
    """
    return np.zeros((len(PATTERNS), TEXTURE, TEXTURE, 3), np.float32)


def wrinkle_weights(strengths: NDArray[np.floating]) -> NDArray[np.float32]:
    """(n, K) strength of each pattern for (n, 2, A) AU strengths on the right and the left."""
    return np.zeros((len(strengths), len(PATTERNS)), np.float32)
