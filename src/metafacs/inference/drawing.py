"""Draws boxes and bars of AUs onto pictures."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from metafacs.facs import au_title
from metafacs.inference.rows import BOX, present_column

Picture = NDArray[np.uint8]

COLOURS = ((80, 220, 120), (90, 170, 255), (255, 180, 60), (240, 100, 160), (190, 140, 255), (90, 230, 230))
"""Of the people, by their number."""
ABSENT, BACK = (205, 205, 205), (0, 0, 0, 165)
LINES = 28
"""A line of text is this part of the picture's height, but never smaller than `LEAST` pixels."""
LEAST = 9


def draw(picture: Picture, rows: pd.DataFrame, aus: Sequence[str]) -> Picture:
    """A copy of the picture with a box around each face and, beside it, a bar per AU as long as its probability.

    The bars of AUs that are present have the colour of the person, those of absent ones are grey.

    Args:
        picture: (H, W, 3) uint8, RGB.
        rows: the rows of this picture, in the columns of `rows.tidy`.
        aus: AU columns.
    """
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image, "RGBA")
    line = max(LEAST, min(image.height // LINES, image.height // (len(aus) + 3)))
    for row in rows[rows["success"] == 1].to_dict("records"):
        colour = COLOURS[int(row["face"]) % len(COLOURS)]
        box = tuple(float(row[side]) for side in BOX)
        pen.rectangle(box, outline=colour, width=max(1, line // 6))
        _bars(pen, row, box, aus, line, colour, image.size)
    return np.asarray(image)


def _bars(
    pen: ImageDraw.ImageDraw,
    row: Mapping[Hashable, Any],
    box: tuple[float, ...],
    aus: Sequence[str],
    line: int,
    colour: tuple[int, int, int],
    size: tuple[int, int],
) -> None:
    """The panel, to the right of the box where there is room, else to its left, else at the picture's edge."""
    font = ImageFont.load_default(line - 2)
    names, bar = 3.2 * line, 4 * line
    width, height = names + bar + line // 2, line * (len(aus) + 1) + 4
    left = box[2] + 4 if box[2] + 4 + width <= size[0] else box[0] - 4 - width
    left = max(0, min(left, size[0] - width))
    top = max(0, min(box[1], size[1] - height))
    pen.rectangle((left, top, left + width, top + height), fill=BACK)
    pen.text((left + 3, top + 1), f"face {int(row['face'])}", fill=colour, font=font)
    for k, au in enumerate(aus):
        at = top + (k + 1) * line + 2
        shade = colour if row[present_column(au)] == 1 else ABSENT
        pen.text((left + 3, at), au_title(au), fill=shade, font=font)
        pen.rectangle((left + names, at + 2, left + names + bar, at + line - 3), outline=ABSENT)
        pen.rectangle((left + names, at + 2, left + names + bar * float(row[au]), at + line - 3), fill=shade)
