"""Names and links that are hard to write to or to read."""

import os
from pathlib import Path

LONG = "ä" * 127 + "n"
"""255 bytes: the longest name that a file may have."""
NAMES = ["two words", "new\nline", "Gesicht-表情-🙂", "[red]", "*", "-x", LONG, os.fsdecode(b"no-utf-8-\xff")]


def refused(status: int, printed: str) -> None:
    """A clear error."""
    assert status == 2 and "Traceback" not in printed, printed


def dangling(place: Path) -> Path:
    (place / "link").symlink_to(place / "nothing")
    return place / "link"


def loop(place: Path) -> Path:
    (place / "one").symlink_to(place / "two")
    (place / "two").symlink_to(place / "one")
    return place / "one"


def below_a_loop(place: Path) -> Path:
    return loop(place) / "out"


def file(place: Path) -> Path:
    (place / "file").write_text("mine")
    return place / "file"


def below_a_file(place: Path) -> Path:
    return file(place) / "out"


def too_long(place: Path) -> Path:
    return place / f"{LONG}x"
