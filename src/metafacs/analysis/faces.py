"""The paper's Fig. 5 and 6: expression images in the order of their learned weights."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from metafacs.analysis.sample_weights import MethodWeights, dataset_of
from metafacs.analysis.style import COLUMN, SMALLEST, Words, save, style
from metafacs.data.reader import PreparedDataset
from metafacs.errors import InputError

PIXELS = 160
"""Side of a face in the figures."""
LINE = 1.25 * SMALLEST / 72
"""Height of a line of text, inches."""
GAP = 0.03


RANKED = Words(
    "Faces by learned weight, {method}",
    "The paper's Fig. 5: FE images of every expression at equally spaced ranks of their weight ({of}).",
)


def ranked_faces(weights: MethodWeights, out: Path, columns: int = 6) -> list[Path]:
    """Draws faces of every expression from the highest to the lowest weight, with their weights (the paper's Fig. 5).

    The columns are equally spaced ranks within the expression: the first has the highest weight of all its images, the
    last the lowest.

    Args:
        weights: of one method.
        out: where to write, with or without the ending; `.png` and `.pdf` are written.
        columns: faces of each expression.

    Returns:
        The files written.

    Raises:
        InputError: there are no expressions, or their dataset is not there (any more).
    """
    faces, dataset = _faces(weights)
    digits, rows = _digits(faces), {}
    for name in dataset.card.expressions:
        ranked = faces[faces["expression"] == name].sort_values("weight", ascending=False, kind="stable")
        if len(ranked):
            ranks = np.unique(np.linspace(0, len(ranked) - 1, columns).round().astype(int))
            rows[f"{name} ({len(ranked):,})"] = ranked.iloc[ranks]
    captions = {name: [_short(weight, digits) for weight in ranked["weight"]] for name, ranked in rows.items()}
    return _grid(dataset, rows, captions, columns, out, header="highest weight  →  equally spaced ranks  →  lowest")


EXTREME = Words(
    "Highest and lowest weights, {method}",
    "The paper's Fig. 6: FE images with the highest and the lowest weights ({of}), with the share of annotators who "
    "chose the label, and the label.",
)


def extreme_faces(weights: MethodWeights, out: Path, columns: int = 6, lines: int = 2) -> list[Path]:
    """Draws the faces of highest and of lowest weight, each with weight, consistency and label (the paper's Fig. 6).

    Args:
        weights: of one method.
        out: where to write, with or without the ending; `.png` and `.pdf` are written.
        columns: faces side by side.
        lines: rows of faces of either kind.

    Returns:
        The files written.

    Raises:
        InputError: there are no expressions, or their dataset is not there (any more).
    """
    faces, dataset = _faces(weights)
    order = faces.sort_values("weight", ascending=False, kind="stable")
    count = min(columns * lines, len(order) // 2 or 1)
    digits = _digits(faces)
    rows: dict[str, pd.DataFrame] = {}
    captions: dict[str, list[str]] = {}
    for title, ranked in (("Highest weights", order.iloc[:count]), ("Lowest weights", order.iloc[::-1].iloc[:count])):
        for first in range(0, len(ranked), columns):
            line = ranked.iloc[first : first + columns]
            name = title if not first else " " * len(rows)  # one title over the lines of a kind
            rows[name], captions[name] = line, [_caption(face, digits) for _, face in line.iterrows()]
    return _grid(dataset, rows, captions, columns, out, header="w: learned weight, c: share of annotators who agree")


def _caption(face: pd.Series, digits: int) -> str:
    text = f"w {_short(float(face['weight']), digits)}"
    consistency = face["consistency"]
    text += "" if pd.isna(consistency) else f"\nc {float(consistency):.2f}"
    return f"{text}\n{face['expression']}"


def _digits(faces: pd.DataFrame) -> int:
    """Decimals with which the weights of most images can be told apart."""
    middle = float(np.subtract(*np.percentile(faces["weight"], (90, 10))))
    return 2 if middle > 0.05 else 4


def _short(weight: float, digits: int) -> str:
    return f"{weight:.{digits}f}" if weight >= 0.1 else f"{weight:.{max(digits, 3)}f}"


def _faces(weights: MethodWeights) -> tuple[pd.DataFrame, PreparedDataset]:
    faces = weights.stream("auxiliary")
    if "expression" not in faces or faces["expression"].isna().all():
        raise InputError(f"the FE images of {weights.method} have no expressions in their table: nothing to draw")
    folders = list(faces["folder"].unique())
    if len(folders) > 1:
        raise InputError(f"the runs of {weights.method} have different expression data: {', '.join(folders)}")
    if not folders[0]:
        raise InputError("the run's config does not name its expression data")
    return faces, dataset_of(faces)


def _grid(
    dataset: PreparedDataset,
    rows: dict[str, pd.DataFrame],
    captions: dict[str, list[str]],
    columns: int,
    out: Path,
    header: str,
) -> list[Path]:
    """Rows of faces, each under its title (a blank one takes no room), a caption below each face."""
    side = (COLUMN - GAP * (columns + 1)) / columns
    below = LINE * max(text.count("\n") + 1 for texts in captions.values() for text in texts) + GAP
    heights = [side + below + (LINE * 1.2 if name.strip() else 0) for name in rows]
    total = LINE * 1.5 + sum(heights)
    with style():
        figure = Figure(figsize=(COLUMN, total))
        figure.text(0.5, 1 - LINE * 0.2 / total, header, va="top", ha="center", color="#6E6E6E")
        top = total - LINE * 1.5
        for (name, faces), height in zip(rows.items(), heights, strict=True):
            if name.strip():
                figure.text(GAP / COLUMN, (top - GAP) / total, name, va="top", fontweight="bold")
            _row(figure, dataset, faces["row"].tolist(), captions[name], side, top - height + below, total)
            top -= height
        return save(figure, out)


def _row(
    figure: Figure,
    dataset: PreparedDataset,
    rows: Sequence[int],
    captions: Sequence[str],
    side: float,
    bottom: float,
    total: float,
) -> None:
    for place, (row, text) in enumerate(zip(rows, captions, strict=True)):
        left = GAP + place * (side + GAP)
        axis = figure.add_axes((left / COLUMN, bottom / total, side / COLUMN, side / total))
        axis.set_axis_off()
        axis.imshow(_picture(dataset, int(row)), aspect="auto", interpolation="bilinear")
        for number, line in enumerate(text.split("\n"), start=1):  # by itself, or a letter's tail would shift them all
            height = bottom - number * LINE * 0.98 + 0.02
            figure.text((left + side / 2) / COLUMN, height / total, line, va="baseline", ha="center")


def _picture(dataset: PreparedDataset, row: int) -> np.ndarray:
    face = Image.fromarray(dataset.image(row))
    if max(face.size) > PIXELS:
        face.thumbnail((PIXELS, PIXELS), Image.Resampling.LANCZOS)
    return np.asarray(face)
