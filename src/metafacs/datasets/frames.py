"""Extracted frames and clips of recorded people: which file is which frame of which recording."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from metafacs.datasets.base import Skip
from metafacs.datasets.folders import files_below
from metafacs.errors import InputError
from metafacs.faces.kinds import PICTURES, VIDEOS

Recording = tuple[str, ...]
"""Subject, or subject and task."""


@dataclass
class FrameFiles:
    """The frames of every recording, as files.

    Attributes:
        paths: recording -> number in the file's name -> paths (more than one: which is meant cannot be told).
        kinds: recording -> what the paths look like ("img/{subject}/{task}/{frame}").
    """

    paths: dict[Recording, dict[int, list[str]]] = field(default_factory=dict)
    kinds: dict[Recording, str] = field(default_factory=dict)

    def pick(self, recording: Recording, number: int) -> tuple[str, str]:
        """The picture of one frame, and why there is none: (path, "") or ("", reason)."""
        paths = self.paths.get(recording, {}).get(number, [])
        if len(paths) == 1:
            return paths[0], ""
        if paths:
            return "", f"{len(paths)} pictures have this number, as {' and '.join(paths[:2])}"
        kind = self.kinds.get(recording) or next(iter(self.kinds.values()), "")
        return "", f"no picture {kind}, whatever the zero padding"

    def described(self) -> str:
        """The kinds of paths, for a note."""
        return "pictures: " + ", ".join(sorted(set(self.kinds.values())))


def find_frames(
    raw: Path,
    pattern: re.Pattern[str],
    beginning: str = "",
    canonical: Callable[[str], str] = str.upper,
    avoid: str = "",
) -> FrameFiles:
    """All pictures below `raw` whose path says which frame of which recording they are.

    Frame numbers are compared as whole numbers, so zero padding does not matter.

    Args:
        raw: the folder of the release.
        pattern: finds the group `frame`, and others that name the recording, in a path without its ending.
        beginning: how the paths to use begin, where there are several kinds ("" if there is one).
        canonical: makes one spelling of all those that name the same subject or task.
        avoid: paths in which a word begins like this are not meant ("right": the other camera).

    Raises:
        InputError: one recording's frames are there in several kinds.
    """
    kinds: dict[str, dict[Recording, dict[int, list[str]]]] = {}
    for path in files_below(raw, PICTURES):
        match = pattern.search(path.rpartition(".")[0])
        if match is None or not _meant(path, beginning, avoid):
            continue
        names = {name: text for name, text in match.groupdict().items() if name != "frame"}
        kind = path[: match.start("frame")] + "{frame}"
        for name, text in names.items():
            kind = kind.replace(text, f"{{{name}}}")
        recording = tuple(canonical(text) for text in names.values())
        kinds.setdefault(kind, {}).setdefault(recording, {}).setdefault(int(match["frame"]), []).append(path)
    _check_one_kind(raw, kinds)
    merged = {recording: frames for recordings in kinds.values() for recording, frames in recordings.items()}
    return FrameFiles(merged, {recording: kind for kind, recordings in kinds.items() for recording in recordings})


def find_clips(
    raw: Path,
    pattern: re.Pattern[str],
    beginning: str = "",
    canonical: Callable[[str], str] = str.upper,
    avoid: str = "",
) -> dict[Recording, str]:
    """All videos below `raw` whose name says which recording they are; arguments as in `find_frames`.

    Raises:
        InputError: two videos of one recording.
    """
    clips: dict[Recording, str] = {}
    for path in files_below(raw, VIDEOS):
        match = pattern.search(path.rpartition("/")[2])
        if match is None or not _meant(path, beginning, avoid):
            continue
        recording = tuple(canonical(text) for text in match.groups())
        if recording in clips:
            raise InputError(
                f"two videos of {'/'.join(recording)} in {raw}: {clips[recording]} and {path}; say with --images how "
                "the paths of those to use begin"
            )
        clips[recording] = path
    return clips


class Missing:
    """Frames without a picture, gathered so that a sequence gives one `Skip` a reason instead of thousands."""

    def __init__(self) -> None:
        self._frames: dict[tuple[str, str], list[int]] = {}

    def add(self, sequence: str, frame: int, reason: str) -> None:
        """Notes that `frame` of `sequence` is left out."""
        self._frames.setdefault((sequence, reason), []).append(frame)

    def skips(self) -> list[Skip]:
        """One entry a sequence and reason."""
        return [
            Skip(f"{sequence}, frame{'s' if len(frames) > 1 else ''} {ranges(frames)}", reason, len(frames))
            for (sequence, reason), frames in self._frames.items()
        ]


def ranges(numbers: Iterable[int], most: int = 6) -> str:
    """Whole numbers in few words.

    Example:
        >>> ranges([3, 1, 2, 7, 9, 10])
        '1-3, 7, 9-10'
    """
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in runs[:most]]
    return ", ".join(shown) + (f" and {len(runs) - most} more stretches" if len(runs) > most else "")


def _meant(path: str, beginning: str, avoid: str) -> bool:
    other = avoid and re.search(rf"(?<![a-z]){avoid}", path.lower())
    return path.startswith(beginning.lstrip("/")) and not other


def _check_one_kind(raw: Path, kinds: dict[str, dict[Recording, dict[int, list[str]]]]) -> None:
    first: dict[Recording, str] = {}
    for kind, recordings in kinds.items():
        for recording in recordings:
            other = first.setdefault(recording, kind)
            if other != kind:
                sizes = ", ".join(f"{name} ({sum(map(len, frames.values())):,})" for name, frames in kinds.items())
                raise InputError(
                    f"{raw} has pictures of {'/'.join(recording)} of several kinds: {sizes}; say with --images how "
                    "the paths of those to use begin"
                )
