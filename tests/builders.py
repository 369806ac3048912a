"""Builds tiny prepared datasets whose labels can be seen, and so learned, in the images.

Every AU owns a patch of the face with a place and a hue of its own, mirrored left and right so that flipping an image
changes nothing; the patch is the brighter the more intense the AU. Expressions show the AUs of their EMFACS prototype
in the same patches, so an expression dataset helps an AU dataset just as real expressions do.
"""

import colorsys
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from metafacs.data.prepared import CAUSE, DatasetCard, PreparedDataset, PreparedWriter, true_levels
from metafacs.facs import (
    AU_SETS,
    EMFACS,
    EMFACS_OPTIONAL,
    EXPRESSIONS,
    PRESENT_FROM,
    au_code,
    au_column,
    intensity_column,
)

DRAWN = tuple(sorted({code for group in (AU_SETS, EMFACS, EMFACS_OPTIONAL) for au in group.values() for code in au}))
ROWS, COLUMNS = 6, 3
DEFAULT_AUS = tuple(au_column(code) for code in (1, 2, 4, 6, 12, 15))
ANNOTATORS = 40


def make_prepared(
    folder: Path,
    *,
    kind: str = "au",
    subjects: int = 6,
    frames: int = 8,
    aus: Sequence[str] = DEFAULT_AUS,
    size: int = 48,
    seed: int = 0,
    unlabelled: float = 0.0,
    unreadable: float = 0.0,
    landmarks: bool = False,
    name: str = "",
) -> PreparedDataset:
    """Writes a tiny dataset into `folder`, one part per subject.

    Args:
        folder: where to; does not exist yet.
        kind: "au" (AU labels and intensities, folds P1, P2, P3 by subject) or "fe" (expression, 40 votes, true AU
            intensities, null AU labels, fold "train"; one subject per image, `subjects` x `frames` images).
        subjects: number of people (six make two per fold).
        frames: images per subject.
        aus: AU columns.
        size: image side in pixels.
        seed: of everything random.
        unlabelled: share of AU labels that are null (kind "au").
        unreadable: share of images that show nothing and have a random expression (kind "fe").
        landmarks: store 68 random points.
        name: the dataset's name; "made-au" or "made-fe" where empty.
    """
    fe = kind == "fe"
    card = DatasetCard(
        name=name or f"made-{kind}",
        source="made by a test",
        licence="none needed",
        aus=list(aus),
        crop={"kind": "drawn", "size": size},
        truths={CAUSE: "string", **true_levels(aus)} if fe else {},
    )
    settings = {"kind": kind, "subjects": subjects, "frames": frames, "seed": seed}
    settings |= {"unlabelled": unlabelled, "unreadable": unreadable, "landmarks": landmarks}
    writer = PreparedWriter(folder, card, settings)
    rng = np.random.default_rng(seed)
    for k in range(subjects):
        tone = rng.uniform(60, 110, 3)
        rows = []
        for frame in range(frames):
            if fe:
                row, seen = _expression_row(rng, aus, unreadable)
                row |= {"subject": f"face{k * frames + frame:05d}", "fold": "train"}
            else:
                row, seen = _au_row(rng, aus, unlabelled)
                row |= {"subject": f"S{k:03d}", "fold": f"P{k % 3 + 1}", "sequence": "T1", "frame": frame}
            row["image"] = draw_face(seen, tone, rng, size)
            row["landmarks"] = rng.uniform(0, size, (68, 2)) if landmarks else None
            rows.append(row)
        writer.write_part(k, rows)
    return writer.finish(subjects)


def draw_face(intensities: dict[int, int], tone: np.ndarray, rng: np.random.Generator, size: int) -> bytes:
    """A JPEG: noise around the colour `tone`, and the patches of the AUs (code -> intensity 0-5)."""
    picture = tone + rng.normal(0, 12, (size, size, 3))
    half = size // 2
    for code, intensity in intensities.items():
        row, column = divmod(DRAWN.index(code), COLUMNS)
        hue = np.array(colorsys.hsv_to_rgb(DRAWN.index(code) * 0.382 % 1, 0.9, 1))
        top, bottom = row * size // ROWS, (row + 1) * size // ROWS
        left, right = column * half // COLUMNS, (column + 1) * half // COLUMNS
        picture[top:bottom, left:right] += hue * 30 * intensity
        picture[top:bottom, size - right : size - left] += hue * 30 * intensity
    buffer = io.BytesIO()
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def _au_row(rng: np.random.Generator, aus: Sequence[str], unlabelled: float) -> tuple[dict[str, Any], dict[int, int]]:
    row: dict[str, Any] = {}
    seen = {}
    for k, column in enumerate(aus):
        present = rng.random() < 0.25 + 0.3 * k / len(aus)
        intensity = int(rng.integers(PRESENT_FROM, 6) if present else rng.integers(0, PRESENT_FROM))
        seen[au_code(column)] = intensity
        known = rng.random() >= unlabelled
        row[column] = int(present) if known else None
        row[intensity_column(column)] = intensity if known else None
    return row, seen


def _expression_row(
    rng: np.random.Generator, aus: Sequence[str], unreadable: float
) -> tuple[dict[str, Any], dict[int, int]]:
    shown = str(rng.choice(EXPRESSIONS))
    blank = bool(rng.random() < unreadable)
    optional = [code for code in EMFACS_OPTIONAL[shown] if rng.random() < 0.5]
    seen = {code: 0 if blank else int(rng.integers(3, 6)) for code in [*EMFACS[shown], *optional]}
    chance = np.full(len(EXPRESSIONS), (0.7 if blank else 0.2) / len(EXPRESSIONS))
    chance[EXPRESSIONS.index(shown)] += 1 - chance.sum()
    votes = rng.multinomial(ANNOTATORS, chance)
    row: dict[str, Any] = {"expression": EXPRESSIONS[int(votes.argmax())], "votes": votes}
    row["cause"] = "unreadable" if blank else "clear"
    row |= {f"true_{column}": seen.get(au_code(column), 0) for column in aus}
    return row, seen
