"""A tree of our own for GFT, because the layout of its release is not published.

`annotations/001A.csv` holds a header and a row a frame: `frame`, then for each AU its occurrence (`AU01`) and intensity
(`AU01_intensity`); `frames/001A/0001.jpg` are the frames; `partition.csv` says who is in which group and part.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from metafacs.facs import au_column, intensity_column
from metafacs.files import write_text
from metafacs.synth.parts import Row
from metafacs.synth.raw.camera import film
from metafacs.synth.raw.people import Footage

NAME = "GFT"
EYES = 0.1
"""Distance between the eyes, as a share of the frame's width, on average."""


def write_footage(root: Path, shown: Footage, size: tuple[int, int], rays: int) -> list[Row]:
    """Writes the frames and labels of one person into the tree and returns what is true of each frame."""
    subject = shown.subject.name
    columns = [name for au in shown.aus for name in (au_column(au), intensity_column(au_column(au)))]
    folder = Path("frames") / subject
    (root / folder).mkdir(parents=True, exist_ok=True)
    rows, lines, shots = [], [",".join(("frame", *columns))], list(shown.shots())
    for frame, (encoded, marks, _) in enumerate(film(shots, size, rays)):
        path = folder / f"{shown.clip.first + frame:04d}.jpg"
        (root / path).write_bytes(encoded)
        rows.append({**shown.row(frame, path.as_posix(), shots[frame]), "landmarks": marks})
        lines.append(",".join(str(rows[-1][name]) for name in ("frame", *columns)))
    write_text(root / "annotations" / f"{subject}.csv", "\n".join(lines) + "\n")
    return rows


def join(root: Path, parts: Iterator[pa.Table]) -> None:
    """Writes `partition.csv`."""
    people = dict.fromkeys((part["subject"][0].as_py(), part["fold"][0].as_py()) for part in parts)
    lines = ["subject,group,partition", *(f"{name},{name[:-1]},{fold}" for name, fold in people)]
    write_text(root / "partition.csv", "\n".join(lines) + "\n")
