"""Reads image files as people's folders hold them: turned by EXIF, grey, transparent, 16 bits deep, or damaged."""

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from metafacs.data.reader import UNREADABLE
from metafacs.errors import InputError

Picture = NDArray[np.uint8]

SMALLEST = 16
"""Pictures with a shorter side, in pixels, are refused."""
MOST_PIXELS = 100_000_000
"""Larger pictures are refused before they are decoded."""

_TURNS = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT,),
    3: (Image.Transpose.ROTATE_180,),
    4: (Image.Transpose.FLIP_TOP_BOTTOM,),
    5: (Image.Transpose.TRANSPOSE,),
    6: (Image.Transpose.ROTATE_270,),
    7: (Image.Transpose.TRANSVERSE,),
    8: (Image.Transpose.ROTATE_90,),
}
"""EXIF orientation -> what undoes it."""


class UnreadableError(InputError):
    """One picture cannot be used; the message says why, without naming the picture."""


def read_picture(source: Path | bytes) -> Picture:
    """Reads a picture, upright.

    Args:
        source: an image file or its content.

    Returns:
        (H, W, 3) uint8, RGB: grey repeated, 16 bits scaled to 8, what is transparent black.

    Raises:
        UnreadableError: there is no such file, it is damaged, no image, too small or too large.
    """
    if isinstance(source, Path):
        if source.is_dir():
            raise UnreadableError("a folder, not an image file")
        if not source.is_file():
            raise UnreadableError("missing file")
        if not source.stat().st_size:
            raise UnreadableError("empty file")
    try:
        with (
            warnings.catch_warnings(action="ignore"),  # about EXIF and size: what matters is checked here
            Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image,
        ):
            _check_size(*image.size)
            turned: Image.Image = image
            for turn in _TURNS.get(_orientation(image), ()):
                turned = turned.transpose(turn)
            return np.ascontiguousarray(_to_rgb(turned))
    except UnreadableError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableError("no image of a known format") from error
    except PermissionError as error:
        raise UnreadableError("no permission to read it") from error
    except (*UNREADABLE, IndexError, MemoryError) as error:
        raise UnreadableError(f"damaged image ({_cause(error)})") from error


def _check_size(width: int, height: int) -> None:
    if min(width, height) < SMALLEST:
        raise UnreadableError(f"{width}x{height} pixels, smaller than {SMALLEST}")
    if width * height > MOST_PIXELS:
        raise UnreadableError(f"{width}x{height} pixels, more than {MOST_PIXELS:,}")


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 (upright) where there is none; a damaged EXIF block does not spoil the picture."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (*UNREADABLE, IndexError):
        return 1
    return found if isinstance(found, int) else 1


def _to_rgb(image: Image.Image) -> Picture:
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I", "F"):
        return _from_deep(np.asarray(image))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        clear = image.convert("RGBA")
        return np.asarray(Image.alpha_composite(Image.new("RGBA", clear.size, (0, 0, 0, 255)), clear).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def _from_deep(values: NDArray[np.generic]) -> Picture:
    """Grey of more than 8 bits: 16 bits are scaled, other ranges are taken to be 0-1 or 0-255 where they fit."""
    grey = np.nan_to_num(values.astype(np.float64))
    most = float(grey.max(initial=0))
    if values.dtype.kind == "f" and most <= 1:
        grey = grey * 255
    elif values.dtype.itemsize == 2 or most > 255:
        grey = grey / (257 if most <= 65535 else most / 255)
    eight = np.clip(np.round(grey), 0, 255).astype(np.uint8)
    return np.repeat(eight[:, :, None], 3, axis=2)


def _cause(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text if len(text) <= 120 else text[:117] + "..."
