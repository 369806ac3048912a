"""What people see, made from the templates: the page, and what was found in a photo or a video."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader
from numpy.typing import NDArray
from PIL import Image

from metafacs.faces.finders import CLOSER
from metafacs.faces.pictures import read_picture
from metafacs.faces.video import read_frames
from metafacs.facs import au_title
from metafacs.inference.outputs import to_csv
from metafacs.inference.rows import BOX, COLOURS, DASHES, face_colour, face_name, present_column
from metafacs.serving.answers import Model, Unit
from metafacs.serving.service import Job
from metafacs.serving.uploads import VIDEO

CSV = "text/csv;charset=utf-8"
PHOTO_WIDTH, STRIP_WIDTH = 1200, 360
"""Pixels of the pictures that are sent back."""
STRIP = 6
"""Frames of a video that are shown."""
PEOPLE = len(DASHES)
"""So many people of a video have lines, those seen in most frames."""
STRETCHES = 500
"""Longer videos are drawn as so many stretches, each as its largest value, so that no short action is lost."""
LINE_WIDTH, LINE_HEIGHT = 1000.0, 36.0
"""Of the box that an AU's lines are drawn in."""
TICKS = 6
"""At most so many times stand below the lines, besides 0."""


def render(template: str, **facts: object) -> str:
    """HTML of a file in `templates/`."""
    return _TEMPLATES.get_template(template).render(**facts)


def result_html(table: pd.DataFrame, job: Job, model: Model) -> str:
    """What was found, as HTML.

    Args:
        table: rows of one file, in the columns of `metafacs.inference.rows.tidy`.
        job: the file, and what it is.
        model: what the detector is.
    """
    faces = table[table["success"] == 1]
    facts = {
        "model": model,
        "neutral": job.neutral.exists(),
        "name": str(table["input"].iloc[0]),
        # inside the page itself, so that the server keeps no file of it
        "tables": {
            "people": _inline(
                CSV, to_csv(_readable(table, model), header=True).encode("utf-8-sig")
            ),  # as Excel reads it
            "programs": _inline(CSV, to_csv(table, header=True).encode()),
        },
    }
    if job.contents.kind != VIDEO:
        photo = read_picture(job.path)
        return render("picture.html", picture=_shown(photo, _placed(faces, photo), PHOTO_WIDTH), **facts)
    times = table.groupby("frame")["timestamp"].first()
    pictures = dict(read_frames(job.path, _strip_frames(table)))
    if len(faces):
        faces = _placed(faces, next(iter(pictures.values())))
    strip = [
        {"time": times[frame], **_shown(picture, faces[faces["frame"] == frame], STRIP_WIDTH)}
        for frame, picture in pictures.items()
    ]
    seconds = float(times.max())
    people = sorted(int(person) for person in faces["face"].value_counts().index[:PEOPLE])
    return render(
        "video.html",
        strip=strip,
        seconds=seconds,
        frames=len(times),
        seen=faces["frame"].nunique(),
        count=faces["face"].nunique(),
        people=people,
        rows=[_timeline(faces, unit.au, times, people) for unit in model.aus],
        ticks=_ticks(seconds),
        track=_track(faces, model, times, people),
        **facts,
    )


def _readable(table: pd.DataFrame, model: Model) -> pd.DataFrame:
    """The table as people read it: AUs by name with their thresholds, three digits, and which model it was."""
    found = table["success"] == 1
    present = [
        ", ".join(au_title(unit.au) for unit in model.aus if row[present_column(unit.au)] == 1)
        for row in table.to_dict("records")
    ]
    columns = {
        "file": table["input"],
        "frame": table["frame"],
        "seconds": table["timestamp"].round(3),
        "face": table["face"],
        "present": pd.Series(present, table.index).where(found, "no face"),
    }
    for unit in model.aus:
        columns[f"{au_title(unit.au)} {unit.name} (present from {unit.threshold:g})"] = table[unit.au].map(
            "{:.3f}".format, na_action="ignore"
        )
    return pd.DataFrame(columns).assign(model=f"{model.name}, metafacs {model.version}")


def _track(faces: pd.DataFrame, model: Model, times: "pd.Series[float]", people: list[int]) -> dict[str, object]:
    """What the cursor shows: of each frame its time and its faces: number, edges in percent, probabilities."""
    rows = faces[["face", *BOX, *(unit.au for unit in model.aus)]].astype(np.float64).round(3)
    frames: dict[int, list[list[float]]] = {frame: [] for frame in times.index}
    for frame, row in zip(faces["frame"], rows.to_numpy().tolist(), strict=True):
        frames[frame].append(row)
    return {"times": times.tolist(), "frames": [*frames.values()], "people": people, "colours": COLOURS, "edges": BOX}


