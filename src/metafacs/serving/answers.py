"""What the HTTP API answers: the table of `metafacs detect` as JSON, and what the detector is."""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, Field

from metafacs import __version__
from metafacs.facs import ACTION_UNITS, au_code, au_title
from metafacs.inference import AUDetector
from metafacs.inference.rows import BOX, present_column
from metafacs.serving.limits import MEGABYTE, Limits
from metafacs.serving.uploads import VIDEO, Contents

WEAK = "AUs that are weak on real people"
"""The section of a model card whose table names them, with the reason."""


@dataclass(frozen=True)
class About:
    """What people are told of a detector.

    Attributes:
        name: of the model.
        note: what it is fit for.
        card: its model card, Markdown; empty where it has none.
    """

    name: str
    note: str
    card: str = ""

    def weak(self) -> dict[str, str]:
        """Title of an AU that is weak on real people (as AU14) -> why, out of the model card."""
        section = self.card.partition(f"## {WEAK}\n")[2].partition("\n## ")[0]
        return dict(re.findall(r"^\| (AU\d+) \| (.+) \|$", section, re.MULTILINE))


class FaceBox(BaseModel):
    """Where a face is, pixels of the upright picture."""

    left: float
    top: float
    right: float
    bottom: float


class FaceRow(BaseModel):
    """One face in one frame, or a frame without a face."""

    frame: int = Field(description="number of the frame, from 0")
    timestamp: float | None = Field(description="seconds after the first frame; null for pictures")
    face: int | None = Field(
        description="number of the person, from 1, the same over a video; null where there is no face"
    )
    success: bool = Field(description="whether a face was found")
    box: FaceBox | None
    score: float | None = Field(description="how sure the face finder is, in its own scale")
    turned: int | None = Field(description="degrees clockwise that a photo had to be turned to be upright, 0 in most")
    probabilities: dict[str, float] = Field(description="of each AU, 0 to 1; empty where there is no face")
    present: dict[str, bool] = Field(description="whether each probability reaches the AU's threshold")
    problem: str = Field(description="why there is no face; empty where there is one")


class Detection(BaseModel):
    """What was found in a picture or video."""

    file: str = Field(description="name of the file that was sent")
    kind: Literal["picture", "video"]
    width: int = Field(description="pixels, as stored")
    height: int = Field(description="pixels, as stored")
    seconds: float = Field(description="length of the video; 0 for a picture")
    frames: int = Field(description="frames looked at; 1 for a picture")
    people: int = Field(description="different people, as far as they could be followed")
    rows: list[FaceRow] = Field(description="one for each face of a frame, and one for each frame without a face")


class Unit(BaseModel):
    """One Action Unit that the detector reads."""

    au: str = Field(description="column, as AU01")
    name: str = Field(description="its name in FACS")
    description: str = Field(description="what one sees")
    muscles: str
    region: str = Field(description="part of the face")
    threshold: float = Field(description="probability from which it is called present")
    weak: str = Field(description="why it is to be doubted on real people; empty where nothing is known")


class Model(BaseModel):
    """What the detector is, and what this server accepts."""

    name: str
    note: str = Field(description="what it is fit for")
    version: str = Field(description="of metafacs")
    aus: list[Unit]
    recipe: dict[str, Any] = Field(description="how faces are aligned and cut out")
    finder: dict[str, Any] = Field(description="what finds faces")
    card: dict[str, Any] = Field(description="what was saved with the detector: data, method, fold, seed, steps")
    limits: dict[str, float] = Field(description="of a request")


class Health(BaseModel):
    """Whether the server works, and how busy it is."""

    status: Literal["ok"]
    under_way: int = Field(description="requests that have a place in the queue")
    places: int


class Problem(BaseModel):
    """Why a request was refused."""

    code: str = Field(description="one word for programs")
    message: str = Field(description="what was found and what to do")


class ErrorAnswer(BaseModel):
    """Every refusal has this form."""

    error: Problem


def to_detection(table: pd.DataFrame, name: str, contents: Contents, aus: Sequence[str]) -> Detection:
    """The detector's table as an answer.

    Args:
        table: rows of one file, in the columns of `metafacs.inference.rows.tidy`.
        name: of the file.
        contents: what the file is.
        aus: AU columns.
    """
    rows = [_row(row, aus) for row in table.to_dict("records")]
    return Detection(
        file=name,
        kind="video" if contents.kind == VIDEO else "picture",
        width=contents.width,
        height=contents.height,
        seconds=contents.seconds,
        frames=table["frame"].nunique(),
        people=table["face"].nunique(),
        rows=rows,
    )


def _row(row: Mapping[Hashable, Any], aus: Sequence[str]) -> FaceRow:
    success = row["success"] == 1
    return FaceRow(
        frame=row["frame"],
        timestamp=None if pd.isna(row["timestamp"]) else row["timestamp"],
        face=row["face"] if success else None,
        success=success,
        box=FaceBox(**{side: row[side] for side in BOX}) if success else None,
        score=row["score"] if success else None,
        turned=row["turned"] if success else None,
        probabilities={au: row[au] for au in aus if success},
        present={au: row[present_column(au)] == 1 for au in aus if success},
        problem=row["problem"],
    )


def describe(detector: AUDetector, about: About, limits: Limits) -> Model:
    """What the detector is; people of the training data are counted, not named."""
    card = asdict(detector.card)
    recipe, aus, thresholds = card.pop("crop"), card.pop("aus"), card.pop("thresholds")
    card["test_subjects"] = len(card["test_subjects"])
    weak = about.weak()
    units = [
        Unit(au=au, threshold=threshold, weak=weak.get(au_title(au), ""), **asdict(ACTION_UNITS[au_code(au)]))
        for au, threshold in zip(aus, thresholds, strict=True)
    ]
    return Model(
        name=about.name,
        note=about.note,
        version=__version__,
        aus=units,
        recipe=recipe,
        finder=detector.finder,
        card=card,
        limits={
            "megabytes": limits.most_bytes / MEGABYTE,
            "megapixels": limits.most_pixels / 1e6,
            "video_seconds": limits.most_seconds,
            "video_frames": limits.most_frames,
            "queue": limits.places,
            "timeout_seconds": limits.timeout,
        },
    )
