"""BP4D: one CSV of occurrence codes a person and task; frames as pictures or clips."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from metafacs.datasets.base import DATASETS, Listing, RawDataset, RowTable, Skip, SourceCard
from metafacs.datasets.folders import find_folder, need_folder
from metafacs.datasets.frames import FrameFiles, Missing, Recording, find_clips, find_frames, ranges
from metafacs.datasets.protocols import FOLD_NAMES, Protocol, by_fold
from metafacs.datasets.textfiles import position, read_csv, whole_number
from metafacs.errors import InputError
from metafacs.facs import AU_SETS, INTENSITY_MAX, au_code, au_title, intensity_column, parse_aus

UNKNOWN = 9
"""Stands for "not coded" in both kinds of label files."""

_NAME = r"(?:^|[^A-Za-z0-9]|2)(?P<subject>[FM]\d{1,3})[/_\- ](?P<task>T\d{1,2})"
_FRAME = re.compile(_NAME + r"(?:[/_\- ].*?)?(?P<frame>\d+)$", re.IGNORECASE)
_CLIP = re.compile(_NAME + r"(?!\d)", re.IGNORECASE)
_LABELS = re.compile(r"(?P<subject>[FM]\d{1,3})_(?P<task>T\d{1,2})", re.IGNORECASE)

Codes = dict[int, dict[str, int | None]]
"""Frame -> AU column -> code, None where unknown."""


@dataclass
class Pictures:
    """Where the frames are: as files, or in clips whose first frame has a number."""

    files: FrameFiles
    clips: dict[Recording, str]
    first_frame: int

    @classmethod
    def find(cls, raw: Path, beginning: str, first_frame: int) -> "Pictures":
        """Pictures below `raw`, or clips where there are no pictures."""
        files = find_frames(raw, _FRAME, beginning, canonical)
        clips = {} if files.paths else find_clips(raw, _CLIP, beginning, canonical)
        if not files.paths and not clips:
            whose = f" whose path begins with '{beginning}' (--images)" if beginning else ""
            raise InputError(
                f"{raw} has neither pictures (as img/F001/T1/2440.jpg) nor clips (as F001_T1.avi){whose}; give the "
                "folder that holds both them and AUCoding"
            )
        return cls(files, clips, first_frame)

    def of(self, recording: Recording, frame: int) -> tuple[dict[str, object], str]:
        """The image or video columns of one frame, and why there is none."""
        if self.files.paths:
            path, reason = self.files.pick(recording, frame)
            return {"image": path}, reason
        clip = self.clips.get(recording, "")
        if not clip:
            return {}, f"no clip {'_'.join(recording)}"
        index = frame - self.first_frame
        reason = (
            f"frame {index} of {clip} does not exist; is --first_frame {self.first_frame} right?" if index < 0 else ""
        )
        return {"video": clip, "video_frame": index}, reason

    def described(self) -> str:
        """Where the frames are, for a note."""
        if self.files.paths:
            return self.files.described()
        return f"{len(self.clips)} clips; what the labels call frame {self.first_frame} is a clip's first picture"

    def extra(self, labelled: Collection[Recording], used: int) -> list[str]:
        """Notes about pictures that no label file speaks of; `used` pictures are in use."""
        known = sum(len(frames) for recording, frames in self.files.paths.items() if recording in labelled)
        strange = sorted("/".join(recording) for recording in self.files.paths if recording not in labelled)
        notes = []
        if known > used:
            notes.append(f"{known - used:,} pictures have no labels (only part of each task is coded): not used")
        if strange:
            notes.append(f"pictures of {len(strange)} recordings without a label file, not used: {strange[0]}, ...")
        return notes


@DATASETS.register("bp4d")
@dataclass
class BP4D(RawDataset):
    """Reads BP4D as released, or with its frames extracted or aligned by other tools."""

    aus: str = "bp4d"
    """which AUs: a set ("bp4d" is the usual 12) or a list such as "1,2,4"."""
    images: str = ""
    """how the paths of the pictures to use begin, below the raw folder, where there are several kinds."""
    intensities: bool = True
    """whether to read AU_INT (AU6, 10, 12, 14 and 17), where it is there."""
    first_frame: int = 1
    """the number that the labels give to a clip's first frame; pictures are found by their own number."""

    card = SourceCard(
        title="BP4D-Spontaneous",
        what="spontaneous facial actions of young adults in eight tasks; AUs coded frame by frame in the most "
        "expressive 20 seconds or so of each task",
        count="41 people (23 women, 18 men), 328 sequences, 146,847 coded frames",
        split="three subject-exclusive parts, P1 to P3 here; results are averages over testing on each",
        licence="for research, by signed agreement; labels and faces may not be passed on",
        citation="X. Zhang et al., BP4D-Spontaneous: a high-resolution spontaneous 3D dynamic facial expression "
        "database, Image and Vision Computing 32(10), 2014",
        obtain="ask Lijun Yin's group at Binghamton University with the signed agreement; a faculty member must sign",
        url="https://www.cs.binghamton.edu/~lijun/Research/3DFE/3DFE_Analysis.html",
    )

    published = Protocol(
        aus=AU_SETS["bp4d"],
        folds=by_fold(
            P1="F001 M007 F018 F008 F002 M004 F010 F009 M012 M001 F016 M014 F023 M008",
            P2="M011 F003 M010 M002 F005 F022 M018 M017 F013 M016 F020 F011 M013 M005",
            P3="F007 F015 F006 F019 M006 M009 F012 M003 F004 F021 F017 M015 F014",
        ),
        fold_names=FOLD_NAMES,
        frames={  # ME-GraphAU drops none, the others drop frames without landmarks
            "ME-GraphAU": {"P1": 50631, "P2": 50182, "P3": 46034},
            "JAA-Net": {"P1": 50601, "P2": 50166, "P3": 45809},
            "FG-Net": {"P1": 50579, "P2": 50157, "P3": 45687},
        },
        base_rates={1: 0.2114, 2: 0.1710, 4: 0.2026, 6: 0.4609, 7: 0.5490, 10: 0.5943}
        | {12: 0.5620, 14: 0.4656, 15: 0.1694, 17: 0.3433, 23: 0.1654, 24: 0.1514},
    )

    def __post_init__(self) -> None:
        self.au_columns = parse_aus(self.aus)

    def read(self, raw: Path) -> Listing:
        """See `RawDataset.read`."""
        folder = need_folder(raw, ["AU_OCC"], "occurrence codes", "AUCoding/AU_OCC/F001_T1.csv")
        files, notes = label_files(folder)
        pictures = Pictures.find(raw, self.images, self.first_frame)
        folds, strangers = self.published.assign(subject for subject, _ in files)
        graded, levels, lacking = self._intensities(raw, files)
        rows, missing, unknown = RowTable(self.au_columns, graded), Missing(), 0
        skipped: list[Skip] = []
        notes += [pictures.described(), *strangers, *lacking]
        for recording, path in sorted(files.items()):
            codes, twice = read_codes(path, self.au_columns)
            skipped += twice
            sequence, absent = "/".join(recording), []
            person = {"subject": recording[0], "sequence": sequence, "fold": folds[recording[0]]}
            for frame, values in codes.items():
                place, reason = pictures.of(recording, frame)
                if reason:
                    missing.add(sequence, frame, reason)
                    absent.append(frame)
                    continue
                unknown += sum(value is None for value in values.values())
                rows.add({**place, **person, "frame": frame, **values, **levels.get(recording, {}).get(frame, {})})
            notes += suspicion(sequence, absent, pictures.files.paths.get(recording, {}).keys() - codes.keys())
        notes += pictures.extra(files, len(rows))
        notes += [f"{unknown:,} codes are {UNKNOWN} (unknown): left empty"] if unknown else []
        return rows.listing(raw, skipped + missing.skips(), notes, "bp4d")

    def _intensities(
        self, raw: Path, files: Collection[Recording]
    ) -> tuple[list[str], dict[Recording, Codes], list[str]]:
        """AU columns with intensities, the intensities, and notes about what is lacking."""
        folder = find_folder(raw, ["AU_INT"]) if self.intensities else None
        levels: dict[Recording, Codes] = {}
        graded: list[str] = []
        notes: list[str] = []
        if folder is None:
            return graded, levels, notes
        for column in [column for column in self.au_columns if au_code(column) in AU_SETS["bp4d_intensity"]]:
            place = find_folder(folder, [column, au_title(column)])
            if place is None:
                notes.append(f"{folder} has no folder {column}: its intensity is left empty")
                continue
            graded.append(column)
            level_files, _ = label_files(place)
            for recording, path in level_files.items():
                codes = levels.setdefault(recording, {})
                for frame, level in read_levels(path).items():
                    codes.setdefault(frame, {})[intensity_column(column)] = level
            lacking = sorted("_".join(recording) for recording in files if recording not in level_files)
            if lacking:
                notes.append(f"no intensity of {au_title(column)} for {len(lacking)} recordings: {lacking[0]}, ...")
        return graded, levels, notes


