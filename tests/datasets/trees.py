"""Miniature trees in the layouts of the releases, with labels that are random but known.

Where rendered faces are written in the layout too, `metafacs.synth.layouts` describes it for both.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from metafacs.facs import AU_SETS, au_column
from metafacs.files import write_text
from metafacs.synth import layouts

BP4D_HEADER = [1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23, 24, 27, 28]


def _jpeg() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (128, 100, 90)).save(stream, "JPEG")
    return stream.getvalue()


JPEG = _jpeg()


def picture(path: Path) -> None:
    """A small picture at `path`; readers never look inside, whatever its ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(JPEG)


def text(path: Path, lines: Iterable[str], newline: str = "\n", end: str = "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((newline.join(lines) + end).encode())
    return path


def table(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    return text(path, [",".join(map(str, row)) for row in rows])


def bp4d(
    raw: Path,
    recordings: Mapping[tuple[str, str], range],
    images: str | None = "img/{subject}/{task}/{frame}.jpg",
    seed: int = 0,
    levels: bool = False,
) -> dict[tuple[str, int], dict[str, int | None]]:
    """Writes a BP4D tree; returns sequence and frame -> AU column -> label."""
    rng, truth = np.random.default_rng(seed), {}
    for (subject, task), frames in recordings.items():
        drawn = rng.choice([0, 1, 9], (len(frames), len(BP4D_HEADER)), p=[0.6, 0.3, 0.1])
        codes = dict(zip(BP4D_HEADER, drawn.T.tolist(), strict=True))
        graded = [9 if frame % 5 == 0 else frame % 6 for frame in frames]
        aus = AU_SETS["bp4d_intensity"] if levels else ()
        layouts.bp4d_labels(raw, f"{subject}_{task}", frames, codes, dict.fromkeys(aus, graded))
        for k, frame in enumerate(frames):
            truth[f"{subject}/{task}", frame] = {
                f"AU{au:02d}": None if codes[au][k] == 9 else codes[au][k] for au in AU_SETS["bp4d"]
            }
            if images:
                picture(raw / images.format(subject=subject, task=task, frame=frame))
    return truth


def disfa(
    raw: Path,
    subjects: Sequence[str],
    frames: int = 6,
    images: str | None = "img/{subject}/{frame}.png",
    first: int = 0,
    seed: int = 0,
) -> dict[tuple[str, int], dict[str, int]]:
    """Writes a DISFA tree; returns subject and frame (from 1) -> AU column -> intensity."""
    rng, truth = np.random.default_rng(seed), {}
    for subject in subjects:
        levels = rng.integers(0, 6, (frames, len(AU_SETS["disfa_all"])))
        layouts.disfa_labels(raw, subject, dict(zip(AU_SETS["disfa_all"], levels.T, strict=True)))
        for frame in range(frames):
            named = zip(AU_SETS["disfa_all"], levels[frame].tolist(), strict=True)
            truth[subject, frame + 1] = {f"AU{au:02d}": level for au, level in named}
            if images:
                picture(raw / images.format(subject=subject, frame=frame + first))
    return truth


def ferplus(raw: Path, votes: Sequence[Sequence[int]], usages: Sequence[str], nameless: Sequence[int] = ()) -> None:
    """Writes fer2013.csv and fer2013new.csv; image k is grey with value k."""
    pixels, labels = layouts.FER_HEADERS.values()
    for index, (given, usage) in enumerate(zip(votes, usages, strict=True)):
        pixels += layouts.fer_pixels(0, [index % 256] * 2304, usage)
        labels += layouts.fer_votes(usage, "" if index in nameless else f"fer{index:07d}.png", given)
    write_text(raw / layouts.FER_PIXELS, pixels)
    write_text(raw / layouts.FER_VOTES, labels)


def miniature(name: str, raw: Path) -> dict[str, object]:
    """Writes a small valid tree for the reader `name`; returns the options it needs."""
    return WRITERS[name](raw) or {}


def _bp4d(raw: Path) -> None:
    bp4d(raw, {("F001", "T1"): range(2440, 2444), ("M011", "T8"): range(95, 103), ("F007", "T2"): range(3)})


def _disfa(raw: Path) -> None:
    disfa(raw, ["SN001", "SN013", "SN003"])


def _gft(raw: Path) -> dict[str, object]:
    aus = [au_column(au) for au in AU_SETS["gft"]]
    for subject in ("101", "102"):
        layouts.gft_labels(raw, subject, aus, [[frame, *[frame % 2] * len(aus)] for frame in (1, 2, 3)])
        for frame in (1, 2, 3):
            picture(raw / layouts.gft_frame(subject, frame))
    train, test = text(raw / "train.txt", ["101"]), text(raw / "test.txt", ["102"])
    options = {"files": "annotations/*.csv", "image": "frames/{subject}/{frame}.jpg"}
    return {**options, "train": str(train), "test": str(test)}


def _ckplus(raw: Path) -> None:
    ckplus(raw, {("S005", "001", 11): ({9: 4, 17: 0}, 3), ("S010", "002", 3): ({1: 2}, None)})


def ckplus(raw: Path, sequences: Mapping[tuple[str, str, int], tuple[Mapping[int, int], int | None]]) -> None:
    for (subject, number, peak), (levels, emotion) in sequences.items():
        stem = f"{subject}/{number}/{subject}_{number}_{peak:08d}"
        text(raw / f"FACS/{stem}_facs.txt", [f"   {au:.7e}   {level:.7e}" for au, level in levels.items()])
        if emotion is not None:
            text(raw / f"Emotion/{stem}_emotion.txt", [f"   {emotion:.7e}"])
        for frame in range(1, peak + 1):
            picture(raw / f"cohn-kanade-images/{subject}/{number}/{subject}_{number}_{frame:08d}.png")


def _rafau(raw: Path) -> None:
    text(raw / "RAFAU_label.txt", ["0001.jpg 1+2+25", "0002.jpg null", "0003.jpg L12+R4 "])
    for number in (1, 2, 3):
        picture(raw / f"aligned/{number:04d}_aligned.jpg")


def _rafdb(raw: Path) -> None:
    codes = {f"{part}_{number:05d}": number for part in ("train", "test") for number in range(1, 8)}
    layouts.rafdb_labels(raw, codes)
    for name in codes:
        picture(raw / layouts.rafdb_image(name, "aligned"))


def _affectnet(raw: Path) -> None:
    for part, codes in (("train_set", range(11)), ("val_set", (0, 6))):
        for number, code in enumerate(codes):
            picture(raw / f"{part}/images/{number}.jpg")
            path = raw / f"{part}/annotations/{number}_exp.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, np.array(str(code) if number % 2 else code))


def _ferplus(raw: Path) -> None:
    votes = [[9, 1, 0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 10, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0, 0, 10]]
    ferplus(raw, votes, ["Training", "PublicTest", "PrivateTest"], nameless=[2])


def _table(raw: Path) -> None:
    rows = [["image_path", "au1", "au12"], ["F001/T1/02440.jpg", 0, 1], ["F001/T1/02441.jpg", 1, 9]]
    table(raw / "labels.csv", rows)
    for number in (2440, 2441):
        picture(raw / f"F001/T1/{number:05d}.jpg")


def _lists(raw: Path) -> None:
    for fold, subject in ((1, "F007"), (2, "M011"), (3, "F001")):
        text(raw / f"list/BP4D_test_img_path_fold{fold}.txt", [f"{subject}/T1/{frame}.jpg" for frame in (9, 10)])
        text(raw / f"list/BP4D_test_label_fold{fold}.txt", ["0 1 0 1 0 1 0 1 0 1 0 1", "1 " * 12])
        for frame in (9, 10):
            picture(raw / f"img/{subject}/T1/{frame}.jpg")


WRITERS = {
    **{"bp4d": _bp4d, "disfa": _disfa, "gft": _gft, "ckplus": _ckplus, "rafau": _rafau, "rafdb": _rafdb},
    **{"affectnet": _affectnet, "ferplus": _ferplus, "table": _table, "lists": _lists},
}


def read_table(path: Path) -> list[list[str]]:
    with path.open(newline="") as stream:
        return list(csv.reader(stream))
