"""Small prepared datasets with a history, for audits."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from metafacs.data.prepared import DatasetCard, PreparedWriter
from metafacs.datasets import DATASETS
from metafacs.datasets.audit.material import Material
from metafacs.datasets.base import Skip, protocol_of
from metafacs.datasets.cropping import Skipped
from metafacs.datasets.listed import Clip, Listed
from metafacs.datasets.preparation import SKIPPED_FILE
from metafacs.facs import au_column

Row = dict[str, Any]


def jpeg(seed: int, size: int = 16) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (size, size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def people_of(protocol: str) -> list[str]:
    return DATASETS[protocol].published.everybody


def rows_of(protocol: str, frames: int = 4, people: Sequence[str] | None = None) -> list[Row]:
    """A row a frame of everybody in a protocol, each AU in half of them, every picture another."""
    rows = []
    for name in people_of(protocol) if people is None else people:
        for frame in range(1, frames + 1):
            row: Row = {"subject": name, "sequence": f"{name}/T1", "frame": frame}
            published = DATASETS[protocol].published
            row["fold"] = published.fold_of(name) or "all"
            row |= {au_column(au): (frame + k) % 2 for k, au in enumerate(published.aus)}
            rows.append({**row, "image": jpeg(len(rows))})
    return rows


def store(
    folder: Path,
    rows: Sequence[Row],
    protocol: str = "bp4d",
    lost: Sequence[Skipped] = (),
    change: Callable[[Listed], Listed] = lambda listed: listed,
    notes: Sequence[str] = (),
    clips: Sequence[Clip] = (),
    aus: Sequence[str] | None = None,
    options: Row | None = None,
) -> Path:
    """Writes a prepared dataset as `prepare` leaves it behind.

    Args:
        folder: where to.
        rows: the faces.
        protocol: of the listing.
        lost: what was left out.
        change: alters what the reader found.
        notes: of the reader.
        clips: videos.
        aus: AU columns; the protocol's where None.
        options: of the reader.
    """
    columns = [au_column(au) for au in protocol_of(protocol).aus] if aus is None else list(aus)
    card = DatasetCard(name=protocol or "mine", source="drawn", licence="none needed", aus=columns)
    writer = PreparedWriter(folder, card, {"reader": protocol, "options": options or {}})
    writer.write_part(0, rows)
    writer.finish(1)
    table = pd.DataFrame([vars(one) for one in lost], columns=list(Skipped.__dataclass_fields__))
    table.to_csv(folder / SKIPPED_FILE, index=False)
    listed = pd.DataFrame([{"expression": None, **row} for row in rows])
    here = [one for one in lost if one.stage != "listing"]
    extra = pd.Series([one.subject for one in here], dtype=str)
    everyone = pd.concat([listed["subject"], extra])
    folds = pd.concat([listed["fold"], extra.map(dict(zip(listed["subject"], listed["fold"], strict=True)))])
    found: dict[str, dict[str, int]] = {}
    for (fold, name), own in listed.dropna(subset=["expression"]).groupby(["fold", "expression"]):
        found.setdefault(str(fold), {})[str(name)] = len(own)
    change(
        Listed(
            protocol=protocol,
            notes=list(notes),
            rows=len(everyone),
            people=everyone.nunique(),
            subjects={str(name): int(count) for name, count in everyone.value_counts().items()},
            folds={str(name): int(count) for name, count in folds.value_counts().items()},
            expressions=found,
            videos=list(clips),
        )
    ).write(folder)
    return folder


def gather(folder: Path, rows: Sequence[Row], **options: Any) -> Material:
    """The same, opened."""
    return Material.gather(store(folder, rows, **options))


def face_lost(subject: str, frame: int = 99) -> Skipped:
    return Skipped("face", f"img/{subject}/{frame}.jpg", "no face found", subject, f"{subject}/T1", frame)


def listing_lost(reason: str, rows: int = 1) -> Skip:
    return Skip("labels.csv, line 7", reason, rows)
