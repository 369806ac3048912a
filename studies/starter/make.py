"""Makes the detector that ships with the package again, from nothing.

    python studies/starter/make.py [--out DIR]

Renders the faces (`faces.py`), warms the backbone up on their landmarks (`shape.py`), trains the detector on their AUs
with `metafacs train`, scores it on people who never trained, as crops and found by dlib in whole photographs, looks at
the photographs that Python packages ship, and writes `detector.safetensors` and `MODEL_CARD.md` into the package. What
is done is not done again; rendering and training go on where they were interrupted, the warm-up starts over.
"""

import argparse
import sys
from pathlib import Path

import card
import scores
import shape
import torch
from rich.console import Console

import faces
from metafacs import cli
from metafacs.progress import progress_bar
from metafacs.runs import DETECTOR, DONE
from metafacs.training.checkpoint import load_detector, save_detector

PACKAGE = Path(__file__).parents[2] / "src" / "metafacs" / "starter"
WARM_UP, STEPS = 1500, 1600
BACKBONE = "test_resnet"
OPTIONS: dict[str, object] = {"channels": [32, 64, 128, 256], "layers": [1, 2, 2, 1]}
RESIZE, SIDE = 96, 88
TRAINING = {
    "data.test_fold": "test",
    "data.resize": RESIZE,
    "data.side": SIDE,
    "data.augment": "photographic",
    "network.backbone": BACKBONE,
    "network.options": OPTIONS,
    "method": "stl",
    "stl.au_reduction": "mean",
    "optimiser.learning_rate": 1e-3,
    "optimiser.weight_decay": 0.02,
    "loop.precision": "bf16",
}
console = Console(soft_wrap=True, highlight=False)


def main() -> None:
    """Does all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("starter"), help="where data and runs go")
    parser.add_argument("--package", type=Path, default=PACKAGE, help="where the detector goes")
    parser.add_argument("--people", type=int, default=faces.PEOPLE)
    parser.add_argument("--warm_up", type=int, default=WARM_UP, help="steps")
    parser.add_argument("--steps", type=int, default=STEPS, help="of `metafacs train`")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0, help="processes that render; 0 for all cores")
    settings = parser.parse_args()
    with progress_bar("rendering") as (update, _):
        people = range(settings.people)
        dataset = faces.render(settings.out / "faces", people, settings.seed, settings.workers, update)
    weights = settings.out / "warm_up.safetensors"
    sizes = {"resize": RESIZE, "side": SIDE, "steps": settings.warm_up, "seed": settings.seed}
    shape.warm_up(dataset, weights, BACKBONE, OPTIONS, **sizes)
    run = settings.out / "run"
    if not (run / DONE).exists():
        data = {"data.primary": dataset.folder, "network.weights": weights, "seed": settings.seed}
        flags = {**TRAINING, **data, "loop.steps": settings.steps, "out": run}
        metafacs("train", "--resume", *(f"--{name}={value}" for name, value in flags.items()))
    metafacs("evaluate", str(run))
    write_package(run, settings.package)
    measured = scores.measure(run, settings.package, settings.people, settings.seed)
    trained = dataset.column("fold") != "test"
    subjects = len(set(dataset.column("subject")[trained]))
    card.write(settings.package / card.NAME, settings.package / DETECTOR, int(trained.sum()), measured, subjects)
    console.print(f"{settings.package / DETECTOR} and {card.NAME} are written")


def metafacs(*arguments: str) -> None:
    """Runs a command of metafacs; ends the script, with its message printed, where that fails."""
    if status := cli.main(arguments):
        sys.exit(status)


def write_package(run: Path, package: Path) -> None:
    """The run's detector with its weights in half precision, which halves the file; it is used in full precision."""
    network, about = load_detector(run / DETECTOR)
    save_detector(package / DETECTOR, network.to(torch.float16), about)


if __name__ == "__main__":
    main()
