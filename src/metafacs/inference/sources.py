"""What a user names as input: pictures, videos, folders, patterns, cameras."""

import glob
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

from PIL import Image

from metafacs.ahead import ahead, iterated_ahead
from metafacs.errors import InputError
from metafacs.faces.kinds import PICTURE, VIDEO, kind_of, natural
from metafacs.faces.pictures import UnreadableError, read_picture
from metafacs.faces.video import Frame, camera_frames, expected_frames, video_frames

logger = logging.getLogger(__name__)

CAMERA, RECORDING = "camera", "recording"
NAMED = 3
"""So many of the files that are left out are named."""


@dataclass(frozen=True)
class Source:
    """One input.

    Attributes:
        name: as it stands in the column `input`.
        kind: "picture", "video", "camera" or "recording" (pictures that are the frames of a video).
        path: the file; of a camera, its number; of a recording, the folder.
        pictures: of a recording: number in the file's name -> file, in order.
        rate: of a recording: frames a second.
    """

    name: str
    kind: str
    path: Path
    pictures: Mapping[int, Path] = field(default_factory=dict)
    rate: float = 25.0


def find_sources(inputs: Sequence[str]) -> list[Source]:
    """The pictures and videos that the inputs name: files, folders (with those in them), patterns, camera numbers.

    Files of a folder or pattern come in the order of their names, 2 before 10. What is neither picture nor video is
    left out there, aloud, but not where it is named itself.

    Raises:
        InputError: an input names nothing, or nothing that can be looked at, or a camera stands beside other inputs.
    """
    sources: dict[Path, Source] = {}
    for text in inputs:
        try:
            named = _named(text)
        except OSError as error:
            raise InputError(f"the input {text} cannot be looked at ({error.strerror or error})") from error
        if named is None:
            if len(inputs) > 1:
                raise InputError(f"camera {text} cannot be mixed with other inputs; give it alone")
            return [Source(f"camera {int(text)}", CAMERA, Path(str(int(text))))]
        sources |= {source.path: source for source in named if source.path not in sources}
    return list(sources.values())


def _named(text: str) -> list[Source] | None:
    """What one input means; None: it is a camera's number."""
    path = Path(text)
    if not text:
        raise InputError("an input is empty; give pictures, videos, folders, patterns or a camera's number")
    if path.is_dir():
        return _below(path, text)
    if path.is_file() or path.is_symlink():
        return [_source(path, kind_of(path) or PICTURE)]
    if path.exists():
        raise InputError(f"the input {text} is a pipe or device, not a file; save what it gives, and name that file")
    return None if text.isdecimal() else _matching(text)


def recordings(sources: Sequence[Source], rate: float) -> list[Source]:
    """The same sources, but the pictures of each folder are the frames of one recording.

    A picture's place in time is the number at the end of its name; numbers that are missing stay missing.

    Args:
        sources: of `find_sources`.
        rate: frames a second.

    Raises:
        InputError: a picture's name does not end in a number, or two of a folder end in the same.
    """
    frames: dict[Path, dict[int, Path]] = {}
    result: dict[Path, Source] = {}
    for source in sources:
        if source.kind != PICTURE:
            result[source.path] = source
            continue
        folder, digits = source.path.parent, re.search(r"([0-9]+)$", source.path.stem)
        if digits is None:
            raise InputError(f"{source.name}: the name does not end in a number, as those of a recording's frames do")
        numbered = frames.setdefault(folder, {})
        if (other := numbered.setdefault(int(digits[1]), source.path)) != source.path:
            raise InputError(f"{source.name} and {other.name} have the same number; a folder is one recording")
        result[folder] = _source(folder, RECORDING)
    for folder, numbered in frames.items():
        result[folder] = replace(result[folder], pictures=dict(sorted(numbered.items())), rate=rate)
    return list(result.values())


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
            path, start = sources[k].path, frame if k == first else 0
            if kind == RECORDING:
                frames = _of_recording(sources[k], start)
            else:
                frames = camera_frames(int(str(path))) if kind == CAMERA else _of_video(path, start)
            for one in iterated_ahead(frames):
                yield k, one


def picture_frame(source: Path | bytes | Image.Image) -> Frame:
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
    videos = [source for source in sources if source.kind == VIDEO]
    pictures = sum(len(source.pictures) or 1 for source in sources if source.kind != VIDEO)
    return pictures + sum(max(1, expected_frames(source.path)) for source in videos)


def _of_video(path: Path, start: int) -> Iterator[Frame]:
    number = start
    try:
        for frame in video_frames(path, start):
            number = frame.number + 1
            yield frame
    except UnreadableError as error:
        if number == 0:
            yield Frame(0, None, None, str(error))


def _of_recording(source: Source, start: int) -> Iterator[Frame]:
    """Frame 0 is the first picture, and one whose name counts 5 more is frame 5."""
    first = next(iter(source.pictures))
    for number, path in source.pictures.items():
        if number - first >= start:
            shown = picture_frame(path)
            yield replace(shown, number=number - first, time=(number - first) / source.rate)


def _source(path: Path, kind: str) -> Source:
    # names that are not UTF-8 cannot stand in a table, and a carriage return would end a line of a CSV file
    return Source(os.fsencode(path).decode("utf-8", "replace").replace("\r", "\ufffd"), kind, path)


def _below(folder: Path, text: str) -> list[Source]:
    files = [
        Path(root) / name
        for root, folders, names in os.walk(folder, onerror=_tell)
        if folders.sort(key=natural) is None
        for name in sorted(names, key=natural)
        if not name.startswith(".")
    ]
    sources = _readable(files, text)
    if not sources:
        raise InputError(f"there is no picture or video in the folder {text}; give a folder that has some, or files")
    return sources


def _readable(files: Sequence[Path], text: str) -> list[Source]:
    """The files that are pictures or videos; how many others there are is said."""
    kinds = [kind_of(path) for path in files]
    others = [path.name for path, kind in zip(files, kinds, strict=True) if kind is None]
    if others:
        more = ", ..." if len(others) > NAMED else ""
        logger.warning(
            "%s: %d files are left out, neither picture nor video: %s%s",
            text,
            len(others),
            ", ".join(others[:NAMED]),
            more,
        )
    return [_source(path, kind) for path, kind in zip(files, kinds, strict=True) if kind is not None]


def _tell(error: OSError) -> None:
    """Says which folder could not be looked into: passing it over in silence would look as if it were empty."""
    logger.warning("the folder %s is left out: %s", error.filename, error.strerror)


def _matching(text: str) -> list[Source]:
    names = sorted(glob.glob(text, recursive=True), key=natural)  # noqa: PTH207 - patterns may be absolute
    sources = _readable([path for path in map(Path, names) if path.is_file()], text)
    if not sources:
        kind = "matches no picture or video" if glob.has_magic(text) else "does not exist"
        raise InputError(f"the input {text} {kind}; give pictures, videos, folders, patterns or a camera's number")
    return sources
