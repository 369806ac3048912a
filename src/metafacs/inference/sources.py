"""What a user names as input: pictures, videos, folders, patterns, cameras."""

import glob
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from metafacs.ahead import ahead, iterated_ahead
from metafacs.errors import InputError
from metafacs.faces.pictures import UnreadableError, is_animated, read_picture
from metafacs.faces.video import Frame, camera_frames, expected_frames, video_frames

logger = logging.getLogger(__name__)

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".jp2"})
VIDEOS = frozenset({".avi", ".mp4", ".m4v", ".mkv", ".mov", ".mpg", ".mpeg", ".wmv", ".webm", ".mts", ".3gp", ".ogv"})
PICTURE, VIDEO, CAMERA = "picture", "video", "camera"


@dataclass(frozen=True)
class Source:
    """One input.

    Attributes:
        name: as it stands in the column `input`.
        kind: "picture", "video" or "camera".
        path: the file; of a camera, its number.
    """

    name: str
    kind: str
    path: Path


def find_sources(inputs: Sequence[str]) -> list[Source]:
    """The pictures and videos that the inputs name: files, folders (with those in them), patterns, camera numbers.

    Files of a folder or pattern come in the order of their names; what is neither picture nor video by its ending is
    passed over there, but not where it is named itself.

    Raises:
        InputError: an input names nothing, or nothing that can be looked at, or a camera stands beside other inputs.
    """
    found: dict[Path, Source] = {}
    for text in inputs:
        try:
            named = _named(text)
        except OSError as error:
            raise InputError(f"the input {text} cannot be looked at ({error.strerror or error})") from error
        if named is None:
            if len(inputs) > 1:
                raise InputError(f"camera {text} cannot be mixed with other inputs; give it alone")
            return [Source(f"camera {int(text)}", CAMERA, Path(str(int(text))))]
        found |= {one: _source(one) for one in named if one not in found}
    return list(found.values())


def _named(text: str) -> list[Path] | None:
    """The files that one input means; None: it is a camera's number."""
    path = Path(text)
    if not text:
        raise InputError("an input is empty; give pictures, videos, folders, patterns or a camera's number")
    if path.is_dir():
        return _below(path, text)
    if path.is_file() or path.is_symlink():
        return [path]
    if path.exists():
        raise InputError(f"the input {text} is a pipe or device, not a file; save what it gives, and name that file")
    return None if text.isdecimal() else _matching(text)


def source_frames(sources: Sequence[Source], first: int = 0, frame: int = 0) -> Iterator[tuple[int, Frame]]:
    """Every frame of the sources, with the source's place, decoded ahead; one that cannot be read is one frame without
    a picture.

    Args:
        sources: what to read.
        first: begin with this source,
        frame: at this frame.
    """
    for kind, group in groupby(range(first, len(sources)), key=lambda k: sources[k].kind):
        if kind == PICTURE:
            places = [k for k in group if k != first or frame == 0]
            pictures = ahead(picture_frame, (sources[k].path for k in places), lead=3, threads=2)
            yield from zip(places, pictures, strict=True)
            continue
        for k in group:
            path = sources[k].path
            frames = camera_frames(int(str(path))) if kind == CAMERA else _of_video(path, frame if k == first else 0)
            for one in iterated_ahead(frames):
                yield k, one


def picture_frame(source: Path | bytes) -> Frame:
    """The only frame of a picture; one that cannot be read says why."""
    try:
        return Frame(0, None, read_picture(source))
    except UnreadableError as error:
        return Frame(0, None, None, str(error))
    except PermissionError:
        return Frame(0, None, None, "no permission to read it")


def expected_total(sources: Sequence[Source]) -> int:
    """About how many frames the sources have; 0 where that cannot be said."""
    if any(source.kind == CAMERA for source in sources):
        return 0
    return sum(max(1, expected_frames(source.path)) if source.kind == VIDEO else 1 for source in sources)


def _of_video(path: Path, start: int) -> Iterator[Frame]:
    number = start
    try:
        for frame in video_frames(path, start):
            number = frame.number + 1
            yield frame
    except UnreadableError as error:
        if number == 0:
            yield Frame(0, None, None, str(error))


def _source(path: Path) -> Source:
    # names that are no UTF-8 can stand in no table, and a carriage return would end a line of a CSV file
    name = os.fsencode(path).decode("utf-8", "replace").replace("\r", "\ufffd")
    return Source(name, VIDEO if _moves(path) else PICTURE, path)


def _moves(path: Path) -> bool:
    ending = path.suffix.lower()
    if ending in PICTURES - {".gif", ".webp", ".png"}:
        return False
    if ending in VIDEOS:
        return True
    try:
        return is_animated(path)
    except UnreadableError:
        return ending not in PICTURES


def _below(folder: Path, text: str) -> list[Path]:
    files = [
        Path(root) / name
        for root, folders, names in os.walk(folder, onerror=_tell)
        if not folders.sort()
        for name in sorted(names)
        if not name.startswith(".") and Path(name).suffix.lower() in PICTURES | VIDEOS
    ]
    if not files:
        raise InputError(f"there is no picture or video in the folder {text}; give a folder that has some, or files")
    return files


def _tell(error: OSError) -> None:
    """Says which folder could not be looked into: passing it over in silence would look as if it were empty."""
    logger.warning("the folder %s is left out: %s", error.filename, error.strerror)


def _matching(text: str) -> list[Path]:
    found = [Path(one) for one in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207 - patterns may be absolute
    files = [path for path in found if path.is_file() and path.suffix.lower() in PICTURES | VIDEOS]
    if not files:
        kind = "matches no picture or video" if glob.has_magic(text) else "does not exist"
        raise InputError(f"the input {text} {kind}; give pictures, videos, folders, patterns or a camera's number")
    return files
