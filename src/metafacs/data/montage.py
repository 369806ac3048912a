"""A sheet of sampled faces with their labels beneath, for a person to look at."""

import textwrap
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from metafacs.data.card import true_column
from metafacs.data.reader import PreparedDataset
from metafacs.errors import InputError
from metafacs.facs import au_title, intensity_column
from metafacs.files import atomic_file

FACE = 168
GAP = 14
LINE = 17
FONT_SIZE = 13
CHARACTERS = 24
LEGEND = "expression (share of its annotators), AUs present (AU12:3 = AU12 at intensity 3 of 5), row"
Colour = tuple[int, int, int]
BLACK, BLUE, GREY = (0, 0, 0), (20, 70, 160), (110, 110, 110)


def montage(
    dataset: PreparedDataset,
    path: Path,
    count: int = 24,
    seed: int = 0,
    columns: int = 6,
    landmarks: bool = False,
) -> None:
    """Draws sampled faces and what is known of each into a PNG.

    The sample takes turns among the expressions (or, where there are none, the subjects), so rare ones are seen too.

    Args:
        dataset: where the faces come from.
        path: the PNG; written atomically.
        count: faces at most.
        seed: of the sample.
        columns: faces in a row.
        landmarks: draw the landmarks over the faces.
    """
    rows = dataset.to_pandas()
    tiles = [
        (
            _face(dataset, row, landmarks),
            [
                (line, colour)
                for text, colour in describe(dataset, rows.iloc[row], row)
                for line in textwrap.wrap(text, CHARACTERS)
            ],
        )
        for row in sample_rows(rows, count, seed)
    ]
    columns = min(columns, len(tiles))
    height = FACE + LINE * max(len(lines) for _, lines in tiles) + 2 * GAP
    down = -(-len(tiles) // columns)
    top = 3 * LINE + GAP
    sheet = Image.new("RGB", (GAP + max(columns, 3) * (FACE + GAP), top + down * height), "white")
    pen = ImageDraw.Draw(sheet)
    title = f"{dataset.card.name}: {len(tiles)} of {len(dataset)} faces"
    pen.text((GAP, GAP - 4), title, BLACK, ImageFont.load_default(FONT_SIZE + 5))
    pen.text((GAP, GAP + LINE), LEGEND, GREY, ImageFont.load_default(FONT_SIZE))
    for place, (face, lines) in enumerate(tiles):
        x, y = GAP + place % columns * (FACE + GAP), top + place // columns * height
        sheet.paste(face, (x, y))
        for line, (text, colour) in enumerate(lines):
            pen.text((x, y + FACE + 4 + line * LINE), text, colour, ImageFont.load_default(FONT_SIZE))
    with atomic_file(path) as partial:
        sheet.save(partial, "PNG")


def sample_rows(rows: pd.DataFrame, count: int, seed: int) -> list[int]:
    """Row numbers of a sample that takes turns among expressions, or subjects where no expression is known."""
    by = "expression" if rows["expression"].notna().any() else "subject"
    shuffled = rows[by].sample(frac=1, random_state=seed)
    groups: dict[str, list[int]] = defaultdict(list)
    for row, name in shuffled.items():
        groups["" if pd.isna(name) else str(name)].append(int(str(row)))
    turns = [(turn, place, row) for place, name in enumerate(sorted(groups)) for turn, row in enumerate(groups[name])]
    chosen = sorted(turns)[:count]
    return [row for _, _, row in sorted(chosen, key=lambda entry: entry[1])]


def describe(dataset: PreparedDataset, labels: pd.Series, row: int) -> list[tuple[str, Colour]]:
    """What is known of a face, a line each, with the colour it is written in.

    Args:
        dataset: where the face comes from.
        labels: its row of the table.
        row: the number of that row.
    """
    lines: list[tuple[str, Colour]] = []
    votes, expression = labels["votes"], labels["expression"]
    if not pd.isna(expression):
        lines.append((f"{expression}{_share(votes, str(expression), dataset.card.expressions)}", BLACK))
    if "cause" in labels and not pd.isna(labels["cause"]):
        lines.append((f"cause: {labels['cause']}", GREY))
    known = [column for column in dataset.aus if not pd.isna(labels[column])]
    if known:
        active = [(column, labels[intensity_column(column)]) for column in known if labels[column]]
        lines.append((_active(active) or "no AU", BLUE))
        unknown = [au_title(column) for column in dataset.aus if column not in known]
        if unknown:
            lines.append((f"not labelled: {' '.join(unknown)}", GREY))
    rendered = [(column, labels[true_column(column)]) for column in dataset.card.true_aus]
    if rendered:
        shown = _active([(column, intensity) for column, intensity in rendered if intensity > 0])
        lines.append((f"rendered: {shown or 'no AU'}", GREY))
    place = [labels[name] for name in ("subject", "sequence", "frame", "fold") if not pd.isna(labels[name])]
    return [*lines, (f"row {row}: {' '.join(map(str, place))}", GREY)]


def _face(dataset: PreparedDataset, row: int, landmarks: bool) -> Image.Image:
    try:
        pixels = dataset.image(row)
    except InputError:
        face = Image.new("RGB", (FACE, FACE), (225, 225, 225))
        ImageDraw.Draw(face).text((GAP, FACE // 2), "unreadable image", (180, 0, 0), ImageFont.load_default(FONT_SIZE))
        return face
    scale = FACE / max(pixels.shape[:2])
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    face = Image.new("RGB", (FACE, FACE), (225, 225, 225))
    face.paste(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
    points = dataset.landmarks(row) if landmarks else None
    if points is not None:
        pen = ImageDraw.Draw(face)
        for x, y in np.asarray(points) * scale:
            pen.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=(0, 255, 0))
    return face


def _active(aus: list[tuple[str, Any]]) -> str:
    """AUs with their intensities where known, as in "AU1:3 AU12"."""
    return " ".join(au_title(column) + ("" if pd.isna(value) else f":{value}") for column, value in aus)


def _share(votes: np.ndarray | None, expression: str, names: list[str]) -> str:
    if votes is None or len(votes) != len(names) or expression not in names or not votes.sum():
        return ""
    return f" {100 * votes[names.index(expression)] / votes.sum():.0f} % of {votes.sum()}"
