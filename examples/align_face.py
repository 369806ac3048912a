"""Cuts a face out of a photograph as metafacs does, to the last bit, with numpy and Pillow alone."""

import io
import math

import numpy as np
from PIL import Image, ImageOps


def aligned(photo: Image.Image, right: complex, left: complex, recipe: dict) -> np.ndarray:
    """The face, turned and scaled so that the eyes lie on the template, and through a JPEG file as in training.

    Points are complex numbers x + iy; pixel (x, y) covers [x, x+1) by [y, y+1), so its centre is x + 0.5, y + 0.5.

    Args:
        photo: upright, RGB.
        right: centre of the person's right eye (the one on the left of the picture).
        left: centre of the person's left eye.
        recipe: the entry "recipe" of the model's metadata.

    Returns:
        (S, S, 3) uint8, what the model takes.
    """
    size = recipe["size"]
    goal_right, goal_left = (complex(*recipe["template"][eye]) * size for eye in ("right_eye", "left_eye"))
    back = (left - right) / (goal_left - goal_right)  # a point c of the crop is right + back * (c - goal_right)
    corners = [right + back * (x + 1j * y - goal_right) for x in (0, size) for y in (0, size)]
    shrink = max(1.0, abs(back))
    spare = math.ceil(3 * shrink)
    x0, y0 = (math.floor(min(part)) - spare for part in zip(*((c.real, c.imag) for c in corners), strict=True))
    x1, y1 = (math.ceil(max(part)) + spare for part in zip(*((c.real, c.imag) for c in corners), strict=True))
    region = photo.crop((x0, y0, x1, y1))  # black outside of the photograph
    width, height = (max(1, round(side / shrink)) for side in region.size)
    wide, high = region.width / width, region.height / height
    if shrink > 1:
        region = region.resize((width, height), Image.Resampling.BICUBIC)
    start = right - back * goal_right - complex(x0, y0)
    rows = [[back.real, -back.imag, start.real], [back.imag, back.real, start.imag]]
    matrix = [value / by for row, by in zip(rows, (wide, high), strict=True) for value in row]
    crop = region.transform((size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
    crop.save(jpeg := io.BytesIO(), "JPEG", quality=recipe["quality"])
    return np.asarray(Image.open(jpeg).convert("RGB"))


def read(path: str) -> Image.Image:
    """A photograph, upright, RGB."""
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")
