"""CK+: one FACS file a sequence, for its last frame, and an expression for a third of them."""

import re
from dataclasses import dataclass
from pathlib import Path

from metafacs.datasets.base import DATASETS, Listing, RawDataset, RowTable, Skip, SourceCard
from metafacs.datasets.folders import PictureFolders, find_folder, need_folder
from metafacs.datasets.textfiles import AGAIN, read_lines, whole_number
from metafacs.errors import InputError
from metafacs.facs import ACTION_UNITS, EXPRESSIONS, INTENSITY_MAX, au_column, intensity_column, parse_aus

DEFAULT_AUS = "1,2,4,5,6,7,9,11,12,15,17,20,23,24,25,26,27"
"""The 17 AUs that results on CK+ are usually reported for."""

CODES = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
"""CK+'s expression codes, 0 to 7."""

_NAME = re.compile(
    r"(?P<subject>S\d{3})_(?P<sequence>\d{3})_(?P<frame>\d{8})_(?P<kind>facs|emotion)\.txt", re.IGNORECASE
)
_Sequence = tuple[str, str]


@DATASETS.register("ckplus")
@dataclass
class CKPlus(RawDataset):
    """Reads CK+: FACS/S005/001/S005_001_00000011_facs.txt, Emotion/ alike, cohn-kanade-images/S005/001/*.png.

    The last frame of each sequence is coded. AUs that its file does not name are absent. A sequence whose file is empty
    or damaged is left out and counted.
    """

    aus: str = DEFAULT_AUS
    """which AUs, as a list such as "1,2,4"."""
    neutral_frames: bool = False
    """whether to take the first frame of each sequence too, as a neutral face without AUs (sequences begin neutral by
    design; nobody coded that frame)."""
    folds: int = 10
    """into how many folds people are dealt, in the order of their numbers (10 is usual for expressions)."""

    card = SourceCard(
        title="CK+ (Extended Cohn-Kanade)",
        what="posed and some spontaneous expressions from neutral to the peak; AUs coded at the peak, with intensity "
        "where it was coded",
        count="593 sequences of 123 people, 327 with an expression",
        split="none published; leave-one-subject-out or ten folds of people in the order of their numbers",
        licence="for non-commercial research, by signed agreement; faces of some people may be printed",
        citation="P. Lucey et al., The extended Cohn-Kanade dataset (CK+), CVPR Workshops 2010",
        obtain="ask Jeffrey Cohn's group at the University of Pittsburgh with the signed agreement",
        url="https://www.jeffcohn.net/resources/",
    )

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise InputError(f"--folds is {self.folds}; 2 or more are needed, 10 is usual")
        self.au_columns = parse_aus(self.aus)

    def read(self, raw: Path) -> Listing:
        """See `RawDataset.read`."""
        folder = need_folder(raw, ["FACS"], "AU codes", "FACS/S005/001/S005_001_00000011_facs.txt")
        images = need_folder(raw, ["cohn-kanade-images"], "pictures", "cohn-kanade-images/S005/001/*.png")
        coded = label_files(folder, "facs")
        emotions, contempt = read_emotions(raw)
        place = "" if images == raw else f"{images.relative_to(raw).as_posix()}/"
        subjects = sorted({subject for subject, _ in coded})
        folds = {subject: f"P{index % self.folds + 1}" for index, subject in enumerate(subjects)}
        pictures, rows, skipped = PictureFolders(raw), RowTable(self.au_columns, self.au_columns), []
        strange: set[int] = set()
        for (subject, number), path in coded.items():
            try:
                levels, expression = read_facs(path), emotions.get((subject, number))
            except InputError as error:
                # One damaged file of 593 costs one sequence, not the dataset.
                skipped.append(Skip(path.name, str(error)))
                continue
            strange |= levels.keys() - ACTION_UNITS.keys()
            peak = int(path.name.split("_")[2])
            frames = {1: {}, peak: levels} if self.neutral_frames else {peak: levels}
            for frame, acting in frames.items():
                stem = f"{place}{subject}/{number}/{subject}_{number}_{frame:08d}"
                image = pictures.find(stem)
                if image is None:
                    skipped.append(Skip(path.name, f"no picture {stem}.png"))
                    continue
                named = {"image": image, "subject": subject, "sequence": f"{subject}/{number}", "frame": frame}
                shown = expression if frame == peak else "neutral"
                rows.add({**named, "fold": folds[subject], "expression": shown, **_labels(acting, self.au_columns)})
        notes = [f"{self.folds} folds: people in the order of their numbers, dealt in turn", *contempt]
        notes += [f"codes that are not AUs, not used: {', '.join(map(str, sorted(strange)))}"] if strange else []
        return rows.listing(raw, skipped, notes)


