"""Pillow's bilinear resizing as integer arithmetic, so that a graph gives the same pixels to the last bit."""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

PRECISION = 22
"""Pillow keeps its weights as whole numbers of so many bits behind the point."""


class Taps(NamedTuple):
    """Which pixels of a line make each pixel of the resized one, and with what weights."""

    places: NDArray[np.int64]
    """(K, wanted): where each of K pixels lies."""
    weights: NDArray[np.int32]
    """(K, wanted): in units of 2 ** -PRECISION; 0 where fewer than K are needed."""


def bilinear_taps(size: int, wanted: int) -> Taps:
    """The weights with which `PIL.Image.resize(..., BILINEAR)` takes a line from `size` to `wanted` pixels.

    Pixels are weighted by a triangle around the middle of the new pixel, as wide as the shrinking asks for.

    Example:
        >>> (bilinear_taps(4, 2).weights / 2**PRECISION).round(3).T.tolist()
        [[0.429, 0.429, 0.143], [0.143, 0.429, 0.429]]
    """
    scale = size / wanted
    reach = max(scale, 1.0)
    middles = (np.arange(wanted) + 0.5) * scale
    first = np.maximum((middles - reach + 0.5).astype(int), 0)
    last = np.minimum((middles + reach + 0.5).astype(int), size)
    steps = np.arange(math.ceil(reach) * 2 + 1)[:, None]
    places = first + steps
    weights = np.clip(1 - np.abs((places - middles + 0.5) / reach), 0, None) * (places < last)
    weights /= weights.sum(axis=0)
    whole = (0.5 + weights * 2**PRECISION).astype(np.int32)
    used = whole.any(axis=1)
    return Taps(np.minimum(places, size - 1)[used], whole[used])


class Resize(nn.Module):
    """The middle of pictures after resizing, as Pillow and `transforms.centre_crops` make it; pixels stay whole.

    Only what the middle needs is computed.

    Args:
        size: side of the pictures, pixels.
        resize: side after resizing.
        side: of the middle that is kept.
    """

    places: Tensor
    weights: Tensor

    def __init__(self, size: int, resize: int, side: int) -> None:
        super().__init__()
        start = (resize - side) // 2
        places, weights = (part[:, start : start + side] for part in bilinear_taps(size, resize))
        self.first = None if size != resize else start
        self.side = side
        self.register_buffer("places", torch.from_numpy(places.copy()))
        self.register_buffer("weights", torch.from_numpy(weights.copy()))

    def forward(self, images: Tensor) -> Tensor:
        """(N, size, size, 3) uint8 -> (N, side, side, 3) int32 in [0, 255]."""
        x = images.to(torch.int32)
        if self.first is not None:  # Pillow leaves what has the right size as it is
            end = self.first + self.side
            return x[:, self.first : end, self.first : end]
        return self._along(self._along(x, 2), 1)

    def _along(self, x: Tensor, axis: int) -> Tensor:
        shape = [1, 1, 1, 1]
        shape[axis] = -1
        total = torch.full((), 1 << (PRECISION - 1), dtype=torch.int32)
        for places, weights in zip(self.places, self.weights, strict=True):
            total = total + x.index_select(axis, places) * weights.reshape(shape)
        # not an integer division: the exporter writes that as one of float32, which has too few digits
        return (total.double() * 2.0**-PRECISION).floor().to(torch.int32)
