"""What is read, as one list for every command: by its name where that tells, else by its content."""

import re
from pathlib import Path

from metafacs.faces.pictures import UnreadableError, read_header
from metafacs.faces.video import is_video

PICTURE, VIDEO = "picture", "video"
PICTURES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"),
        *(".heic", ".heif", ".hif", ".avif", ".jp2", ".j2k", ".ppm", ".pgm", ".pcx", ".psd", ".sgi", ".tga"),
    }
)
VIDEOS = frozenset(
    {
        *(".avi", ".mp4", ".m4v", ".mkv", ".mov", ".mpg", ".mpeg", ".wmv", ".webm", ".mts", ".m2ts", ".3gp", ".3g2"),
        *(".ogv", ".flv", ".asf", ".vob", ".mxf", ".qt"),
    }
)
"""Endings that tell; a file with another one is looked at."""
_MAY_MOVE = frozenset({".gif", ".png", ".webp", ".avif"})


def kind_of(path: Path) -> str | None:
    """What a file is: "picture" or "video" (an animation too); None where it is neither.

    A damaged file, or one that cannot be looked at, is what its name says.
    """
    ending = path.suffix.lower()
    if ending in PICTURES - _MAY_MOVE:
        return PICTURE
    by_name = PICTURE if ending in PICTURES else VIDEO if ending in VIDEOS else None
    try:
        header = read_header(path)
        if header is not None:
            return VIDEO if header.moves else PICTURE
        if by_name is not None:
            return by_name
        if is_video(path):
            return VIDEO
        return PICTURE if read_header(path, weakly=True) else None
    except UnreadableError:
        return by_name


def natural(name: str) -> list[tuple[int, str]]:
    """A key that puts names in the order in which people count.

    Example:
        >>> sorted(["10.jpg", "2.jpg", "b1", "1.jpg"], key=natural)
        ['1.jpg', '2.jpg', '10.jpg', 'b1']
    """
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), part) if k % 2 else (-1, part) for k, part in enumerate(parts)]
