"""A raw dataset in miniature, with pictures drawn so that where the eyes are is known, and its reader."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from metafacs.datasets.base import DATASETS, DEFAULTS, Listing, RawDataset, Skip, SourceCard

CARD = SourceCard("Drawn faces", "two dots each", "few", "none", "free", "nobody", "draw them", tried="by tests")
AUS = ["AU01", "AU12"]


def draw(eyes: np.ndarray, size: int = 96) -> np.ndarray:
    """A light picture with a red dot at the right eye and a blue one at the left."""
    x, y = np.arange(size) + 0.5, np.arange(size) + 0.5
    out = np.full((size, size, 3), 230, np.uint8)
    for at, channel in zip(eyes, (0, 2), strict=True):
        dot = (x[None] - at[0]) ** 2 + (y[:, None] - at[1]) ** 2 < 16
        out[dot] = 0
        out[dot, channel] = 255
    return out


def make_raw(folder: Path, subjects: int = 2, frames: int = 6, damaged: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Draws pictures S1/0.png, ...; those named in `damaged` are cut off. Returns the rows."""
    rng, rows = np.random.default_rng(5), []
    for subject in range(1, subjects + 1):
        (folder / f"S{subject}").mkdir(parents=True)
        for frame in range(frames):
            eyes = np.array([[32.0, 40], [62, 42]]) + rng.uniform(-4, 4, (2, 2))
            path = f"S{subject}/{frame}.png"
            Image.fromarray(draw(eyes)).save(folder / path)
            if path in damaged:
                (folder / path).write_bytes((folder / path).read_bytes()[:60])
            mouth, nose = eyes + np.array([0, 20]), eyes.mean(axis=0, keepdims=True) + np.array([0, 10])
            points = np.concatenate([eyes, nose, mouth])
            where = {"subject": f"S{subject}", "sequence": "T1", "frame": frame, "fold": f"P{subject}"}
            labels = {"AU01": frame % 2, "AU12": None if frame == 3 else 1, "AU01_intensity": 3 * (frame % 2)}
            rows.append({**DEFAULTS, **where, **labels, "image": path, "points": points})
    return rows


def to_listing(rows: list[dict[str, Any]], skipped: tuple[Skip, ...] = ()) -> Listing:
    table = pd.DataFrame(rows)
    for column in (*AUS, "AU01_intensity"):
        table[column] = table[column].astype("Int8")
    return Listing(table, list(AUS), list(skipped), ["drawn, not photographed"])


class DrawnFaces(RawDataset):
    """Drawn faces.

    Args:
        subjects: how many people to expect.
        points: take the landmarks along.
    """

    card = CARD

    def __init__(self, subjects: int = 2, points: bool = True) -> None:
        self.subjects, self.points = subjects, points

    def read(self, raw: Path) -> Listing:
        rows = [row for row in pd.read_pickle(raw / "rows.pkl") if int(row["subject"][1:]) <= self.subjects]
        if not self.points:
            rows = [{**row, "points": None} for row in rows]
        return to_listing(rows, (Skip("labels.csv, line 7", "label 9", 2),))


def register() -> None:
    """Enters the reader under the name "drawn"."""
    if "drawn" not in DATASETS:
        DATASETS.register("drawn")(DrawnFaces)
