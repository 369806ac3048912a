"""How fast faces are prepared, where the time goes, and which faces a working width still finds.

Renders people in frames of 640 x 480 pixels with faces of several sizes, then measures apart: decoding, detection,
landmarks, alignment, encoding; `metafacs prepare` as a whole; and the share of faces found by size and working width.

    python benchmarks/prepare_speed.py --out benchmarks/results
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from facsynth.activity import draw_course, draw_temper, sides, strength
from facsynth.head import load_head
from facsynth.identity import draw_person
from facsynth.photo import Shot, take
from facsynth.scene import Framing, draw_habits, draw_scene
from metafacs.datasets.base import DEFAULTS, Listing, SourceCard
from metafacs.datasets.preparation import prepare
from metafacs.faces import Recipe, align, to_jpeg
from metafacs.faces.dlib_finder import DlibFinder
from metafacs.faces.pictures import read_picture

SIZES = (60, 80, 100, 140, 200)
"""Sides of the faces, as dlib's box measures them, in pixels of the frame."""
WIDTHS = (640, 560, 480, 400, 320)
EYES_TO_BOX = 0.43
"""Distance of the eyes in a box of dlib's, as a share of its side; measured on the same faces."""
HEIGHT, WIDTH = 480, 640
FRAME = (0.0, 0.0, float(WIDTH), float(HEIGHT))
RUN = 15
"""Frames in a row that show the same picture, so that a face can be followed."""
NEAR = 0.35
"""A box whose middle is within this share of its side from between the eyes is the face."""


def frames(size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(count, 480, 640, 3) frames, and (count, 2) the points between the eyes."""
    head, rng, shots = load_head(), np.random.default_rng(size), []
    for _ in range(count):
        person, scene = draw_person(head, rng), draw_scene(draw_habits(rng), rng)
        place = Framing(
            (rng.uniform(0.3, 0.7), rng.uniform(0.35, 0.6)), EYES_TO_BOX * size / HEIGHT, rng.normal(0, 0.1)
        )
        course = draw_course(rng, draw_temper(rng), 5)
        acting = sides(strength(course), person.asymmetry, rng.normal(0, 0.05, course.shape))
        shots.append(Shot(person, acting[3], (0.0, 0.0), replace(scene, framing=place)))
    images, marks = take(head, shots, HEIGHT, 1)
    side = (WIDTH - HEIGHT) // 2
    wide = np.pad(images, ((0, 0), (0, 0), (side, side), (0, 0)), mode="edge")
    return wide, marks[:, 36:48].mean(axis=1) + np.array([side, 0])


def is_found(finder: DlibFinder, image: np.ndarray, eyes: np.ndarray) -> bool:
    faces = finder.find(image)
    return any(np.linalg.norm(face.eyes.mean(axis=0) - eyes) < NEAR * (face.box[2] - face.box[0]) for face in faces)


def recall(count: int) -> pd.DataFrame:
    rows = []
    for size in SIZES:
        images, eyes = frames(size, count)
        for width in WIDTHS:
            finder = DlibFinder(width=width)
            found = [is_found(finder, *one) for one in zip(images, eyes, strict=True)]
            rows.append({"face": size, "width": width, "faces": count, "found": float(np.mean(found))})
    return pd.DataFrame(rows)


def timed(action: Callable[[int], object], count: int) -> float:
    """Median milliseconds of processor time of an action on picture k; the machine may be shared."""
    taken = []
    for k in range(count):
        start = time.process_time()
        action(k)
        taken.append(time.process_time() - start)
    return 1000 * float(np.median(taken))


def stages(count: int, folder: Path) -> pd.DataFrame:
    images, _ = frames(140, count)
    for k, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{k}.jpg", quality=92)
    rows = [
        {"stage": "decode", "setting": "640x480 JPEG", "ms": timed(lambda k: read_picture(folder / f"{k}.jpg"), count)}
    ]
    for width in WIDTHS:
        finder = DlibFinder(width=width)
        scale = min(1.0, width / WIDTH)
        ms = timed(lambda k, f=finder, s=scale: f._detect(images[k], FRAME, s), count)  # type: ignore[misc]
        rows.append({"stage": "detect", "setting": f"width {width}", "ms": ms})
    finder, recipe = DlibFinder(), Recipe()
    faces = [finder.find(image)[0] for image in images]
    near = timed(lambda k: finder.find(images[k], around=faces[k].box), count)
    rows.append({"stage": "detect and landmarks", "setting": "around the last face", "ms": near})
    for points in (5, 68):
        other = DlibFinder(points)
        ms = timed(lambda k, f=other: f._face(images[k], faces[k].box, 0.0), count)  # type: ignore[misc]
        rows.append({"stage": "landmarks", "setting": f"{points} points", "ms": ms})
    ms = timed(lambda k: align(images[k], faces[k].eyes, recipe), count)
    rows.append({"stage": "align", "setting": "256 pixels", "ms": ms})
    crops = [align(image, face.eyes, recipe)[0] for image, face in zip(images, faces, strict=True)]
    rows.append({"stage": "encode", "setting": "JPEG 92", "ms": timed(lambda k: to_jpeg(crops[k], 92), count)})
    return pd.DataFrame(rows)


def preparation(count: int, folder: Path, workers: int) -> pd.DataFrame:
    """Time a frame of `prepare` on a folder of pictures that are shown again and again.

    With one process it is processor time, with several the time that passes.
    """
    rows, source = [], SourceCard("rendered", "", "", "", "none", "", "")
    pictures = sorted(path.name for path in folder.glob("*.jpg"))
    where = {**DEFAULTS, "subject": "S", "sequence": "T", "fold": "P1"}
    table = pd.DataFrame([{**where, "image": pictures[k // RUN % len(pictures)], "frame": k} for k in range(count)])
    clock = time.process_time if workers == 1 else time.perf_counter
    for every, width in ((1, 640), (1, 560), (1, 480), (5, 640)):
        recipe = Recipe(finder={"name": "dlib5", "width": width}, every=every)
        with tempfile.TemporaryDirectory() as out:
            start, folder_out = clock(), Path(out) / "prepared"
            listing = Listing(table, [])
            done = prepare(listing, folder, folder_out, name="r", source=source, recipe=recipe, workers=workers)
            ms = 1000 * (clock() - start) / count
        setting = f"{workers} processes, every {every}, width {width}"
        rows.append({"stage": "prepare", "setting": setting, "ms": ms, "faces": len(done.dataset) / count})
    return pd.DataFrame(rows)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--count", type=int, default=32, help="faces of each size")
    asked.add_argument("--frames", type=int, default=1000, help="frames for `prepare` as a whole")
    asked.add_argument("--workers", type=int, default=2)
    asked.add_argument("--out", type=Path, default=None)
    settings = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        speed = stages(settings.count, Path(folder))
        for workers in sorted({1, settings.workers}):
            speed = pd.concat([speed, preparation(settings.frames, Path(folder), workers)])
    speed["per second"] = 1000 / speed["ms"]
    found = recall(settings.count)
    print(speed.round(2).to_string(index=False))
    print(found.pivot(index="face", columns="width", values="found").round(3).to_string())
    if settings.out:
        speed.round(3).to_csv(settings.out / "prepare_speed.csv", index=False)
        found.round(3).to_csv(settings.out / "prepare_recall.csv", index=False)


if __name__ == "__main__":
    main()
