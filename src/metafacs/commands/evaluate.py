"""`metafacs evaluate`: run folder in, predictions on its test fold and their scores out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jsonargparse import Namespace
from jsonargparse.typing import PositiveInt
from rich.console import Console

from metafacs import __version__
from metafacs.commands.parsing import parse, parser
from metafacs.data.prepared import PreparedDataset
from metafacs.data.streams import Faces
from metafacs.errors import InputError
from metafacs.evaluation.comparison import compare
from metafacs.evaluation.predictions import PREDICTIONS_FILE, prediction_rows, write_predictions
from metafacs.evaluation.tables import tables, to_text
from metafacs.inference.scoring import predict_across
from metafacs.progress import progress_bar
from metafacs.runs import DETECTOR, read_config
from metafacs.starter import starter_run
from metafacs.training.checkpoint import DetectorCard, load_detector
from metafacs.training.predicting import face_probabilities

DESCRIPTION = """Scores trained detectors on the fold they never saw. The predictions are made once and written into
the run folder as predictions.parquet; every later look, comparison and figure reads that file and no model, so the
test fold is touched once. Prints F1 and AUC per AU beside the floor that saying "present" of every image reaches. With
--data, scores them on another prepared dataset instead (cross-dataset), for the AUs that both have; those predictions
are written as cross_DATASET.parquet and never take the place of the run's own."""

STARTER = "starter"
"""What names the detector that comes with the package."""


def main(prog: str, arguments: Sequence[str]) -> None:
    """Runs the command."""
    made = parser(prog, DESCRIPTION)
    made.add_argument("runs", nargs="*", type=Path, default=[], help="run folders of `metafacs train`.")
    made.add_argument(
        "--model",
        type=Path | None,
        default=None,
        help='one run folder or detector.safetensors, in place of RUNS; "starter" is the one that comes with metafacs.',
    )
    made.add_argument("--data", type=Path | None, default=None, help="another prepared dataset to score on.")
    made.add_argument(
        "--out",
        type=Path | None,
        default=None,
        help="with --data and one run: the predictions file to write (.parquet).",
    )
    made.add_argument(
        "--unseen_only",
        action="store_true",
        help="with --data: leave people who may have trained out, in place of refusing the dataset.",
    )
    made.add_argument("--batch", type=PositiveInt, default=256, help="images at a time.")
    settings = parse(made, arguments)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if settings.model == Path(STARTER) and not settings.model.exists():
        settings.model = starter_run()
        if settings.data:  # the package's own folder is no place for predictions
            settings.out = settings.out or Path(f"{STARTER}_on_{settings.data.name}.parquet")
    runs = [*settings.runs, *([settings.model] if settings.model else [])]
    _check(settings, runs)
    for run in runs:
        if settings.data:
            _across(run, settings, console)
            continue
        predict_run(run, settings.batch, console)
        Console(soft_wrap=True, highlight=False).print(to_text(tables(compare([run]))), markup=False)


def _check(settings: Namespace, runs: Sequence[Path]) -> None:
    if not runs:
        raise InputError("there is nothing to evaluate: name at least one run folder")
    if settings.out and (not settings.data or len(runs) > 1):
        raise InputError("--out is for one run on another dataset: give --data, and one run at a time")
    if settings.data is None and settings.model == starter_run():
        raise InputError("the detector that comes with metafacs has no test fold; say with --data what to score it on")
    if settings.data is None and settings.model is not None and settings.model.is_file():
        raise InputError(f"{settings.model} is a detector without its run; say with --data what to score it on")


def _across(run: Path, settings: Namespace, console: Console) -> None:
    with progress_bar(f"predicting {run.name} on {settings.data.name}", console) as (update, _):
        done = predict_across(
            run,
            settings.data,
            settings.out,
            unseen_only=settings.unseen_only,
            batch=settings.batch,
            progress=update,
        )
    for note in done.notes:
        console.print(f"note: {note}", markup=False)
    printed = Console(soft_wrap=True, highlight=False)
    printed.print(to_text(tables(compare([done.path]))), markup=False)
    printed.print(f"cross-dataset predictions: {done.path}", markup=False)


def predict_run(run: Path, batch: int = 256, console: Console | None = None) -> Path:
    """Writes the run's predictions on its test fold, unless they are there; returns their path.

    Raises:
        InputError: the run is not finished, or its dataset is gone, of another kind, or shares no AU.
    """
    path = run / PREDICTIONS_FILE
    if path.exists():
        return path
    config = read_config(run)
    network, card = load_detector(run / DETECTOR)
    dataset = PreparedDataset.open(Path(config["data"]["primary"]))
    if dataset.card.name != card.dataset:
        raise InputError(f"{run} was trained on '{card.dataset}', but {dataset.folder} is '{dataset.card.name}'")
    labels = dataset.au_labels(card.aus)
    rows = _test_rows(dataset, labels, card)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.to(device).to(memory_format=torch.channels_last)
    with progress_bar(f"predicting {run.name}", console) as (update, _):
        probabilities = face_probabilities(network, Faces(dataset, rows, card.resize), card.side, device, batch, update)
    info = {
        "method": card.method,
        "label": config.get("label"),
        "backbone": card.backbone,
        "dataset": card.dataset,
        "fold": card.test_fold,
        "seed": card.seed,
        "threshold": card.thresholds[0] if len(set(card.thresholds)) == 1 else card.thresholds,
        "aus": card.aus,
        "run": run.name,
        "tool_version": __version__,
    }
    table = prediction_rows(dataset.to_pandas().iloc[rows], labels[rows], probabilities, card.aus)
    write_predictions(path, table, info)
    return path


def _test_rows(dataset: PreparedDataset, labels: np.ndarray, card: DetectorCard) -> np.ndarray:
    """Labelled rows of the test fold, whose subjects must be the ones that were kept out of training."""
    fold, subject = dataset.column("fold"), dataset.column("subject")
    rows = np.flatnonzero((fold == card.test_fold) & ~np.isnan(labels).all(axis=1))
    strangers = sorted(set(subject[rows]) - set(card.test_subjects))
    if strangers or not len(rows):
        what = f"it has subjects who may have trained ({', '.join(strangers[:3])})" if strangers else "it is empty"
        raise InputError(f"fold '{card.test_fold}' of {dataset.folder} is not the one this run kept out: {what}")
    return rows
