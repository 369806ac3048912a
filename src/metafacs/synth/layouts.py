"""What lies where in the raw releases of datasets: one description of each, for rendered trees and for those of tests.

Functions write the label files of one recording or one list; `raw` is the folder of the release.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from metafacs.datasets.ferplus import VOTES
from metafacs.files import write_text

Labels = Sequence[int] | NDArray[np.integer]


def write_lines(path: Path, rows: Iterable[Iterable[object]]) -> None:
    """Writes rows as lines of values with commas between them."""
    write_text(path, "".join(",".join(map(str, row)) + "\n" for row in rows))


def bp4d_labels(
    raw: Path,
    recording: str,
    frames: Sequence[int],
    codes: Mapping[int, Labels],
    levels: Mapping[int, Labels],
) -> None:
    """BP4D: `AUCoding/AU_OCC/F001_T1.csv` and, without a header, `AUCoding/AU_INT/AU06/F001_T1_AU06.csv`.

    Args:
        raw: the folder of the release.
        recording: person and task, "F001_T1".
        frames: numbers of the coded frames.
        codes: AU -> 1 present, 0 absent, 9 unknown in each frame; a column each.
        levels: AU -> intensity 0-5, 9 unknown, in each frame; a file each.
    """
    rows = [[frame, *(column[k] for column in codes.values())] for k, frame in enumerate(frames)]
    write_lines(raw / "AUCoding" / "AU_OCC" / f"{recording}.csv", [[0, *codes], *rows])
    for au, column in levels.items():
        path = raw / "AUCoding" / "AU_INT" / f"AU{au:02d}" / f"{recording}_AU{au:02d}.csv"
        write_lines(path, zip(frames, column, strict=True))


def disfa_labels(raw: Path, subject: str, levels: Mapping[int, Labels]) -> None:
    """DISFA: `ActionUnit_Labels/SN001/SN001_au1.txt` with lines "frame,intensity", for twelve AUs.

    Args:
        raw: the folder of the release.
        subject: "SN001".
        levels: AU -> intensity 0-5 in each frame; frames count from 1.
    """
    for au, column in levels.items():
        write_lines(raw / "ActionUnit_Labels" / subject / f"{subject}_au{au}.txt", enumerate(column, start=1))


def disfa_video(camera: str, subject: str) -> str:
    """DISFA: the video of one person by the "Left" or the "Right" camera; both show the same moments."""
    return f"Videos_{camera}Camera/{camera}Video{subject}_comp.avi"


def gft_labels(raw: Path, subject: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """GFT, in a layout of our own, because that of the release is not published: `annotations/001A.csv`.

    Args:
        raw: the folder of the release.
        subject: "001A".
        columns: what the columns behind `frame` hold: `AU01`, `AU01_intensity`...
        rows: of each frame, its number and what the columns hold.
    """
    write_lines(raw / "annotations" / f"{subject}.csv", [["frame", *columns], *rows])


def gft_frame(subject: str, frame: int) -> str:
    """GFT, in a layout of our own: the picture of a frame."""
    return f"frames/{subject}/{frame:04d}.jpg"


def gft_partition(raw: Path, folds: Mapping[str, str]) -> None:
    """GFT, in a layout of our own: `partition.csv`, from the fold of each person; groups are named without letters."""
    rows = [[subject, subject[:-1], fold] for subject, fold in folds.items()]
    write_lines(raw / "partition.csv", [["subject", "group", "partition"], *rows])


def rafdb_labels(raw: Path, codes: Mapping[str, int]) -> None:
    """RAF-DB's basic set: `EmoLabel/list_patition_label.txt` (sic) with lines "train_00001.jpg 5".

    Args:
        raw: the folder `basic` of the release.
        codes: name of the image without its ending -> code of its expression.
    """
    lines = [f"{name}.jpg {code}\n" for name, code in codes.items()]
    write_text(raw / "EmoLabel" / "list_patition_label.txt", "".join(lines))


def rafdb_image(name: str, kind: str) -> str:
    """RAF-DB's basic set: the "aligned" crop, 100 x 100 pixels, or the "original" photo of an image, below `basic`."""
    return f"Image/{kind}/{name}{'_aligned' if kind == 'aligned' else ''}.jpg"


FER_PIXELS, FER_VOTES = "fer2013.csv", "fer2013new.csv"
FER_HEADERS = {FER_PIXELS: "emotion,pixels,Usage\n", FER_VOTES: f"Usage,Image name,{','.join(VOTES)}\n"}
"""FER2013 and FERPlus are a table each; both list the same images in the same order."""


def fer_pixels(code: int, grey: Iterable[int], usage: str) -> str:
    """FER2013's line of an image: one label, the 48 x 48 grey pixels row by row, its part."""
    return f"{code},{' '.join(map(str, grey))},{usage}\n"


def fer_votes(usage: str, name: str, votes: Iterable[int]) -> str:
    """FERPlus's line of an image: its part, its name (empty if it shows no face), the votes of ten people."""
    return f"{usage},{name},{','.join(map(str, votes))}\n"
