"""Prepared datasets of any size for benchmarks: few different pictures, many rows."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from metafacs.data.prepared import DatasetCard, PreparedWriter
from metafacs.facs import AU_SETS, EXPRESSIONS, au_column

PICTURES = 200
PEOPLE = 41
PART = 2000
QUALITY = 92


def pictures(side: int, count: int = PICTURES) -> list[bytes]:
    """JPEGs of coloured waves and noise; they take about as many bytes as faces of that size do."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] / side
    made = []
    for _ in range(count):
        image = 128 + rng.normal(0, 6, (side, side, 3))
        for angle in rng.uniform(0, 2 * np.pi, 6):
            wave = np.sin(rng.uniform(3, 30) * (x * np.cos(angle) + y * np.sin(angle)))
            image += rng.uniform(20, 60, 3) * wave[..., None]
        buffer = io.BytesIO()
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=QUALITY)
        made.append(buffer.getvalue())
    return made


def write_dataset(folder: Path, rows: int, side: int, kind: str = "au") -> Path:
    """A dataset of `rows` faces of `PEOPLE` people in three folds, like BP4D, or (kind "fe") of as many expressions."""
    aus = [au_column(code) for code in AU_SETS["bp4d"]]
    card = DatasetCard(
        f"large-{kind}", "drawn by a benchmark", "none needed", aus, crop={"kind": "drawn", "size": side}
    )
    writer = PreparedWriter(folder, card, {"rows": rows, "side": side, "kind": kind})
    shown, rng = pictures(side), np.random.default_rng(1)
    starts = range(0, rows, PART)
    for part, start in enumerate(starts):
        written = []
        for row in range(start, min(start + PART, rows)):
            person = row * PEOPLE // rows
            face = {"image": shown[rng.integers(PICTURES)], "subject": f"F{person:03d}", "frame": row}
            if kind == "au":
                labels = rng.integers(0, 2, len(aus)).tolist()
                written.append({**face, "fold": f"P{person % 3 + 1}", **dict(zip(aus, labels, strict=True))})
            else:
                expression = EXPRESSIONS[rng.integers(len(EXPRESSIONS))]
                written.append({**face, "subject": f"E{row}", "fold": "train", "expression": expression})
        writer.write_part(part, written)
    writer.finish(len(starts))
    return folder
