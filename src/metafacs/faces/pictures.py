"""Reads image files as people's folders hold them: turned by EXIF, grey, transparent, 16 bits deep, or damaged."""

import importlib
import io
import os
import stat
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageSequence, UnidentifiedImageError

from metafacs.errors import InputError
from metafacs.faces.face import Picture

UNREADABLE = (
    *(OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError),
    *(TypeError, LookupError, ArithmeticError, RuntimeError),
)
"""What Pillow raises when an image is damaged; RuntimeError: libheif."""
SMALLEST = 16
"""Pictures with a shorter side, in pixels, are refused."""
THUMBNAIL = 64
"""Pictures whose longer side is not above this many pixels are thumbnails."""
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
_KNOWN_BY_CONTENT = ("JPEG", "MPO", "PNG", "TIFF", "GIF", "WEBP", "BMP", "JPEG2000", "AVIF", "HEIF", "SGI", "PSD")
_FORMATS = (*_KNOWN_BY_CONTENT, "PPM", "DIB", "PCX", "TGA")
"""What is read, by Pillow's names: formats that begin with a mark of their own, and some that other files can be taken
for. Others are seldom photographs, and for EPS Pillow would start Ghostscript."""
_MOVING = ("GIF", "PNG", "WEBP", "AVIF")
"""Formats whose several pictures are an animation. In others they are pages, thumbnails or depths."""
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_STILL = (*_HEIF, b"avif", b"avis", b"crx ")
"""Brands of photographs in the form of an MP4 file, of which FFmpeg would take one tile or preview for a video."""
_PREVIEW_TAG, _RAW_TAG = 254, 50706
"""Of TIFF: what kind of picture it is (bit 0: a small copy of another one), and the mark of a DNG file."""

# What matters in Pillow's warnings (size, EXIF) is checked here. They are silenced once and for all, because silencing
# them around each picture (`warnings.catch_warnings`) is not safe where several threads read pictures.
warnings.filterwarnings("ignore", module=r"PIL\.")


class UnreadableError(InputError):
    """One picture cannot be used; the message says why, without naming the picture."""


@dataclass(frozen=True)
class Header:
    """What a picture's file says of itself.

    Attributes:
        format: Pillow's name of it.
        width: pixels as stored; 0 where the picture is damaged or needs what is not installed, as is the height.
        height: pixels as stored.
        moves: whether it is an animation.
    """

    format: str
    width: int
    height: int
    moves: bool


def read_picture(source: Path | bytes | Image.Image) -> Picture:
    """Reads a picture, upright; any number of threads may do so at a time.

    Args:
        source: an image file, its content, or an image that Pillow has opened or made.

    Returns:
        (H, W, 3) uint8, RGB: grey repeated, 16 bits scaled to 8, what is transparent black.

    Raises:
        UnreadableError: there is no such file, it is damaged, not an image, too small or too large.
    """
    if isinstance(source, Path):
        check_file(source)
    elif source == b"":
        raise UnreadableError("empty file")
    try:
        with nullcontext(source) if isinstance(source, Image.Image) else _open(source) as image:
            _check_size(*image.size)
            _check_whole(image)
            turned: Image.Image = image
            for turn in _TURNS.get(_orientation(image), ()):
                turned = turned.transpose(turn)
            return np.ascontiguousarray(_to_rgb(turned))
    except UnreadableError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableError("no image of a known format") from error
    except Image.DecompressionBombError as error:
        raise UnreadableError(
            f"too many pixels, more than {MOST_PIXELS:,} (a decompression bomb, or a huge scan)"
        ) from error
    except PermissionError as error:
        raise UnreadableError("no permission to read it") from error
    except MemoryError as error:
        raise UnreadableError("not enough memory to decode it") from error
    except UNREADABLE as error:
        raise UnreadableError(f"damaged image ({_cause(error)})") from error