def canonical(name: str) -> str:
    """One spelling of a person or task: 2D clips are called F01_T1, label files F001_T1.

    Example:
        >>> canonical("f01"), canonical("T1")
        ('F001', 'T1')
    """
    number = int(name[1:])
    return f"T{number}" if name[0] in "tT" else f"{name[0].upper()}{number:03d}"


def label_files(folder: Path) -> tuple[dict[Recording, Path], list[str]]:
    """The label file of every recording (F001_T1.csv), and notes about other files.

    Raises:
        InputError: two files of one recording, a folder instead of a file, or no file at all.
    """
    files: dict[Recording, Path] = {}
    ignored = []
    for path in sorted(folder.iterdir()):
        match = _LABELS.match(path.name)
        if match is None or path.suffix.lower() != ".csv":
            ignored.append(path.name)
            continue
        recording = (canonical(match["subject"]), canonical(match["task"]))
        if recording in files:
            raise InputError(f"two label files of {'_'.join(recording)}: {files[recording]} and {path}; keep one")
        files[recording] = path
    if not files:
        raise InputError(f"{folder} has no label file named like F001_T1.csv; unpack or download it again")
    ignored = [name for name in ignored if not name.startswith(".")]
    return files, [f"{folder.name}: ignored {len(ignored)} other files, as {ignored[0]}"] if ignored else []


