"""Renders the people whom the starter detector is scored on, and some it learned from, as a prepared dataset.

    python studies/starter/held_out.py --out DIR
    metafacs export --quantize --calibrate DIR --data DIR --out starter_int8.onnx

The pictures are those of `make.py`, to the last bit: the same people, numbers and seed. The dataset has the name of the
training data, so `metafacs export` scores on the people who never trained and calibrates on the others.
"""

import argparse
from pathlib import Path

from rich.console import Console

import faces
from metafacs.progress import progress_bar

console = Console(soft_wrap=True, highlight=False)


def numbers(held_out: int, trained: int) -> list[int]:
    """The first so many people who only test, and the first so many who train."""
    tests = [number for number in range(faces.PEOPLE) if faces.FOLDS[number % len(faces.FOLDS)] == "test"]
    trains = [number for number in range(faces.PEOPLE) if faces.FOLDS[number % len(faces.FOLDS)] != "test"]
    return tests[:held_out] + trains[:trained]


def main() -> None:
    """Renders the dataset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("starter/held_out"), help="folder of the dataset")
    parser.add_argument("--held_out", type=int, default=200, help="people who only test")
    parser.add_argument("--trained", type=int, default=43, help="people who trained, to calibrate on")
    parser.add_argument("--seed", type=int, default=0, help="that of make.py")
    parser.add_argument("--workers", type=int, default=0, help="processes that render; 0 for all cores")
    given = parser.parse_args()
    people = numbers(given.held_out, given.trained)
    with progress_bar("rendering") as (update, _):
        dataset = faces.render(given.out, people, given.seed, given.workers, update)
    console.print(f"{dataset.folder}: {len(dataset)} pictures", markup=False)


if __name__ == "__main__":
    main()