def check_file(path: Path) -> None:
    """Refuses what is not a file with something in it, before anything is opened: a pipe would be waited for forever.

    Raises:
        UnreadableError: it is missing, a folder, a pipe or device, empty, or may not be looked at.
    """
    try:
        status = path.stat()
    except PermissionError as error:
        raise UnreadableError("no permission to read it") from error
    except (OSError, ValueError) as error:
        raise UnreadableError("missing file") from error
    if stat.S_ISDIR(status.st_mode):
        raise UnreadableError("a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableError("a pipe or device, not a file")
    if not status.st_size:
        raise UnreadableError("empty file")
    if not os.access(path, os.R_OK):
        raise UnreadableError("no permission to read it")


def read_header(path: Path, weakly: bool = False) -> Header | None:
    """What a picture's file says of itself, by its content alone; nothing is decoded.

    Args:
        path: the file.
        weakly: accept the formats too that other files can be taken for.

    Returns:
        None: it is not a picture.

    Raises:
        UnreadableError: there is no such file, or it cannot be read.
    """
    check_file(path)
    try:
        with _open(path, _FORMATS if weakly else _KNOWN_BY_CONTENT) as image:
            name = str(image.format)
            return Header(name, *image.size, name in _MOVING and int(getattr(image, "n_frames", 1)) > 1)
    except (*UNREADABLE, MemoryError):
        brand = _brand(path)
        return Header(brand.decode().strip(), 0, 0, False) if brand in _STILL else None


def read_animation(path: Path) -> Iterator[tuple[Picture, float]]:
    """The pictures of an animated image file, as of `read_picture`, with the seconds that each is shown.

    Raises:
        UnreadableError: it cannot be read, or its pictures are too large.
    """
    check_file(path)
    try:
        with _open(path) as image:
            _check_size(*image.size)
            for shown in ImageSequence.Iterator(image):
                picture = np.ascontiguousarray(_to_rgb(shown))  # only decoding tells how long it is shown
                yield picture, shown.info.get("duration", 0) / 1000
    except UnreadableError:
        raise
    except (*UNREADABLE, MemoryError) as error:
        raise UnreadableError(f"damaged or no image ({_cause(error)})") from error


def _open(source: Path | bytes, formats: Sequence[str] = _FORMATS) -> Image.Image:
    try:
        readable = [name for name in formats if name in _readable()]
        return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=readable)
    except UnidentifiedImageError:
        if _brand(source) in _HEIF and "HEIF" not in _readable():
            raise UnreadableError(
                "a HEIC photograph, which needs pi-heif: pip install 'metafacs[faces]', or save it as JPEG"
            ) from None
        raise


def _brand(source: Path | bytes) -> bytes:
    """What a file in the form of MP4 says it is; nothing for others."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            source = file.read(12)
    return source[8:12] if source[4:8] == b"ftyp" else b""


@lru_cache(maxsize=1)
def _readable() -> frozenset[str]:
    """What this installation of Pillow can read; HEIC photographs by pi-heif, which only decodes."""
    if find_spec("pi_heif"):
        importlib.import_module("pi_heif").register_heif_opener()
    Image.init()
    return frozenset(Image.OPEN)


def _check_size(width: int, height: int) -> None:
    if min(width, height) < SMALLEST:
        raise UnreadableError(f"{width}x{height} pixels, smaller than {SMALLEST}")
    if width * height > MOST_PIXELS:
        raise UnreadableError(f"{width}x{height} pixels, more than {MOST_PIXELS:,}")


def _check_whole(image: Image.Image) -> None:
    """Refuses what gives a small copy of the picture in place of it."""
    tags = getattr(image, "tag_v2", {})
    if int(tags.get(_PREVIEW_TAG, 0)) & 1 or _RAW_TAG in tags:
        raise UnreadableError("a camera's raw file, of which only a small copy could be read; save it as JPEG")


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 (upright) where there is none; a damaged EXIF block does not spoil the picture."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except UNREADABLE:
        return 1
    return orientation if isinstance(orientation, int) else 1


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


def enlarged(picture: Picture) -> Picture:
    """A thumbnail as finders like it: its edge repeated around it, four times as large; other pictures as they are.

    Releases such as FER2013 cut faces off at the chin and the hair: what is beyond the edge is not known, but finders
    expect something there.

    Example:
        >>> enlarged(np.zeros((48, 48, 3), np.uint8)).shape
        (288, 288, 3)
    """
    if max(picture.shape[:2]) > THUMBNAIL:
        return picture
    border = max(picture.shape[:2]) // 4
    wide = Image.fromarray(np.pad(picture, ((border, border), (border, border), (0, 0)), mode="edge"))
    return np.asarray(wide.resize((4 * wide.width, 4 * wide.height), Image.Resampling.BICUBIC))