def _inline(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _shown(picture: NDArray[np.uint8], faces: pd.DataFrame, width: int) -> dict[str, object]:
    """A picture made smaller, and its faces."""
    image = Image.fromarray(picture)
    image.thumbnail((width, width))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=86)
    return {
        "source": _inline("image/jpeg", buffer.getvalue()),
        "width": image.width,
        "height": image.height,
        "faces": faces.to_dict("records"),
    }


def _placed(faces: pd.DataFrame, picture: NDArray[np.uint8]) -> pd.DataFrame:
    """Faces whose box is how far each edge is from the picture's own, percent; what sticks out is cut off."""
    high, wide = picture.shape[:2]
    edges = {"left": faces["left"] / wide, "right": 1 - faces["right"] / wide}
    edges |= {"top": faces["top"] / high, "bottom": 1 - faces["bottom"] / high}
    return faces.assign(**{edge: (100 * share).clip(0, 100) for edge, share in edges.items()})


def _present_first(face: Mapping[str, Any], units: Sequence[Unit]) -> list[dict[str, Any]]:
    """A face's AUs, those that are present before the others."""
    bars = [{"unit": one, "probability": face[one.au], "present": face[present_column(one.au)] == 1} for one in units]
    return sorted(bars, key=lambda bar: not bar["present"])


def _strip_frames(table: pd.DataFrame) -> list[int]:
    """Frames that are worth showing: spread over the video, with a face where there is one nearby."""
    frames = table["frame"].unique().astype(int)
    with_faces = table.loc[table["success"] == 1, "frame"].unique().astype(int)
    spread = frames[np.linspace(0, len(frames) - 1, min(STRIP, len(frames))).round().astype(int)]
    if not len(with_faces):
        return sorted(set(spread.tolist()))
    return sorted({int(with_faces[np.abs(with_faces - frame).argmin()]) for frame in spread})


def _timeline(faces: pd.DataFrame, au: str, times: "pd.Series[float]", people: list[int]) -> list[dict[str, object]]:
    """An AU over the video, for each of the people: the line, the area below it, the share of their frames."""
    lines: list[dict[str, object]] = []
    for person in people:
        rows = faces[faces["face"] == person].drop_duplicates("frame").set_index("frame")
        values = rows[au].reindex(times.index).to_numpy(np.float64, na_value=np.nan)
        line, area = _paths(np.asarray(times, np.float64), values)
        lines.append({"line": line, "area": area, "share": float((rows[present_column(au)] == 1).mean())})
    return lines


def _paths(times: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[str, str]:
    """SVG paths of the line through (T,) probabilities and of the area below, broken where a value is NaN."""
    seconds = max(float(times[-1]), 1e-9)
    if len(times) > STRETCHES:
        starts = np.linspace(0, len(times), STRETCHES, endpoint=False).astype(int)
        times, values = times[starts], np.fmax.reduceat(values, starts)
    x, y = times / seconds * LINE_WIDTH, (1 - values) * (LINE_HEIGHT - 2) + 1
    line = area = ""
    there = np.flatnonzero(~np.isnan(values))
    for stretch in np.split(there, np.flatnonzero(np.diff(there) > 1) + 1) if len(there) else []:
        points = "L".join(f"{x[k]:.1f} {y[k]:.1f}" for k in stretch)
        line += f"M{points}" if len(stretch) > 1 else f"M{points}h1"
        area += f"M{x[stretch[0]]:.1f} {LINE_HEIGHT:g}L{points}V{LINE_HEIGHT:g}Z"
    return line, area


def _ticks(seconds: float) -> list[tuple[float, str]]:
    """Round numbers of seconds along the lines: place in percent, and text."""
    step = next((step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60) if seconds / step <= TICKS), 120)
    times = np.arange(0, seconds + 1e-6, step)
    texts = [f"{time:g}" for time in times.round(3)]
    return list(zip(100 * times / max(seconds, 1e-9), [*texts[:-1], f"{texts[-1]} s"], strict=True))


_TEMPLATES = Environment(
    loader=PackageLoader("metafacs.serving"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {"au_title": au_title, "face_name": face_name, "face_colour": face_colour}
_TEMPLATES.filters["ratio"] = lambda picture: f"--ratio:{picture['width'] / picture['height']:.4f}"
_TEMPLATES.globals |= {"CLOSER": CLOSER, "present_first": _present_first}
_TEMPLATES.globals |= {"DASHES": DASHES, "LINE_WIDTH": LINE_WIDTH, "LINE_HEIGHT": LINE_HEIGHT}
