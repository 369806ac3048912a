"""RAF-DB as it is released: `basic/EmoLabel/list_patition_label.txt` (sic), aligned crops and original photos.

Lines of the list read "train_00001.jpg 5"; `basic/Image/aligned/train_00001_aligned.jpg` is 100 x 100 pixels,
`basic/Image/original/train_00001.jpg` of any size.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from metafacs.datasets.rafdb import CODES
from metafacs.files import write_text
from metafacs.synth.fe_dataset import portraits
from metafacs.synth.parts import Row
from metafacs.synth.plans import FePlan
from metafacs.synth.raw.camera import film, reframe, uncropped
from metafacs.synth.scene import draw_framing

NAME = "RAF-DB"
ALIGNED = 100
SHAPES = ((4, 3), (3, 4), (1, 1), (2, 3))
"""Width to height of the original photos."""
EYES = (0.11, 0.2)
"""Distance between the eyes in an original photo, as a share of its shorter side: the least and the most."""
_FRAMING = 11


def write_images(root: Path, part: int, plan: FePlan, seed: int, width: int, rays: int) -> list[Row]:
    """Writes the images of one part into the tree and returns what is true of each; photos are `width` pixels wide."""
    made = list(portraits(part, plan, seed))
    rows: list[Row] = []
    for kind in ("aligned", "original"):
        (root / "basic" / "Image" / kind).mkdir(parents=True, exist_ok=True)
    crops = film((portrait.shot for portrait in made), ALIGNED, rays)
    for portrait, (encoded, marks, _) in zip(made, crops, strict=True):
        aligned = f"basic/Image/aligned/{portrait.row['subject']}_aligned.jpg"
        (root / aligned).write_bytes(encoded)
        rows.append({**portrait.row, "path": aligned, "landmarks": marks})
        rng = np.random.default_rng([*portrait.place, 0, _FRAMING])
        across, down = SHAPES[rng.integers(len(SHAPES))]
        height = width * down // across
        framing = draw_framing(rng, width, height, float(rng.uniform(*EYES)) * min(width, height))
        habits = uncropped(portrait.shot.person, portrait.shot.scene.habits, framing, rng)
        ((encoded, marks, _),) = film([reframe(portrait.shot, framing, habits)], (height, width), rays)
        original = f"basic/Image/original/{portrait.row['subject']}.jpg"
        (root / original).write_bytes(encoded)
        rows.append({**portrait.row, "path": original, "landmarks": marks})
    return rows


def join(root: Path, parts: Iterator[pa.Table]) -> None:
    """Writes the list of labels."""
    codes = {name: code for code, name in CODES.items()}
    lines = []
    for part in parts:
        names = dict(zip(part["subject"].to_pylist(), part["expression"].to_pylist(), strict=True))
        lines += [f"{subject}.jpg {codes[expression]}\n" for subject, expression in names.items()]
    write_text(root / "basic" / "EmoLabel" / "list_patition_label.txt", "".join(lines))
