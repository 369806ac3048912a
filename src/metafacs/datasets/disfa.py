"""DISFA: one file of intensities a person and AU; frames from the left or the right camera, counted from 0 or 1."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from metafacs.datasets.base import DATASETS, Listing, RawDataset, RowTable, SourceCard
from metafacs.datasets.folders import need_folder
from metafacs.datasets.frames import FrameFiles, Missing, find_clips, find_frames
from metafacs.datasets.protocols import FOLD_NAMES, Protocol, Rule, by_fold
from metafacs.datasets.textfiles import AGAIN, read_lines, whole_number
from metafacs.errors import InputError
from metafacs.facs import AU_SETS, INTENSITY_MAX, PRESENT_FROM, au_code, au_title, intensity_column, parse_aus

FRAMES = 4845
"""Labelled frames of each person; of a few, one less."""

_FRAME = re.compile(r"(?P<subject>SN\d{3})(?!\d).*?(?P<frame>\d+)$", re.IGNORECASE)
_CLIP = re.compile(r"(?P<subject>SN\d{3})(?!\d)", re.IGNORECASE)
_SIDES = ("left", "right")


@DATASETS.register("disfa")
@dataclass
class DISFA(RawDataset):
    """Reads DISFA as released (videos), or with its frames extracted or aligned by other tools."""

    aus: str = "disfa"
    """which AUs: "disfa" is the usual 8, "disfa_all" all 12 coded, or a list such as "1,2,4"."""
    camera: Literal["left", "right"] = "left"
    """which camera, where the names of files say so: papers use either (ME-GraphAU and JAA-Net the left one, LibreFace
    and FMAE the right one)."""
    present_from: int = PRESENT_FROM
    """an AU counts as present from this intensity on."""
    first_frame: int | None = None
    """the number in the name of the picture that belongs to the first label, 0 or 1; found out by itself where the
    pictures tell."""
    images: str = ""
    """how the paths of the pictures to use begin, below the raw folder, where there are several kinds."""

    card = SourceCard(
        title="DISFA (Denver Intensity of Spontaneous Facial Action)",
        what="people watching a four-minute film, filmed from two sides; intensities (0-5) of 12 AUs in every frame",
        count="27 people (12 women, 15 men), 4,845 labelled frames each (of a few 4,844), 130,814 in all",
        split="three subject-exclusive parts, P1 to P3 here; results are averages over testing on each",
        licence="for research, by signed agreement; labels and faces may not be passed on",
        citation="S. M. Mavadati et al., DISFA: a spontaneous facial action intensity database, IEEE Transactions on "
        "Affective Computing 4(2), 2013",
        obtain="ask Mohammad Mahoor's group at the University of Denver with the signed agreement",
        url="http://mohammadmahoor.com/disfa/",
    )

    published = Protocol(
        aus=AU_SETS["disfa"],
        folds=by_fold(
            P1="SN002 SN010 SN001 SN026 SN027 SN032 SN030 SN009 SN016",
            P2="SN013 SN018 SN011 SN028 SN012 SN006 SN031 SN021 SN024",
            P3="SN003 SN029 SN023 SN025 SN008 SN005 SN007 SN017 SN004",
        ),
        fold_names=FOLD_NAMES,
        frames={  # ME-GraphAU drops none, the others drop frames without landmarks
            "ME-GraphAU": {"P1": 43604, "P2": 43605, "P3": 43605},
            "JAA-Net": {"P1": 43173, "P2": 40344, "P3": 42627},
            "FG-Net": {"P1": 43545, "P2": 43605, "P3": 43161},
        },
        base_rates={1: 0.0497, 2: 0.0431, 4: 0.1524, 6: 0.0789, 9: 0.0418, 12: 0.1288, 25: 0.2771, 26: 0.0882},
        rules=(
            Rule(
                "present_from",
                PRESENT_FROM,
                f"an AU counts as present from intensity {{value}}; results are published for {PRESENT_FROM}",
                f"prepare with --present_from {PRESENT_FROM}",
            ),
            Rule(
                "camera",
                "left",
                "the {value} camera; ME-GraphAU and JAA-Net use the left one, LibreFace and FMAE the right one",
                "compare only with results from the same camera",
                comparable=True,
            ),
        ),
    )

    def __post_init__(self) -> None:
        if self.camera not in _SIDES:
            raise InputError(f"--camera is '{self.camera}'; it is left or right")
        if not 1 <= self.present_from <= INTENSITY_MAX:
            raise InputError(
                f"--present_from is {self.present_from}; it must be 1 to {INTENSITY_MAX}, {PRESENT_FROM} is usual"
            )
        if self.first_frame not in (None, 0, 1):
            raise InputError(f"--first_frame is {self.first_frame}; pictures are counted from 0 or from 1")
        self.au_columns = parse_aus(self.aus)

    def read(self, raw: Path) -> Listing:
        """See `RawDataset.read`."""
        folder = need_folder(raw, ["ActionUnit_Labels"], "intensities", "ActionUnit_Labels/SN001/SN001_au1.txt")
        subjects = subject_folders(folder)
        levels = {subject: read_subject(place, subject, self.au_columns) for subject, place in subjects.items()}
        counts = {subject: len(graded[self.au_columns[0]]) for subject, graded in levels.items()}
        files, clips, notes = self._pictures(raw)
        first = 1 if clips else self._first_frame(files, counts, notes)
        folds, strangers = self.published.assign(subjects)
        notes += [f"an AU is present from intensity {self.present_from} on", *strangers, *_odd_counts(counts)]
        rows, missing = RowTable(self.au_columns, self.au_columns), Missing()
        for subject, graded in levels.items():
            clip = clips.get((subject,), "")
            for index in range(counts[subject]):
                place, reason = _clip_frame(clip, index) if clips else _file_frame(files, subject, index + first)
                if reason:
                    missing.add(subject, index + 1, reason)
                    continue
                intensities = {intensity_column(column): graded[column][index] for column in self.au_columns}
                present = {column: int(graded[column][index] >= self.present_from) for column in self.au_columns}
                named = {"subject": subject, "sequence": subject, "frame": index + 1, "fold": folds[subject]}
                rows.add({**place, **named, **present, **intensities})
        return rows.listing(raw, missing.skips(), notes, "disfa")

    def _pictures(self, raw: Path) -> tuple[FrameFiles, dict[tuple[str, ...], str], list[str]]:
        """Pictures of the wanted camera, or its videos where there are no pictures, and what to say about them."""
        other = _SIDES[1 - _SIDES.index(self.camera)]
        files = find_frames(raw, _FRAME, self.images, avoid=other)
        if files.paths:
            named = any(self.camera in kind.lower() for kind in files.kinds.values())
            whose = f"{self.camera} camera" if named else "their names do not say which camera they are from"
            return files, {}, [f"{files.described()} ({whose})"]
        clips = find_clips(raw, _CLIP, self.images, avoid=other)
        if clips:
            named = any(self.camera in clip.lower() for clip in clips.values())
            whose = f"of the {self.camera} camera" if named else "whose names do not say which camera they are from"
            return files, clips, [f"{len(clips)} videos {whose}; label 1 is a video's first picture"]
        others = find_frames(raw, _FRAME).paths or find_clips(raw, _CLIP, avoid=self.camera)
        if others and not self.images:
            raise InputError(
                f"{raw} has pictures or videos of the {other} camera only, --camera {self.camera} was asked for; "
                f"give --camera {other} if that is wanted (results of the two cannot be compared)"
            )
        begin = f" whose path begins with '{self.images}' (--images)" if self.images else ""
        raise InputError(
            f"{raw} has neither videos (as Videos_LeftCamera/LeftVideoSN001_comp.avi) nor pictures (as "
            f"img/SN001/0.png){begin}; give the folder that holds both them and ActionUnit_Labels"
        )

    def _first_frame(self, files: FrameFiles, counts: Mapping[str, int], notes: list[str]) -> int:
        """Whether pictures are counted from 0 or from 1.

        Raises:
            InputError: they do not tell, or contradict each other.
        """
        from_0, from_1, both = [], [], []
        for (subject, *_), frames in files.paths.items():
            count = counts.get(subject, 0)
            if 0 in frames:
                from_0.append(subject)
                if count in frames:
                    both.append(subject)
            elif count in frames:
                from_1.append(subject)
        if self.first_frame is None and from_0 and from_1:
            raise InputError(
                f"pictures of {from_0[0]} are counted from 0, those of {from_1[0]} from 1 ({counts[from_1[0]]} is "
                "there, 0 is not); extract them again alike, or say which is right with --first_frame"
            )
        if self.first_frame is None and not from_0 and not from_1:
            raise InputError(
                "the pictures do not tell whether they are counted from 0 or from 1: nobody has a picture 0, nor one "
                "with the number of the last label; give --first_frame 0 or --first_frame 1, as the tool that "
                "extracted them counted"
            )
        first = (0 if from_0 else 1) if self.first_frame is None else self.first_frame
        notes.append(
            f"picture {first} belongs to the first label ({'found' if self.first_frame is None else 'as given'})"
        )
        if first == 0 and both:
            notes.append(
                f"off by one? {len(both)} people have one picture more than labels (0 to {counts[both[0]]:,}, as "
                f"{both[0]}): if the first picture is the surplus one, give --first_frame 1"
            )
        if first == 1 and from_0:
            notes.append(f"off by one? --first_frame 1, but {from_0[0]} and others have a picture 0")
        return first


def subject_folders(folder: Path) -> dict[str, Path]:
    """The label folder of every person.

    Raises:
        InputError: there is none, or a file has a person's name.
    """
    folders = {path.name.upper(): path for path in sorted(folder.iterdir()) if _CLIP.fullmatch(path.name)}
    if not folders:
        raise InputError(f"{folder} has no folder of a person, such as SN001; {AGAIN}")
    for path in folders.values():
        if not path.is_dir():
            raise InputError(f"{path} is a file, but a folder of label files is expected there; {AGAIN}")
    return folders


def read_subject(folder: Path, subject: str, aus: list[str]) -> dict[str, list[int]]:
    """The intensities of one person: AU column -> one level a frame, frame 1 first.

    Raises:
        InputError: a file is missing or damaged, or two have different lengths.
    """
    by_name = {path.name.lower(): path for path in folder.iterdir()}
    levels = {}
    for column in aus:
        name = f"{subject}_au{au_code(column)}.txt"
        path = by_name.get(name.lower(), folder / name)
        levels[column] = read_levels(path, column)
    longest = max(levels, key=lambda column: len(levels[column]))
    for column, frames in levels.items():
        if len(frames) != len(levels[longest]):
            raise InputError(
                f"{folder}: {au_title(column)} has {len(frames):,} frames, {au_title(longest)} "
                f"{len(levels[longest]):,}; the file of {au_title(column)} was cut off, {AGAIN}"
            )
    return levels


def read_levels(path: Path, column: str) -> list[int]:
    """Reads one label file: "frame,intensity" a line, frames from 1 without a gap.

    Raises:
        InputError: a line is cut off, out of order, or holds an impossible intensity.
    """
    levels: list[int] = []
    for number, line in read_lines(path, f"intensities of {au_title(column)}"):
        cells = [cell.strip() for cell in line.replace(";", ",").split(",")] if "," in line else line.split()
        if len(cells) != 2:
            raise InputError(f"{path}, line {number:,}: '{line}' is not 'frame,intensity'; cut off there? {AGAIN}")
        frame = whole_number(cells[0], path, number, "the frame number")
        level = whole_number(cells[1], path, number, "the intensity")
        if not 0 <= level <= INTENSITY_MAX:
            raise InputError(
                f"{path}, line {number:,}: intensity {level}; 0 to {INTENSITY_MAX} exist, so the file is not DISFA's "
                f"or was changed; {AGAIN}"
            )
        if frame != len(levels) + 1:
            raise InputError(
                f"{path}, line {number:,}: frame {frame}, but {len(levels) + 1} should follow; frames count from 1 "
                f"without gaps: {AGAIN}"
            )
        levels.append(level)
    return levels


def _file_frame(files: FrameFiles, subject: str, number: int) -> tuple[dict[str, object], str]:
    path, reason = files.pick((subject,), number)
    return {"image": path}, reason


def _clip_frame(clip: str, index: int) -> tuple[dict[str, object], str]:
    return {"video": clip, "video_frame": index}, "" if clip else "no video of this person"


def _odd_counts(counts: Mapping[str, int]) -> list[str]:
    odd = [f"{subject} {count:,}" for subject, count in counts.items() if count != FRAMES]
    shown = ", ".join(odd[:6]) + (f" and {len(odd) - 6} more" if len(odd) > 6 else "")
    return [f"people with other than {FRAMES:,} labelled frames: {shown}"] if odd else []
