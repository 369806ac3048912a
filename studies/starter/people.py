"""Real people for the starter: FERPlus's Training part, and what votes on which most agree say of AUs.

No picture of FERPlus has AU codes. But a face that nine of ten people call neutral shows no AU, and one that all ten
call happy smiles. Such faces have AU labels in part: the AUs that the expression cannot do without, and those that
nobody shows with it; all others are not labelled. They are AU data beside the rendered people. A share of them never
trains and is the reserve: the meta loss and the calibration speak of real people.
"""

import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from metafacs.data.card import DatasetCard
from metafacs.data.prepared import PreparedDataset, PreparedWriter
from metafacs.facs import EXPRESSIONS, au_column

RESERVE = "people"
"""The fold of the real faces that never train."""
RESERVED = 0.15
MOST = 2000
"""Faces of one expression with AU labels, at most; the first ones."""
ROWS_A_PART = 2000
ALL = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 25, 26)
PROTOTYPES: dict[str, tuple[int, tuple[int, ...], tuple[int, ...]]] = {
    "neutral": (9, (), ALL),
    # One that strong lifts the cheeks. The lips may be open or closed, the eyes narrow, the upper lip stretched.
    "happiness": (10, (6, 12), (1, 2, 4, 9, 15, 17, 20, 23, 24)),
    # Brows up, eyes wide, jaw down. Nothing pulls or presses the lips.
    "surprise": (8, (1, 2, 5, 25, 26), (4, 7, 9, 10, 12, 14, 15, 17, 23, 24)),
    # Inner brows up and together, lip corners down are what people vote by. Crying does much else.
    "sadness": (8, (1, 4, 15), (2, 5, 12)),
    # Brows down, without exception; lips pressed or open.
    "anger": (8, (4,), (1, 2, 12, 14)),
    # Nose wrinkler and upper lip raiser go together in what most call disgust; few do.
    "disgust": (6, (9, 10), (1, 2, 5, 12)),
    # Eyes wide, mouth open; brows up, together or both.
    "fear": (7, (1, 5, 25), (9, 12, 14, 15)),
}
"""Expression -> votes of ten from which a face has AU labels, AUs present, AUs absent."""
SMALL, GREY = 0.45, 0.55
"""Shares of the training people's renderings that are grey and as small as FERPlus's, and that are grey: neither colour
nor sharpness may tell a rendering."""


def labels_of(expression: str | None, votes: list[int]) -> dict[str, int]:
    """AU column -> 1 or 0, as far as the votes on a face tell; empty where they do not agree.

    Example:
        >>> labels_of("anger", [0, 1, 0, 0, 9, 0, 0])
        {'AU04': 1, 'AU01': 0, 'AU02': 0, 'AU12': 0, 'AU14': 0}
    """
    if expression is None:
        return {}
    needed, present, absent = PROTOTYPES[expression]
    if votes[EXPRESSIONS.index(expression)] < needed:
        return {}
    return {au_column(au): 1 for au in present} | {au_column(au): 0 for au in absent}


def combine(rendered: PreparedDataset, ferplus: PreparedDataset, out: Path) -> tuple[Path, Path, Path]:
    """Writes what the starter trains on, once.

    Args:
        rendered: of `faces.render`.
        ferplus: as `metafacs prepare ferplus` makes it.
        out: folder of the prepared datasets.

    Returns:
        AU data; AU data whose only real faces that train are neutral ones; expression data.
    """
    expressions, labelled = [], []
    rng, counts = np.random.default_rng(5), Counter[str]()
    for row in _rows(ferplus, ["dataset", "subject", "sequence", "fold", "expression", "votes"]):
        if row["fold"] != "train" or row["expression"] is None:
            continue
        row["votes"] = [int(each) for each in row["votes"]]
        labels = labels_of(row["expression"], row["votes"])
        if labels and counts[row["expression"]] < MOST:
            counts[row["expression"]] += 1
            row["fold"] = RESERVE if rng.random() < RESERVED else "train"
            person = {name: row[name] for name in ("dataset", "subject", "sequence", "fold", "image")}
            labelled.append(person | labels)
        if row["fold"] == "train":
            expressions.append(row)
    rng, pictures = np.random.default_rng(17), []
    for row in _rows(rendered, ["subject", "sequence", "frame", "fold", *rendered.aus]):
        chance, side = rng.random(), int(rng.integers(44, 73))
        if row["fold"] == "train" and chance < GREY:
            row["image"] = _grey(row["image"], side if chance < SMALL else None)
        pictures.append(row | {"dataset": "rendered"})
    aus = [au_column(au) for au in ALL]
    quiet = [row for row in labelled if row["fold"] == RESERVE or not any(row.get(au) for au in aus)]
    return (
        _write(out / "aus", pictures + labelled, rendered.card, ferplus.card, aus),
        _write(out / "quiet", pictures + quiet, rendered.card, ferplus.card, aus),
        _write(out / "expressions", expressions, ferplus.card, ferplus.card, []),
    )


def _rows(dataset: PreparedDataset, columns: list[str]) -> list[dict[str, Any]]:
    table = dataset.to_pandas()[columns].astype(object)
    records: list[dict[str, Any]] = table.where(table.notna(), None).to_dict("records")  # type: ignore[assignment]
    return [{**row, "image": dataset.image_bytes(place)} for place, row in enumerate(records)]


def _grey(encoded: bytes, side: int | None) -> bytes:
    with Image.open(io.BytesIO(encoded)) as picture, io.BytesIO() as file:
        grey = picture.convert("L")
        (grey.resize((side, side), Image.Resampling.BICUBIC) if side else grey).save(file, "JPEG", quality=85)
        return file.getvalue()


def _write(out: Path, rows: list[dict[str, Any]], first: DatasetCard, crops: DatasetCard, aus: list[str]) -> Path:
    licence = "; ".join(dict.fromkeys([first.licence, crops.licence]))
    card = DatasetCard(out.name, "people for the starter's training", licence, aus, crop=crops.crop)
    writer = PreparedWriter(out, card, {"rows": len(rows), "prototypes": [[k, *v] for k, v in PROTOTYPES.items()]})
    starts = range(0, len(rows), ROWS_A_PART)
    for part, start in enumerate(starts):
        if not writer.has_part(part):
            writer.write_part(part, rows[start : start + ROWS_A_PART])
    return writer.finish(len(starts)).folder