def read_emotions(raw: Path) -> tuple[dict[_Sequence, str], list[str]]:
    """The expression of every sequence that has one of the seven, and a note about contempt."""
    folder = find_folder(raw, ["Emotion"])
    if folder is None:
        return {}, ["there is no folder Emotion: no expressions"]
    named = {key: CODES[read_emotion(path)] for key, path in label_files(folder, "emotion").items()}
    seven = {key: name for key, name in named.items() if name in EXPRESSIONS}
    others = len(named) - len(seven)
    return seven, [f"{others} sequences show contempt, none of the seven: no expression there"] if others else []


def label_files(folder: Path, kind: str) -> dict[_Sequence, Path]:
    """The label file of every sequence that has one.

    Args:
        folder: FACS or Emotion.
        kind: "facs" or "emotion".

    Raises:
        InputError: no file, or two of one sequence.
    """
    files: dict[_Sequence, Path] = {}
    for path in sorted(folder.rglob("*.[tT][xX][tT]")):
        match = _NAME.fullmatch(path.name)
        if match is None or match["kind"].lower() != kind:
            continue
        key = match["subject"].upper(), match["sequence"]
        if key in files:
            raise InputError(f"two files for sequence {'/'.join(key)}: {files[key]} and {path}; keep the right one")
        files[key] = path
    if not files:
        raise InputError(f"{folder} has no file named like S005_001_00000011_{kind}.txt; {AGAIN}")
    return files


def read_facs(path: Path) -> dict[int, int | None]:
    """AU -> intensity (1-5, None where none is given) of one FACS file: two numbers a line.

    A file of blank lines means that no AU was seen.

    Raises:
        InputError: a line does not hold an AU and an intensity, or two lines disagree.
    """
    levels: dict[int, int | None] = {}
    for number, line in [] if _blank(path) else read_lines(path, "AU codes"):
        cells = line.replace(",", " ").split()
        if len(cells) != 2:
            raise InputError(f"{path}, line {number}: '{line}' is not an AU and its intensity; cut off there? {AGAIN}")
        code = whole_number(cells[0], path, number, "the AU")
        level = whole_number(cells[1], path, number, "the intensity")
        if not 0 <= level <= INTENSITY_MAX:
            raise InputError(f"{path}, line {number}: intensity {level}; 0 (not given) to {INTENSITY_MAX} are known")
        if levels.setdefault(code, level or None) != (level or None):
            raise InputError(f"{path}, line {number}: AU{code} once more with another intensity; correct the file")
    return levels


def read_emotion(path: Path) -> int:
    """The expression code of one Emotion file.

    Raises:
        InputError: it holds anything else than one code.
    """
    lines = read_lines(path, "the expression")
    code = whole_number(lines[0][1], path, lines[0][0], "the expression code")
    if len(lines) != 1 or not 0 <= code < len(CODES):
        raise InputError(f"{path}: one expression code from 0 to {len(CODES) - 1} is expected; {AGAIN}")
    return code


def _blank(path: Path) -> bool:
    return path.is_file() and 0 < path.stat().st_size < 100 and not path.read_bytes().strip()


def _labels(levels: dict[int, int | None], aus: list[str]) -> dict[str, int | None]:
    codes = {au_column(code): level for code, level in levels.items() if code in ACTION_UNITS}
    present = {column: int(column in codes) for column in aus}
    return {**present, **{intensity_column(column): codes.get(column, 0) for column in aus}}
