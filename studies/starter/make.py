"""Makes the detector that ships with the package again.

    metafacs prepare ferplus --raw FERPLUS --out ferplus --size 120 --detector mediapipe
    python studies/starter/make.py --ferplus ferplus --real DIR [--out DIR]

Renders people (`faces.py`), puts real ones beside them (`people.py`), trains with `metafacs train` from ImageNet
weights, first with AUs that expressions stand for, then without them, takes the mean of both, moves logits until
neutral faces are quiet, scores it on rendered people who never trained and on real ones
(`studies/real_faces.py`, which says what `--real` holds), and writes `detector.safetensors` and `MODEL_CARD.md` into
the package. What is done is not done again; rendering and training go on where they were interrupted.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import card
import numpy as np
import pandas as pd
import people
import scores
import torch
from rich.console import Console

import faces
from metafacs import cli
from metafacs.data.prepared import PreparedDataset
from metafacs.data.streams import Faces
from metafacs.faces import Recipe
from metafacs.faces.finders import PUPILS
from metafacs.progress import progress_bar
from metafacs.runs import DETECTOR, DONE
from metafacs.training.checkpoint import load_detector, save_detector
from metafacs.training.predicting import face_probabilities

PACKAGE = Path(__file__).parents[2] / "src" / "metafacs" / "starter"
REAL_FACES = Path(__file__).parents[1] / "real_faces.py"
STEPS, SETTLING = 3600, 500
QUIET, RAISED = 0.02, 1.0
"""Share of the reserve's neutral faces that are called to show an AU: its logit is moved until that holds. It is raised
by so much at most."""
SHARP = 64
"""Side of the crops in use, pixels: FERPlus's faces have no more, and sharper ones show AU5 where there is none."""
TRAINING = {
    "data.test_fold": "test",
    "data.reserve_fold": people.RESERVE,
    "data.resize": 96,
    "data.side": 88,
    "data.augment": "photographic",
    "data.batch_primary": 32,
    "data.batch_auxiliary": 16,
    "network.backbone": "tf_efficientnet_lite0",
    "network.weights": "pretrained",
    "method": "mtl",
    "optimiser.learning_rate": 1e-3,
    "optimiser.weight_decay": 0.02,
}
console = Console(soft_wrap=True, highlight=False)


def main() -> None:
    """Does all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("starter"), help="where data and runs go")
    parser.add_argument("--package", type=Path, default=PACKAGE, help="where the detector goes")
    parser.add_argument("--ferplus", type=Path, required=True, help="FERPlus as `metafacs prepare` made it")
    parser.add_argument("--real", type=Path, help="real faces to score on; without, the card says that there were none")
    parser.add_argument("--people", type=int, default=faces.PEOPLE)
    parser.add_argument("--steps", type=int, default=STEPS, help="of `metafacs train`")
    parser.add_argument("--settling", type=int, default=SETTLING, help="steps of the second training")
    parser.add_argument("--weights", default="pretrained", help="what the backbone starts from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0, help="processes that render; 0 for all cores")
    settings = parser.parse_args()
    with progress_bar("rendering") as (update, _):
        numbers = range(settings.people)
        rendered = faces.render(settings.out / "faces", numbers, settings.seed, settings.workers, update)
    aus, quiet, expressions = people.combine(rendered, PreparedDataset.open(settings.ferplus), settings.out)
    runs = [settings.out / "run", settings.out / "settled"]
    common = {**TRAINING, "data.auxiliary": expressions, "seed": settings.seed}
    first = {"data.primary": aus, "loop.steps": settings.steps, "network.weights": settings.weights}
    second = {"data.primary": quiet, "loop.steps": settings.settling, "network.weights": runs[0] / DETECTOR}
    for run, own in zip(runs, (first, {**second, "optimiser.learning_rate": 5e-4}), strict=True):
        if not (run / DONE).exists():
            flags = {**common, **own, "out": run}
            metafacs("train", "--resume", *(f"--{name}={value}" for name, value in flags.items()))
    write_package(runs, aus, settings.package)
    measured = scores.measure(aus, settings.package, settings.people, settings.seed)
    real = None
    if settings.real:
        command = [sys.executable, REAL_FACES, "--model", settings.package / DETECTOR, "--real", settings.real]
        subprocess.run([*map(str, command), "--out", str(settings.out / "real")], check=True)
        real = pd.read_csv(settings.out / "real" / "real_faces.csv")
    card.write(settings.package, PreparedDataset.open(aus), measured, real)
    console.print(f"{settings.package / DETECTOR} and {card.NAME} are written")


def metafacs(*arguments: str) -> None:
    """Runs a command of metafacs; ends the script, with its message printed, where that fails."""
    if status := cli.main(arguments):
        sys.exit(status)


def write_package(runs: Sequence[Path], data: Path, package: Path) -> None:
    """The mean of the runs' detectors, quiet on neutral faces that never trained, in half precision.

    Half precision halves the file. Crops have `SHARP` pixels: FERPlus's faces have no more.
    """
    detectors = [load_detector(run / DETECTOR) for run in runs]
    network, about = detectors[-1]
    states = [one.float().state_dict() for one, _ in detectors]
    mean = {name: torch.stack([state[name].double() for state in states]).mean(0) for name in states[0]}
    network.load_state_dict(mean)
    dataset = PreparedDataset.open(data)
    labels = dataset.au_labels(about.aus)
    neutral = np.flatnonzero((dataset.column("fold") == people.RESERVE) & (labels == 0).all(axis=1))
    crops = Faces(dataset, neutral, about.resize)
    chances = face_probabilities(network.float().eval(), crops, about.side, torch.device("cpu"))
    logits = np.log(chances / (1 - chances))
    excess = np.maximum(np.quantile(logits, 1 - QUIET, axis=0), -RAISED)
    with torch.no_grad():
        network.au_head.bias.sub_(torch.from_numpy(excess).float())
    moved = ", ".join(f"{au} {-by:+.2f}" for au, by in zip(about.aus, excess, strict=True))
    console.print(f"{len(neutral)} neutral faces; logits moved: {moved}")
    crop = Recipe(size=SHARP, eyes=PUPILS).to_card()  # whatever is installed may find the faces
    steps = sum(one.steps for _, one in detectors)
    about = replace(about, crop=crop, steps=steps, dataset=faces.NAME)  # whose people are known, test people among them
    save_detector(package / DETECTOR, network.to(torch.float16), about)


if __name__ == "__main__":
    main()
