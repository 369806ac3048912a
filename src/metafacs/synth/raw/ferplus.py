"""FER2013 and FERPlus as they are released: `fer2013.csv` with grey pixels and one label, `fer2013new.csv` with votes.

Both list the same images in the same order, by part. The votes are those of ten of the forty annotators, drawn for each
image; the first label, as of FER2013, is what was meant. As in the real files one image has nine votes, and a few are
no faces: their image name is empty and everybody voted NF.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from metafacs.datasets.ferplus import USAGES
from metafacs.datasets.ferplus import VOTES as VOTE_COLUMNS
from metafacs.facs import EXPRESSIONS
from metafacs.files import atomic_file, write_text
from metafacs.synth.fe_dataset import Portrait, portraits
from metafacs.synth.parts import Row
from metafacs.synth.plans import FePlan
from metafacs.synth.raw.camera import film

NAME = "FER2013"
SIDE = 48
TAGGERS = 10
SHORT = 7
"""The image, counted from 0, that has a vote less."""
PIXELS, VOTES = "fer2013.csv", "fer2013new.csv"
HEADERS = {PIXELS: "emotion,pixels,Usage", VOTES: ",".join(("Usage", "Image name", *VOTE_COLUMNS))}
FER2013_EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""FER2013's first labels, in the order of their codes in the column `emotion`."""
_TAGGERS, _NOISE = 12, 13


def write_images(scratch: Path, part: int, plan: FePlan, seed: int, rays: int) -> list[Row]:
    """Writes one part's lines of both files into `scratch` and returns what is true of each image."""
    usages = dict(zip(plan.counts, USAGES, strict=True))
    training = sum(next(iter(plan.counts.values())).values())
    made = list(portraits(part, plan, seed))
    rows: list[Row] = []
    pixels, votes = [], []
    for portrait, (_, marks, picture) in zip(made, film((p.shot for p in made), SIDE, rays), strict=True):
        number, usage = portrait.place[-1], usages[portrait.row["fold"]]
        line = number + (number >= training)  # behind the last training image stands one that is no face
        rows.append({**portrait.row, "path": PIXELS, "frame": line, "landmarks": marks})
        code = FER2013_EXPRESSIONS.index(portrait.row["true_expression"])
        pixels.append(f"{code},{_spell(np.asarray(Image.fromarray(picture).convert('L')))},{usage}\n")
        votes.append(f"{usage},fer{line:07d}.png,{','.join(map(str, _ten(portrait)))}\n")
        if number in (training - 1, plan.images - 1):
            noise = np.random.default_rng([*portrait.place, 0, _NOISE]).integers(0, 256, (SIDE, SIDE))
            pixels.append(f"6,{_spell(noise)},{usage}\n")
            votes.append(f"{usage},,{'0,' * (len(VOTE_COLUMNS) - 1)}{TAGGERS}\n")
    write_text(scratch / f"{PIXELS}-{part:06d}", "".join(pixels))
    write_text(scratch / f"{VOTES}-{part:06d}", "".join(votes))
    return rows


def join(root: Path, scratch: Path, parts: Iterator[pa.Table]) -> None:
    """Joins the lines of all parts into both files."""
    numbers = range(sum(1 for _ in parts))
    for name, header in HEADERS.items():
        with atomic_file(root / name) as partial, partial.open("w", encoding="utf-8") as file:
            file.write(header + "\n")
            for part in numbers:
                file.write((scratch / f"{name}-{part:06d}").read_text(encoding="utf-8"))


def _ten(portrait: Portrait) -> list[int]:
    """The votes of ten of the annotators, in the order of FERPlus's columns."""
    rng, votes = np.random.default_rng([*portrait.place, 0, _TAGGERS]), np.asarray(portrait.row["votes"])
    drawn = rng.multivariate_hypergeometric(votes, TAGGERS - (portrait.place[-1] == SHORT))
    found = dict(zip(EXPRESSIONS, drawn.tolist(), strict=True))
    return [found.get(name, 0) for name in VOTE_COLUMNS]


def _spell(grey: np.ndarray) -> str:
    return " ".join(map(str, grey.ravel().tolist()))
