"""Renders the people whom the starter detector is scored on, and some it learned from, as a prepared dataset.

    python studies/starter/held_out.py --out DIR
    metafacs export --quantize --calibrate DIR --data DIR --out starter_int8.onnx

The pictures are those of `make.py`, to the last bit: the same people, numbers and seed. The dataset has the name of the
training data, so `metafacs export` scores on the people who never trained and calibrates on the others.
"""

import argparse
import functools
from pathlib import Path

from rich.console import Console

import faces
from facsynth import LICENCE, RENDERING
from facsynth.photo import photograph
from metafacs.data.prepared import DatasetCard, PreparedDataset, PreparedWriter
from metafacs.facs import au_column
from metafacs.progress import progress_bar
from metafacs.synth.rendering import Progress, Row, crop_recipe, with_picture, write_parts

PEOPLE = 2000
"""Of the training data, held-out ones among them."""
NAME = "rendered-starter"
PART = 10
console = Console(soft_wrap=True, highlight=False)


def numbers(held_out: int, trained: int) -> list[int]:
    """The first so many people who only test, and the first so many who train."""
    tests = [number for number in range(PEOPLE) if faces.FOLDS[number % len(faces.FOLDS)] == "test"]
    trains = [number for number in range(PEOPLE) if faces.FOLDS[number % len(faces.FOLDS)] != "test"]
    return tests[:held_out] + trains[:trained]


def render(out: Path, people: list[int], seed: int, workers: int, progress: Progress | None = None) -> PreparedDataset:
    """Renders all pictures of `people` into `out`; what was interrupted goes on."""
    aus = [au_column(au) for au in faces.AUS]
    card = DatasetCard(NAME, "some of the people of the starter detector", LICENCE, aus, crop=crop_recipe(faces.SIZE))
    settings = {"people": people, "size": faces.SIZE, "rays": faces.RAYS, "seed": seed, "rendering": RENDERING}
    sizes = [faces.FRAMES * len(people[k : k + PART]) for k in range(0, len(people), PART)]
    make = functools.partial(rows, people=people, seed=seed)
    writer = PreparedWriter(out, card, settings)
    write_parts(writer, make, sizes, workers, progress)
    return writer.finish(len(sizes))


def rows(part: int, *, people: list[int], seed: int) -> list[Row]:
    """The rows of `PART` people."""
    made = [one for number in people[part * PART : (part + 1) * PART] for one in faces.pictures(number, seed)]
    photos = photograph((one.shot for one in made), faces.SIZE, faces.RAYS)
    return [with_picture(one.row, photo) for one, photo in zip(made, photos, strict=True)]


def main() -> None:
    """Renders the dataset."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", type=Path, default=Path("starter/held_out"), help="folder of the dataset")
    made.add_argument("--held_out", type=int, default=200, help="people who only test")
    made.add_argument("--trained", type=int, default=43, help="people who trained, to calibrate on")
    made.add_argument("--seed", type=int, default=0, help="that of make.py")
    made.add_argument("--workers", type=int, default=0, help="processes that render; 0 for all cores")
    given = made.parse_args()
    with progress_bar("rendering") as (update, _):
        dataset = render(given.out, numbers(given.held_out, given.trained), given.seed, given.workers, update)
    console.print(f"{dataset.folder}: {len(dataset)} pictures", markup=False)


if __name__ == "__main__":
    main()
