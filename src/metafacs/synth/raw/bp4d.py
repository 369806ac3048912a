"""BP4D as it is released: `AUCoding/AU_OCC/F001_T1.csv`, `AUCoding/AU_INT/AU06/F001_T1_AU06.csv`, `F001/T1/0111.jpg`.

Occurrence tables have a column for each AU number and 9 where nobody coded it; the intensities of five AUs have a file
each, without a header. Only the coded segment of a recording is listed. Frames are numbered with leading zeros, with
four or three digits, by recording.
"""

from pathlib import Path

from metafacs.facs import AU_SETS
from metafacs.files import write_text
from metafacs.synth.parts import Row
from metafacs.synth.raw.camera import film
from metafacs.synth.raw.people import Footage

NAME = "BP4D"
EYES = 0.13
"""Distance between the eyes, as a share of the frame's width, on average."""
CODES = range(1, 100)
UNKNOWN = 9


def write_footage(root: Path, shown: Footage, size: tuple[int, int], rays: int) -> list[Row]:
    """Writes one task of one person into the tree and returns what is true of each frame."""
    subject, task = shown.subject.name, shown.clip.name
    _write_labels(root / "AUCoding", shown)
    folder, digits = Path(subject) / task, digits_of(shown)
    (root / folder).mkdir(parents=True, exist_ok=True)
    rows = []
    shots = list(shown.shots())
    for frame, (encoded, marks, _) in enumerate(film(shots, size, rays)):
        path = folder / f"{shown.clip.first + frame:0{digits}d}.jpg"
        (root / path).write_bytes(encoded)
        rows.append({**shown.row(frame, path.as_posix(), shots[frame]), "landmarks": marks})
    return rows


def digits_of(shown: Footage) -> int:
    """How many digits the names of a recording's frames have: those of its last number, at least 3; 4 in odd tasks."""
    longest = len(str(shown.clip.first + shown.clip.frames - 1))
    return max(longest, 4 if int(shown.clip.name[1:]) % 2 else 3)


def _write_labels(folder: Path, shown: Footage) -> None:
    name = f"{shown.subject.name}_{shown.clip.name}"
    coded = {au: shown.coded(au) for au in shown.aus}
    lines = [",".join(map(str, (0, *CODES)))]
    for frame in range(shown.clip.frames):
        present = [coded[au][frame][1] if au in coded else UNKNOWN for au in CODES]
        lines.append(",".join(map(str, (shown.clip.first + frame, *present))))
    write_text(folder / "AU_OCC" / f"{name}.csv", "\n".join(lines) + "\n")
    for au in AU_SETS["bp4d_intensity"]:
        rows = [f"{number},{level}" for number, _, level in coded[au]]
        write_text(folder / "AU_INT" / f"AU{au:02d}" / f"{name}_AU{au:02d}.csv", "\n".join(rows) + "\n")
