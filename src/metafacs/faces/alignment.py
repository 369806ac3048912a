"""Cuts a face out of a picture so that its eyes lie on the template.

Coordinates are continuous: pixel (column x, row y) covers [x, x+1) by [y, y+1), so the middle of the first pixel is
(0.5, 0.5) and a picture of width w ends at w. Every point and matrix of this package keeps to that.
"""

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metafacs.faces.face import Picture, Points
from metafacs.faces.recipe import WHOLE, Recipe

SPARE = 3
"""Pixels kept around what is resampled, so that the filter sees them."""


def eyes_matrix(eyes: Points, recipe: Recipe) -> Points:
    """(2, 3) the similarity that takes the eyes, (2, 2) right then left, onto the recipe's template in pixels.

    Raises:
        ValueError: the eyes lie on one point.
    """
    (goal_right, goal_left) = (complex(*at) * recipe.size for at in recipe.template)
    right, left = complex(*eyes[0]), complex(*eyes[1])
    if not abs(left - right) > 1e-6:
        raise ValueError(f"both eyes at {eyes[0]}")
    turn = (goal_left - goal_right) / (left - right)
    start = goal_right - turn * right
    return np.array([[turn.real, -turn.imag, start.real], [turn.imag, turn.real, start.imag]])


def fit(image: Picture, size: int) -> tuple[Picture, Points]:
    """The whole picture in the middle of a square crop, and the (2, 3) matrix that takes it there."""
    height, width = image.shape[:2]
    wide, high = (max(1, round(side * size / max(width, height))) for side in (width, height))
    left, top = (size - wide) // 2, (size - high) // 2
    out = np.zeros((size, size, 3), np.uint8)
    shown = Image.fromarray(image).resize((wide, high), Image.Resampling.BICUBIC)
    out[top : top + high, left : left + wide] = np.asarray(shown)
    return out, np.array([[wide / width, 0, left], [0, high / height, top]])


def align(image: Picture, eyes: Points | None, recipe: Recipe) -> tuple[Picture, Points]:
    """Cuts out a face.

    Args:
        image: (H, W, 3) uint8, RGB.
        eyes: (2, 2) centres of the right and the left eye, (x, y); not used where the recipe takes whole pictures.
        recipe: size and template of the crop.

    Returns:
        (size, size, 3) uint8 crop, and (2, 3) the matrix from the picture's coordinates to the crop's.
    """
    if recipe.kind == WHOLE:
        return fit(image, recipe.size)
    if eyes is None:
        raise ValueError("no eyes to align by")
    matrix = eyes_matrix(np.asarray(eyes, np.float64), recipe)
    return resample(image, matrix, recipe.size), matrix


def move(points: Points, matrix: Points) -> Points:
    """(n, 2) points under a (2, 3) matrix."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def resample(image: Picture, matrix: Points, size: int) -> Picture:
    """The square crop that a similarity cuts out; black where the picture ends.

    What is shrunk is first scaled with an antialiasing filter, then turned, so that no detail folds into patterns.
    """
    back = inverse(matrix)
    corners = move(np.array([[0, 0], [size, 0], [0, size], [size, size]], np.float64), back)
    shrink = max(1.0, float(np.hypot(*back[:, 0])))
    spare = math.ceil(SPARE * shrink)
    low = np.floor(corners.min(axis=0)).astype(int) - spare
    high = np.ceil(corners.max(axis=0)).astype(int) + spare
    region = Image.fromarray(_cut(image, low, high))
    width, height = (max(1, round(side / shrink)) for side in region.size)
    scale = np.array([region.width / width, region.height / height])
    if shrink > 1:
        region = region.resize((width, height), Image.Resampling.BICUBIC)
    into = np.concatenate([back[:, :2], back[:, 2:] - low[:, None]], axis=1) / scale[:, None]
    crop = region.transform((size, size), Image.Transform.AFFINE, into.ravel().tolist(), Image.Resampling.BICUBIC)
    return np.asarray(crop)


def inverse(matrix: Points) -> Points:
    """(2, 3) the inverse of a (2, 3) matrix."""
    turn = np.linalg.inv(matrix[:, :2])
    return np.concatenate([turn, -turn @ matrix[:, 2:]], axis=1)


def to_jpeg(crop: Picture, quality: int) -> bytes:
    """The crop as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(crop).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _cut(image: Picture, low: NDArray[np.int_], high: NDArray[np.int_]) -> Picture:
    """The pixels from `low` to `high` (x, y), black outside of the picture."""
    height, width = image.shape[:2]
    out = np.zeros((high[1] - low[1], high[0] - low[0], 3), np.uint8)
    x0, y0 = np.clip(low, 0, [width, height])
    x1, y1 = np.clip(high, 0, [width, height])
    out[y0 - low[1] : y1 - low[1], x0 - low[0] : x1 - low[0]] = image[y0:y1, x0:x1]
    return out