def read_codes(path: Path, aus: Iterable[str]) -> tuple[Codes, list[Skip]]:
    """Reads one AU_OCC file: a header row of AU numbers (0 over the frame numbers), then a row a frame.

    Returns:
        The codes by frame, and rows left out because they only repeat another.

    Raises:
        InputError: a column is missing, a code is impossible, a row is cut off, two rows disagree.
    """
    rows = read_csv(path, "occurrence codes")
    _, names = next(rows)
    names = [name.lstrip("0") or "0" if name.isdigit() else name for name in names]
    frame_at = position(names, "0", path)
    places = {column: position(names, str(au_code(column)), path) for column in aus}
    codes: Codes = {}
    lines: dict[int, int] = {}
    skipped = []
    for number, row in rows:
        frame = whole_number(row[frame_at], path, number, "the frame number")
        values = {column: _code(row[place], path, number, column) for column, place in places.items()}
        if frame in codes:
            if codes[frame] != values:
                raise InputError(
                    f"{path}: lines {lines[frame]} and {number} give frame {frame} different codes; correct the file"
                )
            skipped.append(Skip(f"{path.name}, line {number}", "repeats a frame"))
        codes[frame], lines[frame] = values, lines.get(frame, number)
    if not codes:
        raise InputError(f"{path} has a header and no rows; unpack or download it again")
    return codes, skipped


def read_levels(path: Path) -> dict[int, int | None]:
    """Reads one AU_INT file: frame number and intensity (0-5, 9 unknown) a row, with or without a header row.

    Raises:
        InputError: it has other than two columns, or a value that is not an intensity.
    """
    levels: dict[int, int | None] = {}
    for number, row in read_csv(path, "intensity codes"):
        if len(row) != 2:
            raise InputError(
                f"{path}: {len(row)} columns, not frame and intensity; leave it out with --intensities false"
            )
        if not levels and (not row[0].isdigit() or row[0] == "0"):
            continue  # a header row, as in AU_OCC: 0 and the AU
        frame = whole_number(row[0], path, number, "the frame number")
        allowed = {*range(INTENSITY_MAX + 1), UNKNOWN}
        level = whole_number(row[1], path, number, "the intensity")
        if level not in allowed:
            raise InputError(f"{path}, line {number}: intensity {level}; 0 to {INTENSITY_MAX} and {UNKNOWN} are known")
        levels[frame] = None if level == UNKNOWN else level
    return levels


def suspicion(sequence: str, absent: Collection[int], extra: Collection[int]) -> list[str]:
    """A note if just one labelled frame has no picture while just one picture has no labels: a shift by one."""
    if len(absent) == 1 and len(extra) == 1:
        return [
            f"{sequence}: frame {ranges(absent)} has labels and no picture, picture {ranges(extra)} has no labels: are "
            "its pictures counted from another number than its labels?"
        ]
    return []


def _code(text: str, path: Path, number: int, column: str) -> int | None:
    value = 1 if text == "1" else 0 if text == "0" else whole_number(text, path, number, au_title(column))
    if value not in (0, 1, UNKNOWN):
        raise InputError(
            f"{path}, line {number:,}: {au_title(column)} is {value}; 0 (absent), 1 (present) and {UNKNOWN} (unknown) "
            "are known codes"
        )
    return None if value == UNKNOWN else value
